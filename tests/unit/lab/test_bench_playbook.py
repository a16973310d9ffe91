# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the benchmarks run a playbook, with the real ansible-playbook."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lab.bench.playbook import LOCAL, Playbook
from lab.shell import LabError

HOSTS = {"all": {"hosts": {"one": LOCAL, "two": LOCAL}}}


def task(module: str, **arguments: Any) -> dict[str, Any]:
    return {"name": module, f"ansible.builtin.{module}": arguments}


def test_a_run_says_how_long_it_took_and_whether_one_host_was_changed(tmp_path: Path) -> None:
    look = task("command", argv=["sh", "-c", "sleep 0.3; test $WHERE = here"]) | {"changed_when": False}
    quiet = Playbook(tmp_path, HOSTS, [look, look]).play({"WHERE": "here"}, forks=2)
    assert not quiet.changed
    assert 0.6 < quiet.task_seconds < quiet.seconds
    assert Playbook(tmp_path, HOSTS, [look, look | {"changed_when": "inventory_hostname == 'two'"}]).play({"WHERE": "here"}).changed


def test_a_failure_is_told_with_what_ansible_says(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="this is wrong"):
        Playbook(tmp_path, HOSTS, [task("fail", msg="this is wrong")]).play({})
