# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in of Proxmox's API behaves as Proxmox does, seen over HTTPS."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lab.proxmox.tasks import UPID
from tests.unit.lab.proxmox.cluster import Cluster, MemoryGuest, populate, running

VM = "/nodes/pve/qemu/301"
GIB = 1024**3


def allocate(cluster: Cluster, slot: str = "scsi1", value: str = "local-lvm:50,serial=airflow-data") -> str:
    return cluster.done("POST", f"{VM}/config", **{slot: value})


# -- who may do what ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "secret", "reason"),
    [
        ("service", "", "No ticket"),
        ("service", "wrong", "invalid token value!"),
        ("nobody", "x", "no such token 'nobody' for user 'ansible@pve'"),
    ],
)
def test_a_caller_who_is_not_known(cluster: Cluster, token: str, secret: str, reason: str) -> None:
    answer = cluster.call("GET", "/version", token=token, secret=secret)
    assert (answer.status_code, answer.reason) == (401, reason)


def test_a_privilege_counts_when_token_and_user_both_hold_it(cluster: Cluster) -> None:
    assert cluster.call("GET", f"{VM}/config", token="reader").status_code == 200
    answer = cluster.call("POST", f"{VM}/config", token="reader", scsi1="local-lvm:1")
    assert (answer.status_code, answer.reason) == (403, "Permission check failed (/vms/301, VM.Config.Disk)")


def test_lists_hold_what_the_caller_may_see(cluster: Cluster) -> None:
    for path in ("/cluster/resources", "/nodes/pve/qemu", "/nodes/pve/storage"):
        seen = cluster.call("GET", path, token="blind").json()["data"]
        assert [entry for entry in seen if entry.get("type") != "node"] == []
    seen = cluster.call("GET", "/cluster/resources", type="vm").json()["data"]
    assert [(entry["id"], entry["name"], entry["status"]) for entry in seen] == [
        ("qemu/301", "k8s-worker-01", "running"),
        ("qemu/302", "k8s-worker-02", "stopped"),
    ]


def test_allocating_takes_a_privilege_on_the_storage(cluster: Cluster) -> None:
    path = cluster.state / "tokens.json"
    path.write_text(path.read_text().replace("/storage", "/storage/thick"))
    answer = cluster.call("POST", f"{VM}/config", scsi1="local-lvm:1")
    assert (answer.status_code, answer.reason) == (403, "Permission check failed (/storage/local-lvm, Datastore.AllocateSpace)")


def test_the_task_of_another_one_takes_a_privilege(cluster: Cluster) -> None:
    upid = cluster.call("POST", f"{VM}/config", scsi1="local-lvm:1").json()["data"]
    answer = cluster.call("GET", f"/nodes/pve/tasks/{upid}/status", token="reader")
    assert (answer.status_code, answer.reason) == (403, "Permission check failed (/nodes/pve, Sys.Audit)")


# -- parameters and errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "key", "message"),
    [
        ({"nope": "1"}, "nope", "property is not defined in schema and the schema does not allow additional properties"),
        ({"scsi31": "local-lvm:1"}, "scsi31", "property is not defined in schema"),
        ({"scsi1": "local-lvm:1,ssd=maybe"}, "scsi1", "scsi1.ssd: type check ('boolean') failed - got 'maybe'"),
        ({"scsi1": "local-lvm:1,cache=fast"}, "scsi1", "does not have a value in the enumeration 'none, writethrough"),
        ({"virtio1": "local-lvm:1,ssd=1"}, "virtio1", "virtio1.ssd: property is not defined in schema"),
        ({"scsi1": "local-lvm:1,queues=1"}, "scsi1", "value must have a minimum value of 2"),
        ({"scsi1": "local-lvm:1,queues=many"}, "scsi1", "type check ('integer') failed - got 'many'"),
        ({"scsi1": "local-lvm:1,wwn=17"}, "scsi1", "value does not match the regex pattern"),
        ({"scsi1": "local-lvm:1,ssd=1,ssd=0"}, "scsi1", "duplicate key"),
        ({"scsi1": "local-lvm:1,50G"}, "scsi1", "value without key"),
        ({"scsi1": f"local-lvm:1,serial={'a' * 61}"}, "scsi1", "value may only be 60 characters long"),
        ({"digest": "a" * 41}, "digest", "value may only be 40 characters long"),
        ({"scsi1": "local-lvm:1", "delete": "scsi1"}, "scsi1", "you can't use '-scsi1' and '-delete scsi1' at the same time"),
        ({"delete": "nope"}, "delete", "unknown option 'nope'"),
    ],
)
def test_parameters_are_verified(cluster: Cluster, values: dict[str, str], key: str, message: str) -> None:
    answer = cluster.call("POST", f"{VM}/config", **values)
    assert (answer.status_code, answer.reason) == (400, "Parameter verification failed.")
    assert message in answer.json()["errors"][key]


