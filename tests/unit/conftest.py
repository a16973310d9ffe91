"""What all unit tests share."""

from __future__ import annotations

import os
import signal

from hypothesis import settings

# A loaded machine is no failure. In CI every run tries the same examples, elsewhere each run tries new ones.
settings.register_profile("project", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("project")

# Where tests run side by side, their processes are started with SIGINT ignored, and what they start inherits that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
