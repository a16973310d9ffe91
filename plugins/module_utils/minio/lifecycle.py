# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lifecycles of buckets: what rules mean, what is wrong with them, and how they are said in the words of S3.

MinIO has no rule of its own for uploads that were never finished: it refuses one that does nothing else, drops it from one that
does, and removes what is left of them after a day by itself.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.homelab.data_platform.plugins.module_utils.minio.connection import MinioError

MOST_DAYS = 36500
"""MinIO counts in nanoseconds, which overflow at 292 years: what should stay longest would expire at once."""

OWN = "data-platform "
"""How the names of the rules begin that come from a declaration. All others are somebody else's."""

_ACTIONS = {"expire_days": ("Expiration", "Days"), "noncurrent_days": ("NoncurrentVersionExpiration", "NoncurrentDays")}
_KNOWN = {"ID", "Prefix", "Filter", "Status", *(element for element, _days in _ACTIONS.values())}
# A marker is empty. MinIO takes no rule for objects of more than 0 bytes, so one byte is spared too.
_SPARED = 1

Rules = list[dict[str, Any]]


def validate_prefix(prefix: str, path: str) -> None:
    """Refuse what is no directory's name, or what the server would refuse as the name of an object."""
    if prefix and not prefix.endswith("/"):
        raise MinioError(f"{path}: is {prefix!r}; it must end with '/', or it would mean its neighbours {prefix}... too")
    if re.search(r"(^|/)(|\.|\.\.)/", prefix) or not prefix.isprintable() or len(prefix.encode()) > 1000:
        raise MinioError(f"{path}: is {prefix!r}; it must have the form logs/spark-log/, without '//', '.' or '..' and not begin with '/'")


def validate(rules: Sequence[Mapping[str, Any]], path: str) -> None:
    """Refuse rules that do nothing or contradict each other, naming the place."""
    seen: dict[str, int] = {}
    for index, rule in enumerate(rules):
        place, prefix = f"{path}[{index}]", rule["prefix"]
        validate_prefix(prefix, f"{place}.prefix")
        if prefix in seen:
            raise MinioError(f"{place}.prefix: {prefix!r} has a rule already, {path}[{seen[prefix]}]: one rule must say all about a prefix")
        seen[prefix] = index
        given = {action: rule[action] for action in _ACTIONS if rule.get(action) is not None}
        if not given:
            raise MinioError(f"{place}: does nothing; give at least one of {', '.join(_ACTIONS)}")
        for action, days in given.items():
            if not 1 <= days <= MOST_DAYS:
                raise MinioError(f"{place}.{action}: is {days}; it must be from 1 to {MOST_DAYS} days")


def declared(rules: Sequence[Mapping[str, Any]], markers: Iterable[str]) -> Rules:
    """What the declared rules mean; one that would expire the marker of a prefix spares it."""
    spared = list(markers)
    return _sorted(
        {
            "prefix": rule["prefix"],
            **{action: rule[action] for action in _ACTIONS if rule.get(action) is not None},
            **({"spares_markers": True} if rule.get("expire_days") and any(marker.startswith(rule["prefix"]) for marker in spared) else {}),
        }
        for rule in rules
    )


def expires(rules: Sequence[Mapping[str, Any]], prefix: str) -> bool:
    """Whether any of the declared rules expires what lies below a prefix."""
    return any(rule.get("expire_days") and prefix.startswith(rule["prefix"]) for rule in rules)


def of_a_declaration(found: Sequence[Mapping[str, Any]]) -> Rules:
    """The rules of a bucket that a declaration has made."""
    return [dict(rule) for rule in found if str(rule.get("ID", "")).startswith(OWN)]


def of_others(found: Sequence[Mapping[str, Any]]) -> Rules:
    """The rules of a bucket that are left alone."""
    return [dict(rule) for rule in found if not str(rule.get("ID", "")).startswith(OWN)]


def meaning(found: Sequence[Mapping[str, Any]]) -> Rules:
    """What rules mean, in the words of a declaration; one that somebody has changed beyond these is shown as it is."""
    ours: defaultdict[tuple[str, bool], dict[str, int]] = defaultdict(dict)
    others: Rules = []
    for rule in found:
        words = _in_our_words(rule)
        if words is None:
            others.append({element: value for element, value in rule.items() if element != "ID"})
            continue
        prefix, spares, actions = words
        # Of several rules for one prefix the earliest counts.
        days = ours[prefix, spares]
        days.update({action: min(number, days.get(action, number)) for action, number in actions.items()})
    named = [{"prefix": prefix, **actions, **({"spares_markers": True} if spares else {})} for (prefix, spares), actions in ours.items()]
    return _sorted([*named, *others])


def in_words_of_s3(rules: Rules) -> Rules:
    """Rules to send, from what they mean."""
    return [
        {
            "ID": _identifier(rule["prefix"]),
            "Status": "Enabled",
            "Filter": _filter(rule["prefix"], spares=rule.get("spares_markers", False)),
            **{element: {days: rule[action]} for action, (element, days) in _ACTIONS.items() if action in rule},
        }
        for rule in rules
    ]


def _in_our_words(rule: Mapping[str, Any]) -> tuple[str, bool, dict[str, int]] | None:
    """Prefix, whether markers are spared, and actions of a rule that a declaration could have made."""
    chosen = rule.get("Filter") or {}
    conditions = {name: value for name, value in {**chosen, **(chosen.get("And") or {})}.items() if value and name != "And"}
    prefix = conditions.pop("Prefix", rule.get("Prefix") or "")
    least = conditions.pop("ObjectSizeGreaterThan", 0)
    actions: dict[str, int] = {}
    for action, (element, days) in _ACTIONS.items():
        said = {name: value for name, value in (rule.get(element) or {}).items() if value}
        if set(said) - {days}:
            return None
        if said:
            actions[action] = said[days]
    strange = conditions or least not in (0, _SPARED) or rule.get("Status") != "Enabled" or set(rule) - _KNOWN
    return None if strange or not actions else (prefix, least == _SPARED, actions)


def _filter(prefix: str, *, spares: bool) -> dict[str, Any]:
    if not spares:
        return {"Prefix": prefix}
    larger = {"ObjectSizeGreaterThan": _SPARED}
    return {"And": {"Prefix": prefix, **larger}} if prefix else larger


def _identifier(prefix: str) -> str:
    """A name for the rule of a prefix: the prefix itself where the server takes one so long."""
    name = f"{OWN}{prefix or 'all'}"
    return name if len(name.encode()) <= 255 else f"{OWN}{hashlib.sha256(prefix.encode()).hexdigest()}"


def _sorted(rules: Iterable[dict[str, Any]]) -> Rules:
    return sorted(rules, key=lambda rule: json.dumps(rule, sort_keys=True, default=str))
