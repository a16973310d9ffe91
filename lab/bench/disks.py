"""Measure `proxmox_vm_disk` beside community.proxmox's `proxmox_disk`, on the lab's Proxmox API over TLS."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import lifecycle
from lab.bench.playbook import LOCAL, Playbook
from lab.bench.report import ratio, table, write
from lab.certificates import Authority
from lab.proxmox.access_log import AccessLog
from lab.proxmox.app import create_app
from lab.proxmox.drives import bus_of, parse_drive
from lab.proxmox.server import in_background
from lab.proxmox.state import Store, seed
from lab.settings import CHECKOUT
from lab.shell import LabError
from lab.shell import run as run_program

_FORKS = 10
_USER, _TOKEN_ID, _SECRET = "bench@pve", "bench", "only-for-the-benchmark"
_PRIVILEGES = {"/vms": ["VM.Audit", "VM.Config.Disk"], "/storage": ["Datastore.AllocateSpace"]}
_GIB = 1024**3
_SMALL, _LARGE = 1, 2
"""Sizes in GiB: of a disk that is to grow, and of every disk in the end."""
_FIRST = 301

Sizes = dict[int, dict[str, int]]
"""Of each machine, the size of each disk by its serial."""


@dataclass(frozen=True)
class Scale:
    """So many machines with so many disks each."""

    machines: int
    disks: int
    runs: int = 3

    @property
    def vmids(self) -> range:
        """The machines' numbers."""
        return range(_FIRST, _FIRST + self.machines)

    @property
    def wanted(self) -> Sizes:
        """What both modules have to bring about."""
        return {vmid: {f"disk-{number}": _LARGE * _GIB for number in range(1, self.disks + 1)} for vmid in self.vmids}

    def __str__(self) -> str:
        machines = "1 VM" if self.machines == 1 else f"{self.machines} VMs"
        return f"{machines}, {self.disks} {'disk' if self.disks == 1 else 'disks'}{' each' if self.machines > 1 else ''}"


@dataclass(frozen=True)
class Job:
    """What is measured: how many disks are there before, too small, and what the peer needs to be told then."""

    name: str
    small: Callable[[int], int]
    peer: tuple[str, ...]


@dataclass(frozen=True)
class Measured:
    """One run of a playbook."""

    calls: int
    seconds: float
    changed: bool


