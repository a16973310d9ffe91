# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan: what is there, what is wanted, what has to be done."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.homelab.data_platform.plugins.module_utils.proxmox.drive import DeclarationError
from ansible_collections.homelab.data_platform.plugins.module_utils.proxmox.plan import Plan, Step, Wanted, first_write, plan
from hypothesis import given
from hypothesis import strategies as st

BOOT = {"scsi0": "local-lvm:vm-301-disk-0,size=20G", "scsihw": "virtio-scsi-single"}
DATA = "local-lvm:vm-301-disk-1,discard=on,iothread=1,serial=airflow-data,size=50G"
WANTED = {"serial": "airflow-data", "storage": "local-lvm", "size": "50G"}


def planned(config: dict[str, str], *disks: dict[str, Any], pending: dict[str, str] | None = None, doomed: tuple[str, ...] = ()) -> Plan:
    """A plan; ``pending`` and ``doomed`` are what waits for a restart."""
    waiting = pending or {}
    rows: list[dict[str, Any]] = [{"key": key, "value": value} for key, value in config.items()]
    rows += [{"key": key} for key in waiting if key not in config]
    for row in rows:
        if row["key"] in waiting:
            row["pending"] = waiting[row["key"]]
        if row["key"] in doomed:
            row["delete"] = 1
    return plan(config, rows, [Wanted.parse(disk) for disk in disks])


def steps(found: Plan) -> list[tuple[str, str, str]]:
    return [(step.action, step.slot, step.value) for step in found.steps]


# -- creating ----------------------------------------------------------------------------------------------------------------------


def test_a_missing_disk_gets_the_first_free_slot() -> None:
    found = planned({**BOOT, "scsi2": DATA.replace("airflow-data", "other")}, WANTED)
    assert steps(found) == [("create", "scsi1", "local-lvm:50,serial=airflow-data")]


def test_several_missing_disks_get_slots_of_their_own() -> None:
    found = planned(BOOT, WANTED, {**WANTED, "serial": "two"}, {**WANTED, "serial": "three", "bus": "virtio"})
    assert [slot for _, slot, _ in steps(found)] == ["scsi1", "scsi2", "virtio0"]


def test_a_slot_that_is_taken_at_the_next_restart_is_not_free() -> None:
    assert steps(planned(BOOT, WANTED, pending={"scsi1": "local-lvm:vm-301-disk-7,size=1G"}))[0][1] == "scsi2"


def test_options_and_format_are_part_of_the_creation() -> None:
    found = planned(BOOT, {**WANTED, "format": "qcow2", "ssd": True, "backup": False, "size": "512M"})
    assert steps(found) == [("create", "scsi1", "local-lvm:0.5,backup=0,format=qcow2,serial=airflow-data,ssd=1")]


@pytest.mark.parametrize("key", ["storage", "size"])
def test_creating_takes_a_storage_and_a_size(key: str) -> None:
    with pytest.raises(DeclarationError, match=f"disk airflow-data is not there, and creating it takes its {key}"):
        planned(BOOT, {**WANTED, key: None})


def test_a_full_bus() -> None:
    with pytest.raises(DeclarationError, match=r"no slot is free on the bus ide .*it has 4"):
        planned({f"ide{number}": f"a:vm-1-disk-{number},size=1G" for number in range(4)}, {**WANTED, "bus": "ide"})


def test_detached_volumes_are_mentioned_when_an_empty_disk_is_created() -> None:
    assert "unused0 (local-lvm:vm-301-disk-9)" in planned({**BOOT, "unused0": "local-lvm:vm-301-disk-9"}, WANTED).warnings[0]


# -- what is there already ---------------------------------------------------------------------------------------------------------


def test_a_disk_as_wanted_needs_nothing() -> None:
    found = planned({**BOOT, "scsi1": DATA}, WANTED)
    assert (found.steps, found.before) == ([], found.after)


def test_the_serial_is_found_on_any_bus() -> None:
    assert planned({"virtio3": DATA}, WANTED).after[0].drive.slot == "virtio3"


def test_a_grown_disk_keeps_its_options() -> None:
    found = planned({"scsi1": DATA}, {**WANTED, "size": "60G"})
    assert steps(found) == [("resize", "scsi1", "60G")]
    assert found.after[0].view == {**found.before[0].view, "size": "60G"}


def test_only_the_named_option_is_changed() -> None:
    assert steps(planned({"scsi1": DATA}, {**WANTED, "cache": "writeback"})) == [
        ("configure", "scsi1", "local-lvm:vm-301-disk-1,cache=writeback,discard=on,iothread=1,serial=airflow-data,size=50G")
    ]


