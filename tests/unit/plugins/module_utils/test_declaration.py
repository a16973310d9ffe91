"""The inventory check: what is accepted, what is refused and in which words."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml
from ansible_collections.homelab.data_platform.plugins.module_utils.declaration import (
    DISK_KEYS,
    SHARED_KEYS,
    VOLUME_KEYS,
    Host,
    Unreadable,
    check,
)
from hypothesis import given
from hypothesis import strategies as st

from lab.settings import CHECKOUT

DISK: dict[str, Any] = {
    "name": "airflow-data",
    "storage": "local-lvm",
    "size": "50G",
    "bus": "scsi",
    "mount": "/mnt/airflow-data",
    "fstype": "ext4",
    "volumes": [{"name": "postgresql", "claim": "airflow/postgresql", "size": "20Gi", "owner": 999, "group": "999", "mode": "0700"}],
}
NODE = {"proxmox_vmid": 301, "data_disks": [DISK]}
CONNECTIONS = {
    "proxmox_api_host": "192.168.0.10",
    "proxmox_api_user": "ansible@pve",
    "proxmox_api_token_id": "data-platform",
    "proxmox_api_token_secret": "3f6c",
    "minio_url": "https://minio.home.arpa:9000",
    "minio_root_user": "root",
    "minio_root_password": "s3cr3t-value",
    "platform_kubeconfig": {"clusters": [{}]},
    "platform_kubeconfig_file": "~/.kube/config",
    "platform_ca_file": "",
}
FILES = {"ca.crt": "-----BEGIN CERTIFICATE-----\n", "empty": ""}
GROUPS = {"control": ["bastion"], "kubernetes_nodes": ["worker-1", "worker-2"], "all": ["bastion", "worker-1", "worker-2"]}


def problems(
    bastion: dict[str, Any] | None = None,
    worker_1: dict[str, Any] | None = None,
    worker_2: dict[str, Any] | None = None,
    groups: dict[str, list[str]] | None = None,
) -> list[str]:
    """Check an inventory of three hosts, each with the connections, as group_vars/all gives them."""
    declared = {"bastion": bastion or {}, "worker-1": NODE if worker_1 is None else worker_1, "worker-2": worker_2 or {}}
    hosts = [Host(name, {**CONNECTIONS, **variables}, [*CONNECTIONS, *variables]) for name, variables in declared.items()]
    return [str(problem) for problem in check(hosts, GROUPS if groups is None else groups, FILES.get)]


def with_disk(**changes: Any) -> dict[str, Any]:
    """Return a node whose disk differs; None removes a key."""
    disk = {**copy.deepcopy(DISK), **changes}
    return {"proxmox_vmid": 301, "data_disks": [{key: value for key, value in disk.items() if value is not None}]}


def with_volume(**changes: Any) -> dict[str, Any]:
    """Return a node whose only volume differs; None removes a key."""
    volume = {**DISK["volumes"][0], **changes}
    return with_disk(volumes=[{key: value for key, value in volume.items() if value is not None}])


@pytest.mark.parametrize(
    "node",
    [
        NODE,
        {},
        {"data_disks": []},
        {"proxmox_vmid": "301", "data_disks": [DISK]},  # a template gives text
        with_disk(bus="virtio", slot=None),
        with_disk(slot="scsi30"),
        with_disk(slot="scsi1", size=None, storage=None, uuid="6f1c0000-1111-2222-3333-444444444444"),
        with_disk(fstype="xfs", options=["nofail", "noatime"], ssd=True, iothread=True, discard="on"),
        with_disk(discard=True),  # YAML's on
        with_disk(volumes=None),
        with_disk(mount="/var/lib/airflow-data"),
        with_volume(owner="postgres", group=None, mode="2770"),
        with_volume(size="50Gi"),
        with_volume(path="data/postgresql"),
        with_disk(volume="local-lvm:vm-301-disk-1", storage=None, size=None),
        with_disk(state="absent", destroy="airflow-data"),
        {"proxmox_vmid": 301, "data_disks": [{"name": "airflow-data", "state": "absent"}]},
        {"proxmox_vmid": 301, "data_disks": [{**DISK, "name": "old", "state": "absent"}, DISK]},  # one takes the other's place
        with_volume(labels={"volume": "db", "example.org/tier": ""}),
    ],
)
def test_what_is_accepted(node: dict[str, Any]) -> None:
    assert problems(worker_1=node) == []


@pytest.mark.parametrize(
    ("node", "place", "words"),
    [
        (with_disk(state="absent", slot="scsi1"), "data_disks[0].uuid is not set", "the node lets go of a disk that has no serial"),
        (with_disk(state="gone"), "data_disks[0].state is 'gone'", "wanted present or absent"),
        (with_disk(destroy="airflow-data"), "data_disks[0].destroy is 'airflow-data'", "with state: absent only"),
        (with_disk(state="absent", destroy=True), "data_disks[0].destroy is True", "the disk's own name, airflow-data"),
        (with_disk(volume="disk-1"), "data_disks[0].volume is 'disk-1'", "wanted a volume of Proxmox"),
        (with_disk(name="Data_1"), "data_disks[0].name is 'Data_1'", "it begins the names of its PersistentVolumes"),
        ({"data_disks": {}}, "data_disks is {}", "wanted a list of disks"),
        ({"data_disks": ["x"], "proxmox_vmid": 301}, "data_disks[0] is 'x'", "wanted a disk"),
        ({"data_disks": [DISK]}, "proxmox_vmid is not set", "number of the virtual machine"),
        ({"proxmox_vmid": 99}, "proxmox_vmid is 99", "100 or greater"),
        ({"proxmox_vmid": "k8s"}, "proxmox_vmid is 'k8s'", "100 or greater"),
        ({"proxmox_vmid": True}, "proxmox_vmid is True", "100 or greater"),
        ({"kubernetes_node_name": "K8s_1"}, "kubernetes_node_name is 'K8s_1'", "small letters"),
        (with_disk(mont="/mnt/a"), "data_disks[0].mont is '/mnt/a'", "did you mean mount?"),
        (with_disk(zzzz=1), "data_disks[0].zzzz is 1", "there are name, state"),
        (with_disk(name="x" * 21), f"data_disks[0].name is '{'x' * 21}'", "1 to 20"),
        (with_disk(name="air flow"), "data_disks[0].name is 'air flow'", "1 to 20"),
        (with_disk(name=None), "data_disks[0].name is not set", "1 to 20"),
        (with_disk(name="x\n"), r"data_disks[0].name is 'x\n'", "1 to 20"),
        (with_disk(size="50"), "data_disks[0].size is '50'", "such as 50G"),
        (with_disk(size="0G"), "data_disks[0].size is '0G'", "such as 50G"),
        (with_disk(size="+5G"), "data_disks[0].size is '+5G'", "such as 50G"),
        (with_disk(size="9" * 400 + "G"), "data_disks[0].size is '999", "such as 50G"),
        (with_disk(size=50), "data_disks[0].size is 50", "such as 50G"),
        (with_disk(size=None), "data_disks[0].size is not set", "slot of a disk that is there"),
        (with_disk(storage=None), "data_disks[0].storage is not set", "local-lvm"),
        (with_disk(bus=["scsi"]), "data_disks[0].bus is ['scsi']", "scsi, virtio, sata, ide"),
        (with_disk(bus="nvme"), "data_disks[0].bus is 'nvme'", "scsi, virtio, sata, ide"),
        (with_disk(slot="virtio1"), "data_disks[0].slot is 'virtio1'", "declared bus scsi"),
        (with_disk(slot="scsi31"), "data_disks[0].slot is 'scsi31'", "scsi0 to scsi30"),
        (with_disk(slot=1), "data_disks[0].slot is 1", "virtio0 to virtio15"),
        (with_disk(cache="fast"), "data_disks[0].cache is 'fast'", "writeback"),
        (with_disk(uuid="6f1c"), "data_disks[0].uuid is '6f1c'", "as blkid shows it"),
        (with_disk(fstype="btrfs"), "data_disks[0].fstype is 'btrfs'", "ext4, xfs"),
        (with_disk(mount="mnt/x"), "data_disks[0].mount is 'mnt/x'", "absolute path"),
        (with_disk(mount="/mnt/../etc"), "data_disks[0].mount is '/mnt/../etc'", "absolute path"),
        (with_disk(mount="/"), "data_disks[0].mount is '/'", "not one of the system's"),
        (with_disk(mount="/mnt/"), "data_disks[0].mount is '/mnt/'", "not one of the system's"),
        (with_disk(mount="/etc/airflow"), "data_disks[0].mount is '/etc/airflow'", "not one of the system's"),
        (with_disk(options="noatime,nofail"), "data_disks[0].options is 'noatime,nofail'", "list of mount options"),
        (with_disk(immutable="yes"), "data_disks[0].immutable is 'yes'", "true or false"),
        (with_disk(volumes={}), "data_disks[0].volumes is {}", "list of volumes"),
        (with_disk(volumes=["x"]), "data_disks[0].volumes[0] is 'x'", "wanted a volume"),
        (with_volume(name="a/b"), "data_disks[0].volumes[0].name is 'a/b'", "small letters"),
        (with_volume(claims="x"), "data_disks[0].volumes[0].claims is 'x'", "did you mean claim?"),
        (with_volume(path="."), "data_disks[0].volumes[0].path is '.'", "adopted by its uuid"),
        (with_volume(path="/data"), "data_disks[0].volumes[0].path is '/data'", "sub-directory"),
        (with_volume(path="a/../b"), "data_disks[0].volumes[0].path is 'a/../b'", "sub-directory"),
        (with_volume(claim="postgresql"), "data_disks[0].volumes[0].claim is 'postgresql'", "namespace/name"),
        (with_volume(claim="Airflow/postgresql"), "data_disks[0].volumes[0].claim is 'Airflow/postgresql'", "namespace/name"),
        (with_volume(claim=None), "data_disks[0].volumes[0].claim is not set", "namespace/name"),
        (with_volume(size="20GB"), "data_disks[0].volumes[0].size is '20GB'", "20Gi"),
        (with_volume(size="0Gi"), "data_disks[0].volumes[0].size is '0Gi'", "20Gi"),
        (with_volume(size=None), "data_disks[0].volumes[0].size is not set", "20Gi"),
        (with_volume(owner=-1), "data_disks[0].volumes[0].owner is -1", "a number, or a name"),
        (with_volume(group="Post Gres"), "data_disks[0].volumes[0].group is 'Post Gres'", "a number, or a name"),
        (with_volume(mode="0777"), "data_disks[0].volumes[0].mode is '0777'", "everybody may write"),
        (with_volume(mode=0o700), "data_disks[0].volumes[0].mode is 448", "in quotes"),
        (with_volume(mode="rwx"), "data_disks[0].volumes[0].mode is 'rwx'", "in quotes"),
        (with_volume(access_modes=["RWO"]), "data_disks[0].volumes[0].access_modes is ['RWO']", "ReadWriteOnce"),
        (with_volume(labels=["db"]), "data_disks[0].volumes[0].labels is ['db']", "the claim selects it"),
        (with_volume(labels={"a b": "x"}), "data_disks[0].volumes[0].labels is 'a b'", "keys of Kubernetes' labels"),
        (with_volume(labels={"a": True}), "data_disks[0].volumes[0].labels.a is True", "text in quotes"),
        (with_volume(labels={"homelab.data-platform/disk": "x"}), "data_disks[0].volumes[0].labels.homelab", "this label is ours"),
        (with_volume(size="51Gi"), "data_disks[0].volumes is '51 GiB in all'", "which is 50 GiB"),
    ],
)
def test_what_is_refused(node: dict[str, Any], place: str, words: str) -> None:
    found = problems(worker_1=node)
    assert len(found) == 1
    assert found[0].startswith(f"worker-1: {place}")
    assert words in found[0]


def test_the_mount_point_itself_is_for_adopted_disks() -> None:
    disk = with_disk(uuid="6f1c0000-1111-2222-3333-444444444444", volumes=[{"name": "data", "path": ".", "claim": "a/b", "size": "1Gi"}])
    assert problems(worker_1=disk) == []


SHARED: dict[str, Any] = {
    "name": "airflow-logs",
    "claim": "airflow/logs",
    "size": "20Gi",
    "nfs": {"server": "nas.home.arpa", "path": "/export/airflow-logs"},
}
CSI: dict[str, Any] = {"driver": "efs.csi.aws.com", "volume_handle": "fs-0123456789abcdef0"}


def with_shared(**changes: Any) -> dict[str, Any]:
    """Return a shared volume that differs; None removes a key."""
    return {key: value for key, value in {**SHARED, **changes}.items() if value is not None}


def with_nfs(**changes: Any) -> dict[str, Any]:
    return with_shared(nfs={key: value for key, value in {**SHARED["nfs"], **changes}.items() if value is not None})


def with_csi(**changes: Any) -> dict[str, Any]:
    return with_shared(nfs=None, csi={key: value for key, value in {**CSI, **changes}.items() if value is not None})


@pytest.mark.parametrize(
    "volume",
    [
        SHARED,
        with_shared(access_modes=["ReadOnlyMany"], mount_options=["nfsvers=4.1", "hard"], labels={"volume": "logs"}),
        with_shared(size="900Ti", mount_options=[], csi=None),  # summed against nothing
        with_nfs(server="192.168.0.20", path="/", read_only=True),
        with_nfs(server="fd00::20"),
        with_csi(),
        with_csi(fs_type="", attributes={"encryptInTransit": "true"}, node_stage_secret="kube-system/a", node_publish_secret="a/b"),
    ],
)
def test_shared_volumes_that_are_accepted(volume: dict[str, Any]) -> None:
    everywhere = {"shared_volumes": [volume]}
    assert problems(bastion=everywhere, worker_1={**NODE, **everywhere}, worker_2=everywhere) == []
    assert problems(bastion=everywhere) == []


@pytest.mark.parametrize(
    ("volumes", "place", "words"),
    [
        ({}, "shared_volumes is {}", "wanted a list of volumes"),
        (None, "shared_volumes is None", "wanted a list of volumes"),
        (["x"], "shared_volumes[0] is 'x'", "name, claim, size, and nfs or csi"),
        ([with_shared(name="Logs")], "shared_volumes[0].name is 'Logs'", "small letters"),
        ([with_shared(name=None)], "shared_volumes[0].name is not set", "small letters"),
        ([with_shared(claim="logs")], "shared_volumes[0].claim is 'logs'", "namespace/name"),
        ([with_shared(size="20GB")], "shared_volumes[0].size is '20GB'", "20Gi"),
        ([with_shared(access_modes="ReadWriteMany")], "shared_volumes[0].access_modes is 'ReadWriteMany'", "wanted a list of"),
        ([with_shared(labels={"volume": 1})], "shared_volumes[0].labels.volume is 1", "text in quotes"),
        ([with_shared(mount_options="hard,nfsvers=4")], "shared_volumes[0].mount_options is 'hard,nfsvers=4'", "[nfsvers=4.1, hard]"),
        ([with_shared(acess_modes=[])], "shared_volumes[0].acess_modes is []", "did you mean access_modes?"),
        ([with_shared(path="logs")], "shared_volumes[0].path is 'logs'", "there are name, claim, size"),
        ([with_shared(nfs=None)], "shared_volumes[0]: what carries it is not set", "wanted one of nfs, csi"),
        ([with_shared(csi=CSI)], "shared_volumes[0]: what carries it is 'nfs and csi'", "wanted one of nfs, csi"),
        ([with_shared(nfs="nas:/export")], "shared_volumes[0].nfs is 'nas:/export'", "a mapping of server, path, read_only"),
        ([with_nfs(server=None)], "shared_volumes[0].nfs.server is not set", "name or address"),
        ([with_nfs(server="changeme")], "shared_volumes[0].nfs.server is 'changeme'", "name or address"),
        ([with_nfs(server="nas:/export")], "shared_volumes[0].nfs.server is 'nas:/export'", "name or address"),
        ([with_nfs(path="export")], "shared_volumes[0].nfs.path is 'export'", "absolute path"),
        ([with_nfs(path="/export/../etc")], "shared_volumes[0].nfs.path is '/export/../etc'", "absolute path"),
        ([with_nfs(readonly=True)], "shared_volumes[0].nfs.readonly is True", "did you mean read_only?"),
        ([with_nfs(read_only="yes")], "shared_volumes[0].nfs.read_only is 'yes'", "true or false"),
        ([with_csi(driver="EFS CSI")], "shared_volumes[0].csi.driver is 'EFS CSI'", "kubectl get csidrivers"),
        ([with_csi(volume_handle=None)], "shared_volumes[0].csi.volume_handle is not set", "the driver knows the volume by"),
        ([with_csi(volume_handle="TODO")], "shared_volumes[0].csi.volume_handle is 'TODO'", "the driver knows the volume by"),
        ([with_csi(fs_type=4)], "shared_volumes[0].csi.fs_type is 4", "a filesystem's name"),
        ([with_csi(attributes={"a": True})], "shared_volumes[0].csi.attributes is {'a': True}", "text in quotes"),
        ([with_csi(node_stage_secret="smb")], "shared_volumes[0].csi.node_stage_secret is 'smb'", "namespace/name of a Secret"),
        ([with_csi(volumeHandle="x")], "shared_volumes[0].csi.volumeHandle is 'x'", "did you mean volume_handle?"),
        ([SHARED, with_shared(name="b")], "shared_volumes[1].claim is 'airflow/logs'", "shared_volumes[0].claim has the same value"),
        ([SHARED, with_shared(claim="a/b")], "shared_volumes[1].name is 'airflow-logs'", "shared_volumes[0].name has the same value"),
        (
            [with_shared(claim="airflow/postgresql")],
            "shared_volumes[0].claim is",
            "data_disks[0].volumes[0].claim of worker-1 has the same",
        ),
        ([with_shared(name="airflow-data-postgresql")], "shared_volumes[0].name is", "the PersistentVolume of data_disks[0].volumes[0] of"),
    ],
)
def test_shared_volumes_that_are_refused(volumes: Any, place: str, words: str) -> None:
    everywhere = {"shared_volumes": volumes}
    found = problems(bastion=everywhere, worker_1={**NODE, **everywhere}, worker_2=everywhere)
    assert len(found) == 1, found
    assert found[0].startswith(f"bastion: {place}")
    assert words in found[0]


def test_shared_volumes_are_declared_for_the_whole_cluster() -> None:
    found = problems(worker_2={"shared_volumes": [SHARED]})
    assert len(found) == 1
    assert found[0].startswith("worker-2: shared_volumes is [{'name': 'airflow-logs'")
    assert found[0].endswith("only those of bastion are read, and it does not have the same; wanted in group_vars/all")


@pytest.mark.parametrize(
    ("second", "place"),
    [
        ({"mount": "/mnt/b"}, "data_disks[1].name is 'airflow-data'; data_disks[0].name has the same value"),
        ({"name": "b"}, "data_disks[1].mount is '/mnt/airflow-data'; data_disks[0].mount is '/mnt/airflow-data'"),
        ({"name": "b", "mount": "/mnt/airflow-data/b"}, "data_disks[1].mount is '/mnt/airflow-data/b'; data_disks[0].mount"),
        ({"name": "b", "mount": "/mnt/b", "slot": "scsi1"}, "data_disks[1].slot is 'scsi1'; data_disks[0].slot has the same value"),
    ],
)
def test_two_disks_of_one_host_do_not_clash(second: dict[str, Any], place: str) -> None:
    disks = [{**DISK, "slot": "scsi1"}, {**DISK, "volumes": [], **second}]
    assert [one for one in problems(worker_1={"proxmox_vmid": 301, "data_disks": disks}) if one.startswith(f"worker-1: {place}")]


def test_what_is_unique_over_all_hosts() -> None:
    found = problems(worker_1={**NODE, "kubernetes_node_name": "node"}, worker_2={**copy.deepcopy(NODE), "kubernetes_node_name": "node"})
    assert found == [
        "worker-2: proxmox_vmid is '301'; proxmox_vmid of worker-1 has the same value; a virtual machine is one host",
        "worker-2: kubernetes_node_name is 'node'; kubernetes_node_name of worker-1 has the same value; a node of the cluster is one host",
        "worker-2: the PersistentVolume of data_disks[0].volumes[0] is 'airflow-data-postgresql'; "
        "the PersistentVolume of data_disks[0].volumes[0] of worker-1 has the same value; a PersistentVolume has a name of its own",
        "worker-2: data_disks[0].volumes[0].claim is 'airflow/postgresql'; "
        "data_disks[0].volumes[0].claim of worker-1 has the same value; a claim is bound to one volume",
    ]


def test_a_node_is_called_by_its_inventory_name_unless_said_otherwise() -> None:
    assert len(problems(worker_2={"kubernetes_node_name": "worker-1"})) == 1


def test_the_control_group_has_a_host() -> None:
    assert problems(groups={**GROUPS, "control": []})[0].startswith("inventory: group control is []; wanted the host")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"minio_root_password": "changeme"}, "bastion: minio_root_password is (hidden); wanted the real value"),
        ({"minio_root_user": ""}, "bastion: minio_root_user is (hidden); wanted the real value"),
        ({"minio_root_password": None}, "bastion: minio_root_password is not set; it is needed"),
        ({"minio_url": "minio"}, "bastion: minio_url is 'minio'; wanted a URL"),
        ({"platform_ca_file": "nowhere"}, "bastion: platform_ca_file is 'nowhere'; there is no such file"),
        ({"platform_ca_file": "empty"}, "bastion: platform_ca_file is 'empty'; the file holds no certificate"),
        ({"platform_kubeconfig": {"kind": "Config"}}, "bastion: platform_kubeconfig_file is '~/.kube/config'; there is no"),
        (
            {"platform_kubeconfig": {}, "platform_kubeconfig_file": "empty"},
            "bastion: platform_kubeconfig_file is 'empty'; the file names no cluster",
        ),
        ({"platform_kubeconfig": Unreadable("it cannot be read: x")}, "bastion: platform_kubeconfig is unreadable; it cannot be read: x"),
    ],
)
def test_connections_of_the_control_host(changes: dict[str, Any], words: str) -> None:
    found = problems(bastion=changes)
    assert len(found) == 1
    assert found[0].startswith(words)


def test_proxmox_is_needed_only_by_hosts_with_disks() -> None:
    empty = {"proxmox_api_token_secret": "00000000-0000-0000-0000-000000000000", "proxmox_api_user": "ansible"}
    assert problems(worker_2=empty) == []
    assert problems(worker_1={**NODE, **empty}) == [
        "worker-1: proxmox_api_user is 'ansible'; wanted a user with its realm, such as ansible@pve",
        "worker-1: proxmox_api_token_secret is (hidden); wanted the real value in place of the placeholder; keep secrets in Ansible Vault",
    ]


def test_a_variable_that_is_nearly_right_is_named_without_its_value() -> None:
    hosts = [Host("a", {**CONNECTIONS, "data_disks": []}, ["minio_root_pasword", "data_disks", "minio_mirror", "data_disk", *CONNECTIONS])]
    hosts[0] = Host("a", hosts[0].variables, [name for name in hosts[0].names if name != "minio_root_password"])
    found = [str(problem) for problem in check(hosts, {"control": ["a"]}, FILES.get)]
    assert found == ["a: minio_root_pasword is (hidden); no role reads it; did you mean minio_root_password?"]


def test_one_problem_of_a_group_variable_is_said_once() -> None:
    unreadable = {"minio_url": Unreadable("it cannot be read: 'x' is undefined")}
    assert problems(bastion=unreadable, worker_1=unreadable, worker_2=unreadable) == [
        "bastion, worker-1, worker-2: minio_url is unreadable; it cannot be read: 'x' is undefined"
    ]


def test_a_long_value_is_cut() -> None:
    assert len(problems(worker_1=with_disk(mount="x" * 500))[0]) < 250


KEYS = st.sampled_from(sorted({*DISK_KEYS, *VOLUME_KEYS, *SHARED_KEYS})) | st.text(max_size=4)
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=25,
)


@given(disks=JUNK, vmid=JUNK, name=JUNK, kubeconfig=JUNK, secret=JUNK)
def test_nothing_that_yaml_can_hold_makes_it_stumble(disks: Any, vmid: Any, name: Any, kubeconfig: Any, secret: Any) -> None:
    node = {"data_disks": disks, "proxmox_vmid": vmid, "kubernetes_node_name": name, "proxmox_api_token_secret": secret}
    bastion = {"platform_kubeconfig": kubeconfig, "minio_root_password": secret, "shared_volumes": [disks]}
    problems(bastion=bastion, worker_1=node, worker_2={"data_disks": [disks], "shared_volumes": disks})


@pytest.mark.parametrize("inventory", ["homelab", "lab"])
def test_the_declarations_of_the_inventories_of_this_project_are_accepted(inventory: str) -> None:
    declared = [yaml.safe_load(path.read_text()) for path in sorted((CHECKOUT / "inventory" / inventory / "host_vars").glob("*.yml"))]
    disks = [variables for variables in declared if variables.get("data_disks")]
    assert disks
    for variables in disks:
        for disk in variables["data_disks"]:
            for volume in disk["volumes"]:
                volume.update(owner=999, group=999)  # written as templates
        assert problems(worker_1=variables) == []
