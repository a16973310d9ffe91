# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be done to static volumes and their claims: pure functions of what the cluster holds and what is declared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.client import KubernetesError, Object
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.volume_objects import DISK_LABEL, SHARED_LABEL
from ansible_collections.homelab.data_platform.plugins.module_utils.sizes import quantity

KINDS = ("Namespace", "StorageClass", "PersistentVolume", "PersistentVolumeClaim")

FIXED = {
    "StorageClass": ("provisioner", "reclaimPolicy", "volumeBindingMode"),
    "PersistentVolume": ("spec.local.path", "spec.nfs", "spec.csi", "spec.nodeAffinity", "spec.storageClassName", "spec.accessModes"),
    "PersistentVolumeClaim": ("spec.volumeName", "spec.storageClassName", "spec.accessModes", "spec.selector"),
}
"""What Kubernetes, or a bound claim, does not let anybody change."""

ADVICE = {
    "StorageClass": "Declare another name in static_volume_storage_class, or delete the class (volumes and claims stay) and run again.",
    "PersistentVolume": (
        "Declare it as it was, or under a new name. To give up this one: stop what uses it, delete the claim, then the volume; "
        "the directory with the data stays."
    ),
    "PersistentVolumeClaim": "Declare it as it was, or stop what uses it and delete the claim; the volume keeps the data.",
}


@dataclass(frozen=True)
class Step:
    """One object to create, or to patch (``patch`` is a JSON merge patch). ``why`` is a word for the result."""

    wanted: Object
    current: Object | None
    why: str
    patch: Object | None = None

    @property
    def label(self) -> str:
        """The object's name in messages."""
        return label(self.wanted)

    @property
    def after(self) -> Object:
        """The object as it will be, as far as it is declared."""
        return self.wanted if self.current is None else _merged(self.current, self.patch or {})


def label(found: Object) -> str:
    """Kind and name of an object, for messages."""
    metadata = found["metadata"]
    place = f"{metadata['namespace']}/" if metadata.get("namespace") else ""
    return f"{found['kind']} {place}{metadata['name']}"


def plan(wanted: Sequence[Object], current: Mapping[str, Object]) -> list[Step]:
    """Compare the declared objects with those of the cluster, by their labels."""
    for definition in wanted:
        if definition.get("kind") not in KINDS:
            raise KubernetesError(f"{definition.get('kind')} is nothing that a static volume is made of; accepted are {', '.join(KINDS)}.")
    problems = [problem for definition in wanted for problem in _problems(definition, current.get(label(definition)))]
    if problems:
        raise KubernetesError("\n".join(problems))
    return [step for definition in wanted for step in _steps(definition, current)]


def undeclared(wanted: Sequence[Object], volumes: Sequence[Object], nodes: Sequence[str], shared: bool = False) -> list[str]:
    """Names of our own PersistentVolumes, on these nodes or shared, that nobody declares any more. They stay."""
    declared = {label(definition) for definition in wanted}
    ours = [volume for volume in volumes if (shared and _is_shared(volume)) or _is_on(volume, nodes)]
    return sorted(volume["metadata"]["name"] for volume in ours if label(volume) not in declared)


def hostnames(volume: Object) -> list[str]:
    """The nodes that a volume is tied to."""
    terms = _value(volume, "spec.nodeAffinity.required.nodeSelectorTerms") or []
    expressions = [expression for term in terms for expression in term.get("matchExpressions") or []]
    return [name for entry in expressions if entry.get("key") == "kubernetes.io/hostname" for name in entry.get("values") or []]


def _bytes(size: object) -> int:
    found = quantity(size)
    if found is None:
        raise KubernetesError(f"{size} is no size; accepted is a Kubernetes quantity such as 20Gi.")
    return found


def _problems(wanted: Object, current: Object | None) -> Iterator[str]:
    if current is None:
        return
    kind = wanted["kind"]
    if current["metadata"].get("deletionTimestamp"):
        yield f"{label(wanted)} is being deleted: wait until it is gone (something may still use it), then run again."
        return
    for field in FIXED.get(kind, ()):
        have, want = _value(current, field), _value(wanted, field)
        if want is not None and _plain(have) != _plain(want):
            yield f"{label(wanted)} has {field} {_shown(have)}, declared is {_shown(want)}: this cannot be changed. {ADVICE[kind]}"
    if kind == "PersistentVolume":
        yield from _volume_problems(wanted, current)


