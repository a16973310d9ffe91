# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Secret should hold and what to send for it: values are generated once, copied or composed, and never leave this module."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Callable
from urllib.parse import quote

from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.client import KubernetesError, Object

ALPHABETS = {
    "alphanumeric": string.ascii_letters + string.digits,
    "hex": "0123456789abcdef",
    "urlsafe": string.ascii_letters + string.digits + "-_",
}
FORMATS = (*ALPHABETS, "fernet")
DEFAULT_LENGTH = 32

QUOTINGS: dict[str, Callable[[str], str]] = {
    "": lambda value: value,
    "url": lambda value: quote(value, safe="", errors="surrogateescape"),
    "json": json.dumps,
    "base64": lambda value: base64.b64encode(value.encode("utf-8", "surrogateescape")).decode(),
}


@dataclass(frozen=True)
class Reference:
    """A key of another Secret."""

    namespace: str
    name: str
    key: str

    def __str__(self) -> str:
        return f"key {self.key} of Secret {self.namespace}/{self.name}"


@dataclass(frozen=True)
class Generate:
    """How a value is made where there is none."""

    format: str = "alphanumeric"
    length: int = DEFAULT_LENGTH


@dataclass(frozen=True)
class Wanted:
    """A Secret as the playbook declares it."""

    name: str
    namespace: str
    state: str = "present"
    type: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)
    generate: Mapping[str, Generate] = field(default_factory=dict)
    copied: Mapping[str, Reference] = field(default_factory=dict)
    inputs: Mapping[str, Reference] = field(default_factory=dict)
    template: Mapping[str, Any] = field(default_factory=dict)
    rotate: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"Secret {self.namespace}/{self.name}"

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that the declaration speaks of; others are left alone."""
        return (*self.data, *self.copied, *self.generate, *self.template)

    @property
    def words(self) -> str:
        """Every name in the declaration; messages and results consist of these, and none of them is a secret."""
        references = (*self.copied.values(), *self.inputs.values())
        return " ".join((str(self), *self.keys, *self.inputs, *(str(reference) for reference in references)))


@dataclass(frozen=True)
class Plan:
    """What happens to one Secret; ``patch`` is empty when nothing does."""

    wanted: Wanted
    action: str
    """``create``, ``update``, ``delete`` or ``keep``."""
    changes: Mapping[str, str]
    """What happens to each key: ``generated``, ``rotated``, ``set``, ``changed``, ``kept``."""
    values: Mapping[str, str]
    """Every value that the Secret holds afterwards."""
    body: Object
    """The object to create, or the merge patch."""
    current: Object | None


def parse(options: Mapping[str, Any]) -> Wanted:
    """Read one entry of the module's option ``secrets``."""
    where = f"Secret {options['namespace']}/{options['name']}"
    return Wanted(
        name=options["name"],
        namespace=options["namespace"],
        state=options["state"],
        type=options["type"],
        labels={key: str(value) for key, value in options["labels"].items()},
        annotations={key: str(value) for key, value in options["annotations"].items()},
        data={key: _text(value, f"data {key} of {where}") for key, value in options["data"].items()},
        generate={key: _generate(value, f"generate {key} of {where}") for key, value in options["generate"].items()},
        copied={key: _reference(value, key, options["namespace"], f"from {key} of {where}") for key, value in options["from"].items()},
        inputs={key: _reference(value, key, options["namespace"], f"inputs {key} of {where}") for key, value in options["inputs"].items()},
        template=options["template"],
        rotate=tuple(options["rotate"]),
    )


def plan(wanted: Wanted, current: Object | None, look_up: Callable[[Reference], str | None]) -> Plan:
    """Decide what happens to one Secret, given what the cluster holds and a way to read other Secrets."""
    if wanted.state == "absent":
        return Plan(wanted, "delete" if current else "keep", {}, {}, {}, current)
    _check(wanted, current)
    before = decode(current)
    after = dict(before)
    after.update(wanted.data)
    for key, reference in wanted.copied.items():
        after[key] = _resolve(reference, wanted, look_up)
    for key, how in wanted.generate.items():
        if key not in before or key in wanted.rotate:
            after[key] = generate(how)
    words = {**after, **{name: _resolve(reference, wanted, look_up) for name, reference in wanted.inputs.items()}}
    for key, template in wanted.template.items():
        after[key] = words[key] = compose(template, words, f"template {key} of {wanted}")
    changes = {key: _change(key, wanted, before, after) for key in wanted.keys}
    body = _body(wanted, current, {key: after[key] for key, change in changes.items() if change != "kept"})
    action = "create" if current is None else "update" if body else "keep"
    return Plan(wanted, action, changes, after, body, current)