def test_a_required_parameter(cluster: Cluster) -> None:
    answer = cluster.call("PUT", f"{VM}/resize", disk="scsi0")
    assert answer.json()["errors"] == {"size": "property is missing and it is not optional"}


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/nodes/pve/qemu/999/config", 500, "Configuration file 'nodes/pve/qemu-server/999.conf' does not exist"),
        ("/nodes/pve/qemu/99/config", 400, "Parameter verification failed."),
        ("/nodes/other/qemu/301/config", 500, "hostname lookup 'other' failed"),
        ("/nodes/pve/storage/nope/status", 500, "storage 'nope' does not exist"),
        ("/nodes/pve/tasks/UPID:nonsense/status", 400, "Parameter verification failed."),
        ("/nodes/pve/lxc", 501, "Method 'GET /nodes/pve/lxc' not implemented"),
    ],
)
def test_the_message_is_in_the_reason_phrase(cluster: Cluster, path: str, status: int, reason: str) -> None:
    answer = cluster.call("GET", path)
    assert answer.status_code == status
    assert answer.reason.startswith(reason)


# -- allocating --------------------------------------------------------------------------------------------------------------------


def test_a_write_is_a_task_with_a_upid(cluster: Cluster) -> None:
    upid = cluster.call("POST", f"{VM}/config", scsi1="local-lvm:1").json()["data"]
    match = UPID.fullmatch(upid)
    assert match
    assert match.group(1, 5, 6, 7) == ("pve", "qmconfig", "301", "ansible@pve!service")
    assert cluster.task(upid) == "OK"
    assert cluster.call("GET", f"/nodes/pve/tasks/{upid}/log").json()["data"] == [{"n": 1, "t": "TASK OK"}]


def test_values_are_normalised(cluster: Cluster) -> None:
    assert allocate(cluster, value="local-lvm:0.5,ssd=on,serial=x,format=raw,backup=no") == "OK"
    assert cluster.config().current["scsi1"] == "local-lvm:vm-301-disk-1,backup=0,serial=x,size=512M,ssd=1"
    assert cluster.call("PUT", f"{VM}/config", scsi1="volume=local-lvm:vm-301-disk-1,ssd=1,serial=x,size=51200M").status_code == 200
    assert cluster.config().current["scsi1"] == "local-lvm:vm-301-disk-1,serial=x,size=50G,ssd=1"


def test_the_first_free_name_is_taken(cluster: Cluster) -> None:
    for slot in ("scsi1", "scsi2"):
        assert allocate(cluster, slot) == "OK"
    cluster.call("PUT", f"{VM}/unlink", idlist="scsi1", force="1")
    assert allocate(cluster, "virtio0") == "OK"
    assert "vm-301-disk-1," in cluster.config().current["virtio0"]


