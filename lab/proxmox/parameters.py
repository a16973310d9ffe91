# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parameter tables of the paths served, checked against Proxmox's own description by the tests."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
)
from pydantic_core import ErrorDetails

from lab.proxmox.errors import invalid

SLOTS = {"ide": 4, "sata": 6, "scsi": 31, "virtio": 16}
UNUSED_SLOTS = 256
DRIVE_SLOTS = tuple(f"{bus}{number}" for bus, count in SLOTS.items() for number in range(count))

TRUE_WORDS = frozenset({"1", "on", "yes", "true"})
FALSE_WORDS = frozenset({"0", "off", "no", "false"})


def _boolean(value: object) -> object:
    """Read a boolean the way Proxmox does; anything else is left for the type check to refuse."""
    word = str(value).lower()
    if word in TRUE_WORDS:
        return True
    return False if word in FALSE_WORDS else value


Boolean = Annotated[bool, BeforeValidator(_boolean)]
Vmid = Annotated[int, Field(ge=100, le=999999999)]
Digest = Annotated[str, Field(max_length=40)]


class Table(BaseModel):
    """Parameters of one call; unknown ones are refused."""

    model_config = ConfigDict(extra="forbid")


TableT = TypeVar("TableT", bound=Table)


class NoParameters(Table):
    """A call that takes nothing beyond its path."""


class ClusterResources(Table):
    """``GET /cluster/resources``."""

    type: Literal["vm", "storage", "node", "sdn"] | None = None


class NodePath(Table):
    """A call below a node."""

    node: str


class VmPath(NodePath):
    """A call below a machine."""

    vmid: Vmid


class VmList(NodePath):
    """``GET /nodes/{node}/qemu``."""

    full: Boolean | None = None


class ConfigGet(VmPath):
    """``GET .../config``."""

    current: Boolean = False
    snapshot: Annotated[str, Field(max_length=40)] | None = None


class Resize(VmPath):
    """``PUT .../resize``."""

    disk: Literal[(*DRIVE_SLOTS, "efidisk0", "tpmstate0")]  # type: ignore[valid-type]
    size: Annotated[str, Field(pattern=r"^\+?\d+(\.\d+)?[KMGT]?$")]
    digest: Digest | None = None
    skiplock: Boolean | None = None


class Unlink(VmPath):
    """``PUT .../unlink``."""

    idlist: str
    force: Boolean | None = None


class StorageList(NodePath):
    """``GET /nodes/{node}/storage``."""

    content: str | None = None
    enabled: Boolean = False
    format: Boolean = False
    storage: str | None = None
    target: str | None = None


class StoragePath(NodePath):
    """A call below a storage."""

    storage: str


class StorageContent(StoragePath):
    """``GET .../content``."""

    content: str | None = None
    vmid: Vmid | None = None


class TaskPath(NodePath):
    """A call below a task."""

    upid: str


class TaskLog(TaskPath):
    """``GET .../log``."""

    start: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=0)] = 50
    download: Boolean | None = None


def _optional(*fields: str, kind: Any) -> dict[str, Any]:
    return {field.replace("-", "_"): (kind | None, Field(default=None, alias=field)) for field in fields}


_LIMITS = [f"{what}{way}" for what in ("bps", "iops") for way in ("", "_rd", "_wr")]
_BURSTS = [f"iops{way}_max" for way in ("", "_rd", "_wr")]
_BURST_LENGTHS = [f"{limit}_max_length" for limit in _LIMITS]
_RATES = [f"mbps{way}{burst}" for way in ("", "_rd", "_wr") for burst in ("", "_max")]
_SECONDS = Annotated[int, Field(ge=1)]

_COMMON: dict[str, Any] = {
    "file": (str, ...),
    **_optional("aio", kind=Literal["native", "threads", "io_uring"]),
    **_optional("backup", "detect_zeroes", "replicate", "shared", "snapshot", kind=Boolean),
    **_optional("cache", kind=Literal["none", "writethrough", "writeback", "unsafe", "directsync"]),
    **_optional("discard", kind=Literal["ignore", "on"]),
    **_optional("format", kind=Literal["raw", "qcow", "qed", "qcow2", "vmdk", "cloop"]),
    **_optional("import-from", "size", kind=str),
    **_optional("media", kind=Literal["cdrom", "disk"]),
    **_optional("rerror", kind=Literal["ignore", "report", "stop"]),
    **_optional("werror", kind=Literal["enospc", "ignore", "report", "stop"]),
    **_optional("serial", kind=Annotated[str, Field(max_length=60)]),
    **_optional(*_LIMITS, *_BURSTS, kind=int),
    **_optional(*_BURST_LENGTHS, kind=_SECONDS),
    **_optional(*_RATES, kind=float),
}
_WWN = _optional("wwn", kind=Annotated[str, Field(pattern=r"^(0x)[0-9a-fA-F]{16}$")])
_SSD = _optional("ssd", kind=Boolean)
_SCSI_ONLY = {
    **_optional("iothread", "ro", "scsiblock", kind=Boolean),
    **_optional("queues", kind=Annotated[int, Field(ge=2)]),
    **_optional("product", kind=Annotated[str, Field(pattern=r"^[A-Za-z0-9\-_\s]{0,16}$")]),
    **_optional("vendor", kind=Annotated[str, Field(pattern=r"^[A-Za-z0-9\-_\s]{0,8}$")]),
}

