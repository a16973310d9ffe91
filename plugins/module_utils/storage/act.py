# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carry out the steps of a plan, one function a kind of step. Each looks again before it does what cannot be undone."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import re
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.homelab.data_platform.plugins.module_utils.storage.devices import MIB, Device, Devices, blkid
from ansible_collections.homelab.data_platform.plugins.module_utils.storage.state import mount_at
from ansible_collections.homelab.data_platform.plugins.module_utils.storage.steps import (
    DaemonReload,
    Format,
    Grow,
    MakeDirectory,
    MakeImmutable,
    MakeMountPoint,
    MountDisk,
    Remount,
    SetDirectory,
    Step,
    Unmount,
    Wipe,
    WriteFile,
)
from ansible_collections.homelab.data_platform.plugins.module_utils.storage.system import (
    Paths,
    StorageError,
    make_immutable,
    open_files,
    read_text,
    run,
    which,
    write_text,
)

PACKAGES = {"ext4": "e2fsprogs", "xfs": "xfsprogs"}
GROWERS = {"ext4": "resize2fs", "xfs": "xfs_growfs"}


def require_tools(steps: Sequence[Step]) -> None:
    """Refuse to begin what cannot be finished for want of a command."""
    wanted = {(f"mkfs.{step.fstype}", step.fstype) for step in steps if isinstance(step, Format)}
    wanted |= {(GROWERS[step.fstype], step.fstype) for step in steps if isinstance(step, Grow)}
    missing = sorted(f"{command} (package {PACKAGES[fstype]})" for command, fstype in wanted if which(command) is None)
    if missing:
        raise StorageError(f"Not installed on this host: {', '.join(missing)}. Install it and run again; nothing was changed.")


def carry_out(step: Step, paths: Paths) -> None:
    """Do one step; whatever the system says against it becomes an error that names the step."""
    try:
        act(step, paths)
    except OSError as error:
        reason = {
            errno.ENOSPC: "the filesystem is full: delete something or let the disk grow (size)",
            errno.EROFS: "the filesystem is read-only: see 'dmesg', it may have an error",
            errno.EPERM: "not permitted: the module needs root (become), and CAP_LINUX_IMMUTABLE to make a directory immutable",
        }.get(error.errno or 0, str(error))
        raise StorageError(f"{_subject(step)}Could not {step}: {reason}") from error
    except StorageError as error:
        raise StorageError(f"{_subject(step)}Could not {step}: {error}") from error


def _subject(step: Step) -> str:
    return f"Disk {step.disk}: " if step.disk else ""


@functools.singledispatch
def act(step: object, paths: Paths) -> None:
    """Do one step."""
    raise NotImplementedError(type(step).__name__)


@act.register(Unmount)
def _unmount(step: Unmount, paths: Paths) -> None:
    try:
        run(["umount", step.place])
    except StorageError as error:
        users = open_files(step.place, paths)
        if not users:
            raise
        raise StorageError(f"it is used by {', '.join(users)}. Stop that, then run again.") from error


@act.register(Wipe)
def _wipe(step: Wipe, paths: Paths) -> None:
    device = _look(step.device, paths)
    if device.in_use:
        raise StorageError(f"it is in use: {', '.join(device.in_use)}")
    devices = Devices(paths)
    parts: list[str] = [node.path for node in devices.all() if node.name in device.partitions and node.path]
    for path in [*parts, device.path]:
        run(["wipefs", "--all", path])
    descriptor = os.open(device.path, os.O_WRONLY | os.O_EXCL)
    try:
        for offset in (0, max(0, device.size - MIB)):
            os.pwrite(descriptor, bytes(min(MIB, device.size)), offset)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if _look(step.device, paths).partitions:
        run(["partx", "--delete", device.path])


@act.register(Format)
def _format(step: Format, paths: Paths) -> None:
    device = _look(step.device, paths)
    if not device.blank:
        raise StorageError(f"it is not blank any more: {', '.join(device.contents)}")
    # Neither command is told to overwrite anything by force: they too refuse what is in use.
    uuid = ["-U", step.uuid] if step.fstype == "ext4" else ["-m", f"uuid={step.uuid}"]
    run([f"mkfs.{step.fstype}", "-q", "-L", step.label, *uuid, step.device])
    if Path("/run/udev/control").exists():
        run(["udevadm", "settle", "--timeout=10"], accept=(0, 1))


