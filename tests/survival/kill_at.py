"""A callback plugin that ends Ansible, as a power cut would, when the task with the number or name KILL_AT begins."""

from __future__ import annotations

import os
import signal
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: kill_at
type: aggregate
short_description: Ends Ansible before a task
description: Sends SIGKILL to Ansible's process group when the task whose number or name is in the environment variable KILL_AT begins.
"""


# Ansible ships no types: mypy takes its base class for Any.
class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Counts tasks."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "kill_at"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        """Start before the first task."""
        super().__init__()
        self.tasks = 0

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        """End everything when it is time."""
        self.tasks += 1
        if os.environ["KILL_AT"] in (str(self.tasks), task.name):
            os.killpg(os.getpgrp(), signal.SIGKILL)