def _volume_problems(wanted: Object, current: Object) -> Iterator[str]:
    have, want = (_value(found, "spec.capacity.storage") for found in (current, wanted))
    if _bytes(want) < _bytes(have):
        yield f"{label(wanted)} has {have}, declared is {want}: a volume is not made smaller, declare {have} or more."
    holder, claim = (_claim(found) for found in (current, wanted))
    if holder and holder != claim:
        yield (
            f"{label(wanted)} is reserved for the claim {holder}, declared is {claim}: a volume is not given to another claim, "
            f"whose owner would get the data. {ADVICE['PersistentVolume']}"
        )


def _steps(wanted: Object, everything: Mapping[str, Object]) -> Iterator[Step]:
    current = everything.get(label(wanted))
    if current is None:
        yield Step(wanted, None, "created")
        return
    spec, why = _volume_changes(wanted, current, everything) if wanted["kind"] == "PersistentVolume" else ({}, [])
    patch: Object = {"spec": spec} if spec else {}
    labels = {key: value for key, value in (wanted["metadata"].get("labels") or {}).items() if _labels(current).get(key) != value}
    if labels:
        patch["metadata"] = {"labels": labels}
        why.append("labelled")
    if patch:
        patch.setdefault("metadata", {})["resourceVersion"] = current["metadata"]["resourceVersion"]
        yield Step(wanted, current, ", ".join(why), patch)


def _volume_changes(wanted: Object, current: Object, everything: Mapping[str, Object]) -> tuple[Object, list[str]]:
    """What has to be patched in a PersistentVolume's spec, and a word for each change."""
    spec: Object = {}
    why = []
    if _bytes(_value(wanted, "spec.capacity.storage")) > _bytes(_value(current, "spec.capacity.storage")):
        spec["capacity"] = wanted["spec"]["capacity"]
        why.append("grown")
    options = _value(wanted, "spec.mountOptions")
    if options is not None and options != (_value(current, "spec.mountOptions") or []):
        spec["mountOptions"] = options
        why.append("given its mount options (a pod has them from its next start on)")
    if _is_orphan(current, everything):
        # Without the uid of the claim that is gone, the volume is reserved for the next one of that name.
        spec["claimRef"] = {**wanted["spec"]["claimRef"], "uid": None, "resourceVersion": None}
        why.append("given back to its claim")
    elif not _claim(current):
        spec["claimRef"] = wanted["spec"]["claimRef"]
        why.append("reserved for its claim")
    return spec, why


def _is_orphan(volume: Object, everything: Mapping[str, Object]) -> bool:
    """Whether the claim that had the volume is gone. One of the same name, made since, has another uid."""
    uid = _value(volume, "spec.claimRef.uid")
    claim = everything.get(f"PersistentVolumeClaim {_claim(volume)}")
    return bool(uid) and (claim is None or claim["metadata"].get("uid") != uid)


def _is_shared(volume: Object) -> bool:
    return SHARED_LABEL in _labels(volume)


def _is_on(volume: Object, nodes: Sequence[str]) -> bool:
    return DISK_LABEL in _labels(volume) and bool(set(hostnames(volume)) & set(nodes))


def _claim(volume: Object) -> str:
    reference = _value(volume, "spec.claimRef") or {}
    return f"{reference.get('namespace')}/{reference.get('name')}" if reference.get("name") else ""


def _labels(found: Object) -> Mapping[str, str]:
    labels: Mapping[str, str] = found["metadata"].get("labels") or {}
    return labels


def _value(found: Any, path: str) -> Any:
    for key in path.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, list) and all(isinstance(item, str) for item in value) else value


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        hosts = hostnames({"spec": {"nodeAffinity": value}}) if "required" in value else []
        return f"of {', '.join(hosts)}" if hosts else ", ".join(f"{key} {_shown(entry)}" for key, entry in sorted(value.items()))
    return "nothing" if value is None else ", ".join(value) if isinstance(value, list) else str(value)


def _merged(current: Object, patch: Object) -> Object:
    merged = dict(current)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merged(merged.get(key) or {}, value) if isinstance(value, dict) else value
    return merged
