# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules in a process of their own, without what a new interpreter takes to import Ansible and its clients: most of a module's time."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ansible.template

# Where the controller's side of Ansible is installed, a module that ends imports it; a fork should find that done.
assert ansible.template


def forked(action: Callable[[], None], printed: Path) -> tuple[int, str]:
    """Do something that ends in ``sys.exit`` in a fork; return its wait status and what it printed, by way of the file ``printed``."""
    pid = os.fork()
    if pid == 0:
        # Nothing of the test's own process may run here: not its fixtures' clean-up, not its reports.
        status = 1
        try:
            with printed.open("w") as output:
                os.dup2(output.fileno(), 1)
                os.dup2(output.fileno(), 2)
                sys.stdout = sys.stderr = output
                try:
                    action()
                except SystemExit:
                    status = 0
                except BaseException:
                    traceback.print_exc()
                    raise
                finally:
                    output.flush()
        finally:
            os._exit(status)
    return os.waitpid(pid, 0)[1], printed.read_text()


def answer(printed: str) -> dict[str, Any]:
    """The result in what a module printed, all its warnings among it; a traceback is the module's failure and the test's."""
    assert "Traceback" not in printed, printed
    # The controller's side of Ansible, where a test has loaded it, shows warnings at once; else they are in the result.
    *warnings, last = printed.strip().splitlines()
    result: dict[str, Any] = json.loads(last)
    return {**result, "warnings": [*warnings, *result.get("warnings", [])]}
