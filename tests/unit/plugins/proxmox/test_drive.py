# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes, drive values and options."""

from __future__ import annotations

import pytest
from ansible_collections.homelab.data_platform.plugins.module_utils.proxmox import drive
from hypothesis import given
from hypothesis import strategies as st

from lab.proxmox.drives import parse_drive as parse_as_proxmox
from lab.proxmox.parameters import DRIVES, SLOTS

MIB = 1024**2


@pytest.mark.parametrize(
    ("text", "mib"),
    [("50G", 51200), ("50Gi", 51200), ("50GiB", 51200), ("50GB", 51200), ("51200M", 51200), ("1.5g", 1536), ("1T", 1048576), ("2048K", 2)],
)
def test_quantities_are_binary(text: str, mib: int) -> None:
    assert drive.parse_quantity(text) == mib * MIB


@pytest.mark.parametrize("text", ["50", "", "G", "-1G", "+5G", "0G", "1K", "1.3M", "50 gallons", "50G 10G"])
def test_what_is_no_quantity_is_refused_with_the_way_to_write_it(text: str) -> None:
    with pytest.raises(drive.DeclarationError, match=r"such as 50G|whole number of MiB"):
        drive.parse_quantity(text)


@given(st.integers(min_value=1, max_value=2**50))
def test_a_size_survives_writing_and_reading(size: int) -> None:
    assert drive.parse_size(drive.format_size(size)) == size


@given(st.integers(min_value=1, max_value=2**33))
def test_the_allocation_asks_for_exactly_the_size_wanted(mib: int) -> None:
    """Proxmox takes GiB; whole MiB must come through the fraction unharmed."""
    value = drive.allocation(drive.Drive("scsi1", "", mib * MIB, {"serial": "x"}, planned_on="local-lvm"), None)
    assert parse_as_proxmox("scsi1", value).allocation == ("local-lvm", mib * MIB)


def test_a_value_is_written_as_proxmox_writes_it() -> None:
    text = "local-lvm:vm-301-disk-1,backup=0,mbps_rd=10.5,serial=airflow-data,size=50G"
    parsed = drive.parse_drive("scsi1", text)
    assert str(parsed) == text == str(parse_as_proxmox("scsi1", text))
    assert (parsed.storage, parsed.size, parsed.serial) == ("local-lvm", 51200 * MIB, "airflow-data")


def test_an_encoded_serial_is_read_as_the_guest_sees_it() -> None:
    assert drive.parse_drive("scsi1", "a:b,serial=two%20words").serial == "two words"


@pytest.mark.parametrize("serial", ["", "a" * 21, "two words", "a,b", "däta"])
def test_a_serial_that_no_guest_shows_whole_is_refused(serial: str) -> None:
    with pytest.raises(drive.DeclarationError, match="at most 20 characters"):
        drive.check_serial(serial)


@pytest.mark.parametrize(
    ("slot", "bus"),
    [
        ("scsi0", "scsi"),
        ("scsi30", "scsi"),
        ("scsi31", ""),
        ("virtio15", "virtio"),
        ("sata6", ""),
        ("ide3", "ide"),
        ("scsihw", ""),
        ("net0", ""),
    ],
)
def test_which_keys_are_slots_of_disks(slot: str, bus: str) -> None:
    assert drive.bus_of(slot) == bus


@pytest.mark.parametrize("name", drive.OPTIONS)
def test_each_option_is_offered_on_exactly_the_buses_that_have_it(name: str) -> None:
    assert set(drive.OPTIONS[name].buses) == {bus for bus, table in DRIVES.items() if name in table.model_fields}


def test_the_buses_have_as_many_slots_as_proxmox_gives_them() -> None:
    assert drive.BUSES == SLOTS


@pytest.mark.parametrize(
    ("name", "given", "text"), [("ssd", True, "1"), ("ssd", "on", "1"), ("ssd", "0", "0"), ("mbps_rd", "10.0", "10"), ("queues", 4, "4")]
)
def test_values_compare_in_one_spelling(name: str, given: object, text: str) -> None:
    assert drive.OPTIONS[name].text(given) == text
