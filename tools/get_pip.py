"""Give an empty virtual environment the pip that Python itself brings, in place of the script that ansible-test would download."""

from __future__ import annotations

import ensurepip

ensurepip.bootstrap()