def test_a_full_pool_leaves_nothing_behind(cluster: Cluster) -> None:
    before = cluster.config().text
    assert "free space in thin pool" in cluster.done("POST", f"{VM}/config", scsi1="local-lvm:300")
    assert cluster.volumes() == ["vm-301-disk-0"]
    assert cluster.config().text == before


def test_what_was_allocated_before_a_failure_waits_until_it_is_asked_for_again(cluster: Cluster) -> None:
    values = {"scsi1": "local-lvm:100", "scsi2": "local-lvm:100"}
    assert "free space in thin pool" in cluster.done("POST", f"{VM}/config", **values)
    assert cluster.volumes() == ["vm-301-disk-0", "vm-301-disk-1"]
    waiting = "local-lvm:vm-301-disk-1,size=100G"
    assert (cluster.config().current.keys() & values, cluster.config().pending) == (set(), {"scsi1": waiting})
    assert cluster.done("POST", f"{VM}/config", scsi2="local-lvm:1") == "OK"
    assert cluster.config().pending == {"scsi1": waiting}
    assert cluster.done("POST", f"{VM}/config", scsi1=waiting) == "OK"
    assert (cluster.config().current["scsi1"], cluster.config().pending) == (waiting, {})
    assert (301, "scsi1") in cluster.guest.disks
    assert cluster.volumes() == ["vm-301-disk-0", "vm-301-disk-1", "vm-301-disk-2"]


def test_the_volume_of_a_disk_that_was_never_plugged_becomes_unused(cluster: Cluster) -> None:
    assert cluster.done("POST", f"{VM}/config", sata0="local-lvm:1") == "OK"
    assert cluster.done("POST", f"{VM}/config", delete="sata0") == "OK"
    config = cluster.config()
    assert (config.current["unused0"], config.pending, config.doomed) == ("local-lvm:vm-301-disk-1", {}, {})


def test_a_thin_pool_takes_raw_only(cluster: Cluster) -> None:
    assert allocate(cluster, value="local-lvm:1,format=qcow2") == "unsupported format 'qcow2'"


def test_a_storage_for_other_contents(cluster: Cluster) -> None:
    assert allocate(cluster, value="iso:1") == "storage 'iso' does not support content-type 'images'"


def test_room_and_contents_of_a_storage(cluster: Cluster) -> None:
    allocate(cluster)
    status = cluster.call("GET", "/nodes/pve/storage/local-lvm/status").json()["data"]
    assert (status["total"], status["used"], status["avail"]) == (200 * GIB, 70 * GIB, 130 * GIB)
    content = cluster.call("GET", "/nodes/pve/storage/local-lvm/content", vmid=301).json()["data"]
    assert [(volume["volid"], volume["size"]) for volume in content] == [
        ("local-lvm:vm-301-disk-0", 20 * GIB),
        ("local-lvm:vm-301-disk-1", 50 * GIB),
    ]


# -- digest and locks --------------------------------------------------------------------------------------------------------------


def test_a_stale_digest_is_refused_before_the_task(cluster: Cluster) -> None:
    digest = cluster.call("GET", f"{VM}/config").json()["data"]["digest"]
    assert cluster.done("POST", f"{VM}/config", scsi1="local-lvm:1", digest=digest) == "OK"
    answer = cluster.call("POST", f"{VM}/config", scsi2="local-lvm:1", digest=digest)
    assert (answer.status_code, answer.reason) == (500, "checksum mismatch (file change by other user?)")


def test_on_a_resize_the_digest_is_looked_at_inside_the_task(cluster: Cluster) -> None:
    assert (
        cluster.done("PUT", f"{VM}/resize", disk="scsi0", size="30G", digest="0" * 40) == "checksum mismatch (file change by other user?)"
    )


def test_a_locked_machine(cluster: Cluster) -> None:
    cluster.edit(lock="backup")
    assert cluster.call("POST", f"{VM}/config", scsi1="local-lvm:1").reason == "VM is locked (backup)"
    assert cluster.done("PUT", f"{VM}/resize", disk="scsi0", size="30G") == "VM is locked (backup)"


