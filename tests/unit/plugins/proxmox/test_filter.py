# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a host's declared disks to the module's."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.homelab.data_platform.plugins.filter.virtual_disks import FilterModule
from ansible_collections.homelab.data_platform.plugins.modules.proxmox_vm_disk import argument_spec

virtual_disks = FilterModule().filters()["virtual_disks"]


def test_each_layer_keeps_its_part() -> None:
    declared = {
        "name": "airflow-data",
        "storage": "local-lvm",
        "size": "50G",
        "bus": "scsi",
        "discard": "on",
        "uuid": "6f1c",
        "mount": "/mnt/airflow-data",
        "fstype": "ext4",
        "volumes": [{"name": "postgresql", "claim": "airflow/postgresql", "size": "20Gi"}],
    }
    assert virtual_disks([declared]) == [{"serial": "airflow-data", "storage": "local-lvm", "size": "50G", "bus": "scsi", "discard": "on"}]


def test_every_key_of_the_module_comes_through() -> None:
    # What a playbook calls the module for by hand: the declaration of a host only ever adds disks.
    by_hand = {"destroy", "state", "volume"}
    keys = set(argument_spec()["disks"]["options"]) - {"serial"} - by_hand
    assert set(virtual_disks([{"name": "a", **dict.fromkeys(keys, "x")}])[0]) == {*keys, "serial"}


def test_no_disks() -> None:
    assert virtual_disks([]) == []


@pytest.mark.parametrize("declared", ["airflow-data", {"name": "a"}, [{"size": "50G"}], ["airflow-data"], [{"name": ""}], None])
def test_what_is_no_list_of_named_disks_is_refused(declared: Any) -> None:
    with pytest.raises(AnsibleFilterError, match=r"takes a list of disks|mapping with a name"):
        virtual_disks(declared)
