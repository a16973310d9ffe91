# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why no node takes a pod: the scheduler's counts, with the numbers and names that it leaves out. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.causes import PATIENCE, Cause, one_line, some
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.client import Object
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.pod_causes import pod_name

PASSING_TAINTS = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/")
"""Taints that Kubernetes puts on a node and takes away again by itself."""
CORDONED = "node.kubernetes.io/unschedulable"

SCALE_UP = ("TriggeredScaleUp", "Nominated")
"""Reasons of events by which an autoscaler says that a node is on its way."""

_SELECTION = re.compile(r"didn't match (Pod's node affinity|node selector)")

_UNITS = {"m": Decimal("0.001"), "": Decimal(1), **{unit: Decimal(1000**power) for power, unit in enumerate("kMGTP", 1)}}
_UNITS |= {f"{unit}i": Decimal(1024**power) for power, unit in enumerate("KMGTP", 1)}


def scheduling_cause(pod: Object, message: str, nodes: Sequence[Object], volumes: Sequence[Object] = (), *, scaling: bool = False) -> Cause:
    """Name what keeps the pod from the nodes; ``volumes`` are those of its claims."""
    counts = _counts(message)
    if not counts:
        reason = f"no node takes it: {_head(message) or message}"
        return Cause("scheduling", pod_name(pod), reason, "give it a node that takes it, or change what it asks for")
    texts, remedies, ends = [], [], []
    for count, said in counts:
        text, remedy, final = _one(pod, said, nodes, volumes)
        texts.append(f"{count} {text}")
        ends.append(final)
        # What a pod selects is meant so, unless no node has it.
        if len(counts) == 1 or not _SELECTION.search(said):
            remedies.append(remedy)
    total = re.match(r"\d+/(\d+) nodes", message)
    # It is of no use to wait only where that holds for every node.
    patience = PATIENCE if all(ends) and not scaling else None
    reason = f"no node of {total[1] if total else len(nodes)} takes it: {'; '.join(texts)}"
    if scaling:
        reason += "; an autoscaler is bringing a node"
    return Cause("scheduling", pod_name(pod), reason, ", or ".join(dict.fromkeys(remedies)), patience)


def amount(quantity: object) -> Decimal:
    """A quantity of CPU, memory or anything else as a number."""
    found = re.fullmatch(r"([0-9.]+)([a-zA-Z]*)", str(quantity))
    try:
        return Decimal(found[1]) * _UNITS[found[2]] if found else Decimal(0)
    except (InvalidOperation, KeyError):
        return Decimal(0)


def matches(volume: Object, node: Object) -> bool:
    """Whether a volume can be used on a node."""
    terms = volume["spec"].get("nodeAffinity", {}).get("required", {}).get("nodeSelectorTerms")
    if not terms:
        return True
    labels = node["metadata"].get("labels", {})
    return any(all(_holds(expression, labels) for expression in term.get("matchExpressions", [])) for term in terms)


def homes(volume: Object) -> str:
    """What a volume's node has to have, for people: its name where that is asked for."""
    terms = volume["spec"].get("nodeAffinity", {}).get("required", {}).get("nodeSelectorTerms") or []
    expressions = [expression for term in terms for expression in term.get("matchExpressions", [])]
    names = [value for one in expressions if one["key"] == "kubernetes.io/hostname" for value in one.get("values", [])]
    if names:
        return f"node {' or '.join(names)}"
    asked = " and ".join(f"{one['key']} {one['operator']} {' '.join(one.get('values', []))}".strip() for one in expressions)
    return f"nodes with {asked}" if asked else "any node"


def _one(pod: Object, said: str, nodes: Sequence[Object], volumes: Sequence[Object]) -> tuple[str, str, bool]:
    """Of one of the scheduler's counts: text, remedy, and whether waiting is of no use."""
    if said.startswith("Insufficient "):
        return _room(pod, said.partition(" ")[2], nodes)
    if "taint" in said:
        return _taints(pod, said, nodes)
    if _SELECTION.search(said):
        asked = [f"{key}={value}" for key, value in pod["spec"].get("nodeSelector", {}).items()]
        if pod["spec"].get("affinity", {}).get("nodeAffinity"):
            asked.append("its node affinity")
        return f"without what it selects ({some(asked)})", f"label a node so (role node: {some(asked)}), or correct the selector", True
    if "PersistentVolume's node affinity" in said or "volume node affinity conflict" in said:
        return _away(said, volumes, nodes)
    if "were unschedulable" in said:
        cordoned = [node["metadata"]["name"] for node in nodes if node["spec"].get("unschedulable")]
        return f"cordoned ({some(cordoned)})", f"let it take pods again (kubectl uncordon {' '.join(cordoned[:1])})", True
    if "Too many pods" in said:
        return "full: it holds as many pods as it may", "end pods there, or add a node", False
    return said, "change what it asks for, or give a node that has it", False


