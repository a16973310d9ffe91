# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""proxmox_vm_disk as Ansible runs it, over HTTPS against the stand-in of Proxmox's API."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.homelab.data_platform.plugins.module_utils.proxmox.client import Client, Connection, LostError
from ansible_collections.homelab.data_platform.plugins.module_utils.proxmox.disks import Converger
from ansible_collections.homelab.data_platform.plugins.modules import proxmox_vm_disk
from proxmoxer.core import ResourceException

from lab.proxmox.state import seed
from lab.settings import CHECKOUT
from tests.unit.lab.proxmox.cluster import SECRET, TOKEN_ID, USER, Cluster

GIB = 1024**3
DATA = {"serial": "airflow-data", "storage": "local-lvm", "size": "50G"}
IDLE_CALLS = 2


class FailedError(Exception):
    """The module ended in ``fail_json``."""

    def __init__(self, result: dict[str, Any]) -> None:
        super().__init__(result["msg"])
        self.result = result


Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the module; its output must never hold the token's secret."""

    def call(*disks: dict[str, Any], check: bool = False, **options: Any) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "api_host": "127.0.0.1",
            "api_port": cluster.port,
            "api_user": USER,
            "api_token_id": TOKEN_ID,
            "api_token_secret": SECRET,
            "ca_path": str(cluster.ca),
            "disks": list(disks),
            "_ansible_check_mode": check,
            "_ansible_diff": True,
            **options,
        }
        if "name" not in options:
            arguments.setdefault("vmid", 301)
        arguments = {key: value for key, value in arguments.items() if value is not None}
        capsys.readouterr()
        with patch_module_args(arguments), pytest.raises(SystemExit):
            proxmox_vm_disk.main()
        streams = capsys.readouterr()
        assert SECRET not in streams.out + streams.err
        assert "Traceback" not in streams.out + streams.err
        result: dict[str, Any] = json.loads(streams.out)
        # Warnings travel in the result, or past it where a test before this one has loaded the controller's half of Ansible.
        result["said"] = " ".join(f"{streams.out} {streams.err}".split())
        if result.get("failed"):
            raise FailedError(result)
        return result

    return call


def shown(result: dict[str, Any]) -> dict[str, Any]:
    """What check mode must foretell: everything but the names that Proxmox gives, and the calls."""
    disks = [{**disk, "volume": None, "pending": unnamed(disk["pending"])} for disk in result["disks"]]
    removed = [{**disk, "unused": None} for disk in result["removed"]]
    return {**{key: result[key] for key in ("changed", "diff", "restart_required")}, "disks": disks, "removed": removed}


def unnamed(pending: dict[str, Any]) -> dict[str, Any]:
    return {**pending, "volume": None} if "volume" in pending else pending


def calls(cluster: Cluster) -> list[str]:
    """What the module has asked for, in short; how often it looks at a task depends on the task."""
    words = [call.replace("/nodes/pve/qemu/301/", "").replace("/nodes/pve/", "") for call in cluster.calls]
    return [word for word in words if "tasks/" not in word]


def volumes_wanted(count: int) -> list[dict[str, Any]]:
    return [{"serial": f"disk-{number}", "storage": "local-lvm", "size": "1G"} for number in range(count)]


# -- creating --------------------------------------------------------------------------------------------------------------------


def test_a_new_disk_reaches_the_guest(cluster: Cluster, run: Run) -> None:
    result = run({**DATA, "ssd": True, "discard": "on"})
    assert result["changed"] is True
    assert result["disks"] == [
        {
            "serial": "airflow-data",
            "slot": "scsi1",
            "storage": "local-lvm",
            "volume": "local-lvm:vm-301-disk-1",
            "size": 50 * GIB,
            "by_id": [
                "/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_airflow-data",
                "/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_drive-scsi1",
            ],
            "pending": {},
            "actions": ["created"],
        }
    ]
    assert cluster.config().current["scsi1"] == "local-lvm:vm-301-disk-1,discard=on,serial=airflow-data,size=50G,ssd=1"
    disk = cluster.guest.disks[301, "scsi1"]
    assert (disk.serial, disk.size_bytes, disk.path.stat().st_size) == ("airflow-data", 50 * GIB, 50 * GIB)


@pytest.mark.parametrize("count", [1, 30])
def test_a_second_run_changes_nothing_in_two_calls_however_many_disks(cluster: Cluster, run: Run, count: int) -> None:
    disks = volumes_wanted(count)
    run(*disks)
    before = cluster.config().text
    again = run(*disks)
    assert (again["changed"], again["api_calls"]) == (False, IDLE_CALLS)
    assert again["diff"]["before"] == again["diff"]["after"]
    assert all(disk["actions"] == [] for disk in again["disks"])
    assert cluster.config().text == before


LOOK = "GET pending"


def test_a_disk_is_created_by_one_write_between_two_looks(cluster: Cluster, run: Run) -> None:
    run(DATA)
    assert calls(cluster) == ["GET /cluster/resources", LOOK, "POST config", LOOK]


def test_many_disks_are_created_by_one_write(cluster: Cluster, run: Run) -> None:
    result = run(*volumes_wanted(30))
    assert [disk["slot"] for disk in result["disks"]] == [f"scsi{number}" for number in range(1, 31)]
    assert calls(cluster) == ["GET /cluster/resources", LOOK, "GET storage", "POST config", LOOK]
    assert len(cluster.volumes()) == 31


