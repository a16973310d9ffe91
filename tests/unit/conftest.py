"""What all unit tests share."""

from __future__ import annotations

import os

from hypothesis import settings

# A loaded machine is no failure. In CI every run tries the same examples, elsewhere each run tries new ones.
settings.register_profile("project", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("project")
