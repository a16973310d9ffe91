"""From bare disks to bound claims, on a lab whose control host is prepared and nothing else. The tests build on one another."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from lab.settings import WORKER_1, WORKER_2
from tests.platform.reality import get, kubectl, on
from tests.playbook import Site, changed
from tests.proxmox import VirtualMachine

STORAGE = "playbooks/storage.yml"
PLACE = "/mnt/scratch"
SCRATCH: dict[str, Any] = {
    "name": "scratch",
    "storage": "local-lvm",
    "size": "1G",
    "bus": "virtio",
    "mount": PLACE,
    "fstype": "xfs",
    "volumes": [{"name": "cache", "claim": "default/cache", "size": "512Mi", "owner": 1000, "mode": "0770"}],
}
ADOPTED = "/mnt/by-hand"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """The lab's own declaration, and a disk for k8s-worker-02."""
    site = Site.copy(tmp_path)
    site.declare(WORKER_2, data_disks=[SCRATCH])
    return site


def device(serial: str) -> str:
    """The device of a disk of k8s-worker-02; nothing where there is none."""
    listing = json.loads(on(WORKER_2, "lsblk --json --nodeps --paths --output NAME,SERIAL"))["blockdevices"]
    return "".join(found["name"] for found in listing if found["serial"] == serial)


def filesystem(place: str) -> dict[str, Any]:
    """What is mounted at a place of k8s-worker-02; nothing where nothing is."""
    output = on(WORKER_2, f"sh -c 'findmnt --json --bytes --output SOURCE,FSTYPE,UUID,OPTIONS,SIZE {place} || true'")
    return dict(json.loads(output)["filesystems"][0]) if output.strip() else {}


def shown(results: dict[tuple[str, str], dict[str, Any]]) -> dict[str, list[str]]:
    """What each task changes, without what only the server or mkfs knows.

    Over all hosts: what several nodes share, such as the StorageClass, is made by the one that comes first.
    """
    tasks: dict[str, set[str]] = {}
    for (task, host), result in results.items():
        diffs = result.get("diff") or []
        entries = [entry for entry in ([diffs] if isinstance(diffs, dict) else diffs) if entry.get("before") != entry.get("after")]
        tasks.setdefault(task, set()).update(map(_plain, entries))
        if result.get("changed") and not entries:
            tasks[task].add(f"{host} changes and shows nothing: {sorted(result)}")
    return {task: sorted(entries) for task, entries in tasks.items() if entries}


def _plain(entry: dict[str, Any]) -> str:
    text = json.dumps(entry, sort_keys=True)
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\(made-by-mkfs\)", "UUID", text)
    return re.sub(r"/dev/loop\d+|the disk with the serial [\w-]+", "DEVICE", text)


def test_check_mode_foretells_what_the_run_then_does(site: Site) -> None:
    foretold = site.results(STORAGE, "--check", "--diff")
    assert kubectl("get", "pv,pvc", "--all-namespaces", "--output=name") == ""
    assert device("scratch") == ""
    assert VirtualMachine(WORKER_1).volumes() == VirtualMachine(WORKER_2).volumes() == []

    done = site.results(STORAGE, "--diff")
    assert shown(done) == shown(foretold)
    counts = {host: sum(result.get("changed", False) for (_task, at), result in done.items() if at == host) for _task, host in done}
    assert counts[WORKER_1.name] > counts[WORKER_2.name] >= 3

    assert filesystem(PLACE)["fstype"] == "xfs"
    assert filesystem(PLACE)["source"] == device("scratch")
    assert on(WORKER_2, f"stat --format=%u:%a {PLACE}/cache").strip() == "1000:770"
    assert get("pvc", "cache")["spec"]["volumeName"] == "scratch-cache"
    assert not any(changed(site.play(STORAGE)).values())


def test_a_disk_grows_with_its_filesystem_and_its_volume(site: Site) -> None:
    on(WORKER_2, f"sh -c 'head -c 1048576 /dev/urandom > {PLACE}/cache/sentinel'")
    digest = on(WORKER_2, f"sha256sum {PLACE}/cache/sentinel")
    before = filesystem(PLACE)
    larger = {**SCRATCH, "size": "2G", "volumes": [{**SCRATCH["volumes"][0], "size": "1Gi"}]}
    site.declare(WORKER_2, data_disks=[larger])
    foretold = site.results(STORAGE, "--check", "--diff", "--limit", WORKER_2.name)
    done = site.results(STORAGE, "--diff", "--limit", WORKER_2.name)
    assert shown(done) == shown(foretold)
    assert filesystem(PLACE)["size"] > 1.5 * before["size"]
    assert filesystem(PLACE)["uuid"] == before["uuid"]
    assert get("pv", "scratch-cache")["spec"]["capacity"]["storage"] == "1Gi"
    assert get("pvc", "cache")["spec"]["resources"]["requests"]["storage"] == "512Mi"
    assert on(WORKER_2, f"sha256sum {PLACE}/cache/sentinel") == digest
    assert changed(site.play(STORAGE))[WORKER_2.name] == 0


