# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What qemu-server has a SCSI disk call itself."""

from __future__ import annotations

import pytest

from lab.proxmox.drives import device_id
from tests.unit.lab.proxmox.cluster import Cluster

VM = "/nodes/pve/qemu/301"


@pytest.mark.parametrize(
    ("machine", "slot", "named"),
    [
        ("pc-i440fx-9.2", "scsi1", None),
        ("pc-i440fx-9.2+pve1", "scsi1", None),
        ("pc-q35-8.1", "scsi0", None),
        ("type=pc-q35-9.0,viommu=virtio", "scsi1", None),
        ("pc-i440fx-10.0", "scsi1", "drive-scsi1"),
        ("pc-q35-10.0+pve1", "scsi12", "drive-scsi12"),
        ("pc-q35-11.2", "scsi1", "drive-scsi1"),
        ("q35", "scsi1", "drive-scsi1"),
        ("type=q35,viommu=intel", "scsi1", "drive-scsi1"),
        ("pc", "scsi1", "drive-scsi1"),
        (None, "scsi1", "drive-scsi1"),
        (None, "virtio1", None),
        ("pc-q35-10.0", "sata1", None),
    ],
)
def test_a_scsi_disk_names_itself_from_machine_version_10_on(machine: str | None, slot: str, named: str | None) -> None:
    assert device_id(machine, slot) == named


def test_the_guest_gets_the_name_with_the_disk(cluster: Cluster) -> None:
    cluster.edit(machine="pc-i440fx-9.2")
    cluster.done("POST", f"{VM}/config", scsi1="local-lvm:1,serial=airflow-data", virtio0="local-lvm:1")
    assert {slot: disk.device_id for (_, slot), disk in cluster.guest.disks.items()} == {
        "scsi0": "drive-scsi0",
        "scsi1": None,
        "virtio0": None,
    }
    # Those that are plugged keep what they were plugged with; a start plugs them anew.
    cluster.edit(machine=None)
    assert cluster.done("POST", f"{VM}/status/stop") == "OK"
    assert cluster.guest.disks == {}
    assert cluster.done("POST", f"{VM}/status/start") == "OK"
    assert cluster.guest.disks[301, "scsi1"].device_id == "drive-scsi1"
    assert cluster.guest.disks[301, "scsi1"].serial == "airflow-data"


def test_a_machine_that_does_not_start_stays_stopped(cluster: Cluster) -> None:
    assert cluster.done("POST", f"{VM}/status/stop") == "OK"
    cluster.guest.broken = "no such accelerator"
    assert cluster.done("POST", f"{VM}/status/start") == "start failed: no such accelerator"
    assert cluster.store.vms[301]["status"] == "stopped"