def test_disks_that_are_right_cost_no_calls(cluster: Cluster, run: Run) -> None:
    disks = volumes_wanted(5)
    run(*disks)
    cluster.calls.clear()
    run(*disks, DATA)
    assert calls(cluster) == ["GET /cluster/resources", LOOK, "POST config", LOOK]


def test_disks_are_configured_by_one_write_and_grown_one_by_one(cluster: Cluster, run: Run) -> None:
    run(*volumes_wanted(3))
    cluster.calls.clear()
    grown = [{**disk, "size": "2G", "backup": False} for disk in volumes_wanted(2)]
    result = run(DATA, *grown, {"serial": "disk-2", "backup": False}, {**DATA, "serial": "other"})
    assert [disk["actions"] for disk in result["disks"]] == [
        ["created"],
        ["resized", "configured"],
        ["resized", "configured"],
        ["configured"],
        ["created"],
    ]
    growing = ["PUT resize", LOOK]
    assert calls(cluster) == [
        *("GET /cluster/resources", LOOK, "GET storage", "POST config", LOOK),
        *(*growing, *growing, "POST config", LOOK),
    ]


@pytest.mark.parametrize("task_seconds", [0.0, 1.0])
def test_an_answer_lost_after_a_write_of_many_allocates_nothing_twice(cluster: Cluster, run: Run, task_seconds: float) -> None:
    cluster.faults.drops = 1
    cluster.faults.task_seconds = task_seconds
    result = run(*volumes_wanted(3))
    assert [disk["actions"] for disk in result["disks"]] == [["created"]] * 3
    assert cluster.volumes() == [f"vm-301-disk-{number}" for number in range(4)]


def test_what_a_failed_write_has_left_behind_is_plugged_by_the_next_run(cluster: Cluster, run: Run) -> None:
    small = {"serial": "small", "storage": "local-lvm", "size": "1G"}
    with pytest.raises(FailedError, match=r"create disk airflow-data \(scsi2\): .*reached threshold.*300G is wanted") as error:
        run(small, {**DATA, "size": "300G"})
    assert error.value.result["disks"][0]["pending"] == {"serial": "small", "volume": "local-lvm:vm-301-disk-1"}
    assert (301, "scsi1") not in cluster.guest.disks
    disks = [{**small, "size": "2G", "backup": False}, DATA]
    foretold = run(*disks, check=True)
    result = run(*disks)
    assert shown(result) == shown(foretold)
    assert [disk["actions"] for disk in result["disks"]] == [["attached", "resized"], ["created"]]
    assert (301, "scsi1") in cluster.guest.disks
    assert cluster.volumes() == ["vm-301-disk-0", "vm-301-disk-1", "vm-301-disk-2"]
    assert run(*disks)["changed"] is False


@pytest.mark.parametrize("first", ["absent", "new"])
def test_a_slot_that_is_emptied_goes_to_what_is_declared_after(cluster: Cluster, run: Run, first: str) -> None:
    run(DATA)
    new = {**DATA, "serial": "new", "ssd": True}
    disks = [ABSENT, new] if first == "absent" else [new, ABSENT]
    foretold = run(*disks, check=True)
    result = run(*disks)
    assert shown(result) == shown(foretold)
    assert result["disks"][0]["slot"] == ("scsi1" if first == "absent" else "scsi2")
    assert cluster.config().current["unused0"] == "local-lvm:vm-301-disk-1"


@pytest.mark.parametrize("size", ["51200M", "50GiB", "50 Gi", "50g"])
def test_an_equal_size_in_other_words_is_no_change(run: Run, size: str) -> None:
    run(DATA)
    assert run({**DATA, "size": size})["changed"] is False


def test_a_size_below_one_gib(cluster: Cluster, run: Run) -> None:
    run({**DATA, "size": "512M"})
    assert "size=512M" in cluster.config().current["scsi1"]


def test_the_machine_is_found_by_name(run: Run) -> None:
    result = run(DATA, name="k8s-worker-02")
    assert (result["vmid"], result["node"], result["disks"][0]["slot"]) == (302, "pve", "scsi0")


def test_the_machines_node_is_found(cluster: Cluster, run: Run) -> None:
    seed(cluster.state, vms=[{"vmid": 401, "name": "elsewhere", "node": "pve2"}])
    assert run(DATA, vmid=401)["node"] == "pve2"


def test_a_name_that_two_machines_have(cluster: Cluster, run: Run) -> None:
    seed(cluster.state, vms=[{"vmid": 401, "name": "k8s-worker-02"}])
    with pytest.raises(FailedError, match="VM k8s-worker-02 is the name of machines 302, 401: use vmid"):
        run(DATA, name="k8s-worker-02")


@pytest.mark.parametrize(
    ("bus", "links"),
    [
        ("virtio", ["virtio-airflow-data"]),
        ("sata", ["ata-QEMU_HARDDISK_airflow-data"]),
        ("scsi", ["scsi-0QEMU_QEMU_HARDDISK_airflow-data", "scsi-0QEMU_QEMU_HARDDISK_drive-scsi1"]),
    ],
)
def test_how_the_guest_will_see_a_disk(run: Run, bus: str, links: list[str]) -> None:
    assert run({**DATA, "bus": bus}, check=True)["disks"][0]["by_id"] == [f"/dev/disk/by-id/{link}" for link in links]


