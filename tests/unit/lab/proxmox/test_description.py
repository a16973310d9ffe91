# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in's tables against Proxmox's own description of its API."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lab.proxmox.app import Api, Call
from lab.proxmox.faults import Faults
from lab.proxmox.guest import NoGuest
from lab.proxmox.machines import Machines
from lab.proxmox.parameters import DRIVES, ConfigUpdate, Table
from lab.proxmox.state import Store
from lab.proxmox.storage import Storages
from lab.proxmox.tasks import Tasks
from lab.settings import CHECKOUT

DESCRIPTION = CHECKOUT.parent / "shared/reference/data/pve-api.json"
CONSTRAINTS = ("minimum", "maximum", "maxLength", "enum", "pattern")


@pytest.fixture(scope="module")
def description() -> dict[str, Any]:
    if not DESCRIPTION.exists():
        pytest.skip(f"Proxmox's API description is not at {DESCRIPTION}")
    described: dict[str, Any] = json.loads(DESCRIPTION.read_text())
    return described


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> list[Call]:
    store = Store(tmp_path_factory.mktemp("state"))
    tasks = Tasks(store, Faults())
    return Api(store, Machines(store, Storages(store), tasks, NoGuest()), Storages(store), tasks).calls


def ours(table: type[Table]) -> dict[str, dict[str, Any]]:
    """A table's parameters in the terms of Proxmox's description."""
    schema = table.model_json_schema()
    required = schema.get("required", [])
    found = {}
    for name, entry in schema["properties"].items():
        kind = next((choice for choice in entry.get("anyOf", ()) if choice.get("type") != "null"), entry)
        found[name] = {key: value for key, value in kind.items() if key in ("type", *CONSTRAINTS)}
        if "const" in kind:
            found[name] |= {"type": "string", "enum": [kind["const"]]}
        if "enum" in found[name]:
            found[name]["enum"] = sorted(found[name]["enum"])
        found[name]["optional"] = name not in required
    return found


def theirs(properties: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Proxmox's parameters in the same terms; aliases of a parameter are no parameters of their own."""
    found = {}
    for name, entry in properties.items():
        if "alias" in entry:
            continue
        constraints = {key: entry[key] for key in CONSTRAINTS if key in entry}
        if "enum" in constraints:
            constraints["enum"] = sorted(constraints["enum"])
        if "pattern" in constraints:
            # Perl's {,n} and (?^:...) in the spelling of other engines; Proxmox anchors every pattern itself.
            plain = (
                constraints["pattern"]
                .replace("{,", "{0,")
                .removeprefix("(?^:")
                .removesuffix(")" if entry["pattern"].startswith("(?^:") else "")
            )
            constraints["pattern"] = f"^{plain.removeprefix('^')}$"
        found[name] = {"type": entry["type"], **constraints, "optional": bool(entry.get("optional"))}
    return found


def test_every_call_that_is_served_exists_at_proxmox(description: dict[str, Any], calls: list[Call]) -> None:
    assert [(call.method, call.path) for call in calls if call.method not in description.get(call.path, {})] == []


def test_the_parameters_of_every_call_are_proxmoxs(description: dict[str, Any], calls: list[Call]) -> None:
    for call in calls:
        if call.table is ConfigUpdate or call.path.endswith(("/start", "/stop")):
            continue
        assert ours(call.table) == theirs(description[call.path][call.method]["parameters"].get("properties", {})), call.path


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_the_machine_options_known_here_are_proxmoxs(description: dict[str, Any], method: str) -> None:
    properties = description["/nodes/{node}/qemu/{vmid}/config"][method]["parameters"]["properties"]
    known = {name: entry for name, entry in theirs(properties).items() if "[n]" not in name}
    for name, entry in ours(ConfigUpdate).items():
        if name.rstrip("0123456789") + "[n]" in properties:
            continue
        assert name in known, name
        assert entry == known[name], name


@pytest.mark.parametrize("bus", DRIVES)
def test_the_options_of_a_drive_are_proxmoxs(description: dict[str, Any], bus: str) -> None:
    properties = description["/nodes/{node}/qemu/{vmid}/config"]["POST"]["parameters"]["properties"]
    assert ours(DRIVES[bus]) == theirs(properties[f"{bus}[n]"]["format"])
    assert (
        f"(n is 0 to {max(int(name.removeprefix(bus)) for name in ours(ConfigUpdate) if name.removeprefix(bus).isdigit())})"
        in (properties[f"{bus}[n]"]["description"])
    )