def generate(how: Generate) -> str:
    """Make a value from the operating system's randomness."""
    if how.format == "fernet":
        return base64.urlsafe_b64encode(os.urandom(32)).decode()
    return "".join(secrets.choice(ALPHABETS[how.format]) for dummy in range(how.length))


def compose(template: Any, words: Mapping[str, str], where: str) -> str:
    """Fill the ``{key}`` and ``{key:quoting}`` of a text; a dictionary or list is filled inside and written as JSON."""
    if isinstance(template, str):
        return _fill(template, words, where)
    return json.dumps(_fill_inside(template, words, where), sort_keys=True)


def decode(secret: Object | None) -> dict[str, str]:
    """The values of a Secret. Bytes that are no text survive, because they are never written back."""
    data = (secret or {}).get("data") or {}
    return {key: base64.b64decode(value).decode("utf-8", "surrogateescape") for key, value in data.items()}


def checksum(uid: str, values: Mapping[str, str]) -> str:
    """A fingerprint of values that changes when they do and does not help to guess them.

    A plain hash of a weak password could be found by trying. The key is the Secret's random uid, which the API shows only to those who
    may read the Secret itself.
    """
    content = "".join(f"{len(part)}:{part}" for key in sorted(values) for part in (key, values[key]))
    return hmac.new(uid.encode(), content.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()


def masked(plan: Plan) -> tuple[Object, Object]:
    """The Secret before and after, as a diff may show it: names and what happens, no value."""
    if plan.action == "delete":
        return {**_shown(plan.current), "data": dict.fromkeys(decode(plan.current), "********")}, {}
    names = {*decode(plan.current), *plan.changes}
    before = {key: "********" for key in sorted(names) if key in decode(plan.current)}
    after = {key: _masked_value(plan.changes.get(key, "kept")) for key in sorted(names)}
    merged = {**_shown(plan.current)}
    for part in ("labels", "annotations"):
        merged[part] = {**merged.get(part, {}), **getattr(plan.wanted, part)}
    old = {**_shown(plan.current), "data": before} if plan.current else {}
    return old, {**merged, "type": merged.get("type") or plan.wanted.type or "Opaque", "data": after}


def _masked_value(change: str) -> str:
    return "********" if change == "kept" else f"******** ({change})"


def _shown(current: Object | None) -> Object:
    if current is None:
        return {}
    metadata = current["metadata"]
    return {"type": current.get("type", "Opaque"), "labels": metadata.get("labels") or {}, "annotations": metadata.get("annotations") or {}}


def _change(key: str, wanted: Wanted, before: Mapping[str, str], after: Mapping[str, str]) -> str:
    if key in before and before[key] == after[key]:
        return "kept"
    if key in wanted.generate:
        return "rotated" if key in before else "generated"
    return "changed" if key in before else "set"


def _body(wanted: Wanted, current: Object | None, values: Mapping[str, str]) -> Object:
    data = {key: base64.b64encode(value.encode("utf-8", "surrogateescape")).decode() for key, value in values.items()}
    if current is None:
        metadata: Object = {"name": wanted.name, "namespace": wanted.namespace}
        metadata.update({part: dict(getattr(wanted, part)) for part in ("labels", "annotations") if getattr(wanted, part)})
        return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": wanted.type or "Opaque", "data": data}
    patch: Object = {"data": data} if data else {}
    metadata = {}
    for part in ("labels", "annotations"):
        held = current["metadata"].get(part) or {}
        missing = {key: value for key, value in getattr(wanted, part).items() if held.get(key) != value}
        if missing:
            metadata[part] = missing
    if metadata or patch:
        # The API refuses the patch when somebody else wrote in between, so no value is ever overwritten unseen.
        patch["metadata"] = {**metadata, "resourceVersion": current["metadata"]["resourceVersion"]}
    return patch


def _check(wanted: Wanted, current: Object | None) -> None:
    twice = sorted({key for key in wanted.keys if wanted.keys.count(key) > 1})
    if twice:
        raise KubernetesError(f"{wanted}: {', '.join(twice)} has more than one source; say it in one of data, from, generate and template.")
    strange = sorted(set(wanted.rotate) - set(wanted.generate))
    if strange:
        known = ", ".join(wanted.generate) or "none"
        raise KubernetesError(f"{wanted}: rotate names {', '.join(strange)}, which is not generated here; generated keys are: {known}.")
    held = (current or {}).get("type")
    if current is not None and wanted.type and held != wanted.type:
        advice = "Kubernetes lets nobody change it: delete the Secret, or leave the type out"
        raise KubernetesError(f"{wanted} has the type {held}, wanted is {wanted.type}: {advice}.")


def _text(value: Any, where: str) -> str:
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return str(value)
    raise KubernetesError(f"{where} is of the type {type(value).__name__}, and a Secret holds text: put it in quotes.")


def _generate(options: Any, where: str) -> Generate:
    found = _options(options or {}, {"format", "length"}, where)
    how = Generate(found.get("format", "alphanumeric"), found.get("length", DEFAULT_LENGTH))
    if how.format not in FORMATS:
        raise KubernetesError(f"{where} has the format {how.format}; accepted are {', '.join(FORMATS)}.")
    if how.format == "fernet" and "length" in found:
        raise KubernetesError(f"{where} has a length, but a Fernet key has one of its own: leave it out.")
    if isinstance(how.length, bool) or not str(how.length).isdigit() or not 8 <= int(how.length) <= 4096:
        raise KubernetesError(f"{where} has the length {how.length}; accepted are 8 to 4096.")
    return Generate(how.format, int(how.length))


def _reference(options: Any, key: str, namespace: str, where: str) -> Reference:
    found = _options(options, {"namespace", "name", "key"}, where)
    if not found.get("name"):
        raise KubernetesError(f"{where} names no Secret: give its name.")
    return Reference(str(found.get("namespace") or namespace), str(found["name"]), str(found.get("key") or key))


def _options(value: Any, accepted: set[str], where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not accepted.issuperset(value):
        found = ", ".join(str(key) for key in value) if isinstance(value, Mapping) else type(value).__name__
        raise KubernetesError(f"{where} has {found}; accepted are the options {', '.join(sorted(accepted))}.")
    return value


def _resolve(reference: Reference, wanted: Wanted, look_up: Callable[[Reference], str | None]) -> str:
    value = look_up(reference)
    if value is None:
        raise KubernetesError(f"{wanted} needs {reference}, which does not exist: create that one first, or correct the reference.")
    return value


def _fill_inside(value: Any, words: Mapping[str, str], where: str) -> Any:
    if isinstance(value, str):
        return _fill(value, words, where)
    if isinstance(value, Mapping):
        return {key: _fill_inside(item, words, where) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_fill_inside(item, words, where) for item in value]
    return value


def _fill(text: str, words: Mapping[str, str], where: str) -> str:
    parts: list[str] = []
    try:
        fields = list(string.Formatter().parse(text))
    except ValueError as error:
        raise KubernetesError(f"{where}: {error}. Write a brace that is meant as one twice: {{{{ or }}}}.") from None
    for literal, name, quoting, conversion in fields:
        parts.append(literal)
        if name is None:
            continue
        if name not in words:
            raise KubernetesError(f"{where}: {{{name}}} is no key; there are: {', '.join(sorted(words)) or 'none'}.")
        if conversion or quoting not in QUOTINGS:
            accepted = ", ".join(f"{{{name}:{known}}}" if known else f"{{{name}}}" for known in QUOTINGS)
            raise KubernetesError(f"{where}: {{{name}}} is quoted in an unknown way; accepted are {accepted}.")
        parts.append(QUOTINGS[quoting](words[name]))
    return "".join(parts)
