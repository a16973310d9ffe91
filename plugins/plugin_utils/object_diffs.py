# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task of kubernetes.core.k8s changes, object by object.

That module shows a diff of one object that was there before, and nothing of objects that it makes, that it deletes or of which it is
given several.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

Object = dict[str, Any]

HIDDEN = "********"


def diffs(arguments: Mapping[str, Any], returned: Mapping[str, Any], uncreatable: Mapping[int, str]) -> list[Object]:
    """One entry for each object that is changed. What could not even be tried out (by its place in the result) is going to be made."""
    results = entries(returned)
    if arguments.get("state") == "absent":
        return [_deleted(arguments)] if returned.get("changed") else []
    declared = declarations(arguments)
    shown = []
    for place, result in enumerate(results):
        wanted = declared[place] if len(declared) == len(results) else result.get("result") or {}
        if place in uncreatable or result.get("method") == "create":
            shown.append(_entry(wanted, {}, wanted))
        elif result.get("changed"):
            diff = result.get("diff") or {}
            shown.append(_entry(wanted, diff.get("before") or {}, diff.get("after") or wanted))
    return shown


def entries(returned: Mapping[str, Any]) -> list[Object]:
    """The result of each object: the module wraps them only where there are several."""
    return (returned.get("result") or {}).get("results") or [dict(returned)]


def declarations(arguments: Mapping[str, Any]) -> list[Object]:
    """The objects that a task declares, in its order."""
    given: Any = next((arguments[name] for name in ("definition", "resource_definition", "inline") if arguments.get(name)), {})
    metadata = {key: arguments[key] for key in ("name", "namespace") if arguments.get(key)}
    found = list(_flat(given)) or [{}]
    return [{"kind": arguments.get("kind"), **one, "metadata": {**metadata, **(one.get("metadata") or {})}} for one in found]


def _flat(given: Any) -> Iterator[Object]:
    if isinstance(given, str):
        yield from _flat([document for document in yaml.safe_load_all(given) if document])
    elif isinstance(given, Mapping):
        if str(given.get("kind")).endswith("List") and "items" in given:
            yield from _flat(given["items"])
        else:
            yield dict(given)
    else:
        for one in given:
            yield from _flat(one)


def _entry(named: Mapping[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]) -> Object:
    header = _name(named)
    secret = named.get("kind") == "Secret"
    sides = {side: _without_values(value) if secret else value for side, value in (("before", before), ("after", after))}
    return {"before_header": header, "after_header": header, **sides}


def _without_values(view: Mapping[str, Any]) -> Object:
    parts = ("data", "stringData")
    return {key: dict.fromkeys(value, HIDDEN) if key in parts and isinstance(value, Mapping) else value for key, value in view.items()}


def _name(named: Mapping[str, Any]) -> str:
    metadata = named.get("metadata") or {}
    return f"{named.get('kind')} {'/'.join(str(metadata[key]) for key in ('namespace', 'name') if metadata.get(key))}"


def _deleted(arguments: Mapping[str, Any]) -> Object:
    named = declarations(arguments)[0]
    chosen = arguments.get("label_selectors")
    header = f"{_name(named)}{' with ' + ', '.join(chosen) if chosen else ''}"
    return {"before_header": header, "after_header": header, "before": f"{header}\n", "after": ""}
