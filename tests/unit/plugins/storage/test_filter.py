# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filesystem's part of the declaration."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.homelab.data_platform.plugins.filter.filesystem_disks import filesystem_disks
from ansible_collections.homelab.data_platform.plugins.modules.disk_filesystem import DISK, VOLUME

DEFAULTS = {"fstype": "xfs", "options": ["nofail"]}
DECLARED: dict[str, Any] = {
    "name": "airflow-data",
    "storage": "local-lvm",
    "size": "50G",
    "bus": "scsi",
    "discard": "on",
    "mount": "/mnt/airflow-data",
    "volumes": [{"name": "postgresql", "claim": "airflow/postgresql", "size": "20Gi", "owner": 999}],
}


def test_keys_of_other_layers_are_passed_over() -> None:
    assert filesystem_disks([DECLARED]) == [
        {
            "name": "airflow-data",
            "size": "50G",
            "mount": "/mnt/airflow-data",
            "volumes": [{"name": "postgresql", "size": "20Gi", "owner": 999}],
        }
    ]


def test_every_key_is_one_of_the_module() -> None:
    declared = {**DECLARED, **dict.fromkeys(DISK, "x"), "volumes": [{**dict.fromkeys(VOLUME, "x"), "claim": "a/b"}]}
    (disk,) = filesystem_disks([declared])
    assert set(disk) == set(DISK)
    assert set(disk["volumes"][0]) == set(VOLUME)


def test_defaults_give_way_to_the_disk() -> None:
    plain, own = filesystem_disks([DECLARED, {**DECLARED, "fstype": "ext4"}], DEFAULTS)
    assert (plain["fstype"], plain["options"]) == ("xfs", ["nofail"])
    assert (own["fstype"], own["options"]) == ("ext4", ["nofail"])


def test_an_adopted_disk_takes_no_defaults() -> None:
    sized = {**DECLARED, "uuid": "1-2"}
    bare = {key: value for key, value in sized.items() if key != "size"}
    for disk, grow in ((sized, True), (bare, False)):
        (found,) = filesystem_disks([disk], DEFAULTS)
        assert "fstype" not in found
        assert "options" not in found
        assert found["grow"] is grow


def test_disks_without_a_filesystem_are_passed_over() -> None:
    raw = {key: value for key, value in DECLARED.items() if key != "mount"}
    assert filesystem_disks([raw]) == []
    assert filesystem_disks([]) == []


def test_disks_that_are_to_be_absent_are_let_go_of() -> None:
    (gone,) = filesystem_disks([{"name": "airflow-data", "state": "absent"}], DEFAULTS)
    assert (gone["name"], gone["state"]) == ("airflow-data", "absent")


@pytest.mark.parametrize(
    ("declared", "defaults", "message"),
    [
        ("airflow-data", {}, "takes a list of disks"),
        (["airflow-data"], {}, "a mapping with a name"),
        ([{"mount": "/mnt/x"}], {}, "a mapping with a name"),
        ([], {"fs": "xfs"}, "no default for fs"),
    ],
)
def test_what_is_no_declaration(declared: Any, defaults: dict[str, Any], message: str) -> None:
    with pytest.raises(AnsibleFilterError, match=message):
        filesystem_disks(declared, defaults)
