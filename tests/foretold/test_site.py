"""On a platform of which only the control host is prepared, check mode foretells what the next run does, and does nothing itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lab import object_store, secret_store
from lab.settings import INVENTORY, NODES
from tests.object_store.calls import Account
from tests.platform.reality import kubectl, on
from tests.playbook import Site, changed

Results = dict[tuple[str, str], dict[str, Any]]

WITHOUT_DIFF = {"Deploy the chart", "Deploy the release", "See whether the release is going to change"}
"""Helm's own, whose diff is a plugin's work (helm-diff), which the lab cannot have."""


def reality() -> dict[str, Any]:
    """What there is before and after: objects that people declare, disks and mounts, buckets and users."""
    kinds = "namespaces,nodes,serviceaccounts,roles,rolebindings,clusterroles,secrets,configmaps,pv,pvc,deployments,statefulsets,jobs"
    objects = json.loads(kubectl("get", kinds, "--all-namespaces", "--output=json"))["items"]
    named = {(one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]): one for one in objects}
    root = Account(object_store.ROOT_USER, secret_store.password("minio-root-password"))
    return {
        "objects": {name: (one["metadata"]["uid"], one.get("spec", {}).get("taints")) for name, one in named.items()},
        "nodes": {node.name: [on(node, command) for command in ("lsblk --output NAME,SIZE,SERIAL", "cat /etc/fstab")] for node in NODES},
        "buckets": [bucket["Name"] for bucket in root.s3.list_buckets()["Buckets"]],
    }


def changes(results: Results) -> list[tuple[str, str]]:
    """The tasks that change something, with their hosts, in their order."""
    return [place for place, result in results.items() if result.get("changed")]


@pytest.fixture(scope="module")
def site() -> Site:
    return Site(INVENTORY)


def test_what_check_mode_foretells_is_what_the_next_run_does(site: Site) -> None:
    before = reality()
    foretold = site.results("site.yml", "--check", "--diff")
    assert reality() == before

    planned = changes(foretold)
    assert len(planned) > 15
    silent = [task.partition(" : ")[2] for task, host in planned if not foretold[task, host].get("diff")]
    assert set(silent) <= WITHOUT_DIFF, "a change of which nothing is shown"

    done = site.results("site.yml")
    assert changes(done) == planned
    assert not any(changed(site.play("site.yml")).values())