def test_warnings_of_a_task_are_warnings_and_no_failure(cluster: Cluster, run: Run) -> None:
    cluster.faults.task_warnings = ("Sum of all thin volume sizes exceeds the size of thin pool",)
    result = run(DATA)
    assert result["changed"] is True
    assert "Sum of all thin volume sizes" in result["said"]


def test_detached_volumes_are_pointed_out_before_an_empty_one_takes_their_place(cluster: Cluster, run: Run) -> None:
    run(DATA)
    assert cluster.call("PUT", "/nodes/pve/qemu/301/unlink", idlist="scsi1").status_code == 200
    result = run({**DATA, "size": "60G"})
    assert "unused0 (local-lvm:vm-301-disk-1)" in result["said"]
    assert cluster.volumes() == ["vm-301-disk-0", "vm-301-disk-1", "vm-301-disk-2"]


@pytest.mark.parametrize("check", [True, False])
def test_no_empty_disk_is_made_where_a_detached_one_may_be_meant(cluster: Cluster, run: Run, check: bool) -> None:
    run(DATA)
    assert cluster.call("PUT", "/nodes/pve/qemu/301/unlink", idlist="scsi1").status_code == 200
    with pytest.raises(FailedError, match=r"unused0 \(local-lvm:vm-301-disk-1\) is a detached volume of its size, 50G"):
        run(DATA, check=check)
    assert cluster.volumes() == ["vm-301-disk-0", "vm-301-disk-1"]
    known = {"serial": "old", "state": "absent", "volume": "local-lvm:vm-301-disk-1"}
    assert run(DATA, known)["disks"][0]["volume"] == "local-lvm:vm-301-disk-2"
    assert cluster.config().current["unused0"] == "local-lvm:vm-301-disk-1"


def test_a_missing_disk_is_given_its_detached_volume_back(cluster: Cluster, run: Run) -> None:
    run(DATA)
    assert cluster.call("PUT", "/nodes/pve/qemu/301/unlink", idlist="scsi1").status_code == 200
    assert run({**DATA, "volume": "local-lvm:vm-301-disk-1"})["disks"][0]["actions"] == ["attached"]
    assert run(DATA)["changed"] is False


# -- taking away and giving back ---------------------------------------------------------------------------------------------------

ABSENT = {"serial": "airflow-data", "state": "absent"}


def test_a_detached_disk_keeps_its_volume(cluster: Cluster, run: Run) -> None:
    run(DATA)
    predicted = run(ABSENT, check=True)
    assert (301, "scsi1") in cluster.guest.disks
    result = run(ABSENT)
    assert shown(predicted) == shown(result)
    assert result["removed"] == [
        {
            "serial": "airflow-data",
            "slot": "scsi1",
            "volume": "local-lvm:vm-301-disk-1",
            "unused": "unused0",
            "pending": False,
            "actions": ["detached"],
        }
    ]
    assert result["diff"]["before"]["airflow-data"]["slot"] == "scsi1"
    assert result["diff"]["after"] == {}
    assert cluster.config().current["unused0"] == "local-lvm:vm-301-disk-1"
    assert (301, "scsi1") not in cluster.guest.disks
    assert "vm-301-disk-1" in cluster.volumes()
    again = run(ABSENT)
    assert (again["changed"], again["removed"], again["api_calls"]) == (False, [], IDLE_CALLS)


@pytest.mark.parametrize("destroy", ["yes", "true", "scsi1", "airflow"])
def test_nothing_is_destroyed_unless_its_own_name_is_repeated(cluster: Cluster, run: Run, destroy: str) -> None:
    run(DATA)
    with pytest.raises(FailedError, match=f"destroy says '{destroy}', but this disk is airflow-data"):
        run({**ABSENT, "destroy": destroy})
    with pytest.raises(FailedError, match="is to be present, but destroy is set"):
        run({**DATA, "destroy": "airflow-data"})
    assert "scsi1" in cluster.config().current


def test_a_disk_that_is_named_twice_is_destroyed(cluster: Cluster, run: Run) -> None:
    run(DATA, {**DATA, "serial": "other", "size": "1G"})
    result = run({**ABSENT, "destroy": "airflow-data"})
    assert [entry["actions"] for entry in result["removed"]] == [["destroyed"]]
    assert result["removed"][0]["unused"] is None
    assert cluster.volumes() == ["vm-301-disk-0", "vm-301-disk-2"]
    assert not [key for key in cluster.config().current if key.startswith("unused")]
    assert run({**ABSENT, "destroy": "airflow-data"})["changed"] is False


def test_a_detached_volume_is_destroyed_by_its_own_name(cluster: Cluster, run: Run) -> None:
    run(DATA)
    run(ABSENT)
    volume = "local-lvm:vm-301-disk-1"
    assert run({"volume": volume, "state": "absent"})["changed"] is False
    assert run({"volume": volume, "state": "absent", "destroy": volume})["changed"] is True
    assert cluster.volumes() == ["vm-301-disk-0"]
    assert run({"volume": volume, "state": "absent", "destroy": volume})["changed"] is False