# One table a bus: which options a drive takes differs between them.
DRIVES: dict[str, type[Table]] = {
    "ide": create_model(
        "IdeDrive", __base__=Table, **_COMMON, **_WWN, **_SSD, **_optional("model", kind=Annotated[str, Field(max_length=120)])
    ),
    "sata": create_model("SataDrive", __base__=Table, **_COMMON, **_WWN, **_SSD),
    "scsi": create_model("ScsiDrive", __base__=Table, **_COMMON, **_WWN, **_SSD, **_SCSI_ONLY),
    "virtio": create_model("VirtioDrive", __base__=Table, **_COMMON, **_optional("iothread", "ro", kind=Boolean)),
}

# The machine's options that the stand-in knows besides its drives, with the privilege that changing them takes.
OPTION_PRIVILEGES = {
    "boot": "VM.Config.Options",
    "cores": "VM.Config.CPU",
    "description": "VM.Config.Options",
    "hotplug": "VM.Config.Options",
    "lock": "VM.Config.Options",
    "machine": "VM.Config.HWType",
    "memory": "VM.Config.Memory",
    "name": "VM.Config.Options",
    "net0": "VM.Config.Network",
    "onboot": "VM.Config.Options",
    "ostype": "VM.Config.Options",
    "protection": "VM.Config.Options",
    "scsihw": "VM.Config.HWType",
    "sockets": "VM.Config.CPU",
    "tags": "VM.Config.Options",
}
LOCKS = ("backup", "clone", "create", "migrate", "rollback", "snapshot", "snapshot-delete", "suspending", "suspended")
OS_TYPES = ("other", "wxp", "w2k", "w2k3", "w2k8", "wvista", "win7", "win8", "win10", "win11", "l24", "l26", "solaris")
_OPTIONS = {
    **_optional(*OPTION_PRIVILEGES, kind=str),
    **_optional("onboot", "protection", kind=Boolean),
    **_optional("cores", "sockets", kind=_SECONDS),
    **_optional("lock", kind=Literal[(*LOCKS,)]),
    **_optional("ostype", kind=Literal[(*OS_TYPES,)]),
    **_optional("description", kind=Annotated[str, Field(max_length=8192)]),
    **_optional("scsihw", kind=Literal["lsi", "lsi53c810", "virtio-scsi-pci", "virtio-scsi-single", "megasas", "pvscsi"]),
}

ConfigUpdate = create_model(
    "ConfigUpdate",
    __base__=VmPath,
    **_OPTIONS,
    **_optional(*DRIVE_SLOTS, *(f"unused{number}" for number in range(UNUSED_SLOTS)), kind=str),
    **_optional("delete", "revert", kind=str),
    **_optional("force", "skiplock", kind=Boolean),
    **_optional("digest", kind=Digest),
)


def _wording(error: ErrorDetails) -> str:
    """Proxmox's words for what pydantic found."""
    context, kind, value = error.get("ctx", {}), error["type"], error["input"]
    wordings = {
        "missing": "property is missing and it is not optional",
        "extra_forbidden": "property is not defined in schema and the schema does not allow additional properties",
        "literal_error": f"value '{value}' does not have a value in the enumeration '{_enumeration(context)}'",
        "string_pattern_mismatch": "value does not match the regex pattern",
        "string_too_long": f"value may only be {context.get('max_length')} characters long",
        "greater_than_equal": f"value must have a minimum value of {context.get('ge')}",
        "less_than_equal": f"value must have a maximum value of {context.get('le')}",
        "int_parsing": f"type check ('integer') failed - got '{value}'",
        "float_parsing": f"type check ('number') failed - got '{value}'",
        "bool_parsing": f"type check ('boolean') failed - got '{value}'",
    }
    return wordings.get(kind, error["msg"])


def _enumeration(context: dict[str, Any]) -> str:
    return ", ".join(re.findall(r"'([^']*)'", str(context.get("expected", ""))))


def problems(error: ValidationError) -> dict[str, str]:
    """The ``errors`` map for what did not pass."""
    return {str(detail["loc"][0]): _wording(detail) for detail in error.errors()}


def verify(table: type[TableT], values: dict[str, str]) -> TableT:
    """Read the parameters of a call, or answer 400 with the ``errors`` map."""
    try:
        return table.model_validate(values)
    except ValidationError as error:
        raise invalid(problems(error)) from None
