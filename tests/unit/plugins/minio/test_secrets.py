# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a key is ever to be seen: the modules in a real playbook, told to say all they can, and watched from outside."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import yaml

from lab.settings import CHECKOUT
from tests.unit.plugins.minio.conftest import ROOT, Server


class Watch(threading.Thread):
    """Reads the arguments and the environment of every process that starts meanwhile, as ``ps -ef`` and its like do."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.done = threading.Event()
        self.processes: set[Path] = set()
        self.read = b""

    def run(self) -> None:
        older = _processes()
        seen: set[bytes] = set()
        while not self.done.wait(0.01):
            for process in _processes() - older:
                for part in ("cmdline", "environ"):
                    try:
                        content = (process / part).read_bytes()
                    except OSError:
                        continue  # it has ended
                    self.processes.add(process)
                    seen.add(content)
        self.read = b"\n".join(seen)


def _processes() -> set[Path]:
    return {process for process in Path("/proc").iterdir() if process.name.isdigit()}


def test_no_key_is_ever_seen(minio: Server, tmp_path: Path, name: str) -> None:
    first, second, unused, short = (secrets.token_hex(20) for _key in range(4))
    short = short[:7]
    user: dict[str, Any] = {"name": name, "secret_key": "{{ first }}", "policies": ["readonly"]}
    rotated = {**user, "secret_key": "{{ second }}"}
    faulty = {"name": f"{name}-2", "secret_key": "{{ unused }}", "policies": ["never-written"]}
    steps: list[tuple[str, dict[str, Any], bool]] = [
        ("is predicted", {"homelab.data_platform.minio_user": {"users": [user]}, "check_mode": True}, True),
        ("is created", {"homelab.data_platform.minio_user": {"users": [user]}}, True),
        ("is rotated", {"homelab.data_platform.minio_user": {"users": [rotated]}}, True),
        ("stays", {"homelab.data_platform.minio_user": {"users": [rotated]}}, False),
        ("has drifted", {"homelab.data_platform.minio_user": {"users": [user]}}, True),
        ("fails late", {"homelab.data_platform.minio_user": {"users": [user, faulty]}, "failed_when": False}, False),
        (
            "fails early",
            {"homelab.data_platform.minio_user": {"users": [{**user, "secret_key": "{{ short }}"}]}, "failed_when": False},
            False,
        ),
        (
            "is refused",
            {"homelab.data_platform.minio_user": {"users": [user], "secret_key": "{{ unused }}"}, "failed_when": False},
            False,
        ),
        ("reaches the buckets", {"homelab.data_platform.minio_bucket": {"buckets": [{"name": name}]}}, True),
        ("reaches the policies", {"homelab.data_platform.minio_policy": {"policies": []}}, False),
    ]
    tasks: list[dict[str, Any]] = []
    for index, (title, task, _changed) in enumerate(steps):
        tasks += [{"name": title, **task, "register": f"result_{index}"}, {"ansible.builtin.debug": {"var": f"result_{index}"}}]
    tasks.append(
        {"ansible.builtin.assert": {"that": [f"result_{index} is {'' if step[2] else 'not '}changed" for index, step in enumerate(steps)]}}
    )
    connection = {"url": minio.url, "access_key": ROOT, "secret_key": "{{ root }}", "ca_path": str(minio.ca)}
    play = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars": {"ansible_python_interpreter": sys.executable},
        "module_defaults": {"group/homelab.data_platform.minio": connection},
        "tasks": tasks,
    }
    playbook, keys, log = tmp_path / "play.yml", tmp_path / "keys.yml", tmp_path / "ansible.log"
    playbook.write_text(yaml.safe_dump([play]))
    every_key = {"root": minio.root_password, "first": first, "second": second, "unused": unused, "short": short}
    keys.write_text(yaml.safe_dump(every_key))
    watch = Watch()
    watch.start()
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", "-i", "localhost,", "-vvv", "--diff", "-e", f"@{keys}", str(playbook)],
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".collections"),
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml",
            "ANSIBLE_LOG_PATH": str(log),
            # Newer versions repeat a module's arguments in its result only when told to.
            "ANSIBLE_INJECT_INVOCATION": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    watch.done.set()
    watch.join()
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr

    # What is to be seen is there, so that what is not means something.
    said = " ".join(done.stdout.split()).replace("''", "'")
    for expected in (
        "there is no policy 'never-written'",
        "is shorter than 8 characters",
        "SignatureDoesNotMatch",
        "module_args:",
        "secret_key: VALUE_SPECIFIED_IN_NO_LOG_PARAMETER",
        "not as declared",
    ):
        assert expected in said
    assert len(watch.processes) > len(steps)
    assert str(playbook).encode() in watch.read
    places = {"output": done.stdout + done.stderr, "log": log.read_text(), "processes": watch.read.decode(errors="replace")}
    for label, key in every_key.items():
        for place, text in places.items():
            assert key not in text, f"the key {label!r} is in the {place}"