@act.register(MakeMountPoint)
def _make_mount_point(step: MakeMountPoint, _paths: Paths) -> None:
    place = Path(step.place)
    place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    # Nobody has business in the directory while nothing is mounted on it.
    place.mkdir(mode=0o000)


@act.register(MakeImmutable)
def _make_immutable(step: MakeImmutable, paths: Paths) -> None:
    if mount_at(step.place, paths):
        raise StorageError("something has been mounted there meanwhile; run again")
    make_immutable(step.place)


@act.register(WriteFile)
def _write_file(step: WriteFile, _paths: Paths) -> None:
    write_text(step.path, step.after)


@act.register(DaemonReload)
def _daemon_reload(_step: DaemonReload, _paths: Paths) -> None:
    run(["systemctl", "daemon-reload"])


@act.register(MountDisk)
def _mount(step: MountDisk, paths: Paths) -> None:
    run(["mount", "--fstab", paths.fstab, step.place])
    mount = mount_at(step.place, paths)
    if mount is None:
        raise StorageError(f"mount succeeded, but nothing is mounted there now; see 'systemctl status {step.place}'")
    uuid = blkid(mount.source).get("UUID", "")
    if uuid.lower() != step.uuid.lower():
        raise StorageError(f"{mount.source} (UUID {uuid}) is mounted there, wanted UUID {step.uuid}; correct the line in {paths.fstab}")


@act.register(Remount)
def _remount(step: Remount, paths: Paths) -> None:
    run(["mount", "--fstab", paths.fstab, "-o", "remount", step.place])


@act.register(Grow)
def _grow(step: Grow, _paths: Paths) -> None:
    try:
        run([GROWERS[step.fstype], step.device if step.fstype == "ext4" else step.place])
    except StorageError as error:
        if "Permission denied to resize" not in str(error):
            raise
        raise StorageError(
            "the kernel wants CAP_SYS_RESOURCE for it, which a container may lack. Stop what uses the disk, grow it unmounted "
            f"('umount {step.place}', 'e2fsck -f {step.device}', 'resize2fs {step.device}'), then run again."
        ) from error


@act.register(MakeDirectory)
def _make_directory(step: MakeDirectory, paths: Paths) -> None:
    *parents, name = step.path.split("/")
    with contextlib.ExitStack() as stack:
        parent = _open_mounted(step.place, paths, stack)
        for part in parents:
            parent = _enter(parent, part, stack, create=True)
        # The directory appears under its name only when it is complete, so that a killed run leaves nothing half made.
        unfinished = f".{name}.unfinished"
        new = _enter(parent, unfinished, stack, create=True)
        os.fchown(new, step.owner, step.group)
        os.fchmod(new, step.mode)
        os.rename(unfinished, name, src_dir_fd=parent, dst_dir_fd=parent)
        os.fsync(parent)


@act.register(SetDirectory)
def _set_directory(step: SetDirectory, paths: Paths) -> None:
    with contextlib.ExitStack() as stack:
        directory = _open_mounted(step.place, paths, stack)
        for part in step.path.split("/"):
            directory = _enter(directory, part, stack, create=False)
        os.fchown(directory, step.owner, step.group)
        os.fchmod(directory, step.mode)


def _look(path: str, paths: Paths) -> Device:
    device = Devices(paths).by_path(path)
    if device is None:
        raise StorageError("the device is gone")
    return device


def _open_mounted(place: str, paths: Paths, stack: contextlib.ExitStack) -> int:
    """Open the mounted disk. What is done relative to the descriptor stays on that disk, even if it is unmounted."""
    mount = mount_at(place, paths)
    descriptor = _open(place, stack)
    opened = re.search(r"^mnt_id:\s*(\d+)$", read_text(f"{paths.proc}/self/fdinfo/{descriptor}"), re.MULTILINE)
    if mount is None or opened is None or opened.group(1) != mount.id:
        raise StorageError(f"the disk is not mounted at {place} any more")
    return descriptor


def _enter(parent: int, name: str, stack: contextlib.ExitStack, create: bool) -> int:
    """Open a sub-directory, following no link."""
    if create:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o755, dir_fd=parent)
    return _open(name, stack, parent)


def _open(name: str, stack: contextlib.ExitStack, parent: int | None = None) -> int:
    descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    stack.callback(os.close, descriptor)
    return descriptor