@pytest.mark.parametrize("volume", ["unused0", "local-lvm:vm-301-disk-1"])
def test_a_detached_volume_is_given_back_with_its_data(cluster: Cluster, run: Run, volume: str) -> None:
    run(DATA)
    image = cluster.guest.disks[301, "scsi1"].path
    with image.open("r+b") as file:
        file.write(b"sentinel")
    run(ABSENT)
    wanted = {**DATA, "volume": volume}
    predicted = run(wanted, check=True)
    result = run(wanted)
    assert shown(predicted) == shown(result)
    assert result["disks"][0]["actions"] == ["attached"]
    assert result["disks"][0]["volume"] == "local-lvm:vm-301-disk-1"
    assert cluster.volumes() == ["vm-301-disk-0", "vm-301-disk-1"]
    assert not [key for key in cluster.config().current if key.startswith("unused")]
    with cluster.guest.disks[301, "scsi1"].path.open("rb") as file:
        assert file.read(8) == b"sentinel"
    assert run(wanted)["changed"] is False


def test_a_volume_is_grown_once_it_is_attached(cluster: Cluster, run: Run) -> None:
    run(DATA)
    run(ABSENT)
    result = run({**DATA, "volume": "unused0", "size": "60G"})
    assert result["disks"][0]["actions"] == ["attached", "resized"]
    assert "size=60G" in cluster.config().current["scsi1"]


def test_what_cannot_be_attached(run: Run) -> None:
    run(DATA)
    with pytest.raises(FailedError, match="disk other is to be unused3, which the machine does not have; it has: none"):
        run({"serial": "other", "volume": "unused3"})
    with pytest.raises(FailedError, match="slot scsi1 holds a disk with the serial airflow-data, wanted is other"):
        run({"serial": "other", "volume": "local-lvm:vm-301-disk-1"})
    with pytest.raises(
        FailedError, match=r"has the volume local-lvm:vm-301-disk-1, declared is local-lvm:vm-301-disk-7.*detach that one first"
    ):
        run({**DATA, "volume": "local-lvm:vm-301-disk-7"})
    with pytest.raises(FailedError, match="the volume local-lvm:vm-301-disk-9 is not on the storage nfs"):
        run({"serial": "other", "storage": "nfs", "volume": "local-lvm:vm-301-disk-9"})


def test_a_disk_without_a_serial_is_not_detached_by_its_volume_alone(cluster: Cluster, run: Run) -> None:
    cluster.call("PUT", "/nodes/pve/qemu/301/config", scsi3="local-lvm:5")
    absent = {"serial": "by-hand", "state": "absent", "volume": "local-lvm:vm-301-disk-1"}
    with pytest.raises(FailedError, match=r"is attached at scsi3 without a serial: declare slot scsi3 too"):
        run(absent)
    assert "scsi3" in cluster.config().current
    assert run({**absent, "slot": "scsi3"})["removed"][0]["unused"] == "unused0"


def test_a_disk_that_is_declared_absent_in_another_slot_is_no_silent_success(cluster: Cluster, run: Run) -> None:
    run(DATA)
    with pytest.raises(FailedError, match="disk airflow-data is at scsi1, declared is slot scsi5"):
        run({**ABSENT, "slot": "scsi5"})
    assert run({"slot": "scsi5", "state": "absent"})["changed"] is False
    assert "scsi1" in cluster.config().current


def test_the_disk_that_the_machine_boots_from_stays(cluster: Cluster, run: Run) -> None:
    cluster.edit(boot="order=scsi0;net0")
    with pytest.raises(FailedError, match=r"disk scsi0 \(scsi0\) is one that the machine boots from"):
        run({"slot": "scsi0", "state": "absent"})
    assert "scsi0" in cluster.config().current


def test_a_disk_on_sata_goes_at_the_next_restart(cluster: Cluster, run: Run) -> None:
    cluster.edit(sata0="local-lvm:vm-301-disk-0,serial=airflow-data,size=20G", scsi0=None, boot=None)
    foretold = run(ABSENT, check=True)
    result = run(ABSENT)
    assert (result["removed"][0]["pending"], result["restart_required"]) == (True, True)
    assert shown(foretold) == shown(result)
    again = run(ABSENT)
    assert shown(run(ABSENT, check=True)) == shown(again)
    assert (again["changed"], again["restart_required"]) == (False, True)
    assert cluster.done("POST", "/nodes/pve/qemu/301/status/stop") == "OK"
    assert cluster.done("POST", "/nodes/pve/qemu/301/status/start") == "OK"
    assert cluster.config().current["unused0"] == "local-lvm:vm-301-disk-0"
    last = run(ABSENT)
    assert (last["changed"], last["restart_required"]) == (False, False)


def test_a_disk_that_the_guest_holds_is_an_error_and_stays(cluster: Cluster, run: Run) -> None:
    run(DATA)
    cluster.guest.held.add("scsi1")
    with pytest.raises(FailedError, match="error unplugging device 'scsi1'"):
        run(ABSENT)
    assert "vm-301-disk-1" in cluster.volumes()


