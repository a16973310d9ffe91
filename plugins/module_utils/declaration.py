# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an inventory may say, checked as a whole: nothing is read from a host, and every problem is found in one go."""

from __future__ import annotations

import difflib
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Callable, Optional

from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.volume_objects import MANAGED, OWN_PREFIX, SOURCES
from ansible_collections.homelab.data_platform.plugins.module_utils.proxmox.drive import BUSES, OPTIONS
from ansible_collections.homelab.data_platform.plugins.module_utils.sizes import disk_size, gib, quantity

SERIAL = re.compile(r"[A-Za-z0-9_-]{1,20}")
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
SUBDOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
SLOT = re.compile(r"([a-z]+)([0-9]{1,3})")
VOLUME = re.compile(r"unused[0-9]{1,3}|[A-Za-z][A-Za-z0-9_.-]*:[A-Za-z0-9_./-]+")
MODE = re.compile(r"[0-7]{3,4}")
ACCOUNT = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
MOUNT_OPTION = re.compile(r"[^\s,]+")
SERVER = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?|[0-9A-Fa-f:]+")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")

FSTYPES = ("ext4", "xfs")
ACCESS_MODES = ("ReadWriteOnce", "ReadWriteOncePod", "ReadOnlyMany", "ReadWriteMany")
SYSTEM_DIRECTORIES = ("/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/root", "/run", "/sbin", "/sys", "/tmp", "/usr")  # noqa: S108
SHARED_DIRECTORIES = ("/", "/home", "/media", "/mnt", "/opt", "/srv", "/var", "/var/lib", "/var/log")

DISK_KEYS = (
    "name", "state", "destroy", "storage", "size", "bus", "slot", "format", "volume",
    "uuid", "mount", "fstype", "options", "label", "immutable", "grow", "volumes",
    *OPTIONS,
)  # fmt: skip
VOLUME_KEYS = ("name", "path", "claim", "size", "owner", "group", "mode", "access_modes", "labels")
SHARED_KEYS = ("name", "claim", "size", "access_modes", "labels", "mount_options", *SOURCES)
UNIQUE = {"name": "a PersistentVolume has a name of its own", "claim": "a claim is bound to one volume"}

PLACEHOLDERS = ("", "changeme", "change-me", "change_me", "secret", "password", "todo", "xxx", "example", "minioadmin")
NO_UUID = "00000000-0000-0000-0000-000000000000"

# Variables that several roles read; a name that is nearly one of them is a slip of the pen, and would be passed over in silence.
HOST_VARIABLES = ("data_disks", "proxmox_vmid", "kubernetes_node_name")
SITE_VARIABLES = ("shared_volumes",)
PROXMOX_VARIABLES = ("proxmox_api_host", "proxmox_api_user", "proxmox_api_token_id", "proxmox_api_token_secret")
MINIO_VARIABLES = ("minio_url", "minio_root_user", "minio_root_password")
FILE_VARIABLES = ("platform_kubeconfig", "platform_kubeconfig_file", "platform_ca_file")
KNOWN_VARIABLES = (*HOST_VARIABLES, *SITE_VARIABLES, *PROXMOX_VARIABLES, "proxmox_api_port", *MINIO_VARIABLES, *FILE_VARIABLES)
SECRET_VARIABLES = ("proxmox_api_token_secret", "minio_root_user", "minio_root_password", "platform_kubeconfig")


class Hidden:
    """Stands where a value must not be shown."""

    def __repr__(self) -> str:
        return "(hidden)"


class Absent:
    """Stands where nothing is declared."""

    def __repr__(self) -> str:
        return "not set"


HIDDEN = Hidden()
ABSENT = Absent()


