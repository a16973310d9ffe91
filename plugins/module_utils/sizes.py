# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes as Proxmox writes those of disks and as Kubernetes writes those of volumes, in bytes."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Optional

_BINARY = {unit: 1024**power for power, unit in enumerate("KMGTP", 1)}
_QUANTITY = {"": 1, "k": 1000, **{unit: 1000**power for power, unit in enumerate("MGTP", 2)}}
_QUANTITY |= {f"{unit}i": size for unit, size in _BINARY.items()}


def disk_size(value: Any) -> Optional[int]:
    """Return the bytes of a size as Proxmox writes it (``50G`` is 50 GiB, also ``50GiB``), or None."""
    if not isinstance(value, str):
        return None
    match = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*([KMGT])(?:i?B?)?", value.strip(), re.IGNORECASE)
    return int(Decimal(match[1]) * _BINARY[match[2].upper()]) or None if match else None


def quantity(value: Any) -> Optional[int]:
    """Return the bytes of a quantity as Kubernetes writes it (``20Gi``, ``20G``, ``1000``), or None."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    match = re.fullmatch(r"([0-9]{1,18}(?:\.[0-9]{1,6})?)(k|[MGTP]|[KMGTP]i)?", str(value))
    return int(Decimal(match[1]) * _QUANTITY[match[2] or ""]) or None if match else None


def gib(size: int) -> str:
    """Say bytes as people do: ``20 GiB``."""
    return f"{size / 1024**3:.4g} GiB"
