# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks: what an asynchronous call starts, and what its UPID stands for."""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections.abc import Callable
from typing import Any

from lab.proxmox.errors import ApiError, failure, invalid
from lab.proxmox.faults import Faults
from lab.proxmox.state import Store

UPID = re.compile(r"UPID:([A-Za-z0-9-]+):([0-9A-F]{8}):([0-9A-F]{8,9}):([0-9A-F]{8}):([^:\s]+):([^:\s]*):([^:\s]+):")
_LOG = logging.getLogger(__name__)


class Tasks:
    """Starts tasks in threads of their own and keeps their records in the state directory."""

    def __init__(self, store: Store, faults: Faults) -> None:
        self._store = store
        self._faults = faults
        self._count = 0
        self._lock = threading.Lock()
        for path in (store.root / "tasks").glob("UPID:*"):
            record = json.loads(path.read_text())
            if record["status"] == "running":
                self._finish(record, "unexpected status")

    def start(self, node: str, kind: str, vmid: int, user: str, work: Callable[[], None]) -> str:
        """Run ``work`` as a task; what it raises becomes the exit status."""
        with self._lock:
            self._count += 1
            pid, now = 1000 + self._count, time.time()
        pstart = int(now * 100) & 0xFFFFFFFF
        upid = f"UPID:{node}:{pid:08X}:{pstart:08X}:{int(now):08X}:{kind}:{vmid}:{user}:"
        record = {
            "upid": upid, "node": node, "pid": pid, "pstart": pstart, "starttime": int(now),
            "type": kind, "id": str(vmid), "user": user, "status": "running", "log": [],
        }  # fmt: skip
        self._save(record)
        threading.Thread(target=self._run, args=(record, work), name=upid, daemon=True).start()
        return upid

    def _run(self, record: dict[str, Any], work: Callable[[], None]) -> None:
        exitstatus = "unexpected status"  # what a task is left with that a bug or a signal ended
        try:
            time.sleep(self._faults.task_seconds)
            work()
            warnings = self._faults.task_warnings
            record["log"] += [f"WARN: {text}" for text in warnings]
            exitstatus = f"WARNINGS: {len(warnings)}" if warnings else "OK"
        except (ApiError, OSError) as error:
            _LOG.warning("%s: %s", record["upid"], error)
            exitstatus = str(error).replace("\n", " ")
        finally:
            self._finish(record, exitstatus)

    def _finish(self, record: dict[str, Any], exitstatus: str) -> None:
        well = exitstatus == "OK" or exitstatus.startswith("WARNINGS")
        record["log"].append(f"TASK {exitstatus}" if well else f"TASK ERROR: {exitstatus}")
        self._save({**record, "status": "stopped", "exitstatus": exitstatus})

    def _save(self, record: dict[str, Any]) -> None:
        self._store.write(f"tasks/{record['upid']}", json.dumps(record))

    def get(self, node: str, upid: str) -> dict[str, Any]:
        """A task's record, its log included."""
        match = UPID.fullmatch(upid)
        if not match:
            raise invalid({"upid": f"unable to parse worker upid '{upid}'"})
        path = self._store.root / "tasks" / upid
        if match[1] != node or "/" in upid or not path.exists():
            raise failure("no such task")
        return dict(json.loads(path.read_text()))
