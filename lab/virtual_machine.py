"""Nodes that are real virtual machines: QEMU with a kernel of its own, where hot-plug, udev and a reboot must be the real thing.

QEMU runs in the host's network namespace and takes its port 22 there, so that the way in is the same as to a container. Its root is the
boot disk that Proxmox has for it; with the kernel given from outside, that volume holds one filesystem and no boot loader.
"""

from __future__ import annotations

import shutil
import subprocess
import time
import uuid
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lab import service
from lab.components import path as component
from lab.machine import unmount_below
from lab.provision import provision
from lab.qmp import Qmp
from lab.settings import STATE, SWITCH, Node
from lab.shell import LabError, in_namespace, run

COMPONENT = "machine-vm"
QEMU = "qemu-system-x86_64"
_ROOT_LABEL = "lab-root"
_MEMORY = "1024"
"""MiB. There is one processor: translated ones do not keep each other's time, and the kernel then asks a slow clock."""
_PROBE_SECONDS = 20
"""With KVM it is a matter of one or two."""
_FILES = {
    "/etc/fstab": f"LABEL={_ROOT_LABEL} / ext4 errors=remount-ro 0 1\n",
    # QEMU's own network: this address is behind the forwarded port.
    "/etc/systemd/network/20-lab.network": "[Match]\nName=eth0\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\n",
}
_UNITS = ("ssh.service", "systemd-networkd.service")


@dataclass(frozen=True)
class VirtualMachine:
    """A node of the lab as a virtual machine. Its disks are what Proxmox's stand-in plugs into it, the boot disk included."""

    node: Node

    @property
    def directory(self) -> Path:
        """Where the machine's state lies, its disks apart."""
        return STATE / "virtual-machines" / self.node.name

    @property
    def on(self) -> bool:
        """Whether QEMU runs."""
        return service.pid(self._service) is not None

    def monitor(self) -> Qmp:
        """A connection to QEMU, to be entered."""
        return Qmp(self._socket)

    def make_root(self, volume: Path) -> None:
        """Fill the boot volume, unless that was done with the same component; a machine that runs on another one is switched off.

        Raises LabError when a program fails.
        """
        note, source = self.directory / "made-of", str(component(COMPONENT))
        if note.exists() and note.read_text() == source and volume.exists():
            return
        self.power_off()
        root, upper, work = (self.directory / name for name in ("root", "upper", "work"))
        unmount_below(self.directory)
        shutil.rmtree(self.directory, ignore_errors=True)
        for directory in (root, upper, work):
            directory.mkdir(parents=True)
        lower = component(COMPONENT) / "rootfs"
        run(["mount", "-t", "overlay", "overlay", "-o", f"lowerdir={lower},upperdir={upper},workdir={work}", root])
        try:
            provision(root, self.node, {**_FILES, "/etc/machine-id": f"{uuid.uuid4().hex}\n"}, _UNITS)
            run(["mkfs.ext4", "-q", "-F", "-L", _ROOT_LABEL, "-d", root, volume])
        finally:
            unmount_below(self.directory)
        for directory in (root, upper, work):
            shutil.rmtree(directory)
        note.write_text(source)

    def power_on(self) -> None:
        """Start QEMU unless it runs, before its first instruction and without a disk: `cont` in its monitor sets it off."""
        if self.on:
            return
        self._socket.parent.mkdir(parents=True, exist_ok=True)
        self._socket.unlink(missing_ok=True)
        made_of = component(COMPONENT)
        accelerator, processor = _accelerator()
        # Nothing of the guest's leads out; what leads in is one port.
        network = f"user,id=lan,restrict=on,hostfwd=tcp:{self.node.address}:22-:22"
        argv: list[str | Path] = [
            *(QEMU, "-name", self.node.name, "-nodefaults", "-no-user-config", "-display", "none", "-S"),
            *("-machine", "pc", "-accel", accelerator, "-cpu", processor, "-m", _MEMORY),
            *("-kernel", made_of / "vmlinuz", "-initrd", made_of / "initrd.img"),
            *("-append", f"root=LABEL={_ROOT_LABEL} rw console=ttyS0 quiet net.ifnames=0"),
            *("-device", "virtio-scsi-pci,id=scsihw0", "-device", "virtio-rng-pci"),
            *("-netdev", network, "-device", "virtio-net-pci,netdev=lan,romfile="),
            *("-serial", "stdio", "-qmp", f"unix:{self._socket},server=on,wait=off"),
        ]
        service.start(self._service, [*in_namespace(self.node), *argv], self._log)
        deadline = time.monotonic() + 30
        while not self._socket.exists():
            self._check(deadline, "has no monitor yet")
            time.sleep(0.05)

    def power_off(self) -> None:
        """End QEMU at once, as if the plug were pulled."""
        service.stop(self._service)

    def wait(self, seconds: float = 600) -> None:
        """Wait until the machine's sshd answers. Raises LabError with the end of its console."""
        deadline = time.monotonic() + seconds
        while not self._greets():
            self._check(deadline, "has no sshd on port 22")
            time.sleep(0.5)

    @property
    def _service(self) -> str:
        return f"vm-{self.node.name}"

    @property
    def _socket(self) -> Path:
        return STATE / "run" / f"{self.node.name}.qmp"

    @property
    def _log(self) -> Path:
        return STATE / "logs" / f"{self._service}.log"

    def _greets(self) -> bool:
        """Whether port 22 greets as an SSH server, seen from the LAN."""
        script = f"import socket; s = socket.create_connection(('{self.node.address}', 22), 2); s.settimeout(2); print(s.recv(8).decode())"
        return run([*in_namespace(SWITCH), "python3", "-c", script], check=False).startswith("SSH-2.0")

    def _check(self, deadline: float, state: str) -> None:
        if not self.on:
            raise LabError(f"{self.node.name} is off; the end of {self._log}:\n{service.tail(self._log)}")
        if time.monotonic() > deadline:
            raise LabError(f"{self.node.name} {state}; the end of {self._log}:\n{service.tail(self._log)}")


@cache
def _accelerator() -> tuple[str, str]:
    """The accelerator and the processor for it: KVM where a kernel boots with it, else QEMU's own translation."""
    return ("kvm", "host") if Path("/dev/kvm").exists() and _boots("kvm", "host") else ("tcg", "qemu64")


def _boots(accelerator: str, processor: str) -> bool:
    """Whether our kernel gets as far as to miss its root; then it panics, which ends QEMU here.

    That `/dev/kvm` opens and makes a virtual machine says little: there are computers where it does and no kernel gets anywhere.
    """
    argv: list[str | Path] = [
        *(QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-machine", "pc", "-m", "256"),
        *("-accel", accelerator, "-cpu", processor, "-serial", "stdio"),
        *("-kernel", component(COMPONENT) / "vmlinuz", "-append", "console=ttyS0 panic=-1"),
    ]
    try:
        result = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PROBE_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return False
    return result.returncode == 0 and b"Unable to mount root" in result.stdout
