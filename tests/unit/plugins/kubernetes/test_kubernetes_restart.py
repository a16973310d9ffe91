"""The module kubernetes_restart against a real apiserver: what is restarted, once, and what is left alone."""

from __future__ import annotations

import base64
import time
from typing import Any

import pytest

from .conftest import Api

CONTAINER = {"name": "main", "image": "busybox"}
LABELS = {"app": "web"}

READERS: list[tuple[str, dict[str, Any]]] = [
    ("Secret", {"containers": [{**CONTAINER, "envFrom": [{"secretRef": {"name": "held"}}]}]}),
    ("Secret", {"containers": [{**CONTAINER, "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "held", "key": "a"}}}]}]}),
    ("Secret", {"containers": [CONTAINER], "volumes": [{"name": "v", "secret": {"secretName": "held"}}]}),
    ("Secret", {"containers": [CONTAINER], "volumes": [{"name": "v", "projected": {"sources": [{"secret": {"name": "held"}}]}}]}),
    (
        "ConfigMap",
        {"initContainers": [{**CONTAINER, "name": "i", "envFrom": [{"configMapRef": {"name": "held"}}]}], "containers": [CONTAINER]},
    ),
    ("ConfigMap", {"containers": [CONTAINER], "volumes": [{"name": "v", "configMap": {"name": "held"}}]}),
]


def next_second() -> None:
    """Times in Kubernetes have no finer grain."""
    second = int(time.time())
    while int(time.time()) == second:
        time.sleep(0.05)


class Place:
    """A namespace with a Secret or ConfigMap, a workload, and the pod that its controller would have made."""

    def __init__(self, api: Api, kind: str, spec: dict[str, Any], workload: str = "Deployment") -> None:
        self.api, self.client, self.kind, self.namespace, self.workload = api, api.client, kind, api.namespace(), workload
        self.create("v1", kind, {"metadata": {"name": "held"}, "data": {"a": self._value("one")}})
        template = {"metadata": {"labels": LABELS}, "spec": spec}
        extra = {"serviceName": "web"} if workload == "StatefulSet" else {}
        made = self.create(
            "apps/v1", workload, {"metadata": {"name": "web"}, "spec": {"selector": {"matchLabels": LABELS}, "template": template, **extra}}
        )
        if workload == "Deployment":
            behind = {
                "metadata": {"name": "web-1", **self._owned(made)},
                "spec": {"selector": {"matchLabels": LABELS}, "template": template},
            }
            made = self.create("apps/v1", "ReplicaSet", behind)
        self.create("v1", "Pod", {"metadata": {"name": "web-1-a", "labels": LABELS, **self._owned(made)}, "spec": spec})

    def create(self, api_version: str, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        done = self.client.create(self.client.path(api_version, kind, self.namespace), {"apiVersion": api_version, "kind": kind, **body})
        return {**done, "kind": kind, "apiVersion": api_version}

    def change(self) -> None:
        """Another value, in another second than that in which the pod was made."""
        next_second()
        path = self.client.path("v1", self.kind, self.namespace, "held")
        self.client.patch(path, {"data": {"a": self._value(str(time.time()))}})

    def run(self, *, check: bool = False, **entry: Any) -> dict[str, Any]:
        option = "secrets" if self.kind == "Secret" else "config_maps"
        arguments: dict[str, Any] = {option: [{"name": "held", "namespace": self.namespace, **entry}]}
        return self.api.run_module("kubernetes_restart", check=check, **arguments)

    def restarted_at(self) -> str | None:
        found = self.client.get(self.client.path("apps/v1", self.workload, self.namespace, "web"))
        assert found is not None
        annotations = found["spec"]["template"]["metadata"].get("annotations") or {}
        at: str | None = annotations.get("kubectl.kubernetes.io/restartedAt")
        return at

    def _value(self, text: str) -> str:
        return base64.b64encode(text.encode()).decode() if self.kind == "Secret" else text

    @staticmethod
    def _owned(owner: dict[str, Any]) -> dict[str, Any]:
        reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "controller": True}
        return {"ownerReferences": [{**reference, "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}]}


@pytest.mark.parametrize(("kind", "spec"), READERS)
def test_what_reads_older_values_is_restarted_once(api: Api, kind: str, spec: dict[str, Any]) -> None:
    place = Place(api, kind, spec)
    assert not place.run()["changed"], "nothing has changed since the pod started"
    place.change()
    predicted = place.run(check=True)
    assert place.restarted_at() is None
    done = place.run()
    assert (done["restarted"], done["diff"]) == (predicted["restarted"], predicted["diff"])
    assert done["restarted"] == [{"api_version": "apps/v1", "kind": "Deployment", "namespace": place.namespace, "name": "web"}]
    assert place.restarted_at() == done["diff"][0]["after"]["restartedAt"]
    for check in (False, True):
        assert not place.run(check=check)["changed"], "the old pod is still there, but on its way"
    place.change()
    assert place.run()["changed"]


@pytest.mark.parametrize("workload", ["StatefulSet", "DaemonSet"])
def test_other_workloads_are_restarted_too(api: Api, workload: str) -> None:
    place = Place(api, *READERS[0], workload)
    place.change()
    assert place.run()["restarted"][0]["kind"] == workload
    assert place.restarted_at()


def test_a_secret_that_an_earlier_task_only_plans_counts_as_changed_in_check_mode(api: Api) -> None:
    place = Place(api, *READERS[0])
    place.change()
    place.run()
    next_second()
    assert place.run(check=True, action="update")["changed"]
    assert not place.run(check=False, action="update")["changed"]
    assert not place.run(check=True, action="keep")["changed"]


def test_pods_that_nobody_would_make_again_are_named_and_left(api: Api) -> None:
    place = Place(api, *READERS[0])
    place.create("v1", "Pod", {"metadata": {"name": "task"}, "spec": READERS[0][1]})
    place.create("v1", "Pod", {"metadata": {"name": "stranger"}, "spec": {"containers": [CONTAINER]}})
    place.change()
    assert place.run()["left"] == [f"{place.namespace}/task"]
    assert place.client.get(place.client.path("v1", "Pod", place.namespace, "task")) is not None


def test_labels_and_what_does_not_exist_restart_nothing(api: Api) -> None:
    place = Place(api, *READERS[0])
    place.change()
    place.run()
    missing = api.run_module("kubernetes_restart", secrets=[{"name": "missing", "namespace": place.namespace}])
    assert (missing["changed"], missing["restarted"]) == (False, [])
    assert "secrets[0] has no namespace" in api.run_module("kubernetes_restart", secrets=[{"name": "held"}])["msg"]