@dataclass(frozen=True)
class Unreadable:
    """A variable that could not be templated, and why."""

    reason: str

    def __repr__(self) -> str:
        return "unreadable"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with the inventory."""

    host: str
    variable: str
    value: Any
    accepted: str

    def __str__(self) -> str:
        return f"{self.host}: {described(self.variable, self.value, self.accepted)}"


@dataclass(frozen=True)
class Host:
    """A host as the inventory declares it."""

    name: str
    variables: Mapping[str, Any]
    """Those of KNOWN_VARIABLES that are set, templated; what could not be is Unreadable."""
    names: Sequence[str] = ()
    """The names of all its variables."""

    def get(self, variable: str) -> Any:
        """Return the value, or ABSENT."""
        return self.variables.get(variable, ABSENT)


# What is wrong with a value: the variable's path below the host, the value, what is accepted
Finding = tuple[str, Any, str]


def described(variable: str, value: Any, accepted: str) -> str:
    """Say a finding in one line."""
    found = repr(value)
    return f"{variable} is {found if len(found) <= 100 else found[:97] + '...'}; {accepted}"


def check(hosts: Sequence[Host], groups: Mapping[str, Sequence[str]], read_file: Callable[[str], Optional[str]]) -> list[Problem]:
    """Return every problem of the inventory. ``read_file`` gives the content of a file of the controller, or None."""
    by_name = {host.name: host for host in hosts}
    problems = [Problem(host.name, *finding) for host in hosts for finding in _names(host)]
    control = groups.get("control", ())
    if not control:
        problems.append(
            Problem("inventory", "group control", list(control), "wanted the host that talks to the APIs; inside the LAN, localhost")
        )
    for host in hosts:
        findings = [*check_host(host), *(_connections(host, PROXMOX_VARIABLES) if host.get("data_disks") not in (ABSENT, [], None) else ())]
        if control and host.name == control[0]:
            findings += [*_connections(host, MINIO_VARIABLES), *_files(host, read_file), *_shared_volumes(host)]
        elif control and control[0] in by_name:
            findings += _said_elsewhere(host, by_name[control[0]])
        problems += [Problem(host.name, *finding) for finding in findings]
    nodes = [by_name[name] for name in groups.get("kubernetes_nodes", ()) if name in by_name]
    problems += _between_hosts(hosts, nodes, control[:1])
    return _merged(problems)


def check_host(host: Host) -> Iterator[Finding]:
    """Yield what is wrong with one host alone."""
    for variable, value in host.variables.items():
        if isinstance(value, Unreadable):
            yield variable, value, value.reason
    node_name = host.get("kubernetes_node_name")
    if _readable(node_name) and not _matches(SUBDOMAIN, node_name):
        yield "kubernetes_node_name", node_name, "wanted the node's name in Kubernetes: small letters, digits, '-' and '.'"
    disks = host.get("data_disks")
    vmid = host.get("proxmox_vmid")
    if vmid is ABSENT:
        if isinstance(disks, Sequence) and disks:
            yield "proxmox_vmid", vmid, "wanted the number of the virtual machine that gets the data_disks"
    elif _readable(vmid) and not (_is_whole(vmid) and 100 <= int(vmid) <= 999_999_999):
        yield "proxmox_vmid", vmid, "wanted the number of a virtual machine, 100 or greater"
    if _readable(disks):
        yield from check_disks(disks)


def check_disks(disks: Any) -> Iterator[Finding]:
    """Yield what is wrong with one host's ``data_disks``."""
    if not isinstance(disks, list):
        yield "data_disks", disks, "wanted a list of disks"
        return
    for index, disk in enumerate(disks):
        place = f"data_disks[{index}]"
        if not isinstance(disk, Mapping):
            yield place, disk, "wanted a disk: name, storage, size, mount, volumes"
            continue
        yield from _unknown_keys(place, disk, DISK_KEYS)
        yield from _identity(place, disk)
        yield from _virtual_disk(place, disk)
        yield from _filesystem(place, disk)
        yield from _volumes(place, disk)
    declared = [(f"data_disks[{index}]", disk) for index, disk in enumerate(disks) if isinstance(disk, Mapping)]
    yield from _twice(((f"{place}.name", disk.get("name")) for place, disk in declared), "the name is the disk's serial")
    yield from _twice(((f"{place}.slot", disk.get("slot")) for place, disk in declared), "a slot holds one disk")
    yield from _twice(((f"{place}.uuid", disk.get("uuid")) for place, disk in declared), "the uuid belongs to one filesystem")
    yield from _nested_mounts([(place, disk) for place, disk in declared if not _is_absent(disk)])