def test_a_write_during_a_task_times_out_on_the_lock_file(cluster: Cluster) -> None:
    cluster.faults.task_seconds = 1.0
    first = cluster.call("POST", f"{VM}/config", scsi1="local-lvm:1").json()["data"]
    answer = cluster.call("POST", f"{VM}/config", scsi2="local-lvm:1")
    assert answer.reason == "can't lock file '/var/lock/qemu-server/lock-301.conf' - got timeout"
    assert cluster.task(first) == "OK"


# -- pending values and hot-plug ---------------------------------------------------------------------------------------------------


def test_an_option_of_an_attached_disk_waits_for_a_restart(cluster: Cluster) -> None:
    allocate(cluster)
    before = cluster.config().current["scsi1"]
    assert allocate(cluster, value=f"{before},ssd=1") == "OK"
    assert cluster.call("GET", f"{VM}/config", current="1").json()["data"]["scsi1"] == before
    assert cluster.call("GET", f"{VM}/config").json()["data"]["scsi1"] == f"{before},ssd=1"
    rows = {row["key"]: row for row in cluster.call("GET", f"{VM}/pending").json()["data"]}
    assert rows["scsi1"] == {"key": "scsi1", "value": before, "pending": f"{before},ssd=1"}
    assert cluster.call("PUT", f"{VM}/config", revert="scsi1").status_code == 200
    assert cluster.config().pending == {}


def test_an_option_that_the_guest_does_not_notice_holds_at_once(cluster: Cluster) -> None:
    allocate(cluster)
    assert allocate(cluster, value=f"{cluster.config().current['scsi1']},backup=0") == "OK"
    assert "backup=0" in cluster.config().current["scsi1"]


def test_a_stopped_machine_takes_everything_at_once(cluster: Cluster) -> None:
    assert cluster.done("POST", "/nodes/pve/qemu/302/config", sata0="local-lvm:1") == "OK"
    assert cluster.config(302).current["sata0"] == "local-lvm:vm-302-disk-0,size=1G"


@pytest.mark.parametrize(("slot", "hotplug"), [("sata0", None), ("ide0", None), ("scsi1", "network,usb"), ("scsi1", "0")])
def test_a_disk_that_cannot_be_plugged_waits_for_a_restart(cluster: Cluster, slot: str, hotplug: str | None) -> None:
    cluster.edit(hotplug=hotplug)
    assert allocate(cluster, slot, "local-lvm:1") == "OK"
    assert slot not in cluster.config().current
    assert (301, slot) not in cluster.guest.disks
    assert cluster.done("POST", f"{VM}/status/stop") == "OK"
    assert cluster.done("POST", f"{VM}/status/start") == "OK"
    assert cluster.config().current[slot] == "local-lvm:vm-301-disk-1,size=1G"
    assert (301, slot) in cluster.guest.disks


def test_detaching_leaves_an_unused_volume_and_a_second_time_destroys_it(cluster: Cluster) -> None:
    allocate(cluster)
    assert cluster.call("PUT", f"{VM}/unlink", idlist="scsi1").status_code == 200
    assert cluster.config().current["unused0"] == "local-lvm:vm-301-disk-1"
    assert (301, "scsi1") not in cluster.guest.disks
    assert cluster.call("PUT", f"{VM}/unlink", idlist="unused0").status_code == 200
    assert cluster.volumes() == ["vm-301-disk-0"]


def test_an_unused_volume_can_be_attached_again(cluster: Cluster) -> None:
    allocate(cluster)
    cluster.call("PUT", f"{VM}/unlink", idlist="scsi1")
    assert allocate(cluster, "scsi4", "local-lvm:vm-301-disk-1") == "OK"
    assert cluster.config().current["scsi4"] == "local-lvm:vm-301-disk-1,size=50G"
    assert "unused0" not in cluster.config().current