def _room(pod: Object, resource: str, nodes: Sequence[Object]) -> tuple[str, str, bool]:
    asked = _asked(pod, resource)
    selected = [node for node in nodes if pod["spec"].get("nodeSelector", {}).items() <= node["metadata"].get("labels", {}).items()]
    most = max((amount(node.get("status", {}).get("allocatable", {}).get(resource, 0)) for node in selected), default=Decimal(0))
    label = {"cpu": "CPU"}.get(resource, resource)
    wants = f"it asks for {_said(asked, resource)}"
    if not selected:
        return f"with too little {label} ({wants})", f"ask for less {label}, or add a node", False
    largest = f"the largest node that it selects has {_said(most, resource)}"
    if asked > most:
        return f"with too little {label} ({wants}, {largest})", f"ask for less {label}, or add a larger node", True
    text = f"with too little {label} left ({wants}, {largest} for all that runs there)"
    return text, f"end what uses the {label} there, ask for less, or add a node", False


def _taints(pod: Object, said: str, nodes: Sequence[Object]) -> tuple[str, str, bool]:
    found = [(node["metadata"]["name"], taint) for node in nodes for taint in _untolerated(pod, node)]
    if not found:
        return said.replace("node(s) had", "with an"), "tolerate the taint, or take it off a node", False
    named = some([f"{node} has {_taint(taint)}" for node, taint in found])
    passing = any(taint["key"].startswith(PASSING_TAINTS) and taint["key"] != CORDONED for _node, taint in found)
    if passing:
        remedy = "look at the node (kubectl describe node), which has a trouble of its own"
        return f"with a taint of Kubernetes itself ({named})", remedy, False
    return f"with a taint that it does not tolerate ({named})", "tolerate the taint, or take it off a node", True


def _away(said: str, volumes: Sequence[Object], nodes: Sequence[Object]) -> tuple[str, str, bool]:
    kept = [f"{volume['metadata']['name']} is kept to {homes(volume)}" for volume in volumes if volume["spec"].get("nodeAffinity")]
    lost = [volume for volume in volumes if nodes and not any(matches(volume, node) for node in nodes)]
    text = f"without its volume ({some(kept)})" if kept else said
    if lost:
        home = homes(lost[0])
        return f"{text}, and the cluster has no {home}", f"bring {home} into the cluster, or make the volume on a node that there is", True
    return text, "let the pod run where its volume is (node selector and tolerations)", True


def _asked(pod: Object, resource: str) -> Decimal:
    spec = pod["spec"]
    requests = [amount(one.get("resources", {}).get("requests", {}).get(resource, 0)) for one in spec.get("containers", [])]
    before = [amount(one.get("resources", {}).get("requests", {}).get(resource, 0)) for one in spec.get("initContainers", [])]
    return max([sum(requests, Decimal(0)), *before])


def _said(number: Decimal, resource: str) -> str:
    if resource in ("memory", "ephemeral-storage"):
        return f"{round(float(number) / 1024**3, 2):,g} GiB"
    return f"{float(number):,g}"


def _untolerated(pod: Object, node: Object) -> list[Object]:
    taints, tolerations = node["spec"].get("taints", []), pod["spec"].get("tolerations", [])
    return [taint for taint in taints if taint["effect"] != "PreferNoSchedule" and not _tolerated(taint, tolerations)]


def _tolerated(taint: Object, tolerations: Sequence[Object]) -> bool:
    return any(
        one.get("effect") in (None, "", taint["effect"])
        and one.get("key") in (None, "", taint["key"])
        and (one.get("operator") == "Exists" or (one.get("key") and one.get("value", "") == taint.get("value", "")))
        for one in tolerations
    )


def _taint(taint: Object) -> str:
    return f"{taint['key']}{'=' + taint['value'] if taint.get('value') else ''}:{taint['effect']}"


def _holds(expression: Object, labels: Object) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values", [])
    return {
        "In": value in values,
        "NotIn": value not in values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }.get(expression["operator"], True)


def _head(message: str) -> str:
    """The scheduler's own words, without what it says of preemption."""
    said = one_line(message).partition("nodes are available: ")[2]
    return re.split(r"\.(?: not found| no new claims| preemption|$)", said)[0]


def _counts(message: str) -> list[tuple[str, str]]:
    parts = re.split(r", (?=\d+ )", _head(message))
    found = [re.match(r"(\d+) (.*)", part) for part in parts]
    return [(one[1], one[2]) for one in found if one]
