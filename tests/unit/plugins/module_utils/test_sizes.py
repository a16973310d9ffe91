# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes of disks and of volumes."""

from __future__ import annotations

import pytest
from ansible_collections.homelab.data_platform.plugins.module_utils.sizes import disk_size, quantity
from hypothesis import given
from hypothesis import strategies as st

GIB = 1024**3


@given(number=st.integers(1, 10**6), unit=st.sampled_from("KMGT"))
def test_sizes_of_disks_are_binary(number: int, unit: str) -> None:
    assert disk_size(f"{number}{unit}") == disk_size(f"{number} {unit}iB") == quantity(f"{number}{unit}i")


@pytest.mark.parametrize(("text", "size"), [("20Gi", 20 * GIB), ("20G", 20 * 10**9), ("1.5Gi", 3 * GIB // 2), ("512", 512), (512, 512)])
def test_quantities(text: object, size: int) -> None:
    assert quantity(text) == size


@pytest.mark.parametrize("text", ["", "Gi", "1 Gi", "-1Gi", "1gi", "0", None, True, 1.5])
def test_what_is_no_quantity(text: object) -> None:
    assert quantity(text) is None


@pytest.mark.parametrize("text", ["", "G", "50", "-1G", "0G", "lots", None, 50])
def test_what_is_no_size_of_a_disk(text: object) -> None:
    assert disk_size(text) is None
