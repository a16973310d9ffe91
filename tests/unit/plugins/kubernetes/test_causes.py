"""Each cause is told apart, by what Kubernetes 1.34 and containerd really say."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
import yaml
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.causes import PATIENCE, Cause
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.claim_causes import claim_cause
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.pod_causes import container_causes, mount_causes
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.refusals import refusal_cause, webhook_of
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.scheduling import amount, scheduling_cause

Object = dict[str, Any]
NOW = datetime.now(timezone.utc)


def pod(container: Object, **spec: Any) -> Object:
    status = {"containerStatuses": [{"name": "app", "image": "a:1", **container}]}
    return {"metadata": {"name": "web", "namespace": "airflow"}, "spec": {"containers": [], **spec}, "status": status}


WAITING = """
- - image-tag
  - ErrImagePull
  - >-
    rpc error: code = NotFound desc = failed to pull and unpack image "127.0.0.1:5005/platform/web:9.9": failed to resolve reference
    "127.0.0.1:5005/platform/web:9.9": 127.0.0.1:5005/platform/web:9.9: not found
  - "the image a:1 of container app cannot be pulled: 127.0.0.1:5005/platform/web:9.9: not found"
- - image-registry
  - ImagePullBackOff
  - >-
    Back-off pulling image "registry.absent.test/web:1": ErrImagePull: failed to pull and unpack image "registry.absent.test/web:1": failed
    to resolve reference "registry.absent.test/web:1": failed to do request: Head "https://registry.absent.test/v2/web/manifests/1": dial
    tcp: lookup registry.absent.test on 10.31.0.30:53: server misbehaving
  - "cannot be pulled: dial tcp: lookup registry.absent.test on 10.31.0.30:53: server misbehaving"
- - image-login
  - ErrImagePull
  - >-
    failed to pull and unpack image "127.0.0.1:5005/private/web:1": failed to resolve reference "127.0.0.1:5005/private/web:1": pulling from
    host 127.0.0.1:5005 failed with status code [manifests 1]: 401 Unauthorized
  - "[manifests 1]: 401 Unauthorized"
- - image-name
  - InvalidImageName
  - 'Failed to apply default image tag "A:1:2": couldn''t parse image name "A:1:2": invalid reference format'
  - "invalid reference format"
- [image-never, ErrImageNeverPull, 'Container image "a:1" is not present with pull policy of Never', the node does not hold it]
- - image-limit
  - ErrImagePull
  - "pulling from host registry-1.docker.io failed with status code [manifests 1]: 429 Too Many Requests"
  - 429 Too Many Requests
- [reference, CreateContainerConfigError, 'secret "database" not found', "wants Secret airflow/database, which does not exist"]
- [reference, CreateContainerConfigError, 'configmap "settings" not found', "wants ConfigMap airflow/settings, which does not exist"]
- - reference
  - CreateContainerConfigError
  - "couldn't find key password in Secret airflow/database"
  - wants the key password of Secret airflow/database, which has no such key
- - configuration
  - CreateContainerConfigError
  - "container has runAsNonRoot and image will run as root (pod: ..., container: app)"
  - container app cannot be started (CreateContainerConfigError)
