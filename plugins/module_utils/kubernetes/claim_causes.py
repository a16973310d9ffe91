# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a claim is not bound: what its class, the volumes and the nodes say of it. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.causes import PATIENCE, Cause, some
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.client import Object
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.scheduling import amount, homes, matches

DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
NO_PROVISIONER = "kubernetes.io/no-provisioner"
DECLARE = "declare the volume in data_disks or shared_volumes (role static_volume)"


def missing_claim(namespace: str, name: str) -> Cause:
    """A claim that a pod names and nobody made."""
    subject = f"PersistentVolumeClaim {namespace}/{name}"
    return Cause("claim-missing", subject, "it does not exist", f"{DECLARE}, or create the claim", PATIENCE)


def claim_cause(
    claim: Object, classes: Sequence[Object], volumes: Sequence[Object], nodes: Sequence[Object], *, used: bool, said: str = ""
) -> Cause:
    """Name what keeps a claim from a volume; ``said`` is the newest warning about it."""
    subject = f"PersistentVolumeClaim {claim['metadata']['namespace']}/{claim['metadata']['name']}"
    name = claim["spec"].get("storageClassName")
    found = next((one for one in classes if one["metadata"]["name"] == name), None)
    by_hand = found is None or found.get("provisioner") == NO_PROVISIONER
    fitting = [volume for volume in volumes if not _misfits(claim, volume)]
    late = found is not None and found.get("volumeBindingMode") == "WaitForFirstConsumer"
    away = [volume for volume in fitting if nodes and not any(matches(volume, node) for node in nodes)]
    if away and len(away) == len(fitting):
        home = homes(away[0])
        reason = f"its volume {away[0]['metadata']['name']} is kept to {home}, and the cluster has no {home}"
        return Cause("claim-node", subject, reason, f"bring {home} into the cluster, or make the volume on a node that there is", PATIENCE)
    if late and not used:
        reason = f"it waits for its first pod (storage class {name}, WaitForFirstConsumer), and no pod uses it"
        return Cause("claim-consumer", subject, reason, "start what uses it, and wait for that (or with bound: false)", PATIENCE)
    near = _near(claim, volumes)
    if found is None and not name:
        there = _classes(classes)
        text = "it asks for no storage class" if name == "" else f"it names no storage class, and no class is the default ({there})"
        remedy = f"name a class in the claim, mark one as the default (annotation {DEFAULT_CLASS}), or {DECLARE}"
        return Cause("claim-no-class", subject, f"{text}; {near}", remedy, PATIENCE)
    if found is None:
        reason = f"its storage class {name} does not exist ({_classes(classes)}); {near}"
        return Cause("claim-missing-class", subject, reason, f"correct the claim's class, create the class, or {DECLARE}", PATIENCE)
    if by_hand and not fitting:
        reason = f"its storage class {name} makes no volumes, and no PersistentVolume fits {_wanted(claim)}: {near}"
        return Cause("claim-no-volume", subject, reason, f"{DECLARE}, or make a volume that fits", PATIENCE)
    if by_hand:
        reason = f"the volume {fitting[0]['metadata']['name']} fits it and is not bound to it yet"
        return Cause("claim-binding", subject, reason, "wait for the volume controller (kube-controller-manager)")
    reason = f"the provisioner {found['provisioner']} of its storage class {name} has made no volume" + (f": {said}" if said else "")
    return Cause("claim-provisioner", subject, reason, "check that the provisioner's pods run, and read their log")


def _near(claim: Object, volumes: Sequence[Object]) -> str:
    """The volumes that come closest, and what is wrong with each."""
    found = [(_misfits(claim, volume), volume["metadata"]["name"]) for volume in volumes]
    misfits = sorted(found, key=lambda pair: (len(pair[0]), pair[1]))
    named = [f"{name} {' and '.join(wrong)}" for wrong, name in misfits if wrong]
    return some(named) if named else "there is no PersistentVolume" if not volumes else "no other volume is near"


def _misfits(claim: Object, volume: Object) -> list[str]:
    wanted, spec = claim["spec"], volume["spec"]
    metadata, holder = claim["metadata"], spec.get("claimRef") or {}
    wrong = []
    if holder and (holder.get("namespace"), holder.get("name")) != (metadata["namespace"], metadata["name"]):
        taken = "belonged to" if volume.get("status", {}).get("phase") == "Released" else "is taken by"
        wrong.append(f"{taken} {holder.get('namespace')}/{holder.get('name')}")
    elif holder.get("uid") and holder["uid"] != metadata.get("uid"):
        wrong.append("was released by an earlier claim of this name")
    if wanted.get("volumeName") and wanted["volumeName"] != volume["metadata"]["name"]:
        wrong.append(f"is not {wanted['volumeName']}, which it names")
    if (wanted.get("storageClassName") or "") != (spec.get("storageClassName") or ""):
        wrong.append(f"is of class {spec.get('storageClassName') or 'none'}")
    size, asked = spec.get("capacity", {}).get("storage", 0), wanted.get("resources", {}).get("requests", {}).get("storage", 0)
    if amount(size) < amount(asked):
        wrong.append(f"has {size} only")
    lacking = [mode for mode in wanted.get("accessModes", []) if mode not in spec.get("accessModes", [])]
    if lacking:
        wrong.append(f"allows {' '.join(spec.get('accessModes', []))} only")
    if spec.get("volumeMode", "Filesystem") != wanted.get("volumeMode", "Filesystem"):
        wrong.append(f"is a {spec.get('volumeMode', 'Filesystem')} volume")
    labels = volume["metadata"].get("labels", {})
    if any(labels.get(key) != value for key, value in (wanted.get("selector", {}).get("matchLabels") or {}).items()):
        wrong.append("lacks the labels of its selector")
    return wrong


def _wanted(claim: Object) -> str:
    spec = claim["spec"]
    return f"({spec.get('resources', {}).get('requests', {}).get('storage')}, {' '.join(spec.get('accessModes', []))})"


def _classes(classes: Sequence[Object]) -> str:
    names = sorted(one["metadata"]["name"] for one in classes)
    return f"there are {some(names)}" if names else "the cluster has none"