def _identity(place: str, disk: Mapping[str, Any]) -> Iterator[Finding]:
    name, uuid, state, destroy = (disk.get(key, ABSENT) for key in ("name", "uuid", "state", "destroy"))
    if not _matches(SERIAL, name):
        yield f"{place}.name", name, "wanted 1 to 20 letters, digits, '-' or '_': the guest sees no longer serial"
    if uuid not in (ABSENT, None) and not _matches(UUID, uuid):
        yield f"{place}.uuid", uuid, "wanted the UUID of the filesystem, as blkid shows it"
    if state not in (ABSENT, None, "present", "absent"):
        yield f"{place}.state", state, "wanted present or absent"
    if _is_absent(disk) and disk.get("slot") and uuid in (ABSENT, None):
        yield f"{place}.uuid", uuid, "wanted the UUID of its filesystem, by which the node lets go of a disk that has no serial"
    if destroy not in (ABSENT, None):
        if not _is_absent(disk):
            yield f"{place}.destroy", destroy, "wanted on a disk with state: absent only"
        elif destroy != name:
            yield f"{place}.destroy", destroy, f"wanted the disk's own name, {name}, to lose all that is on it"


def _is_absent(disk: Mapping[str, Any]) -> bool:
    return disk.get("state") == "absent"


def _virtual_disk(place: str, disk: Mapping[str, Any]) -> Iterator[Finding]:
    slot, bus, size, storage, volume = (disk.get(key, ABSENT) for key in ("slot", "bus", "size", "storage", "volume"))
    adopted = slot not in (ABSENT, None)
    there = adopted or volume not in (ABSENT, None) or _is_absent(disk)
    known_bus = isinstance(bus, str) and bus in BUSES
    if bus is not ABSENT and not known_bus:
        yield f"{place}.bus", bus, f"wanted one of {', '.join(BUSES)}"
    if adopted:
        match = SLOT.fullmatch(slot) if isinstance(slot, str) else None
        if match is None or match.group(1) not in BUSES or int(match.group(2)) >= BUSES[match.group(1)]:
            yield f"{place}.slot", slot, f"wanted one of {', '.join(f'{name}0 to {name}{count - 1}' for name, count in BUSES.items())}"
        elif known_bus and match.group(1) != bus:
            yield f"{place}.slot", slot, f"wanted a slot of the declared bus {bus}"
    if size is ABSENT:
        if not there:
            yield f"{place}.size", size, "wanted a size such as 50G (50 GiB), or the slot of a disk that is there"
    elif disk_size(size) is None:
        yield f"{place}.size", size, "wanted a size such as 50G: a number with K, M, G or T, binary as Proxmox counts"
    if volume not in (ABSENT, None) and not _matches(VOLUME, volume):
        yield f"{place}.volume", volume, "wanted a volume of Proxmox, such as local-lvm:vm-301-disk-1 or unused0"
    if (storage is ABSENT and not there) or (storage is not ABSENT and not (isinstance(storage, str) and storage)):
        yield f"{place}.storage", storage, "wanted the name of a storage in Proxmox, such as local-lvm"
    for name, option in OPTIONS.items():
        value = disk.get(name)
        if value is not None and option.choices and _on_off(value) not in option.choices:
            yield f"{place}.{name}", value, f"wanted one of {', '.join(option.choices)}"


def _filesystem(place: str, disk: Mapping[str, Any]) -> Iterator[Finding]:
    mount, fstype, options = (disk.get(key, ABSENT) for key in ("mount", "fstype", "options"))
    if mount is ABSENT and _is_absent(disk):
        return
    if fstype not in (ABSENT, None, *FSTYPES):
        yield f"{place}.fstype", fstype, f"wanted one of {', '.join(FSTYPES)}"
    if not _is_absolute(mount):
        yield f"{place}.mount", mount, "wanted an absolute path without . and .., such as /mnt/airflow-data"
    else:
        path = posixpath.normpath(mount)
        if path in SHARED_DIRECTORIES or any(_inside(path, system) for system in SYSTEM_DIRECTORIES):
            yield f"{place}.mount", mount, "wanted a directory of its own, such as /mnt/airflow-data, not one of the system's"
    if options not in (ABSENT, None) and not _is_mount_options(options):
        yield f"{place}.options", options, "wanted a list of mount options, such as [nofail, noatime]"
    yield from _flags(place, disk, "immutable", "grow")


def _flags(place: str, found: Mapping[str, Any], *keys: str) -> Iterator[Finding]:
    for key in keys:
        if key in found and not isinstance(found[key], bool):
            yield f"{place}.{key}", found[key], "wanted true or false"