"""


@pytest.mark.parametrize(("kind", "reason", "message", "said"), yaml.safe_load(WAITING))
def test_a_container_that_cannot_start(kind: str, reason: str, message: str, said: str) -> None:
    (cause,) = container_causes(pod({"state": {"waiting": {"reason": reason, "message": message}}}))
    assert (cause.kind, cause.subject) == (kind, "Pod web")
    assert said in cause.reason
    assert cause.hopeless(PATIENCE, 0, NOW)
    assert "\n" not in cause.line()


@pytest.mark.parametrize(
    ("container", "kind", "said"),
    [
        (
            {
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "restartCount": 4,
                "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}},
            },
            "crash",
            "ended with an error (exit code 1, 4 restarts)",
        ),
        (
            {"state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}, "restartCount": 0},
            "crash",
            "(exit code 137, OOMKilled, 0 restarts)",
        ),
        (
            {"state": {"running": {}}, "ready": False, "restartCount": 1, "lastState": {"terminated": {"exitCode": 1}}},
            "restart",
            "runs again",
        ),
    ],
)
def test_a_container_that_ends(container: Object, kind: str, said: str) -> None:
    (cause,) = container_causes(pod(container))
    assert cause.kind == kind
    assert said in cause.reason
    assert not cause.hopeless(9999, 2, NOW)
    assert cause.hopeless(1, 3, NOW) is (kind == "crash")


def test_a_kubelet_that_tells_of_the_registry_s_answer_in_an_event_only() -> None:
    waiting = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "a:1"'}
    late = pod({"state": {"waiting": waiting}})
    (cause,) = container_causes(late)
    assert cause.kind == "image"
    answer = 'Failed to pull image "a:1": rpc error: code = NotFound desc = failed to resolve reference "a:1": a:1: not found'
    (told,) = container_causes(late, answer)
    assert (told.kind, told.reason) == ("image-tag", "the image a:1 of container app cannot be pulled: a:1: not found")


def test_a_container_without_trouble() -> None:
    assert not list(container_causes(pod({"state": {"running": {}}, "ready": True, "lastState": {"terminated": {"exitCode": 1}}})))
    assert not list(container_causes(pod({"state": {"waiting": {"reason": "PodInitializing"}}})))


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (
            'MountVolume.SetUp failed for volume "it" : secret "database" not found',
            "its volume it wants Secret airflow/database, which does not",
        ),
        (
            'MountVolume.SetUp failed for volume "keys" : configmap references non-existent config key: absent',
            "its volume keys wants the key absent of ConfigMap airflow/settings, which has no such key",
        ),
        (
            'MountVolume.SetUp failed for volume "data" : mount failed: exit status 32',
            "its volume data cannot be mounted (FailedMount): mount failed: exit status 32",
        ),
    ],
)
def test_a_volume_that_cannot_be_mounted(message: str, said: str) -> None:
    volumes = [{"name": "keys", "configMap": {"name": "settings"}}]
    (cause,) = mount_causes(pod({}, volumes=volumes), [{"reason": "FailedMount", "message": message}])
    assert said in cause.reason


@pytest.mark.parametrize(
    "said",
    [
        '"kube-api-access-w59tl" : failed to sync configmap cache: timed out waiting for the condition',
        '"database" : secrets "postgresql" is forbidden: User "system:node:w1" cannot get resource "secrets" in API group "" in the '
        "namespace \"airflow\": no relationship found between node 'w1' and this object",
    ],
)
def test_what_kubelet_has_a_moment_later_is_no_cause(said: str) -> None:
    message = f"MountVolume.SetUp failed for volume {said}"
    assert not list(mount_causes(pod({}), [{"reason": "FailedMount", "message": message}]))


PREEMPTION = " no new claims to deallocate, preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."


def node(name: str, *taints: Object, cpu: str = "2", memory: str = "8Gi") -> Object:
    labels = {"kubernetes.io/hostname": name}
    spec = {"taints": list(taints)}
    return {"metadata": {"name": name, "labels": labels}, "spec": spec, "status": {"allocatable": {"cpu": cpu, "memory": memory}}}


def scheduled(message: str, *nodes: Object, volumes: tuple[Object, ...] = (), scaling: bool = False, **spec: Any) -> Cause:
    return scheduling_cause(pod({}, **spec), f"0/2 nodes are available: {message}.{PREEMPTION}", nodes, volumes, scaling=scaling)


def asks(**requests: str) -> list[Object]:
    return [{"name": "app", "resources": {"requests": requests}}]


def test_too_little_cpu_or_memory_comes_with_the_numbers() -> None:
    nodes = (node("a"), node("b", cpu="4"))
    never = scheduled("2 Insufficient cpu", *nodes, containers=asks(cpu="4500m"))
    assert "2 with too little CPU (it asks for 4.5, the largest node that it selects has 4)" in never.reason
    assert never.patience == PATIENCE
    later = scheduled("2 Insufficient memory", *nodes, containers=asks(memory="6Gi"))
    assert "too little memory left (it asks for 6 GiB, the largest node that it selects has 8 GiB for all that runs there)" in later.reason
    assert later.patience is None, "room may come when others end"
    assert scheduled("2 Insufficient cpu", *nodes, scaling=True, containers=asks(cpu="16")).patience is None, "an autoscaler brings a node"


def test_taints_are_named() -> None:
    dedicated = {"key": "dedicated", "value": "orchestration", "effect": "NoSchedule"}
    preferred = {"key": "slow", "effect": "PreferNoSchedule"}
    cause = scheduled("2 node(s) had untolerated taint(s)", node("a", dedicated), node("b", {**dedicated, "key": "gpu"}, preferred))
    assert "(a has dedicated=orchestration:NoSchedule, b has gpu=orchestration:NoSchedule)" in cause.reason
    assert cause.patience == PATIENCE
    tolerations = [{"key": "gpu", "operator": "Exists"}]
    some = scheduled(
        "1 node(s) had untolerated taint(s)", node("a", dedicated), node("b", {**dedicated, "key": "gpu"}), tolerations=tolerations
    )
    assert "(a has dedicated=orchestration:NoSchedule)" in some.reason
    restarting = scheduled("1 node(s) had untolerated taint(s)", node("a", {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}))
    assert restarting.patience is None, "Kubernetes takes such a taint away itself"


def test_what_a_pod_selects() -> None:
    alone = scheduled("2 node(s) didn't match Pod's node affinity/selector", nodeSelector={"workload": "nowhere"})
    assert "2 without what it selects (workload=nowhere)" in alone.reason
    assert "label a node so (role node: workload=nowhere)" in alone.remedy
    message = "1 Insufficient cpu, 1 node(s) didn't match Pod's node affinity/selector"
    both = scheduled(message, node("a"), nodeSelector={"kubernetes.io/hostname": "a"}, containers=asks(cpu="8"))
    assert both.remedy == "ask for less CPU, or add a larger node"


def volume(name: str, size: str = "2Gi", mode: str = "ReadWriteOnce", *, node: str = "a", **spec: Any) -> Object:
    terms = [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}]
    affinity = {"required": {"nodeSelectorTerms": terms}}
    held = {"capacity": {"storage": size}, "accessModes": [mode], "storageClassName": "static", "nodeAffinity": affinity, **spec}
    return {"metadata": {"name": name}, "spec": held}


def test_a_volume_is_where_the_pod_may_not_go() -> None:
    message = "2 node(s) didn't match PersistentVolume's node affinity"
    there = scheduled(message, node("a"), node("b"), volumes=(volume("data"),))
    assert "2 without its volume (data is kept to node a)" in there.reason
    gone = scheduled(message, node("a"), node("b"), volumes=(volume("data", node="c"),))
    assert "and the cluster has no node c" in gone.reason
    assert "bring node c into the cluster" in gone.remedy


def claim(**spec: Any) -> Object:
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "static", **spec}
    return {"metadata": {"name": "data", "namespace": "airflow", "uid": "1"}, "spec": wanted}


def storage_class(provisioner: str = "kubernetes.io/no-provisioner", mode: str = "Immediate") -> Object:
    return {"metadata": {"name": "static"}, "provisioner": provisioner, "volumeBindingMode": mode}


LATE = storage_class(mode="WaitForFirstConsumer")


@pytest.mark.parametrize(
    ("spec", "classes", "volumes", "used", "kind", "said"),
    [
        ({"storageClassName": None}, [], [], True, "claim-no-class", "no class is the default (the cluster has none); there is no Persist"),
        ({"storageClassName": ""}, [], [], True, "claim-no-class", "it asks for no storage class; "),
        ({}, [], [], True, "claim-missing-class", "its storage class static does not exist (the cluster has none)"),
        ({}, [storage_class()], [volume("pv", "512Mi")], True, "claim-no-volume", "fits (1Gi, ReadWriteOnce): pv has 512Mi only"),
        ({}, [storage_class()], [volume("pv", mode="ReadOnlyMany")], True, "claim-no-volume", "pv allows ReadOnlyMany only"),
        ({}, [storage_class()], [volume("pv", storageClassName="fast")], True, "claim-no-volume", "pv is of class fast"),
        (
            {},
            [storage_class()],
            [volume("pv", claimRef={"namespace": "x", "name": "y"})],
            True,
            "claim-no-volume",
            "pv is taken by x/y",
        ),
        ({}, [storage_class()], [volume("pv", node="c")], True, "claim-node", "pv is kept to node c, and the cluster has no node c"),
        ({}, [storage_class()], [volume("pv")], True, "claim-binding", "pv fits it and is not bound to it yet"),
        ({}, [LATE], [volume("pv")], False, "claim-consumer", "waits for its first pod (storage class static, WaitForFirstConsumer)"),
        (
            {},
            [storage_class("ebs.csi.aws.com")],
            [],
            True,
            "claim-provisioner",
            "the provisioner ebs.csi.aws.com of its storage class static",
        ),
    ],
)
def test_claims(spec: Object, classes: list[Object], volumes: list[Object], used: bool, kind: str, said: str) -> None:
    cause = claim_cause(claim(**spec), classes, volumes, [node("a")], used=used)
    assert (cause.kind, cause.subject) == (kind, "PersistentVolumeClaim airflow/data")
    assert said in cause.reason


NOT_CALLED = (
    'Internal error occurred: failed calling webhook "check.lab.test": failed to call webhook: Post "https://hook.ops.svc:443/check": '
)
REFUSED = """
- - quota
  - >-
    (combined from similar events): Error creating: pods "web-hfpm8" is forbidden: exceeded quota: small, requested: requests.cpu=200m,
    used: requests.cpu=0, limited: requests.cpu=100m
  - "refused by ResourceQuota airflow/small (requests.cpu: it asks for 200m, 0 of 100m are used)"
