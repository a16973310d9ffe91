# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what is there and what is wanted to the steps between them. Pure: nothing here reads or writes."""

from __future__ import annotations

import posixpath
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ansible_collections.homelab.data_platform.plugins.module_utils.storage import fstab
from ansible_collections.homelab.data_platform.plugins.module_utils.storage.current import Current, Directory, DiskState, Files
from ansible_collections.homelab.data_platform.plugins.module_utils.storage.devices import GROW_FROM, KUBELET_MOUNT, Device
from ansible_collections.homelab.data_platform.plugins.module_utils.storage.disks import DEFAULT_MODE, Disk, Volume
from ansible_collections.homelab.data_platform.plugins.module_utils.storage.release import release
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
from ansible_collections.homelab.data_platform.plugins.module_utils.storage.system import StorageError, binary_size

# What kubelet's fsGroup adds to the top directory of a volume: rwx for user and group, and setgid; the group becomes the fsGroup.
FS_GROUP_BITS = 0o2770
# Options that the kernel shows on a mount, so that their absence there means that the mount is older than the line.
VISIBLE_OPTIONS = {"noatime", "nodiratime", "nosuid", "nodev", "noexec", "sync", "dirsync", "discard"}

ORDER_HEADER = "# kubelet starts once the data disks are mounted, or have failed to be. Made by homelab.data_platform.\n[Unit]\n"


@dataclass(frozen=True)
class Plan:
    """The steps in their order, and what a reader should know although nothing is done about it."""

    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()

    @property
    def next(self) -> tuple[Step, ...]:
        """The steps up to the next look at the host: what lay under a mount shows only when it is gone."""
        return tuple(step for step in self.steps if isinstance(step, Unmount)) or self.steps


def plan(current: Current, disks: Sequence[Disk], new_uuids: Mapping[str, str], files: Files) -> Plan:
    """Plan for all disks of a host, or refuse with every problem of every disk, so that nothing is half begun.

    ``new_uuids`` holds, by disk, the UUID that a filesystem gets if the plan makes one.
    """
    before = current
    present = [disk for disk in disks if not disk.absent]
    released, current, problems = release(current, [disk for disk in disks if disk.absent], {disk.mount for disk in present})
    prepare: list[Step] = list(released)
    finish: list[Step] = []
    notes: list[str] = []
    text = current.fstab
    for disk in present:
        part = _Part(disk, current.disks[disk.name], current, new_uuids[disk.name])
        try:
            part.check()
            prepare += part.prepare()
            text = part.fstab(text)
            finish += part.finish()
            notes += part.notes
        except StorageError as error:
            problems.append(f"Disk {disk.name}: {error}")
    if problems:
        raise StorageError("\n".join(problems))
    writes: list[Step] = []
    if text != before.fstab:
        writes.append(WriteFile("", files.fstab, before.fstab, text))
    order = ordered_after(current.order, text, present)
    if current.systemd and files.kubelet_unit and order != current.order:
        writes.append(WriteFile("", files.order, current.order, order))
    if current.systemd and (writes or current.reload_due):
        writes.append(DaemonReload())
    return Plan(tuple(prepare + writes + finish), tuple(notes))


def mount_unit(place: str) -> str:
    """The name of systemd's unit for a mount point, as ``systemd-escape --path --suffix=mount`` gives it."""
    name = place.strip("/").replace("/", "\0")
    escaped = re.sub(r"[^A-Za-z0-9:_.\0]", lambda match: "".join(f"\\x{byte:02x}" for byte in match.group().encode()), name)
    escaped = re.sub(r"^\.", r"\\x2e", escaped)
    return escaped.replace("\0", "-") + ".mount"


def ordered_after(before: str, text: str, disks: Sequence[Disk]) -> str:
    """The drop-in that orders kubelet after the mounts. A mount that fstab still has stays in it, declared or not."""
    known = {mount_unit(entry.place) for entry in fstab.entries(text)}
    kept = {line[len("After=") :].strip() for line in before.splitlines() if line.startswith("After=")} & known
    units = sorted(kept | {mount_unit(disk.mount) for disk in disks})
    return ORDER_HEADER + "".join(f"After={unit}\n" for unit in units) if units or before else ""