def test_growing_comes_before_configuring_and_the_new_size_goes_along() -> None:
    found = planned({"scsi1": DATA}, {**WANTED, "size": "60G", "ssd": True})
    assert [action for action, _, _ in steps(found)] == ["resize", "configure"]
    assert "size=60G" in found.steps[1].value


@pytest.mark.parametrize(
    "option", [{"backup": True}, {"replicate": True}, {"cache": "none"}, {"ssd": False}, {"discard": "on"}, {"iothread": True}]
)
def test_a_value_which_holds_already_is_no_difference(option: dict[str, object]) -> None:
    assert planned({**BOOT, "scsi1": DATA}, {**WANTED, **option}).steps == []


@pytest.mark.parametrize("size", ["51200M", "52428800K", "50 GiB"])
def test_equal_sizes_in_other_units(size: str) -> None:
    assert planned({"scsi1": DATA}, {**WANTED, "size": size}).steps == []


def test_a_size_that_the_storage_rounded_up_is_no_attempt_to_shrink() -> None:
    assert planned({"scsi1": DATA.replace("50G", "52M")}, {**WANTED, "size": "50M"}).steps == []


@pytest.mark.parametrize("size", ["49G", "51196M"])
def test_shrinking_is_refused_with_both_sizes(size: str) -> None:
    with pytest.raises(DeclarationError, match=rf"airflow-data \(scsi1\) has 50G, wanted is {size}.*declare 50G or more"):
        planned({"scsi1": DATA}, {**WANTED, "size": size})


def test_a_size_that_the_configuration_does_not_tell() -> None:
    with pytest.raises(DeclarationError, match="qm disk rescan"):
        planned({"scsi1": "local-lvm:vm-301-disk-1,serial=airflow-data"}, WANTED)


@pytest.mark.parametrize(("key", "value"), [("storage", "ceph"), ("bus", "virtio")])
def test_a_disk_is_not_moved(key: str, value: str) -> None:
    with pytest.raises(DeclarationError, match=rf"declared is {value}: a disk is not moved"):
        planned({"scsi1": DATA}, {**WANTED, key: value})


def test_two_disks_with_the_same_serial() -> None:
    with pytest.raises(DeclarationError, match="disks scsi1 and virtio0 both carry the serial airflow-data"):
        planned({"scsi1": DATA, "virtio0": DATA}, WANTED)


# -- adopting by slot --------------------------------------------------------------------------------------------------------------


def test_a_disk_without_a_serial_is_adopted_and_left_as_it_is() -> None:
    found = planned(BOOT, {"serial": "airflow-data", "slot": "scsi0", "size": "20G"})
    assert found.steps == []
    assert found.after[0].drive.serial is None


def test_an_adopted_disk_grows_and_takes_the_options_that_are_named() -> None:
    found = planned(BOOT, {"slot": "scsi0", "size": "30G", "discard": "on"})
    assert steps(found) == [("resize", "scsi0", "30G"), ("configure", "scsi0", "local-lvm:vm-301-disk-0,discard=on,size=30G")]


def test_an_empty_slot_is_an_error() -> None:
    with pytest.raises(DeclarationError, match=r"slot scsi5 is empty.*leave it out to have disk airflow-data created"):
        planned(BOOT, {**WANTED, "slot": "scsi5"})


def test_a_slot_that_holds_another_disk_is_an_error() -> None:
    with pytest.raises(DeclarationError, match="holds a disk with the serial other, wanted is airflow-data"):
        planned({"scsi1": DATA.replace("airflow-data", "other")}, {**WANTED, "slot": "scsi1"})


def test_the_slot_of_a_cdrom_is_an_error() -> None:
    with pytest.raises(DeclarationError, match="holds a CD-ROM drive"):
        planned({"ide2": "none,media=cdrom"}, {"slot": "ide2"})


def test_a_disk_that_is_elsewhere_is_not_moved_to_the_declared_slot() -> None:
    with pytest.raises(DeclarationError, match=r"airflow-data is at scsi1, declared is slot scsi4"):
        planned({"scsi1": DATA, "scsi4": "a:b,size=1G"}, {**WANTED, "slot": "scsi4"})


# -- what waits for a restart ------------------------------------------------------------------------------------------------------


def test_a_requested_option_is_not_requested_again() -> None:
    found = planned({"scsi1": DATA}, {**WANTED, "ssd": True}, pending={"scsi1": f"{DATA},ssd=1"})
    assert found.steps == []
    assert found.after[0].pending == {"ssd": "1"}


def test_a_further_change_keeps_what_was_requested_before() -> None:
    found = planned({"scsi1": DATA}, {**WANTED, "cache": "none", "backup": False}, pending={"scsi1": f"{DATA},ssd=1"})
    assert steps(found) == [
        ("configure", "scsi1", "local-lvm:vm-301-disk-1,backup=0,discard=on,iothread=1,serial=airflow-data,size=50G,ssd=1")
    ]