- - quota-unsaid
  - >-
    create Pod web-0 in StatefulSet web failed error: pods "web-0" is forbidden: failed quota: small: must specify requests.memory for: app
  - "refused by ResourceQuota airflow/small, which wants to be told requests.memory for: app"
- - limit
  - 'Error creating: pods "web-9" is forbidden: maximum cpu usage per Container is 100m, but limit is 200m'
  - "refused by a LimitRange of the namespace airflow: maximum cpu usage per Container is 100m, but limit is 200m"
- - security
  - 'pods "web-4" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container "app" must ...)'
  - 'by the Pod Security level of the namespace airflow: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false'
- - account
  - 'Error creating: pods "web-" is forbidden: error looking up service account airflow/nobody: serviceaccount "nobody" not found'
  - since ServiceAccount airflow/nobody does not exist
- [webhook-denied, 'admission webhook "check.lab.test" denied the request: no team label', "denied the request: no team label"]
- [refused, "something new", "its pods are refused: something new"]
"""


@pytest.mark.parametrize(("kind", "message", "said"), yaml.safe_load(REFUSED))
def test_pods_that_are_refused(kind: str, message: str, said: str) -> None:
    cause = refusal_cause("ReplicaSet airflow/web-1", "airflow", message)
    assert (cause.kind, cause.subject) == (kind, "ReplicaSet airflow/web-1")
    assert said in cause.reason


def test_a_quota_that_others_use_up_may_come_free() -> None:
    message = "exceeded quota: small, requested: pods=1, used: pods=4, limited: pods=4"
    assert refusal_cause("Job airflow/web", "airflow", message).patience is None


@pytest.mark.parametrize(
    ("error", "bundle", "endpoints", "kind", "said"),
    [
        (
            "tls: failed to verify certificate: x509: certificate signed by unknown authority",
            "Q0E=",
            1,
            "webhook-ca",
            "has another CA than the one that signed the certificate of Service ops/hook: certificate signed by unknown authority",
        ),
        (
            "tls: failed to verify certificate: x509: certificate signed by unknown authority",
            "",
            1,
            "webhook-no-ca",
            "has no CA to verify Service ops/hook by (its caBundle is empty)",
        ),
        (
            "tls: failed to verify certificate: x509: certificate is valid for minio, minio.lab.test, not hook.ops.svc",
            "",
            1,
            "webhook-name",
            "whose certificate is for other names: certificate is valid for minio, minio.lab.test, not hook.ops.svc",
        ),
        ('service "hook" not found', "Q0E=", None, "webhook-service", "is at Service ops/hook, which does not exist"),
        ("dial tcp 10.96.172.111:443: connect: connection refused", "Q0E=", 0, "webhook-endpoints", "which has no ready pod"),
        ("dial tcp 10.96.172.111:443: connect: connection refused", "Q0E=", 1, "webhook", "does not answer: Post"),
    ],
)
def test_webhooks_that_cannot_be_asked(error: str, bundle: str, endpoints: int | None, kind: str, said: str) -> None:
    assert webhook_of(NOT_CALLED + error) == "check.lab.test"
    webhook = {"name": "check.lab.test", "clientConfig": {"caBundle": bundle}}
    cause = refusal_cause("Job airflow/web", "airflow", f"Error creating: {NOT_CALLED}{error}", webhook, endpoints)
    assert cause.kind == kind
    assert said in cause.reason


def test_amounts() -> None:
    assert [amount(value) for value in ("50m", "2", "1Ki", "1k", "x", None)] == [amount("0.05"), 2, 1024, 1000, 0, 0]