SCALES = [Scale(1, 1, runs=10), Scale(1, 5), Scale(1, 30), Scale(20, 2)]
CREATE = Job("create", lambda _count: 0, ("present",))
JOBS = [
    CREATE,
    Job("grow", lambda count: count, ("resized",)),
    Job("create and grow", lambda count: count // 2, ("present", "resized")),
]
NO_OP = "no-op"

_OPTIONS = {"discard": "on", "ssd": True}
_OURS = {"homelab.data_platform.proxmox_vm_disk": {"vmid": "{{ vmid }}", "disks": "{{ disks }}"}}
_EACH = {"vmid": "{{ vmid }}", "disk": "{{ item.slot }}"}
_PEER = {
    "present": {**_EACH, "state": "present", "serial": "{{ item.serial }}", "storage": "local-lvm", "size": _LARGE, **_OPTIONS},
    "resized": {**_EACH, "state": "resized", "size": f"{_LARGE}G"},
}


def _tasks(module: str, job: Job) -> list[dict[str, Any]]:
    """Each module as its documentation has it: ours with the list of a machine's disks, the peer one disk a call."""
    if module == "ours":
        return [{"name": "disks", **_OURS}]
    return [{"name": state, "community.proxmox.proxmox_disk": _PEER[state], "loop": "{{ slots }}"} for state in job.peer]


def _hosts(scale: Scale) -> dict[str, Any]:
    """An inventory of machines that are all this one, as far as Ansible is concerned."""
    slots = [{"slot": f"scsi{number}", "serial": f"disk-{number}"} for number in range(1, scale.disks + 1)]
    disks = [{"serial": slot["serial"], "storage": "local-lvm", "size": f"{_LARGE}G", **_OPTIONS} for slot in slots]
    return {"all": {"hosts": {f"vm-{vmid}": {"vmid": vmid} for vmid in scale.vmids}, "vars": {**LOCAL, "slots": slots, "disks": disks}}}


class Bench:
    """A place for the playbooks, and a Proxmox made anew for each measurement."""

    def __init__(self, place: Path) -> None:
        self.place = place
        authority = Authority(place / "ca", "bench-ca").create()
        self.ca = authority.certificate
        self.pair = authority.issue("server", "127.0.0.1", addresses=["127.0.0.1"])

    @contextmanager
    def _proxmox(self, scale: Scale, small: int) -> Iterator[tuple[AccessLog, int, Path]]:
        with tempfile.TemporaryDirectory(dir=self.place) as directory:
            state = Path(directory)
            _populate(state, scale, small)
            log = AccessLog(create_app(state))
            with in_background(log, "127.0.0.1", str(self.pair.certificate), str(self.pair.key)) as port:
                yield log, port, state

    def measure(self, module: str, scale: Scale, job: Job) -> Iterator[tuple[str, Measured]]:
        """A job, and where it is creating the very same once more."""
        playbook = Playbook(self.place, _hosts(scale), _tasks(module, job))
        with self._proxmox(scale, job.small(scale.disks)) as (log, port, state):
            for name in (job.name, NO_OP) if job is CREATE else (job.name,):
                log.calls.clear()
                played = playbook.play(self._environment(port), forks=_FORKS)
                if (found := _sizes(state, scale)) != scale.wanted:
                    raise LabError(f"{module}: {scale}: {name} ended with {found}")
                yield name, Measured(len(log.calls), played.task_seconds, played.changed)

    def _environment(self, port: int) -> dict[str, str]:
        return {
            "PROXMOX_HOST": "127.0.0.1",
            "PROXMOX_PORT": str(port),
            "PROXMOX_USER": _USER,
            "PROXMOX_TOKEN_ID": _TOKEN_ID,
            "PROXMOX_TOKEN_SECRET": _SECRET,
            "PROXMOX_VALIDATE_CERTS": "true",
            "PROXMOX_CA_PATH": str(self.ca),  # ours
            "REQUESTS_CA_BUNDLE": str(self.ca),  # the peer has no option for it
        }


def _populate(state: Path, scale: Scale, small: int) -> None:
    data = {
        f"scsi{number}": f"local-lvm:vm-{{vmid}}-disk-{number},discard=on,serial=disk-{number},size={_SMALL}G,ssd=1"
        for number in range(1, small + 1)
    }
    machine = {"boot": "order=scsi0", "scsihw": "virtio-scsi-single", "scsi0": "local-lvm:vm-{vmid}-disk-0,size=8G", **data}
    seed(
        state,
        vms=[
            {"vmid": vmid, "name": f"vm-{vmid}", "config": {key: value.format(vmid=vmid) for key, value in machine.items()}}
            for vmid in scale.vmids
        ],
        storages=[{"storage": "local-lvm", "capacity": "1000G"}],
        tokens=[{"userid": _USER, "tokenid": _TOKEN_ID, "secret": _SECRET, "acl": _PRIVILEGES}],
    )


def _sizes(state: Path, scale: Scale) -> Sizes:
    found: Sizes = {}
    for vmid in scale.vmids:
        current = Store(state).load(vmid).current
        drives = [parse_drive(slot, value) for slot, value in current.items() if bus_of(slot)]
        found[vmid] = {drive.serial: drive.size for drive in drives if drive.serial}
    return found


def _best(runs: list[Measured]) -> Measured:
    return Measured(min(run.calls for run in runs), min(run.seconds for run in runs), any(run.changed for run in runs))


def run() -> None:
    """Measure both, one after the other and so several times; print the figures and write them into the report."""
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        bench = Bench(Path(directory))
        for scale in SCALES:
            for job in JOBS:
                found: dict[str, dict[str, list[Measured]]] = {}
                for _ in range(scale.runs):
                    for module in ("ours", "peer"):
                        for name, measured in bench.measure(module, scale, job):
                            found.setdefault(name, {}).setdefault(module, []).append(measured)
                for name, modules in found.items():
                    rows.append(_row(scale, name, _best(modules["ours"]), _best(modules["peer"])))
                    print(*rows[-1], sep="  ", flush=True)
    write("Disks of virtual machines", _text(table(_COLUMNS, rows)))


_COLUMNS = ("machines and disks", "what", "calls", "peer's", "ratio", "seconds", "peer's", "ratio", "changed", "peer's")


def _row(scale: Scale, name: str, ours: Measured, peer: Measured) -> tuple[str, ...]:
    if ours.calls > peer.calls:
        raise LabError(f"{scale}: {name}: {ours.calls} calls, the peer made {peer.calls}: there must not be more of them")
    calls = (str(ours.calls), str(peer.calls), ratio(ours.calls, peer.calls))
    seconds = (f"{ours.seconds:.2f}", f"{peer.seconds:.2f}", ratio(ours.seconds, peer.seconds))
    return (str(scale), name, *calls, *seconds, *("yes" if changed else "no" for changed in (ours.changed, peer.changed)))


def _peer_version() -> str:
    listed: dict[str, dict[str, dict[str, str]]] = json.loads(
        run_program([*lifecycle.program("ansible-galaxy"), "collection", "list", "community.proxmox", "--format", "json"], cwd=CHECKOUT)
    )
    return next(iter(listed.values()))["community.proxmox"]["version"]


def _text(figures: str) -> str:
    return f"""\
Measured by `make bench-disks` (and by `make bench`) on {os.cpu_count()} cores: `proxmox_vm_disk` and, as its peer, `proxmox_disk` of
community.proxmox {_peer_version()}. Both are run by `ansible-playbook` on this machine with {_FORKS} forks, in turn, against the lab's
Proxmox API over TLS, which both verify. Calls are counted at the server. Seconds are those of the module tasks, each from its
start to its last result, without the start of `ansible-playbook`. Every figure is the least of {Scale.runs} runs ({SCALES[0].runs} of the
single disk), each on a Proxmox made anew; a ratio says how many times as much the peer takes.

- `create`: no disk is there. `no-op`: the same once more. `grow`: all are there, too small. `create and grow`: half of them
  (rounded down) are there, too small.
- Ours is one task with the list of a machine's disks, the same in every row. The peer takes one call a disk: `state: present` to
  create, `state: resized` to grow, one after the other for both.
- A task of the lab's Proxmox is over within milliseconds. The peer looks at one at once and then every second, ours after 0.1 s,
  after 1 s and then every second: never more often.

{figures}
"""