def test_a_lost_answer_does_not_detach_twice(cluster: Cluster, run: Run) -> None:
    run(DATA)
    cluster.faults.drops = 1
    result = run(ABSENT)
    assert [entry["actions"] for entry in result["removed"]] == [["detached"]]
    assert cluster.volumes() == ["vm-301-disk-0", "vm-301-disk-1"]


# -- growing and configuring -------------------------------------------------------------------------------------------------------


def test_a_disk_grows_in_the_running_guest(cluster: Cluster, run: Run) -> None:
    run(DATA)
    result = run({**DATA, "size": "60G"})
    assert result["disks"][0]["actions"] == ["resized"]
    assert result["disks"][0]["size"] == 60 * GIB
    assert cluster.guest.sizes[301, "scsi1"] == 60 * GIB
    assert run({**DATA, "size": "60G"})["changed"] is False


def test_options_that_are_not_named_are_kept(cluster: Cluster, run: Run) -> None:
    run(DATA)
    cluster.edit(scsi1="local-lvm:vm-301-disk-1,iothread=1,mbps_rd=100,serial=airflow-data,size=50G")
    result = run({**DATA, "backup": False})
    assert result["disks"][0]["actions"] == ["configured"]
    assert cluster.config().current["scsi1"] == "local-lvm:vm-301-disk-1,backup=0,iothread=1,mbps_rd=100,serial=airflow-data,size=50G"


def test_a_value_which_only_spells_out_the_default_is_no_change(run: Run) -> None:
    run(DATA)
    assert run({**DATA, "backup": True, "cache": "none", "discard": "ignore", "ssd": False, "replicate": True})["changed"] is False


def test_options_that_wait_for_a_restart_are_reported_and_not_sent_again(cluster: Cluster, run: Run) -> None:
    run(DATA)
    wanted = {**DATA, "ssd": True, "size": "60G"}
    result = run(wanted)
    assert result["disks"][0]["actions"] == ["resized", "configured"]
    assert result["disks"][0]["pending"] == {"ssd": "1"}
    assert result["restart_required"] is True
    again = run(wanted)
    assert (again["changed"], again["restart_required"]) == (False, True)
    assert cluster.done("POST", "/nodes/pve/qemu/301/status/stop") == "OK"
    assert cluster.done("POST", "/nodes/pve/qemu/301/status/start") == "OK"
    assert cluster.config().current["scsi1"] == "local-lvm:vm-301-disk-1,serial=airflow-data,size=60G,ssd=1"
    last = run(wanted)
    assert (last["changed"], last["restart_required"]) == (False, False)


def test_a_resize_is_not_taken_back_by_an_older_pending_change(cluster: Cluster, run: Run) -> None:
    run(DATA)
    run({**DATA, "ssd": True})
    result = run({**DATA, "size": "60G"})
    assert result["disks"][0]["actions"] == ["resized", "configured"]
    assert "size=60G" in cluster.config().pending["scsi1"]


def test_a_new_disk_on_sata_waits_for_a_restart_and_is_not_made_twice(cluster: Cluster, run: Run) -> None:
    wanted = {**DATA, "bus": "sata"}
    result = run(wanted)
    assert result["disks"][0]["pending"] == {"serial": "airflow-data", "volume": "local-lvm:vm-301-disk-1"}
    assert "sata0" not in cluster.config().current
    assert run(wanted)["changed"] is False
    assert cluster.volumes() == ["vm-301-disk-0", "vm-301-disk-1"]


def test_a_disk_without_a_serial_is_adopted_untouched(cluster: Cluster, run: Run) -> None:
    cluster.done("POST", "/nodes/pve/qemu/301/config", scsi3="local-lvm:40,iothread=1")
    before = cluster.config().text
    result = run({"serial": "airflow-data", "slot": "scsi3", "size": "40G"})
    assert (result["changed"], result["disks"][0]["serial"], result["disks"][0]["slot"]) == (False, None, "scsi3")
    assert cluster.config().text == before
    grown = run({"serial": "airflow-data", "slot": "scsi3", "size": "45G"})
    assert grown["disks"][0]["actions"] == ["resized"]
    assert cluster.config().current["scsi3"] == "local-lvm:vm-301-disk-1,iothread=1,size=45G"
    configured = run({"serial": "airflow-data", "slot": "scsi3", "backup": False})
    assert configured["disks"][0]["actions"] == ["configured"]
    assert cluster.config().current["scsi3"] == "local-lvm:vm-301-disk-1,backup=0,iothread=1,size=45G"


# -- check mode --------------------------------------------------------------------------------------------------------------------

