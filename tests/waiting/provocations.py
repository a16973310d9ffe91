"""Everything that keeps a workload from becoming ready, each provoked by objects in a namespace of its own."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from lab.certificates import Authority
from lab.settings import STATE, WORKER_1

Object = dict[str, Any]

IMAGE = "docker.io/library/postgres:15-bookworm"
"""One that k8s-worker-01 holds."""
REGISTRY = "127.0.0.1:5005"
"""Where the tests' registry answers on the node: containerd speaks plain HTTP to no other address."""
TLS_PORT = 5006
"""Where what serves the webhooks answers on k8s-worker-01."""
SERVED = [f"hook.waiting-{name}.svc" for name in ("wrong-ca", "no-ca")]
"""The names in its certificate."""
LABELS = {"app": "web"}
TAINT = {"key": "waiting", "value": "provoked", "effect": "NoSchedule"}
"""What k8s-worker-01 has while the tests run; every workload but one tolerates it."""
DECLARE = "declare the volume in data_disks or shared_volumes (role static_volume)"


@dataclass(frozen=True)
class Provocation:
    """Objects, what is waited for, and what the wait has to say of it."""

    name: str
    kind: str
    objects: list[Object]
    subject: str
    """The object at fault, as the line names it."""
    reason: str
    remedy: str

    @property
    def namespace(self) -> str:
        """Where it happens."""
        return f"waiting-{self.name}"

    @property
    def resource(self) -> Object:
        """What is waited for."""
        return {"kind": self.kind, "namespace": self.namespace, "name": "web"}

    @property
    def says(self) -> tuple[str, ...]:
        """What the line has to hold, in this order."""
        waited_for = f"{self.kind} {self.namespace}/web: "
        subject = self.subject.format(namespace=self.namespace)
        return (
            waited_for,
            subject,
            self.reason.format(namespace=self.namespace),
            "What to do: ",
            self.remedy.format(namespace=self.namespace),
        )

    def manifest(self) -> list[Object]:
        """Its objects, with names and namespace."""
        made = [] if any(one["kind"] == "Namespace" for one in self.objects) else [core("Namespace", self.namespace)]
        for one in self.objects:
            place = {} if one["kind"] in CLUSTER_WIDE else {"namespace": self.namespace}
            made.append({**one, "metadata": {"name": "web", **place, **one.get("metadata", {})}})
        return made


CLUSTER_WIDE = ("Namespace", "PersistentVolume", "StorageClass", "ValidatingWebhookConfiguration")


def core(kind: str, name: str = "web", **parts: Any) -> Object:
    """An object of the first API."""
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, **parts}


def container(**options: Any) -> Object:
    """A container that does nothing, for as long as it is let."""
    return {"name": "app", "image": IMAGE, "command": ["sleep", "infinity"], **options}


def workload(kind: str, *, pod: Object | None = None, **options: Any) -> Object:
    """A workload of one pod on k8s-worker-01, which holds the image."""
    # A test that is through has no use for pods that end in their own time.
    spec: Object = {"nodeSelector": {"kubernetes.io/hostname": WORKER_1.name}, "terminationGracePeriodSeconds": 0}
    spec |= {"tolerations": [{"operator": "Exists"}], "containers": [container(**options)], **(pod or {})}
    template = {"metadata": {"labels": LABELS}, "spec": spec}
    if kind == "Job":
        spec["restartPolicy"] = "Never"
        return {"apiVersion": "batch/v1", "kind": kind, "spec": {"backoffLimit": 0, "template": template}}
    more = {"serviceName": "web"} if kind == "StatefulSet" else {}
    return {"apiVersion": "apps/v1", "kind": kind, "spec": {"selector": {"matchLabels": LABELS}, "template": template, **more}}


def claim(**spec: Any) -> Object:
    """A claim."""
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec}
    return core("PersistentVolumeClaim", spec=wanted)


def storage_class(name: str, provisioner: str = "kubernetes.io/no-provisioner", mode: str = "Immediate") -> Object:
    """A class, without a provisioner unless one is named."""
    parts = {"provisioner": provisioner, "volumeBindingMode": mode}
    return {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name}, **parts}


