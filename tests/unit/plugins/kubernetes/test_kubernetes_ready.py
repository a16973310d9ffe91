"""The module kubernetes_ready against a real apiserver, whose objects get the status that controllers and kubelets would write."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.causes import PATIENCE
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.client import Client, Object
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.waiter import Resource, Waiter

from .conftest import Api

LABELS = {"app": "web"}
TEMPLATE: Object = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "app", "image": "web:1"}]}}
SELECTOR = {"matchLabels": LABELS}


def create(api: Client, version: str, kind: str, namespace: str, name: str, status: Object | None = None, **parts: Any) -> Object:
    metadata = {"name": name, "namespace": namespace, **parts.pop("metadata", {})}
    made = api.create(api.path(version, kind, namespace), {"apiVersion": version, "kind": kind, "metadata": metadata, **parts})
    if status:
        api.patch(f"{api.path(version, kind, namespace, name)}/status", {"status": status})
    return made


def owned(by: Object) -> list[Object]:
    return [{"apiVersion": by["apiVersion"], "kind": by["kind"], "name": by["metadata"]["name"], "uid": by["metadata"]["uid"]}]


def deployment_with_pod(client: Client, namespace: str, pod_status: Object) -> None:
    """A Deployment in its second revision: an old pod that crashes without meaning anything any more, and the one that counts."""
    status = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "unavailableReplicas": 1}
    annotations = {"deployment.kubernetes.io/revision": "2"}
    spec = {"selector": SELECTOR, "template": TEMPLATE}
    web = create(client, "apps/v1", "Deployment", namespace, "web", status, metadata={"annotations": annotations}, spec=spec)
    crashed = {"name": "app", "image": "web:0", "imageID": "", "ready": False, "restartCount": 0}
    old_pod = {"phase": "Running", "containerStatuses": [{**crashed, "state": {"terminated": {"exitCode": 1, "reason": "OldPodError"}}}]}
    for revision, pod in (("1", old_pod), ("2", pod_status)):
        owner: Object = {"annotations": {"deployment.kubernetes.io/revision": revision}, "labels": LABELS, "ownerReferences": owned(web)}
        replicas = create(client, "apps/v1", "ReplicaSet", namespace, f"web-{revision}", metadata=owner, spec=spec)
        metadata = {"labels": LABELS, "ownerReferences": owned(replicas)}
        create(client, "v1", "Pod", namespace, f"web-{revision}-pod", pod, metadata=metadata, spec=TEMPLATE["spec"])


def container(**state: Any) -> Object:
    status = {"name": "app", "image": "web:1", "imageID": "", "ready": False, "restartCount": 0, **state}
    return {"phase": "Pending", "containerStatuses": [status]}


def ready(api: Api, *resources: Object, timeout: int = 0, check: bool = False) -> dict[str, Any]:
    return api.run_module("kubernetes_ready", resources=list(resources), timeout=timeout, check=check)


def test_it_returns_when_all_are_ready(api: Api) -> None:
    namespace, client = api.namespace(), api.client
    create(client, "v1", "PersistentVolumeClaim", namespace, "data", spec=claim_spec())

    def bind_later() -> None:
        time.sleep(3)
        client.patch(f"{client.path('v1', 'PersistentVolumeClaim', namespace, 'data')}/status", {"status": {"phase": "Bound"}})

    thread = threading.Thread(target=bind_later)
    thread.start()
    claim = {"kind": "PersistentVolumeClaim", "namespace": namespace, "name": "data"}
    result = ready(api, claim, {"kind": "Namespace", "name": namespace}, timeout=60)
    thread.join()
    assert not result.get("failed"), result
    assert not result["changed"]
    assert [entry["ready"] for entry in result["resources"]] == [True, True]


def test_time_runs_out_with_one_line_a_cause(api: Api) -> None:
    namespace, client = api.namespace(), api.client
    create(client, "v1", "PersistentVolumeClaim", namespace, "data", spec=claim_spec())
    result = ready(
        api,
        {"kind": "PersistentVolumeClaim", "namespace": namespace, "name": "data"},
        {"kind": "Deployment", "namespace": namespace, "name": "nobody"},
        {"kind": "PersistentVolumeClaim", "namespace": namespace, "name": "data", "bound": False},
    )
    assert result["failed"]
    head, claim, deployment = result["msg"].splitlines()
    assert head.startswith("2 of 3 objects are not ready within 0 s (waited ")
    assert claim == (
        f"PersistentVolumeClaim {namespace}/data: it is pending (storage class static-local). Its storage class static-local does not "
        "exist (the cluster has none); there is no PersistentVolume. What to do: correct the claim's class, create the class, or declare "
        "the volume in data_disks or shared_volumes (role static_volume)."
    )
    assert deployment == f"Deployment {namespace}/nobody: it does not exist. What to do: check that what creates it was run, and the name."


def test_the_newest_pods_say_why_a_deployment_is_not_ready(api: Api) -> None:
    namespace, client = api.namespace(), api.client
    waiting = {"reason": "CreateContainerConfigError", "message": 'secret "db" not found'}
    deployment_with_pod(client, namespace, container(state={"waiting": waiting}))
    (cause,) = ready(api, {"kind": "Deployment", "namespace": namespace, "name": "web"})["causes"]
    assert cause == (
        f"Deployment {namespace}/web: 0 of 1 pods available. Pod web-2-pod: container app wants Secret {namespace}/db, which does not "
        f"exist. What to do: create Secret {namespace}/db, or correct the name."
    )


def test_a_failed_job_ends_the_wait_at_once_and_alone_is_blamed(api: Api) -> None:
    namespace, client = api.namespace(), api.client
    create(client, "batch/v1", "Job", namespace, "migrate", spec={"template": {"spec": {**TEMPLATE["spec"], "restartPolicy": "Never"}}})
    api.end_job(namespace, "migrate", "Failed", reason="BackoffLimitExceeded", message="limit")
    result = ready(
        api,
        {"kind": "Job", "namespace": namespace, "name": "migrate"},
        {"kind": "Deployment", "namespace": namespace, "name": "waits-for-it"},
        timeout=300,
    )
    assert "will not become so" in result["msg"]
    assert len(result["causes"]) == 1
    assert f"Job {namespace}/migrate: it failed (BackoffLimitExceeded: limit)" in result["causes"][0]


def test_a_container_that_crashes_again_and_again_ends_the_wait(api: Api) -> None:
    namespace, client = api.namespace(), api.client
    back_off = {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"exitCode": 1}}}
    deployment_with_pod(client, namespace, container(**back_off, restartCount=7))
    waiter = Waiter(client, [Resource("Deployment", "web", namespace, "apps/v1")])
    path = f"{client.path('v1', 'Pod', namespace, 'web-2-pod')}/status"
    hopeless = []
    for restarts in (7, 9, 10):
        client.patch(path, {"status": container(**back_off, restartCount=restarts)})
        hopeless.append(waiter.look()[0].hopeless)
    assert hopeless == [False, False, True], "only restarts during the wait count"
    assert "container app ended with an error (exit code 1, 10 restarts)" in waiter.explain(waiter.look()[0])[0]


def test_what_does_not_go_away_ends_the_wait_within_a_minute(api: Api) -> None:
    namespace, client = api.namespace(), api.client
    deployment_with_pod(client, namespace, container(state={"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}))
    seconds = [0.0]
    waiter = Waiter(client, [Resource("Deployment", "web", namespace, "apps/v1")], clock=lambda: seconds[0])
    hopeless = []
    for now in (0.0, PATIENCE - 1, PATIENCE):
        seconds[0] = now
        hopeless.append(waiter.look()[0].hopeless)
    assert hopeless == [False, False, True]


@pytest.mark.parametrize(("ago", "ends"), [(timedelta(minutes=4), False), (timedelta(seconds=10), True)])
def test_what_was_last_tried_long_before_the_wait_may_have_come_right(api: Api, ago: timedelta, ends: bool) -> None:
    namespace, client = api.namespace(), api.client
    deployment_with_pod(client, namespace, container(state={"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}))
    when = (datetime.now(timezone.utc) - ago).strftime("%Y-%m-%dT%H:%M:%SZ")
    about = {"kind": "Pod", "name": "web-2-pod", "namespace": namespace}
    told: Object = {"reason": "Failed", "type": "Warning", "message": 'Failed to pull image "web:1": not found', "lastTimestamp": when}
    create(client, "v1", "Event", namespace, "web.1", involvedObject=about, **told)
    seconds = [0.0]
    waiter = Waiter(client, [Resource("Deployment", "web", namespace, "apps/v1")], clock=lambda: seconds[0])
    waiter.look()
    seconds[0] = PATIENCE
    (status,) = waiter.look()
    assert "cannot be pulled" in waiter.explain(status)[0]
    assert status.hopeless is ends


def test_rounds_go_on_where_the_last_one_ended(api: Api) -> None:
    namespace, client = api.namespace(), api.client
    back_off = {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"exitCode": 1}}}
    deployment_with_pod(client, namespace, container(**back_off, restartCount=7))
    web = {"kind": "Deployment", "namespace": namespace, "name": "web"}
    first = api.run_module("kubernetes_ready", resources=[web], timeout=300, round={"seconds": 0})
    assert not first.get("failed"), first
    assert first["progress"] == [
        {
            "object": f"Deployment {namespace}/web",
            "state": "0 of 1 pods available",
            "why": "Pod web-2-pod: container app ended with an error (exit code 1, 7 restarts). "
            "What to do: read its log, and correct what it complains of.",
        }
    ]
    client.patch(f"{client.path('v1', 'Pod', namespace, 'web-2-pod')}/status", {"status": container(**back_off, restartCount=10)})
    second = api.run_module("kubernetes_ready", resources=[web], timeout=300, round={**first["round"], "seconds": 0, "waited": 20.0})
    assert second["failed"]
    assert "will not become so (waited 20 s)" in second["msg"]


def test_a_wait_of_rounds_is_over_in_time(api: Api) -> None:
    namespace = api.namespace()
    absent = {"kind": "Deployment", "namespace": namespace, "name": "web"}
    result = api.run_module("kubernetes_ready", resources=[absent], timeout=60, round={"seconds": 12, "waited": 60.0})
    assert result["failed"]
    assert "not ready within 60 s (waited 60 s)" in result["msg"]


def test_restarts_before_the_wait_do_not_count_for_a_container_that_ran_when_it_began(api: Api) -> None:
    namespace, client = api.namespace(), api.client
    again = {"state": {"running": {}}, "lastState": {"terminated": {"exitCode": 1}}}
    deployment_with_pod(client, namespace, container(**again, restartCount=7))
    waiter = Waiter(client, [Resource("Deployment", "web", namespace, "apps/v1")])
    assert not waiter.look()[0].hopeless
    back_off = {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"exitCode": 1}}}
    path = f"{client.path('v1', 'Pod', namespace, 'web-2-pod')}/status"
    client.patch(path, {"status": container(**back_off, restartCount=7)})
    assert not waiter.look()[0].hopeless


def test_an_absent_object_is_explained_by_the_release_that_was_not_finished(api: Api) -> None:
    namespace, client = api.namespace(), api.client
    labels = {"owner": "helm", "name": "airflow", "version": "1", "status": "pending-install"}
    create(client, "v1", "Secret", namespace, "sh.helm.release.v1.airflow.v1", metadata={"labels": labels}, type="helm.sh/release.v1")
    (cause,) = ready(api, {"kind": "Deployment", "namespace": namespace, "name": "web"})["causes"]
    assert cause.startswith(
        f"Deployment {namespace}/web: it does not exist. Release {namespace}/airflow: its revision 1 is pending-install since 20"
    )
    assert "with -e platform_helm_recover=true" in cause


def test_check_mode_waits_for_nothing(api: Api) -> None:
    result = ready(api, {"kind": "Deployment", "namespace": "nowhere", "name": "planned"}, timeout=300, check=True)
    assert not result["changed"]
    assert result["resources"][0]["ready"] is None


def test_errors_are_sentences(api: Api) -> None:
    assert "set api_version" in ready(api, {"kind": "Certificate", "name": "web"})["msg"]
    assert "set namespace" in ready(api, {"kind": "Deployment", "name": "web"})["msg"]
    unknown = ready(api, {"kind": "Certificate", "api_version": "cert-manager.io/v1", "namespace": "default", "name": "web"})
    assert "it does not exist" in unknown["msg"]
    assert "Traceback" not in unknown["output"]


def claim_spec() -> Object:
    return {"accessModes": ["ReadWriteOnce"], "storageClassName": "static-local", "resources": {"requests": {"storage": "1Gi"}}}