class _Part:
    """The plan of one disk."""

    def __init__(self, disk: Disk, state: DiskState, current: Current, new_uuid: str) -> None:
        self.disk = disk
        self.device = state.device
        self.place = state.place
        self.state = state
        self.current = current
        self.notes: list[str] = []
        found = self.device.filesystem if self.device else None
        right = found and (disk.adopted or found.type == disk.fstype)
        self.filesystem = found if right else None
        # A disk that is not there yet, but that fstab mounts, has its filesystem: it was detached.
        self.detached = self.device is None and (disk.adopted or bool(self._lines(current.fstab)))
        self.format = not self.filesystem and not self.detached
        self.uuid = disk.uuid or (self.filesystem.uuid if self.filesystem else new_uuid)
        self.mounted = bool(self.device and self.place.mount and self.device.carries(self.place.mount))

    @property
    def fstype(self) -> str:
        return self.filesystem.type if self.filesystem else self.disk.fstype or "auto"

    def _lines(self, text: str) -> list[fstab.Entry]:
        return [entry for entry in fstab.entries(text) if entry.place == self.disk.mount]

    # What must not go on ------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Refuse what would endanger data or hide it."""
        self._check_place()
        if self.device:
            self._check_contents(self.device)
            self._check_room(self.device)
            self._check_mount(self.device)
        self._check_fstab()

    def _check_place(self) -> None:
        mount, place = self.disk.mount, self.place
        if place.kind == "link":
            raise StorageError(f"the mount point {mount} is a symbolic link; declare the directory that it points to")
        if place.kind == "other":
            raise StorageError(f"the mount point {mount} exists and is not a directory; move it away or declare another mount")
        if place.mount and not self.mounted:
            there = f"{place.mount.source} ({place.mount.fstype})"
            wanted = f"{self.device.path} ({self.disk.name})" if self.device else f"the disk {self.disk.name}"
            raise StorageError(
                f"{there} is mounted at {mount} where {wanted} belongs. "
                f"Stop what uses it and 'umount {mount}', or declare the disk that is mounted there."
            )
        if not place.mount and place.entries:
            listed = ", ".join(place.entries[:5]) + (", ..." if len(place.entries) > 5 else "")
            raise StorageError(
                f"nothing is mounted at {mount}, but there are files in the bare directory: {listed}. Mounting would hide them. "
                "They were written while the disk was missing, or belong elsewhere: move them away, then run again."
            )

    def _check_contents(self, device: Device) -> None:
        disk = self.disk
        if self.filesystem:
            if disk.fstype and self.filesystem.type != disk.fstype:
                raise StorageError(
                    f"{device.path} holds {self.filesystem.type} (UUID {self.uuid}), declared is {disk.fstype}. "
                    f"An adopted disk is never formatted: declare fstype: {self.filesystem.type}."
                )
            return
        what = ", ".join(device.contents)
        if disk.adopted:
            raise StorageError(f"{device.path} has the UUID {disk.uuid}, but is not one filesystem that can be mounted: {what}")
        if device.in_use:
            raise StorageError(
                f"{device.path} is to become {disk.fstype}, but is in use: {', '.join(device.in_use)}. "
                "It is not formatted, not even with filesystem_wipe. Free it first, or declare the disk that is meant."
            )
        if not device.blank and not disk.wipe:
            raise StorageError(
                f"{device.path} is not blank and is not formatted. Found: {what}. Wanted: {disk.fstype} or a blank disk. "
                f"To keep what is there, declare it (fstype, or uuid to adopt a filesystem). "
                f"To destroy it, name this disk once: filesystem_wipe: [{disk.name}]"
            )

    def _check_room(self, device: Device) -> None:
        """Volumes are directories: nothing keeps them from filling the disk, so at least their sum has to fit."""
        total = sum(volume.size or 0 for volume in self.disk.volumes)
        # A filesystem that is still to be made or grown fills its device.
        made = self.filesystem.size if self.filesystem and not self.disk.grow else device.size
        if made is not None and total > made:
            raise StorageError(
                f"its volumes want {binary_size(total)} together, the filesystem on {device.path} holds {binary_size(made)}. "
                "Let the disk grow (size), or declare smaller volumes."
            )

    def _check_mount(self, device: Device) -> None:
        if not self.mounted:
            elsewhere = [mount.place for mount in device.mounts if not KUBELET_MOUNT.search(mount.place)]
            if elsewhere:
                raise StorageError(
                    f"{device.path} (UUID {self.uuid}) is mounted at {', '.join(elsewhere)}, declared is {self.disk.mount}. "
                    f"Declare mount: {elsewhere[0]}, or stop what uses it, unmount it and remove its line from fstab."
                )
            return
        options = self.place.mount.options if self.place.mount else ()
        lines = self._lines(self.current.fstab)
        meant = self.disk.options or (lines[0].options if lines else ())
        if "ro" in options and "ro" not in meant:
            raise StorageError(
                f"{device.path} is mounted read-only at {self.disk.mount}. The kernel does that after an error on the disk: "
                f"see 'dmesg', check the filesystem (unmounted), then 'mount -o remount,rw {self.disk.mount}'."
            )

    def _check_fstab(self) -> None:
        lines = self._lines(self.current.fstab)
        if len(lines) > 1:
            numbers = " and ".join(str((line.line or 0) + 1) for line in lines)
            raise StorageError(f"fstab has more than one line for {self.disk.mount} (lines {numbers}). Keep the one that is right.")
        if not lines or not self.device or self._matches(lines[0], self.device) or self.disk.wipe:
            return
        found = "is blank" if self.format else f"has the UUID {self.uuid}"
        raise StorageError(
            f"fstab mounts {lines[0].spec} at {self.disk.mount}, but {self.device.path} {found}: it is another disk than before. "
            "If the earlier one still exists, attach it again. If this one takes its place, "
            + (f"name it once: filesystem_wipe: [{self.disk.name}]" if self.format else "remove that line from fstab.")
        )

    def _matches(self, line: fstab.Entry, device: Device) -> bool:
        """Whether a line of fstab means this device."""
        if line.uuid:
            return not self.format and line.uuid == self.uuid.lower()
        if self.mounted or (line.label and self.filesystem and line.label == self.filesystem.label):
            return True
        return self.current.paths.get(line.spec) == device.number

    # The steps ----------------------------------------------------------------------------------------------------------

    def prepare(self) -> list[Step]:
        """Make the filesystem and the mount point."""
        disk = self.disk
        steps: list[Step] = []
        device = self.device.path if self.device else f"the disk with the serial {disk.name}"
        if self.format:
            if self.device and not self.device.blank:
                steps.append(Wipe(disk.name, device, self.device.contents))
            steps.append(Format(disk.name, device, str(disk.fstype), disk.label or "", self.uuid))
        if self.place.kind == "absent":
            steps.append(MakeMountPoint(disk.name, disk.mount))
        if disk.immutable and not self.place.mount:
            if self.place.immutable is None:
                self.notes.append(
                    f"Disk {disk.name}: the filesystem below {disk.mount} does not know the immutable flag; "
                    "the bare mount point stays writable."
                )
            elif not self.place.immutable:
                steps.append(MakeImmutable(disk.name, disk.mount))
        return steps

    def fstab(self, text: str) -> str:
        """The text of fstab with this disk in it: the line of its place, else the line of its UUID, else a new one."""
        found = fstab.entries(text)
        lines = [entry for entry in found if entry.place == self.disk.mount]
        lines += [entry for entry in found if entry.uuid == self.uuid.lower()]
        if not lines:
            # Without nofail a missing disk would stop the whole node at boot; that much we add to any line that we write.
            options = self.disk.options or ("defaults", "nofail")
            new = fstab.Entry(f"UUID={self.uuid}", self.disk.mount, self.fstype, options, "0", "2" if self.fstype == "ext4" else "0")
            return fstab.put(text, new)
        line = lines[0]
        keep = self.detached or (self.disk.adopted and self.device and self._matches(line, self.device))
        same_uuid = line.uuid == self.uuid.lower()
        wanted = replace(
            line,
            spec=line.spec if keep or same_uuid else f"UUID={self.uuid}",
            place=self.disk.mount,
            fstype=line.fstype if keep else self.fstype,
            options=self.disk.options or line.options,
        )
        return text if wanted.same_mount(line) else fstab.put(text, wanted)

    def finish(self) -> list[Step]:
        """Mount, grow, and make the directories, which exist on the disk only."""
        disk = self.disk
        steps: list[Step] = []
        if not self.mounted:
            steps.append(MountDisk(disk.name, disk.mount, self.uuid))
        elif disk.options and self.place.mount and VISIBLE_OPTIONS & set(disk.options) - set(self.place.mount.options):
            steps.append(Remount(disk.name, disk.mount, disk.options))
        if self.device and self.filesystem and disk.grow:
            size, room = self.filesystem.size, self.device.size
            if size is not None and room - size >= GROW_FROM:
                steps.append(Grow(disk.name, self.device.path, disk.mount, self.filesystem.type, size, room))
        for volume in disk.volumes:
            steps += self._directory(volume)
        if self.mounted and not self.state.free and any(isinstance(step, MakeDirectory) for step in steps):
            raise StorageError(
                f"the filesystem at {disk.mount} is full, a directory cannot be made. Delete something or let the disk grow (size)."
            )
        return steps

    def _directory(self, volume: Volume) -> list[Step]:
        place = self.disk.mount
        found = self.state.directories.get(volume.path)
        owner, group = volume.owner or 0, volume.group or 0
        mode = DEFAULT_MODE if volume.mode is None else volume.mode
        if isinstance(found, str):
            raise StorageError(f"{place}/{volume.path} {found}; wanted a directory. Move it away, then run again.")
        if found is None:
            # What lies on a filesystem that is not mounted yet shows once it is: then there is another plan.
            if not self.mounted and not self.format:
                return []
            return [MakeDirectory(self.disk.name, place, volume.path, owner, group, mode)]
        target = SetDirectory(
            self.disk.name,
            place,
            volume.path,
            found.owner if volume.owner is None else volume.owner,
            found.group if volume.group is None or _by_fs_group(found) else volume.group,
            found.mode if volume.mode is None or _only_fs_group_bits(found.mode, volume.mode) else volume.mode,
        )
        if (target.owner, target.group, target.mode) == (found.owner, found.group, found.mode):
            return []
        if found.empty:
            return [target]
        if target.owner != found.owner:
            raise StorageError(
                f"{posixpath.normpath(f'{place}/{volume.path}')} belongs to uid {found.owner}, declared is {volume.owner}, "
                "and it holds files, whose owner is not ours to change. "
                f"Declare owner: {found.owner}, or hand the files over yourself (chown -R)."
            )
        # Group and mode are set at creation; what an application made of them later is its own.
        return []


def _by_fs_group(found: Directory) -> bool:
    return bool(found.mode & stat.S_ISGID)


def _only_fs_group_bits(found: int, wanted: int) -> bool:
    return found & ~FS_GROUP_BITS == wanted & ~FS_GROUP_BITS and found & wanted == wanted