CASES = {
    "create": [{**DATA, "ssd": True, "mbps_wr": 10}, {"serial": "logs", "storage": "local-lvm", "size": "1G", "bus": "virtio"}],
    "grow": [{"serial": "there", "size": "6G"}],
    "configure": [{"serial": "there", "cache": "writeback", "backup": False}],
    "grow and configure": [{"serial": "there", "size": "6G", "discard": "on"}],
    "adopt and grow": [{"slot": "scsi2", "size": "3G"}],
    "all of it": [DATA, {"serial": "there", "size": "6G", "ssd": True}, {"slot": "scsi2", "size": "3G"}],
    "nothing": [{"serial": "there", "size": "5G"}],
    "sata": [{**DATA, "bus": "sata", "ssd": True}],
    "on at once": [{"serial": "there", "mbps_rd": 10, "backup": False, "replicate": False}],
    "on at once for one, later for the other": [{"serial": "there", "backup": False, "queues": 4}, {"slot": "scsi2", "backup": False}],
    "given up again": [{"serial": "waiting", "cache": "none"}],
    "waits already": [{"serial": "waiting", "backup": False, "size": "6G"}],
    "remove": [{"serial": "there", "state": "absent"}, {**DATA, "bus": "virtio"}],
}
MACHINES: dict[str, dict[str, Any]] = {"running": {}, "without hotplug of disks": {"hotplug": "network,usb"}, "stopped": {}}


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("disks", CASES.values(), ids=CASES.keys())
def test_check_mode_says_what_the_run_then_does(cluster: Cluster, run: Run, disks: list[dict[str, Any]], machine: str) -> None:
    run(
        {"serial": "there", "storage": "local-lvm", "size": "5G"},
        {"serial": "waiting", "storage": "local-lvm", "size": "5G", "bus": "virtio"},
    )
    cluster.done("POST", "/nodes/pve/qemu/301/config", scsi2="local-lvm:2")
    if machine == "stopped":
        assert cluster.done("POST", "/nodes/pve/qemu/301/status/stop") == "OK"
    else:
        run({"serial": "waiting", "cache": "writeback"})
    cluster.edit(**MACHINES[machine])
    before, volumes = cluster.config().text, cluster.volumes()
    foretold = run(*disks, check=True)
    assert (cluster.config().text, cluster.volumes()) == (before, volumes)
    assert shown(run(*disks)) == shown(foretold)
    assert run(*disks)["changed"] is False


# -- others at work ----------------------------------------------------------------------------------------------------------------


def test_a_lost_race_is_planned_again(cluster: Cluster, run: Run) -> None:
    cluster.faults.before_write = lambda: cluster.edit(scsi1="local-lvm:vm-301-disk-0,serial=other,size=20G")
    result = run(DATA)
    assert result["disks"][0]["slot"] == "scsi2"
    assert cluster.config().current["scsi1"] == "local-lvm:vm-301-disk-0,serial=other,size=20G"


def test_a_race_on_a_resize_is_planned_again(cluster: Cluster, run: Run) -> None:
    run(DATA)
    cluster.faults.before_write = lambda: cluster.edit(description="changed meanwhile")
    assert run({**DATA, "size": "60G"})["disks"][0]["actions"] == ["resized"]


def test_a_race_on_a_resize_grows_no_other_disk(cluster: Cluster, run: Run) -> None:
    run(DATA)
    other = "local-lvm:vm-301-disk-0,serial=other,size=20G"
    cluster.faults.before_write = lambda: cluster.edit(scsi1=other)
    assert run({**DATA, "size": "60G"})["disks"][0]["slot"] == "scsi2"
    assert cluster.config().current["scsi1"] == other


def test_a_race_on_a_detach_takes_no_other_disk(cluster: Cluster, run: Run) -> None:
    run(DATA)
    cluster.faults.before_write = lambda: cluster.edit(scsi1="local-lvm:vm-301-disk-1,serial=other,size=50G")
    assert run(ABSENT)["changed"] is False
    assert "serial=other" in cluster.config().current["scsi1"]