def volume(name: str, storage: str, size: str = "2Gi", *, mode: str = "ReadWriteOnce", node: str = WORKER_1.name, **spec: Any) -> Object:
    """A local volume of a node."""
    terms = [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}]
    wanted = {
        "storageClassName": storage,
        "capacity": {"storage": size},
        "accessModes": [mode],
        "local": {"path": "/mnt"},
        "persistentVolumeReclaimPolicy": "Retain",
        "nodeAffinity": {"required": {"nodeSelectorTerms": terms}},
        **spec,
    }
    return core("PersistentVolume", name, spec=wanted)


def mounting(source: Object) -> Object:
    """The part of a pod that has a volume."""
    return {"volumes": [{"name": "files", **source}], "containers": [container(volumeMounts=[{"name": "files", "mountPath": "/files"}])]}


USES_CLAIM = mounting({"persistentVolumeClaim": {"claimName": "web"}})
CLAIM = "PersistentVolumeClaim {namespace}/web: "


def claims() -> Iterator[Provocation]:
    """What keeps a claim from being bound."""
    deployed, named = workload("Deployment", pod=USES_CLAIM), "PersistentVolumeClaim"
    yield Provocation(
        "no-class", "Deployment", [claim(), deployed], CLAIM, "it names no storage class, and no class is the default", DECLARE
    )
    missing = [claim(storageClassName="absent"), workload("StatefulSet", pod=USES_CLAIM)]
    yield Provocation(
        "missing-class", "StatefulSet", missing, CLAIM, "its storage class absent does not exist", "correct the claim's class"
    )
    static, text = (
        "waiting-static",
        "waiting-shared allows ReadOnlyMany only, waiting-small has 512Mi only, waiting-taken is taken by other/data",
    )
    near = [
        storage_class(static),
        volume("waiting-small", static, "512Mi"),
        volume("waiting-shared", static, mode="ReadOnlyMany"),
        volume("waiting-taken", static, claimRef={"namespace": "other", "name": "data"}),
        claim(storageClassName=static),
    ]
    yield Provocation("no-volume", named, near, "", f"no PersistentVolume fits (1Gi, ReadWriteOnce): {text}", DECLARE)
    held = volume("waiting-gone", "waiting-gone", node="k8s-worker-09")
    uses = workload("StatefulSet", pod=USES_CLAIM)
    gone = [storage_class("waiting-gone"), held, claim(storageClassName="waiting-gone"), uses]
    away = "without its volume (waiting-gone is kept to node k8s-worker-09), and the cluster has no node k8s-worker-09"
    yield Provocation("volume-elsewhere", "StatefulSet", gone, "Pod web-0: ", away, "bring node k8s-worker-09 into the cluster")
    late = [storage_class("waiting-late", mode="WaitForFirstConsumer"), claim(storageClassName="waiting-late")]
    yield Provocation("first-consumer", named, late, "", "it waits for its first pod (storage class waiting-late", "start what uses it")
    made = [storage_class("waiting-made", "nobody.lab.test"), claim(storageClassName="waiting-made")]
    yield Provocation(
        "no-provisioner", named, made, "", "the provisioner nobody.lab.test of its storage class", "the provisioner's pods run"
    )
    yield Provocation("no-claim", "Deployment", [deployed], CLAIM, "it does not exist", DECLARE)


def images() -> Iterator[Provocation]:
    """What keeps an image from coming."""
    for name, image, answer, remedy in (
        ("tag", f"{REGISTRY}/platform/web:9.9", f"{REGISTRY}/platform/web:9.9: not found", "correct the image's name and tag"),
        ("registry", "registry.absent.test/web:1", "dial tcp: lookup registry.absent.test", "check the registry's name"),
        ("login", f"{REGISTRY}/private/web:1", "401 Unauthorized", "login in a pull secret (imagePullSecrets"),
    ):
        reason = f"the image {image} of container app cannot be pulled: "
        yield Provocation(name, "Deployment", [workload("Deployment", image=image)], "Pod web-", reason, remedy)
        yield Provocation(f"{name}-answer", "StatefulSet", [workload("StatefulSet", image=image)], "Pod web-0: ", answer, remedy)
    never = workload("Deployment", image="platform/web:1", imagePullPolicy="Never")
    yield Provocation("never", "Deployment", [never], "Pod web-", "its pull policy is Never", "imagePullPolicy: IfNotPresent")


