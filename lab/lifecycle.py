"""Bring the lab up, take it down, say how it is. Every step looks first and does only what is missing, so each repairs a lab that died."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from rich.console import Console

from lab import (
    bastion,
    components,
    control_plane,
    git_server,
    network,
    node,
    nspawn_guest,
    object_store,
    pki,
    proxmox_host,
    service,
    ssh,
    virtual_machine,
)
from lab.components import host as packages
from lab.machine import Machine, unmount_below
from lab.settings import BASTION, CHECKOUT, CONTROL_PLANE, INVENTORY, MORE_COMPONENTS, NODES, STATE, SWITCH, WORKER_1
from lab.shell import LabError, in_namespace

_console = Console(highlight=False)
_VIRTUAL = {"machine": "pc-i440fx-9.2", "scsihw": "virtio-scsi-pci"}
"""QEMU gets one controller; and of this machine type, SCSI disks still go by their serial. A test turns to a newer one."""


def up() -> int:
    """The hosts, then the main job."""
    hosts()
    _console.print("[bold]ansible-playbook -i inventory/lab site.yml[/bold]")
    return subprocess.run([*program("ansible-playbook"), "-i", str(INVENTORY), "site.yml"], cwd=CHECKOUT, check=False).returncode


def hosts() -> None:
    """Every host of the lab, ready."""
    packages.ensure_packages()
    components.ensure()
    components.ensure(MORE_COMPONENTS)
    STATE.mkdir(parents=True, exist_ok=True, mode=0o755)
    _refuse(f"vm-{WORKER_1.name}", "is a virtual machine in this lab")
    with _step("network: a switch and a namespace for each host"):
        network.up()
    ssh.write_configuration()
    pki.authority()
    control_plane_services = control_plane.services()
    machines = _machines()
    git_server.seed()
    others = [object_store.service(), git_server.service(), proxmox_host.service()]
    for machine in machines:
        machine.start()
    for program in others:
        program.start()
    # The first two one after the other: each needs the one before it, and backs off for seconds where it is not there.
    for program in control_plane_services:
        program.start()
        if program.name in ("etcd", "kube-apiserver"):
            _wait(program)
    with _step("control-plane: cluster DNS"):
        control_plane.bootstrap()
    for program in [*control_plane_services[2:], *others[:2]]:
        _wait(program)
    for machine in machines:
        with _step(f"{machine.host.name}: systemd and sshd"):
            machine.wait()
    for worker in NODES:
        proxmox_host.guest().replug(worker.vmid)
    _wait(others[2])
    with ThreadPoolExecutor() as pool:
        loads = {worker.name: pool.submit(node.load_images, worker) for worker in NODES}
        for name, load in loads.items():
            with _step(f"{name}: container images"):
                load.result()
    for image in (name for name in MORE_COMPONENTS if name.startswith("image-")):
        with _step(f"{WORKER_1.name}: {image}"):
            node.load_another_image(WORKER_1, image)
    for worker in NODES:
        with _step(f"{worker.name}: Ready"):
            _await(partial(node.ready, worker), partial(node.why_not_ready, worker))


def vm() -> None:
    """What the disks and filesystems of a real virtual machine take, and no more: the bastion, Proxmox, and k8s-worker-01 under QEMU."""
    packages.ensure_packages((*packages.PACKAGES, *packages.EMULATOR))
    components.ensure([*bastion.COMPONENTS, virtual_machine.COMPONENT])
    STATE.mkdir(parents=True, exist_ok=True, mode=0o755)
    _refuse(f"machine-{WORKER_1.name}", "is a container in this lab")
    # A lab of containers that was killed leaves them on the same volumes.
    nspawn_guest.detach_below(STATE)
    with _step("network: a switch and a namespace for each host"):
        network.up()
    ssh.write_configuration()
    pki.authority()
    control, worker = bastion.machine(), virtual_machine.VirtualMachine(WORKER_1)
    proxmox = proxmox_host.service(proxmox_host.virtual_guest, _VIRTUAL)
    control.start()
    with _step(f"{WORKER_1.name}: its root on the boot disk"):
        worker.make_root(proxmox_host.boot_volume(WORKER_1))
    if not worker.on:
        # Proxmox switches on what should run when it starts itself.
        service.stop(proxmox.name)
        proxmox_host.switch_on(WORKER_1)
    proxmox.start()
    _wait(proxmox)
    with _step(f"{control.host.name}: systemd and sshd"):
        control.wait()
    with _step(f"{WORKER_1.name}: kernel, systemd and sshd"):
        worker.wait()


def _refuse(program: str, state: str) -> None:
    """End before a host is started in another form than the one in which it runs."""
    if service.pid(program) is not None:
        raise LabError(f"{WORKER_1.name} {state}: take the lab down first (make lab-down), or name another one by LAB_NAME.")


def down() -> None:
    """Nothing of the lab remains but the component cache."""
    for machine in _machines_by_name():
        with _step(f"{machine.host.name}: off"):
            machine.remove()
    for name in service.running():
        with _step(f"{name}: stopped"):
            service.stop(name, seconds=2)
    nspawn_guest.detach_below(STATE)
    unmount_below(STATE)
    network.down()
    shutil.rmtree(STATE, ignore_errors=True)
    _console.print("The lab is gone; the component cache stays (make clean removes it).")


def status() -> int:
    """What runs, then the platform's own summary."""
    programs = service.running()
    if not programs:
        _console.print("The lab is down. Bring it up with: make lab")
        return 1
    _console.print(f"Running: {', '.join(programs)}")
    if "kube-apiserver" not in programs:
        _console.print("No cluster is among them: this lab is one of virtual machines (make test-vm), or came only half-way up (make lab).")
        return 0
    argv = [*program("ansible-playbook"), "-i", str(INVENTORY), "playbooks/summary.yml"]
    return subprocess.run(argv, cwd=CHECKOUT, check=False).returncode


def kubectl(words: Sequence[str]) -> int:
    """Kubectl with the terminal's own input and output."""
    binary = components.path("kubernetes") / "kubectl"
    argv = [*in_namespace(CONTROL_PLANE), str(binary), f"--kubeconfig={control_plane.KUBECONFIG}", *words]
    return subprocess.run(argv, check=False).returncode


def run(words: Sequence[str]) -> int:
    """A program in the LAN, as if this computer stood beside the bastion; LAB_OUTSIDE tells it the network that it came from."""
    environment = {**os.environ, "LAB_OUTSIDE": f"/proc/{os.getpid()}/ns/net"}
    return subprocess.run([*in_namespace(SWITCH), *words], cwd=CHECKOUT, env=environment, check=False).returncode


def _wait(program: service.Service) -> None:
    with _step(f"{program.host.name}: {program.name}"):
        program.wait()


def _machines() -> list[Machine]:
    return [bastion.machine(), *(node.machine(worker) for worker in NODES)]


def _machines_by_name() -> list[Machine]:
    """The machines without what they are made of, which may not be there any more."""
    return [Machine(host) for host in (BASTION, *NODES)]


def program(name: str) -> list[str]:
    """The words that run a program of the virtual environment."""
    return [str(Path(sys.executable).with_name(name))]


@contextmanager
def _step(title: str) -> Iterator[None]:
    """Say what is waited for, and then how long it took."""
    start = time.monotonic()
    with _console.status(title):
        yield
    _console.print(f"[green]✔[/green] {title} [dim]({time.monotonic() - start:.1f} s)[/dim]")


def _await(ready: Callable[[], bool], error: Callable[[], LabError], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise error()
        time.sleep(0.5)