def test_a_disk_that_the_guest_holds_on_to(cluster: Cluster) -> None:
    allocate(cluster)
    cluster.guest.held.add("scsi1")
    answer = cluster.call("PUT", f"{VM}/unlink", idlist="scsi1")
    assert answer.status_code == 400
    assert answer.json()["errors"] == {"scsi1": "hotplug problem - error unplugging device 'scsi1'"}
    assert cluster.config().doomed == {"scsi1": False}
    assert [row["delete"] for row in cluster.call("GET", f"{VM}/pending").json()["data"] if "delete" in row] == [1]


def test_a_protected_machine_keeps_its_disks(cluster: Cluster) -> None:
    cluster.edit(protection="1")
    assert cluster.call("PUT", f"{VM}/unlink", idlist="scsi0").reason == "can't remove drive 'scsi0' - protection mode enabled"


# -- size --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "gib"), [("60G", 60), ("+10G", 60), ("50G", 50), ("61440M", 60)])
def test_a_disk_grows(cluster: Cluster, size: str, gib: int) -> None:
    allocate(cluster)
    assert cluster.done("PUT", f"{VM}/resize", disk="scsi1", size=size) == "OK"
    assert f"size={gib}G" in cluster.config().current["scsi1"]
    assert cluster.guest.sizes[301, "scsi1"] == gib * GIB
    assert next(cluster.state.glob("images/*/301/vm-301-disk-1.raw")).stat().st_size == gib * GIB


@pytest.mark.parametrize(
    ("disk", "size", "status"),
    [
        ("scsi0", "10G", "shrinking disks is not supported"),
        ("scsi7", "10G", "disk 'scsi7' does not exist"),
        ("scsi0", "300G", "free space in thin pool"),
    ],
)
def test_a_resize_that_fails_fails_in_its_task(cluster: Cluster, disk: str, size: str, status: str) -> None:
    assert status in cluster.done("PUT", f"{VM}/resize", disk=disk, size=size)


# -- over a restart ----------------------------------------------------------------------------------------------------------------


def test_state_survives_a_restart_and_running_machines_get_their_disks_again(tmp_path: Path, ca: Path) -> None:
    populate(tmp_path)
    with running(tmp_path, ca) as first:
        allocate(first)
        allocate(first, value=f"{first.config().current['scsi1']},ssd=1")
        before = (first.config().text, first.volumes())
    populate(tmp_path)
    guest = MemoryGuest()
    with running(tmp_path, ca, guest) as second:
        assert (second.config().text, second.volumes()) == before
        assert set(guest.disks) == {(301, "scsi0"), (301, "scsi1")}
        assert [slot for (_, slot), disk in guest.disks.items() if disk.boot] == ["scsi0"]
        assert guest.disks[301, "scsi1"].serial == "airflow-data"


def test_a_missing_volume_does_not_keep_the_daemon_from_starting(tmp_path: Path, ca: Path) -> None:
    populate(tmp_path)
    with running(tmp_path, ca) as first:
        allocate(first)
    next(tmp_path.glob("images/*/*/vm-301-disk-0.raw")).unlink()
    with running(tmp_path, ca) as second:
        assert set(second.guest.disks) == {(301, "scsi1")}


def test_a_task_that_a_restart_interrupted_has_an_end(tmp_path: Path, ca: Path) -> None:
    populate(tmp_path)
    with running(tmp_path, ca) as first:
        first.faults.task_seconds = 3.0
        upid = first.call("POST", f"{VM}/config", scsi1="local-lvm:1").json()["data"]
    with running(tmp_path, ca) as second:
        assert second.task(upid) == "unexpected status"


def test_an_untouched_file_keeps_its_digest(cluster: Cluster) -> None:
    digests = {cluster.call("GET", f"{VM}/config").json()["data"]["digest"] for _ in range(3)}
    assert len(digests) == 1
    assert re.fullmatch(r"[0-9a-f]{40}", digests.pop())