def test_a_disk_is_given_up_and_comes_back_with_its_data(site: Site) -> None:
    digest = on(WORKER_2, f"sha256sum {PLACE}/cache/sentinel")
    virtual = VirtualMachine(WORKER_2)
    volume = virtual.volume(virtual.slot("scratch"))
    site.declare(WORKER_2, data_disks=[{"name": "scratch", "state": "absent", "mount": PLACE}])
    gone = site.play(STORAGE)
    assert changed(gone)[WORKER_2.name] > 0
    assert "scratch-cache" in gone.stdout + gone.stderr, "the volume that nobody declares any more is not named"
    assert virtual.config["unused0"] == volume
    assert (device("scratch"), filesystem(PLACE)) == ("", {})
    assert PLACE not in on(WORKER_2, "cat /etc/fstab")
    assert get("pv", "scratch-cache")
    assert changed(site.play(STORAGE))[WORKER_2.name] == 0

    back = {**SCRATCH, "size": "2G", "volume": volume, "volumes": [{**SCRATCH["volumes"][0], "size": "1Gi"}]}
    site.declare(WORKER_2, data_disks=[back])
    assert changed(site.play(STORAGE))[WORKER_2.name] > 0
    assert on(WORKER_2, f"sha256sum {PLACE}/cache/sentinel") == digest
    assert changed(site.play(STORAGE))[WORKER_2.name] == 0


def test_a_disk_that_something_uses_is_not_torn_out(site: Site) -> None:
    slot = VirtualMachine(WORKER_2).slot("scratch")
    on(WORKER_2, f"sh -c 'cd {PLACE}/cache && setsid sleep 300 >/dev/null 2>&1 < /dev/null & echo $! > /run/user.pid'")
    site.declare(WORKER_2, data_disks=[{"name": "scratch", "state": "absent", "mount": PLACE, "destroy": "scratch"}])
    refused = site.play(STORAGE)
    assert refused.returncode != 0
    assert "it is used by sleep" in refused.stdout
    assert VirtualMachine(WORKER_2).slot("scratch") == slot
    assert filesystem(PLACE)["source"] == device("scratch")

    on(WORKER_2, "pkill -x sleep")
    assert changed(site.play(STORAGE))[WORKER_2.name] > 0
    assert VirtualMachine(WORKER_2).volumes() == []


def test_a_disk_that_was_added_by_hand_is_adopted_untouched(site: Site) -> None:
    virtual = VirtualMachine(WORKER_2)
    known = set(on(WORKER_2, "lsblk --nodeps --noheadings --paths --output NAME").split())
    virtual.add("scsi5", 1)
    (disk,) = set(on(WORKER_2, "lsblk --nodeps --noheadings --paths --output NAME").split()) - known
    uuid = str(uuid4())
    on(WORKER_2, f"mkfs.ext4 -q -U {uuid} {disk}")
    on(
        WORKER_2,
        f"sh -c 'mkdir {ADOPTED} && echo \"UUID={uuid} {ADOPTED}  ext4  defaults 0 0\" >> /etc/fstab && mount {ADOPTED}'",
    )
    on(WORKER_2, f"sh -c 'chmod 777 {ADOPTED} && mkdir {ADOPTED}/warehouse && head -c 1048576 /dev/urandom > {ADOPTED}/warehouse/table'")
    before = everything(disk), virtual.config["scsi5"]

    volume = {"name": "everything", "path": ".", "claim": "default/by-hand", "size": "900Mi"}
    site.declare(WORKER_2, data_disks=[{"name": "by-hand", "slot": "scsi5", "uuid": uuid, "mount": ADOPTED, "volumes": [volume]}])
    foretold = site.results(STORAGE, "--check", "--diff", "--limit", WORKER_2.name)
    assert (everything(disk), virtual.config["scsi5"]) == before
    done = site.results(STORAGE, "--diff", "--limit", WORKER_2.name)
    assert shown(done) == shown(foretold)

    assert (everything(disk), virtual.config["scsi5"]) == before
    assert get("pv", "by-hand-everything")["spec"]["local"]["path"] == ADOPTED
    assert changed(site.play(STORAGE))[WORKER_2.name] == 0


def everything(disk: str) -> list[str]:
    """All that could be seen of a change: the line, the mount and when it was made, flags, modes, owners, times, bytes, the superblock."""
    commands = (
        f"grep {ADOPTED} /etc/fstab",
        f"grep ' {ADOPTED} ' /proc/self/mountinfo",
        f"lsattr -d {ADOPTED}",
        f"find {ADOPTED} -printf '%p %U:%G %m %T@ %C@\\n'",
        f"sha256sum {ADOPTED}/warehouse/table",
        f"sh -c 'dumpe2fs -h {disk} 2>/dev/null | grep -E \"UUID|Mount count|created|Block count|Last mount time\"'",
    )
    return [on(WORKER_2, command) for command in commands]