def test_a_race_that_is_lost_again_and_again_is_given_up(cluster: Cluster, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = count()

    def meddle() -> None:
        cluster.edit(description=f"change {next(rounds)}")
        cluster.faults.before_write = meddle

    cluster.faults.before_write = meddle
    monkeypatch.setattr(f"{Converger.__module__}._RETRIES", 2)
    with pytest.raises(FailedError, match=r"create disk airflow-data \(scsi1\): gave up after 3 attempts: .*checksum mismatch"):
        run(DATA)
    assert cluster.volumes() == ["vm-301-disk-0"]


def test_what_somebody_else_did_meanwhile_is_not_claimed(cluster: Cluster, run: Run) -> None:
    run(DATA)
    cluster.faults.before_write = lambda: cluster.edit(scsi1="local-lvm:vm-301-disk-1,backup=0,serial=airflow-data,size=50G")
    result = run({**DATA, "backup": False})
    assert (result["changed"], result["disks"][0]["actions"]) == (False, [])


def test_a_lock_is_awaited(cluster: Cluster, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.edit(lock="backup")
    cluster.faults.before_write = None
    loads: list[int] = []
    load = cluster.store.__class__.load

    def unlocking(store: Any, vmid: int, node: str | None = None) -> Any:
        """The backup ends while the module looks for the third time."""
        loads.append(vmid)
        if len(loads) == 8:
            cluster.edit(lock=None)
        return load(store, vmid, node)

    monkeypatch.setattr(cluster.store.__class__, "load", unlocking)
    result = run(DATA, lock_timeout=20)
    assert result["changed"] is True
    assert "VM 301 (k8s-worker-01) on pve: VM is locked (backup); waited" in result["said"]


def test_a_machine_that_is_migrated_meanwhile_is_found_again(cluster: Cluster, run: Run) -> None:
    def migrate() -> None:
        """The machine goes to another node, and its lock with the migration."""
        machines = json.loads((cluster.state / "vms.json").read_text())
        machines["301"]["node"] = "pve2"
        cluster.store.write("vms.json", json.dumps(machines))
        cluster.edit(lock=None)

    cluster.edit(lock="migrate")
    timer = Timer(1.0, migrate)
    timer.start()
    result = run(DATA, lock_timeout=20)
    timer.join()
    assert (result["node"], result["disks"][0]["actions"]) == ("pve2", ["created"])
    assert "VM is locked (migrate); waited" in result["said"]


def test_a_lock_that_stays_is_named(cluster: Cluster, run: Run) -> None:
    cluster.edit(lock="backup")
    with pytest.raises(FailedError, match=r"VM is locked \(backup\).*lock_timeout") as error:
        run(DATA, lock_timeout=1)
    assert error.value.result["changed"] is False


def test_a_slow_allocation_is_waited_for(cluster: Cluster, run: Run) -> None:
    cluster.faults.task_seconds = 1.0
    assert run(DATA, timeout=5)["changed"] is True
    assert cluster.volumes() == ["vm-301-disk-0", "vm-301-disk-1"]


def test_a_run_that_stopped_waiting_leaves_nothing_that_the_next_one_does_twice(cluster: Cluster, run: Run) -> None:
    cluster.faults.task_seconds = 1.5
    with pytest.raises(FailedError, match="still runs after 0 s"):
        run(DATA, task_timeout=0)
    assert run(DATA, lock_timeout=10)["disks"][0]["volume"] == "local-lvm:vm-301-disk-1"
    assert cluster.volumes() == ["vm-301-disk-0", "vm-301-disk-1"]


@pytest.mark.parametrize("task_seconds", [0.0, 1.0])
def test_an_answer_lost_after_the_write_allocates_nothing_twice(cluster: Cluster, run: Run, task_seconds: float) -> None:
    cluster.faults.drops = 1
    cluster.faults.task_seconds = task_seconds
    result = run(DATA)
    assert (result["changed"], result["disks"][0]["actions"]) == (True, ["created"])
    assert cluster.volumes() == ["vm-301-disk-0", "vm-301-disk-1"]


def test_a_node_that_is_briefly_out_of_reach_is_asked_again(cluster: Cluster, run: Run) -> None:
    cluster.faults.proxy_errors = 2
    assert run(DATA)["changed"] is True


def test_a_node_that_stays_out_of_reach_is_named(cluster: Cluster, run: Run) -> None:
    cluster.faults.proxy_errors = 100
    with pytest.raises(FailedError, match=r"could not reach the node.*599"):
        run(DATA)


# -- what cannot be done -----------------------------------------------------------------------------------------------------------


def test_nothing_is_shrunk(cluster: Cluster, run: Run) -> None:
    run(DATA)
    before = cluster.config().text
    with pytest.raises(FailedError, match=r"VM 301 .*airflow-data \(scsi1\) has 50G, wanted is 40G.*cannot be shrunk"):
        run({**DATA, "size": "40G"})
    assert cluster.config().text == before


@pytest.mark.parametrize("check", [True, False])
def test_an_unknown_storage(run: Run, check: bool) -> None:
    with pytest.raises(FailedError, match=r"storage nope was not found on pve; .* local-lvm, thick"):
        run({**DATA, "storage": "nope"}, check=check)


def test_a_storage_for_other_things(run: Run) -> None:
    with pytest.raises(FailedError, match="storage iso was not found"):
        run({**DATA, "storage": "iso"})


def test_a_full_thin_pool(cluster: Cluster, run: Run) -> None:
    with pytest.raises(
        FailedError, match=r"create disk airflow-data .*reached threshold.*180.0G free of 200.0G, 300G is wanted.*another storage"
    ) as error:
        run({**DATA, "size": "300G"})
    assert error.value.result["changed"] is False
    assert cluster.volumes() == ["vm-301-disk-0"]


def test_a_full_volume_group_is_known_before_the_first_write(cluster: Cluster, run: Run) -> None:
    before = cluster.config().text
    with pytest.raises(FailedError, match=r"storage thick on pve has 10.0G free of 10.0G, 50G is wanted"):
        run({"serial": "small", "storage": "local-lvm", "size": "1G"}, {**DATA, "storage": "thick"})
    assert cluster.config().text == before


def test_what_was_done_before_an_error_is_told(run: Run) -> None:
    with pytest.raises(FailedError) as error:
        run({"serial": "small", "storage": "local-lvm", "size": "1G"}, {**DATA, "size": "300G"})
    assert error.value.result["changed"] is True
    assert [disk["serial"] for disk in error.value.result["disks"]] == ["small"]


def test_a_wrong_secret(run: Run) -> None:
    with pytest.raises(FailedError, match=r"does not accept the API token ansible@pve!platform \(invalid token value!\)"):
        run(DATA, api_token_secret="wrong")


def test_an_unknown_token(run: Run) -> None:
    with pytest.raises(FailedError, match=r"no such token 'nobody' for user 'ansible@pve'"):
        run(DATA, api_token_id="nobody")


def test_a_token_without_the_privilege(run: Run) -> None:
    with pytest.raises(FailedError, match=r"ansible@pve!reader may not do this: Permission check failed \(/vms/301, VM.Config.Disk\)"):
        run(DATA, api_token_id="reader")


def test_a_token_that_sees_no_machine(run: Run) -> None:
    with pytest.raises(FailedError, match=r"VM 301 was not found at 127.0.0.1; .* sees: none.*VM.Audit"):
        run(DATA, api_token_id="blind")


def test_an_unknown_machine(run: Run) -> None:
    with pytest.raises(FailedError, match=r"VM 999 was not found .*301 \(k8s-worker-01\), 302 \(k8s-worker-02\)"):
        run(DATA, vmid=999)


def test_a_certificate_of_an_unknown_ca(run: Run) -> None:
    with pytest.raises(FailedError, match=r"TLS certificate of https://127.0.0.1:\d+ could not be verified.*ca_path"):
        run(DATA, ca_path=None)


def test_a_ca_file_that_is_missing(run: Run) -> None:
    with pytest.raises(FailedError, match=r"/nonexistent.*check ca_path"):
        run(DATA, ca_path="/nonexistent")


def test_an_api_that_does_not_answer(run: Run) -> None:
    with pytest.raises(FailedError, match=r"no answer from Proxmox's API at https://127.0.0.1:1: .*refused; check api_host, api_port"):
        run(DATA, api_port=1)


def test_a_refusal_of_proxmoxs_own_is_passed_on(cluster: Cluster, run: Run) -> None:
    run(DATA)
    cluster.edit(protection="1")
    with pytest.raises(FailedError, match=r"detach disk airflow-data \(scsi1\): can't remove drive 'scsi1' - protection mode enabled"):
        run(ABSENT)


def test_a_task_is_looked_at_no_more_than_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    looks: list[float] = []

    def status(_path: str) -> dict[str, str]:
        looks.append(round(clock[0], 1))
        return {"status": "running"} if clock[0] < 14 else {"status": "stopped", "exitstatus": "OK"}

    client = Client(Connection("127.0.0.1", 8006, USER, TOKEN_ID, SECRET))
    monkeypatch.setattr(client, "get", status)
    monkeypatch.setattr(f"{Client.__module__}.time.sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    assert client.wait("pve", "UPID:pve:", timeout=600) == []
    assert looks == [0.1, *(float(second) for second in range(1, 11)), 12.0, 14.0]


@pytest.mark.parametrize("status", range(595, 600))
def test_every_way_that_a_node_can_be_out_of_reach(status: int) -> None:
    client = Client(Connection("127.0.0.1", 8006, USER, TOKEN_ID, SECRET))
    error = client._refused(ResourceException(status, "", "No route to host"), "GET", "nodes/pve/qemu/301/pending")
    assert isinstance(error, LostError)
    assert f"could not reach the node behind /nodes/pve/qemu/301/pending ({status} No route to host)" in str(error)


def test_a_value_that_proxmox_refuses(run: Run) -> None:
    with pytest.raises(
        FailedError, match=r"create disk airflow-data \(scsi1\): .*Parameter verification failed. scsi1: .*queues: .*minimum value of 2"
    ):
        run({**DATA, "queues": 1})


def test_a_size_which_the_configuration_has_wrong_is_no_endless_loop(cluster: Cluster, run: Run) -> None:
    run(DATA)
    cluster.edit(scsi1="local-lvm:vm-301-disk-1,serial=airflow-data,size=40G")
    with pytest.raises(FailedError, match="qm disk rescan --vmid 301"):
        run(DATA)


def test_the_environment_fills_in_the_connection(cluster: Cluster, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"HOST": "127.0.0.1", "PORT": cluster.port, "USER": USER, "TOKEN_ID": TOKEN_ID, "TOKEN_SECRET": SECRET, "CA_PATH": cluster.ca}
    for name, value in values.items():
        monkeypatch.setenv(f"PROXMOX_{name}", str(value))
    options = ("api_host", "api_port", "api_user", "api_token_id", "api_token_secret", "ca_path")
    assert run(DATA, **dict.fromkeys(options))["changed"] is True


@pytest.mark.filterwarnings("ignore:Unverified HTTPS")
def test_verification_is_left_out_only_when_told(run: Run) -> None:
    assert run(DATA, ca_path=None, validate_certs=False, check=True)["changed"] is True


def test_the_defaults_of_the_action_group_fill_in_the_connection(cluster: Cluster, tmp_path: Path) -> None:
    connection = {"api_host": "127.0.0.1", "api_port": cluster.port, "api_user": USER, "api_token_id": TOKEN_ID, "ca_path": str(cluster.ca)}
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "vars": {"ansible_python_interpreter": sys.executable},
        "module_defaults": {"group/homelab.data_platform.proxmox": {**connection, "api_token_secret": SECRET}},
        "tasks": [{"homelab.data_platform.proxmox_vm_disk": {"vmid": 301, "disks": [DATA]}}],
    }
    playbook = tmp_path / "playbook.json"
    playbook.write_text(json.dumps([play]))
    argv = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "localhost,", "-c", "local", "-vvv", str(playbook)]
    result = subprocess.run(argv, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
    assert SECRET not in result.stdout
    assert "serial=airflow-data" in cluster.config().current["scsi1"]