def scheduling() -> Iterator[Provocation]:
    """What keeps a pod from a node."""
    for name, pod, options, reason, remedy in (
        ("cpu", {}, {"cpu": "512"}, "with too little CPU (it asks for 512, the largest node that it selects has ", "ask for less CPU"),
        ("memory", {}, {"memory": "64Ti"}, "with too little memory (it asks for 65,536 GiB, the largest node", "ask for less memory"),
        (
            "selector",
            {"nodeSelector": {"workload": "nowhere"}},
            {},
            "2 without what it selects (workload=nowhere)",
            "label a node so (role",
        ),
        ("taint", {"tolerations": []}, {}, f"({WORKER_1.name} has waiting=provoked:NoSchedule", "tolerate the taint"),
    ):
        asks = {"containers": [container(resources={"requests": options})]} if options else {}
        yield Provocation(name, "Deployment", [workload("Deployment", pod={**asks, **pod})], "Pod web-", reason, remedy)


COMPLAINS = ["sh", "-c", "echo 'the table dag_run is missing'; exit 3"]


def crashes() -> Iterator[Provocation]:
    """What ends with an error over and over."""
    objects = [workload("Deployment", command=COMPLAINS)]
    yield Provocation("crash", "Deployment", objects, "Pod web-", "container app ended with an error (exit code 3, ", "read its log")


def jobs() -> Iterator[Provocation]:
    """A Job that has failed."""
    objects = [workload("Job", command=COMPLAINS)]
    reason = "container app ended with an error (exit code 3, 0 restarts)"
    yield Provocation("job", "Job", objects, "it failed (BackoffLimitExceeded: ", reason, "kubectl delete job -n {namespace} web")


def deadlines() -> Iterator[Provocation]:
    """A Job that took too long."""
    late = workload("Job")
    late["spec"]["activeDeadlineSeconds"] = 3
    yield Provocation("deadline", "Job", [late], "", "it failed (DeadlineExceeded: ", "give it more time (activeDeadlineSeconds)")


def names() -> Iterator[Provocation]:
    """An image that no registry could have."""
    objects = [workload("Deployment", image="Platform/Web:1:2")]
    yield Provocation(
        "image-name", "Deployment", objects, "Pod web-", "cannot be pulled: Failed to apply default", "correct the image's name"
    )


def references() -> Iterator[Provocation]:
    """What refers to a Secret or ConfigMap, or a key of one, that is not there."""
    password = [{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "database", "key": "password"}}}]
    wants = "container app wants "
    secret = "Secret {namespace}/database"
    yield Provocation(
        "secret",
        "Deployment",
        [workload("Deployment", env=password)],
        "Pod web-",
        f"{wants}{secret}, which does not exist",
        f"create {secret}",
    )
    keyless = [core("Secret", "database", stringData={"user": "airflow"}), workload("Deployment", env=password)]
    yield Provocation(
        "key", "Deployment", keyless, "Pod web-", f"{wants}the key password of {secret}, which has no such key", f"add the key to {secret}"
    )
    settings = "ConfigMap {namespace}/settings"
    config = workload("Deployment", envFrom=[{"configMapRef": {"name": "settings"}}])
    yield Provocation("config", "Deployment", [config], "Pod web-", f"{wants}{settings}, which does not exist", f"create {settings}")
    mounted = workload("Deployment", pod=mounting({"secret": {"secretName": "database"}}))
    yield Provocation(
        "mounted", "Deployment", [mounted], "Pod web-", f"its volume files wants {secret}, which does not exist", f"create {secret}"
    )
    key = mounting({"configMap": {"name": "settings", "items": [{"key": "absent", "path": "it"}]}})
    objects = [core("ConfigMap", "settings", data={"a": "b"}), workload("StatefulSet", pod=key)]
    yield Provocation(
        "mounted-key", "StatefulSet", objects, "Pod web-0: ", f"its volume files wants the key absent of {settings}", "add the key to"
    )