def test_an_option_that_will_go_is_reported_without_a_value() -> None:
    assert planned({"scsi1": DATA}, WANTED, pending={"scsi1": DATA.replace("iothread=1,", "")}).after[0].pending == {"iothread": None}


def test_a_pending_change_does_not_bring_an_older_size_back() -> None:
    found = planned({"scsi1": DATA.replace("50G", "60G")}, {**WANTED, "size": "60G"}, pending={"scsi1": f"{DATA},ssd=1"})
    assert [(action, "size=60G" in value) for action, _, value in steps(found)] == [("configure", True)]


def test_a_disk_that_is_attached_at_the_next_restart_is_there() -> None:
    found = planned(BOOT, WANTED, pending={"sata0": DATA})
    assert (found.steps, found.after[0].drive.slot) == ([], "sata0")


def test_such_a_disk_cannot_grow_before() -> None:
    with pytest.raises(DeclarationError, match=r"airflow-data \(sata0\) is attached at the next restart only"):
        planned(BOOT, {**WANTED, "size": "60G"}, pending={"sata0": DATA})


def test_a_disk_that_is_about_to_be_detached_is_not_relied_on() -> None:
    with pytest.raises(DeclarationError, match="waits to be detached"):
        planned({"scsi1": DATA}, WANTED, doomed=("scsi1",))


# -- what one call can do ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("actions", "together"),
    [
        (["create", "resize", "create"], [0, 2]),
        (["resize", "configure", "resize", "configure"], [0]),
        (["configure", "configure", "attach"], [2]),
        (["configure", "configure"], [0, 1]),
        (["create", "destroy", "create"], [0]),
        (["destroy", "detach", "detach", "create", "detach"], [1, 2]),
    ],
)
def test_what_goes_together(actions: list[str], together: list[int]) -> None:
    """Of a kind, in an order that sizes and slots allow, and never past a removal."""
    todo = [Step(action, f"disk-{number}", f"scsi{number}", "", "") for number, action in enumerate(actions)]
    assert first_write(todo) == [todo[number] for number in together]


# -- declarations ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"storage": "local-lvm", "size": "1G"}, "needs a serial"),
        ({"slot": "scsi31"}, r"slot 'scsi31' does not exist: .*scsi0-30"),
        ({"slot": "scsi1", "bus": "virtio"}, "slot scsi1 is not on the bus virtio"),
        ({**WANTED, "size": "50"}, "such as 50G"),
        ({**WANTED, "serial": "a-name-of-more-than-twenty"}, "at most 20 characters"),
    ],
)
def test_declarations_that_cannot_be_met(declared: dict[str, Any], message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        Wanted.parse(declared)


@pytest.mark.parametrize("key", ["serial", "slot"])
def test_each_disk_needs_a_serial_and_a_slot_of_its_own(key: str) -> None:
    two = [{"serial": "a", "slot": "scsi0"}, {"serial": "b", "slot": "scsi1"}]
    two[1][key] = two[0][key]
    with pytest.raises(DeclarationError, match=f"{key} {two[0][key]} is declared 2 times"):
        planned(BOOT, *two)


def test_an_option_that_the_bus_does_not_have() -> None:
    with pytest.raises(DeclarationError, match="on the bus virtio, which has no option ssd"):
        planned(BOOT, {**WANTED, "bus": "virtio", "ssd": True})


@pytest.mark.parametrize(("controller", "warned"), [("virtio-scsi-single", False), ("virtio-scsi-pci", True)])
def test_an_iothread_without_the_controller_for_it_is_warned_of(controller: str, warned: bool) -> None:
    assert bool(planned({"scsihw": controller}, {**WANTED, "iothread": True}).warnings) is warned


# -- in general --------------------------------------------------------------------------------------------------------------------

OPTION = st.fixed_dictionaries(
    {},
    optional={
        "backup": st.booleans(),
        "cache": st.sampled_from(["none", "writeback", "unsafe"]),
        "discard": st.sampled_from(["on", "ignore"]),
        "iothread": st.booleans(),
        "mbps_rd": st.floats(min_value=1, max_value=1000, width=16),
        "size": st.integers(min_value=50, max_value=200).map("{}G".format),
    },
)


@given(OPTION, st.booleans())
def test_what_a_plan_leads_to_needs_no_further_plan(options: dict[str, Any], there: bool) -> None:
    wanted = {**WANTED, **options}
    first = planned({**BOOT, "scsi1": DATA} if there else BOOT, wanted)
    [disk] = first.after
    written = str(disk.drive if there else type(disk.drive)("scsi1", "local-lvm:vm-301-disk-1", disk.drive.size, disk.drive.options))
    assert planned({**BOOT, "scsi1": written}, wanted).steps == []