def _volumes(place: str, disk: Mapping[str, Any]) -> Iterator[Finding]:
    volumes = disk.get("volumes")
    if volumes is None:
        return
    if not isinstance(volumes, list):
        yield f"{place}.volumes", volumes, "wanted a list of volumes"
        return
    total = 0
    declared: list[tuple[str, Mapping[str, Any]]] = []
    for index, volume in enumerate(volumes):
        where = f"{place}.volumes[{index}]"
        if not isinstance(volume, Mapping):
            yield where, volume, "wanted a volume: name, claim, size"
            continue
        declared.append((where, volume))
        yield from _unknown_keys(where, volume, VOLUME_KEYS)
        yield from _volume(where, volume, adopted=disk.get("uuid") not in (None, ""))
        total += quantity(volume.get("size")) or 0
    if declared and _matches(SERIAL, disk.get("name")) and not _matches(SUBDOMAIN, disk["name"]):
        yield f"{place}.name", disk["name"], "it begins the names of its PersistentVolumes; wanted small letters, digits and '-' only"
    yield from _twice(((f"{where}.name", volume.get("name")) for where, volume in declared), "a volume's name is unique on its disk")
    directories = {
        str(volume.get("name")): (f"{where}.path", volume.get("path") or volume.get("name")) for where, volume in reversed(declared)
    }
    yield from _twice(reversed(list(directories.values())), "each volume has a directory of its own")
    capacity = disk_size(disk.get("size"))
    if capacity is not None and total > capacity:
        yield f"{place}.volumes", f"{gib(total)} in all", f"wanted no more than the disk's size {disk['size']}, which is {gib(capacity)}"


def _volume(where: str, volume: Mapping[str, Any], adopted: bool) -> Iterator[Finding]:
    name, path = (volume.get(key, ABSENT) for key in ("name", "path"))
    if not _matches(LABEL, name):
        yield f"{where}.name", name, "wanted small letters, digits and '-': a directory on the disk and part of the PersistentVolume's name"
    if path == "." and not adopted:
        yield f"{where}.path", path, "the mount point itself is for a disk that is adopted by its uuid; wanted a sub-directory"
    elif path not in (ABSENT, None, ".") and not _is_relative(path):
        yield f"{where}.path", path, "wanted a sub-directory of the mount, without . and .."
    for key in ("owner", "group"):
        value = volume.get(key)
        if value is not None and not (_is_whole(value) and int(value) >= 0) and not _matches(ACCOUNT, value):
            yield f"{where}.{key}", value, "wanted a number, or a name that the node knows"
    yield from _mode(where, volume.get("mode"))
    yield from _claimed(where, volume)