def webhook(name: str, bundle: str) -> Object:
    """A webhook that has to be asked for each pod of a namespace, in a service of that namespace."""
    client = {"service": {"name": "hook", "namespace": name, "path": "/check", "port": 443}, **({"caBundle": bundle} if bundle else {})}
    entry = {
        "name": f"{name}.lab.test",
        "clientConfig": client,
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}},
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "timeoutSeconds": 5,
        "admissionReviewVersions": ["v1"],
    }
    parts = {"metadata": {"name": name}, "webhooks": [entry]}
    return {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", **parts}


def served() -> list[Object]:
    """A service with a certificate that no bundle here has signed."""
    metadata = {"name": "hook", "labels": {"kubernetes.io/service-name": "hook"}}
    ends = {"endpoints": [{"addresses": [WORKER_1.address], "conditions": {"ready": True}}], "ports": [{"port": TLS_PORT}]}
    slices = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata, "addressType": "IPv4", **ends}
    return [core("Service", "hook", spec={"ports": [{"port": 443, "targetPort": TLS_PORT}]}), slices]


def webhooks() -> Iterator[Provocation]:
    """Webhooks that cannot be asked."""
    other = base64.b64encode(Authority(STATE / "another-ca", "another").create().certificate.read_bytes()).decode()
    place = "Service {namespace}/hook"
    for name, kind, bundle, more, reason, remedy in (
        ("wrong-ca", "Deployment", other, served(), f"has another CA than the one that signed the certificate of {place}", "into caBundle"),
        ("no-ca", "StatefulSet", "", served(), f"has no CA to verify {place} by (its caBundle is empty)", "into caBundle"),
        ("nobody", "Job", other, served()[:1], f"is at {place}, which has no ready pod", "start what serves it"),
        ("absent", "Deployment", other, [], f"is at {place}, which does not exist", "start what serves it"),
    ):
        objects = [*more, webhook(f"waiting-{name}", bundle), workload(kind)]
        subject = "ReplicaSet {namespace}/web-" if kind == "Deployment" else ""
        head = "its pods are refused, since the admission webhook {namespace}.lab.test "
        yield Provocation(name, kind, objects, subject, head + reason, remedy)


def refusals() -> Iterator[Provocation]:
    """What else the API has against pods."""
    asks = {"resources": {"requests": {"cpu": "200m"}, "limits": {"cpu": "200m"}}}
    owner, refused = "ReplicaSet {namespace}/web-", "its pods are refused by "

    def quota(key: str, most: str) -> Object:
        return core("ResourceQuota", "small", spec={"hard": {key: most}})

    small = "ResourceQuota {namespace}/small"
    numbers = f"{refused}{small} (requests.cpu: it asks for 200m, 0 of 100m are used)"
    full = [quota("requests.cpu", "100m"), workload("Deployment", **asks)]
    yield Provocation("quota", "Deployment", full, owner, numbers, f"raise {small}, or ask for less")
    unsaid = [quota("requests.memory", "1Gi"), workload("StatefulSet")]
    yield Provocation(
        "quota-unsaid", "StatefulSet", unsaid, "", f"{refused}{small}, which wants to be told requests.memory for: app", "say in the"
    )
    limits = core("LimitRange", "small", spec={"limits": [{"type": "Container", "max": {"cpu": "100m"}}]})
    text = f"{refused}a LimitRange of the namespace {{namespace}}: maximum cpu usage per Container is 100m, but limit is 200m"
    yield Provocation("limit", "Deployment", [limits, workload("Deployment", **asks)], owner, text, "ask for what it allows")
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    strict = [core("Namespace", metadata={"name": "waiting-security", "labels": labels}), workload("Deployment")]
    level = f"{refused}the Pod Security level of the namespace {{namespace}}: violates PodSecurity"
    yield Provocation("security", "Deployment", strict, owner, level, "set what it asks for in the securityContext")
    account = "ServiceAccount {namespace}/nobody"
    without = [workload("Job", pod={"serviceAccountName": "nobody"})]
    yield Provocation(
        "account", "Job", without, "", f"its pods are refused, since {account} does not exist", f"create {account} (role rbac)"
    )


TOGETHER: tuple[tuple[Callable[[], Iterator[Provocation]], ...], ...] = (
    (claims,),
    (images, crashes),
    (scheduling, references),
    (webhooks, refusals),
    # These end a wait at once, and would end the others with it.
    (jobs,),
    (deadlines,),
    (names,),
)
"""What is waited for together."""