def _claimed(where: str, volume: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what is wrong with that part of a volume which does not depend on what carries it."""
    claim, size, modes = (volume.get(key, ABSENT) for key in ("claim", "size", "access_modes"))
    if not _is_claim(claim):
        yield f"{where}.claim", claim, "wanted namespace/name of a PersistentVolumeClaim, such as airflow/postgresql"
    if not quantity(size):
        yield f"{where}.size", size, "wanted a quantity of Kubernetes, such as 20Gi"
    if modes not in (ABSENT, None) and not (isinstance(modes, list) and modes and all(mode in ACCESS_MODES for mode in modes)):
        yield f"{where}.access_modes", modes, f"wanted a list of {', '.join(ACCESS_MODES)}"
    yield from _labels(where, volume.get("labels"))


def _labels(where: str, labels: Any) -> Iterator[Finding]:
    if labels is None:
        return
    if not isinstance(labels, Mapping):
        yield f"{where}.labels", labels, "wanted labels of the PersistentVolume, by which the claim selects it, such as {volume: dags}"
        return
    for key, value in labels.items():
        if not _is_label_key(key):
            yield f"{where}.labels", key, "wanted keys of Kubernetes' labels: at most 63 letters, digits, '-', '_' and '.'"
        elif key in MANAGED or key.startswith(OWN_PREFIX):
            yield f"{where}.labels.{key}", value, "this label is ours; wanted one of your own"
        elif not _matches(LABEL_VALUE, value):
            yield (
                f"{where}.labels.{key}",
                value,
                "wanted text of at most 63 letters, digits, '-', '_' and '.'; true and 1 are text in quotes",
            )


def _mode(where: str, mode: Any) -> Iterator[Finding]:
    if mode is None:
        return
    if not _matches(MODE, mode):
        yield f"{where}.mode", mode, "wanted an octal mode in quotes, such as '0750'"
    elif int(mode, 8) & 0o002:
        yield f"{where}.mode", mode, "a directory that everybody may write to is refused; give it an owner and a mode such as '0750'"


def check_shared_volumes(volumes: Any) -> Iterator[Finding]:
    """Yield what is wrong with ``shared_volumes``."""
    if not isinstance(volumes, list):
        yield "shared_volumes", volumes, "wanted a list of volumes"
        return
    for index, volume in enumerate(volumes):
        place = f"shared_volumes[{index}]"
        if isinstance(volume, Mapping):
            yield from _unknown_keys(place, volume, SHARED_KEYS)
            yield from _shared_volume(place, volume)
        else:
            yield place, volume, "wanted a volume: name, claim, size, and nfs or csi"
    for key, why in UNIQUE.items():
        yield from _twice(_each(volumes, key), why)


def _shared_volume(place: str, volume: Mapping[str, Any]) -> Iterator[Finding]:
    name, options = (volume.get(key, ABSENT) for key in ("name", "mount_options"))
    if not _matches(SUBDOMAIN, name):
        yield f"{place}.name", name, "wanted the PersistentVolume's name: small letters, digits, '-' and '.'"
    yield from _claimed(place, volume)
    if options not in (ABSENT, None) and not _is_mount_options(options):
        yield f"{place}.mount_options", options, "wanted a list of mount options, such as [nfsvers=4.1, hard]"
    carriers = [key for key in SOURCES if volume.get(key) is not None]
    if len(carriers) != 1:
        found = " and ".join(carriers) or ABSENT
        yield f"{place}: what carries it", found, f"wanted one of {', '.join(SOURCES)}"
    for key in carriers:
        source, where = volume[key], f"{place}.{key}"
        if isinstance(source, Mapping):
            yield from _unknown_keys(where, source, tuple(SOURCES[key]))
            yield from _nfs(where, source) if key == "nfs" else _csi(where, source)
        else:
            yield where, source, f"wanted a mapping of {', '.join(SOURCES[key])}"


def _nfs(where: str, source: Mapping[str, Any]) -> Iterator[Finding]:
    server, path = (source.get(key, ABSENT) for key in ("server", "path"))
    if not (_is_real(server) and _matches(SERVER, server)):
        yield f"{where}.server", server, "wanted the server's name or address, such as nas.home.arpa"
    if not _is_absolute(path):
        yield f"{where}.path", path, "wanted the exported directory, an absolute path without . and .., such as /export/airflow-logs"
    yield from _flags(where, source, "read_only")


def _csi(where: str, source: Mapping[str, Any]) -> Iterator[Finding]:
    driver, handle, fs_type, attributes = (source.get(key, ABSENT) for key in ("driver", "volume_handle", "fs_type", "attributes"))
    if not (isinstance(driver, str) and len(driver) <= 63 and _matches(SUBDOMAIN, driver.lower())):
        yield f"{where}.driver", driver, "wanted the driver's name, as `kubectl get csidrivers` shows it, such as efs.csi.aws.com"
    if not _is_real(handle):
        yield f"{where}.volume_handle", handle, "wanted what the driver knows the volume by, such as fs-0123456789abcdef0"
    if fs_type not in (ABSENT, None) and not isinstance(fs_type, str):
        yield f"{where}.fs_type", fs_type, "wanted a filesystem's name, such as ext4, or '' where the driver has none to choose"
    if attributes not in (ABSENT, None) and not _is_texts(attributes):
        yield f"{where}.attributes", attributes, "wanted a mapping of texts; true and 1 are text in quotes"
    for key in ("node_stage_secret", "node_publish_secret"):
        if source.get(key) is not None and not _is_claim(source[key]):
            yield f"{where}.{key}", source[key], "wanted namespace/name of a Secret, such as kube-system/smb-credentials"
    yield from _flags(where, source, "read_only")


def _shared_volumes(control: Host) -> Iterator[Finding]:
    volumes = control.get("shared_volumes")
    if _readable(volumes):
        yield from check_shared_volumes(volumes)


def _said_elsewhere(host: Host, control: Host) -> Iterator[Finding]:
    volumes = host.get("shared_volumes")
    if _readable(volumes) and volumes != control.get("shared_volumes"):
        yield "shared_volumes", volumes, f"only those of {control.name} are read, and it does not have the same; wanted in group_vars/all"


def _between_hosts(hosts: Sequence[Host], nodes: Sequence[Host], control: Sequence[str]) -> Iterator[Problem]:
    vmids = [(host.name, "proxmox_vmid", str(host.get("proxmox_vmid"))) for host in hosts if _is_whole(host.get("proxmox_vmid"))]
    yield from _shared(vmids, "a virtual machine is one host")
    names = [(host.name, "kubernetes_node_name", host.get("kubernetes_node_name")) for host in nodes]
    names = [(name, variable, name if value is ABSENT else value) for name, variable, value in names]
    yield from _shared([entry for entry in names if isinstance(entry[2], str)], "a node of the cluster is one host")
    on_disks = [(host.name, *volume) for host in hosts for volume in _disk_volumes(host.get("data_disks"))]
    known = {
        "name": _once([(host, f"the PersistentVolume of {where}", name) for host, where, name, _claim in on_disks]),
        "claim": [(host, f"{where}.claim", claim) for host, where, _name, claim in on_disks],
    }
    for key, why in UNIQUE.items():
        shared = [(host.name, *entry) for host in hosts if host.name in control for entry in _each(host.get("shared_volumes"), key)]
        yield from _shared([entry for entry in [*known[key], *_once(shared)] if isinstance(entry[2], str)], why)


def _once(entries: Sequence[tuple[str, str, Any]]) -> list[tuple[str, str, Any]]:
    """Keep the first of each host's equal values: what clashes within one declaration is said there."""
    first: dict[tuple[str, Any], str] = {}
    for host, place, value in entries:
        first.setdefault((host, value), place)
    return [(host, place, value) for (host, value), place in first.items()]


def _disk_volumes(disks: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield each volume's place, the name of its PersistentVolume and its claim."""
    for index, disk in enumerate(disks if isinstance(disks, list) else ()):
        # The claims of a disk that goes may move to another one.
        volumes = disk.get("volumes") if isinstance(disk, Mapping) and not _is_absent(disk) else None
        for number, volume in enumerate(volumes if isinstance(volumes, list) else ()):
            if isinstance(volume, Mapping):
                names = [name for name in (disk.get("name"), volume.get("name")) if isinstance(name, str)]
                name = "-".join(names) if len(names) == 2 else None
                yield f"data_disks[{index}].volumes[{number}]", name, volume.get("claim")


def _each(entries: Any, key: str) -> list[tuple[str, str]]:
    """Return the texts that the shared volumes have under one key, and their places."""
    listed = enumerate(entries if isinstance(entries, list) else ())
    found = [(f"shared_volumes[{index}].{key}", entry.get(key)) for index, entry in listed if isinstance(entry, Mapping)]
    return [(place, value) for place, value in found if isinstance(value, str)]


def _names(host: Host) -> Iterator[Finding]:
    for name in host.names:
        if name in KNOWN_VARIABLES or not name.startswith(("data_", "shared_", "proxmox_", "kubernetes_node", "minio_", "platform_")):
            continue
        nearest = difflib.get_close_matches(name, KNOWN_VARIABLES, n=1, cutoff=0.9)
        if nearest and nearest[0] not in host.names:
            yield name, HIDDEN, f"no role reads it; did you mean {nearest[0]}?"


def _connections(host: Host, variables: Iterable[str]) -> Iterator[Finding]:
    for variable in variables:
        value = host.get(variable)
        if isinstance(value, Unreadable):
            continue  # said already
        shown = HIDDEN if variable in SECRET_VARIABLES and value is not ABSENT else value
        if value is ABSENT or value is None:
            yield variable, ABSENT, "it is needed; see inventory/homelab for an example"
        elif not _is_real(value):
            yield variable, shown, "wanted the real value in place of the placeholder; keep secrets in Ansible Vault"
        elif variable == "minio_url" and not re.fullmatch(r"(https?://[^/\s]+|[^/\s:]+:\d+)/?", value):
            yield variable, value, "wanted a URL such as https://minio.home.arpa:9000, or host:port"
        elif variable == "proxmox_api_user" and not re.fullmatch(r"[^@!\s]+@[^@!\s]+", value):
            yield variable, value, "wanted a user with its realm, such as ansible@pve"


def _files(host: Host, read_file: Callable[[str], Optional[str]]) -> Iterator[Finding]:
    kubeconfig = host.get("platform_kubeconfig")
    if not isinstance(kubeconfig, Unreadable) and not (isinstance(kubeconfig, Mapping) and kubeconfig.get("clusters")):
        path = host.get("platform_kubeconfig_file")
        found = read_file(path) if isinstance(path, str) else None
        reason = "there is no such file on this computer" if found is None else "the file names no cluster"
        yield "platform_kubeconfig_file", path, f"{reason}; wanted the administrator's kubeconfig"
    authority = host.get("platform_ca_file")
    if authority in (ABSENT, None, "") or isinstance(authority, Unreadable):
        return
    content = read_file(authority) if isinstance(authority, str) else None
    if content is None:
        yield "platform_ca_file", authority, "there is no such file on this computer; wanted a PEM file, or '' for public authorities"
    elif "-----BEGIN CERTIFICATE-----" not in content:
        yield "platform_ca_file", authority, "the file holds no certificate; wanted a PEM file"


def _unknown_keys(place: str, found: Mapping[str, Any], known: Sequence[str]) -> Iterator[Finding]:
    for key in found:
        if key not in known:
            nearest = difflib.get_close_matches(str(key), known, n=1)
            yield (
                f"{place}.{key}",
                found[key],
                f"no such key; {f'did you mean {nearest[0]}?' if nearest else 'there are ' + ', '.join(known)}",
            )


def _twice(values: Iterable[tuple[str, Any]], why: str) -> Iterator[Finding]:
    first: dict[str, str] = {}
    for place, value in values:
        if value is None:
            continue
        other = first.setdefault(str(value), place)
        if other != place:
            yield place, value, f"{other} has the same value; {why}"


def _nested_mounts(declared: Sequence[tuple[str, Mapping[str, Any]]]) -> Iterator[Finding]:
    mounts = [
        (place, posixpath.normpath(disk["mount"])) for place, disk in declared if isinstance(disk.get("mount"), str) and disk["mount"]
    ]
    for number, (place, mount) in enumerate(mounts):
        for other, earlier in mounts[:number]:
            if _inside(mount, earlier) or _inside(earlier, mount):
                yield f"{place}.mount", mount, f"{other}.mount is {earlier!r}; mount points may neither be the same nor lie in one another"


def _shared(entries: Sequence[tuple[str, str, str]], why: str) -> Iterator[Problem]:
    first: dict[str, tuple[str, str]] = {}
    for host, variable, value in entries:
        other = first.setdefault(value, (host, variable))
        if other != (host, variable):
            yield Problem(host, variable, value, f"{other[1]} of {other[0]} has the same value; {why}")


def _merged(problems: Sequence[Problem]) -> list[Problem]:
    """Name the hosts together that have one and the same problem, as of a group variable."""
    hosts: dict[tuple[str, str, str], list[Problem]] = {}
    for problem in problems:
        hosts.setdefault((problem.variable, repr(problem.value), problem.accepted), []).append(problem)
    return [replace(same[0], host=", ".join(dict.fromkeys(one.host for one in same))) for same in hosts.values()]


def _inside(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory + "/")


def _is_relative(path: Any) -> bool:
    return isinstance(path, str) and all(part not in ("", ".", "..") for part in path.split("/"))


def _is_absolute(path: Any) -> bool:
    return isinstance(path, str) and path.startswith("/") and not {".", ".."} & set(path.split("/"))


def _is_mount_options(options: Any) -> bool:
    return isinstance(options, list) and all(_matches(MOUNT_OPTION, option) for option in options)


def _is_texts(found: Any) -> bool:
    return isinstance(found, Mapping) and all(isinstance(text, str) for entry in found.items() for text in entry)


def _is_real(value: Any) -> bool:
    """Tell whether it is text, and no placeholder."""
    return isinstance(value, str) and value.strip().lower() not in PLACEHOLDERS and value != NO_UUID


def _is_label_key(key: Any) -> bool:
    prefix, slash, name = key.rpartition("/") if isinstance(key, str) else ("", "", "")
    return bool(name) and _matches(LABEL_VALUE, name) and (not slash or _matches(SUBDOMAIN, prefix))


def _is_claim(claim: Any) -> bool:
    parts = claim.split("/") if isinstance(claim, str) else []
    return len(parts) == 2 and _matches(LABEL, parts[0]) and _matches(SUBDOMAIN, parts[1])


def _is_whole(value: Any) -> bool:
    """Tell whether it is a whole number; templates may turn one into text."""
    return not isinstance(value, bool) and isinstance(value, (int, str)) and re.fullmatch("[0-9]{1,18}", str(value)) is not None


def _matches(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _readable(value: Any) -> bool:
    return value is not ABSENT and not isinstance(value, Unreadable)


def _on_off(value: Any) -> str:
    """Undo what YAML makes of ``on`` and ``off``."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)
