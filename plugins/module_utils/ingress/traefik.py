# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From one small declaration to the objects of Traefik, or to the two that a Traefik which is there already lacks."""

from __future__ import annotations

import hashlib
import json
import posixpath
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from ansible_collections.homelab.data_platform.plugins.module_utils.ingress.rules import (
    CONTROLLERS,
    MIDDLEWARES,
    IngressError,
    Object,
    check_kind,
)

UID = 65532
WEB_PORT = 8000
"""Above 1024, so that no capability is needed; the Service says which port people see."""
PING_PORT = 8080
LABELS = {"app.kubernetes.io/name": "traefik", "app.kubernetes.io/managed-by": "homelab.data_platform"}
"""By which its IngressClass is known again as ours."""
CONFIGURATION = "/etc/traefik/dynamic/middlewares.yml"

_TO_HTTPS = "to-https"
_HTTPS_ROUTER: Object = {"entryPoints": ["web"], "rule": "PathPrefix(`/`)", "middlewares": [_TO_HTTPS], "service": "noop@internal"}
_HTTPS_MIDDLEWARE: Object = {"redirectRegex": {"regex": "^http://", "replacement": "https://"}}
"""Who comes by plain HTTP is sent to the same address by TLS. Spark sends people there: it knows nothing of the TLS that ends before it,
and its redirects lead to http://. (Traefik's own `redirectScheme` would lose the port.)"""

_READ = ["get", "list", "watch"]
NAMESPACE_RULES: list[Object] = [
    # Traefik lists Secrets for the certificates of Ingresses, and does not start to serve a namespace where it may not.
    {"apiGroups": [""], "resources": ["services", "secrets"], "verbs": _READ},
    {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": _READ},
    {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses"], "verbs": _READ},
]
CLUSTER_RULES: list[Object] = [
    {"apiGroups": [""], "resources": ["nodes"], "verbs": _READ},
    {"apiGroups": ["networking.k8s.io"], "resources": ["ingressclasses"], "verbs": _READ},
]


def wanted(declaration: Mapping[str, Any], classes: Sequence[Mapping[str, Any]]) -> list[Object]:
    """Return what has to be there of the declared controller, beside `classes`: its IngressClass as it was found, if it was.

    Refuses to deploy a second controller for a class, and one that is not there or not what the declaration says.
    """
    check_kind(declaration["controller"])
    if declaration["deployed"] and declaration["controller"] != "traefik":
        raise IngressError(
            f"platform_ingress_deploy is true and platform_ingress_controller is {declaration['controller']!r}: only Traefik is deployed. "
            "Set platform_ingress_deploy to false, or platform_ingress_controller to traefik."
        )
    if declaration["deployed"]:
        if classes and LABELS.items() - classes[0]["metadata"].get("labels", {}).items():
            raise IngressError(
                f"The IngressClass {declaration['class']!r} belongs to a controller that was not deployed from here. "
                "Set platform_ingress_deploy to false to use that one, or give ours another name (platform_ingress_class)."
            )
        return objects(declaration)
    if not classes:
        raise IngressError(
            f"There is no IngressClass {declaration['class']!r}, and platform_ingress_deploy is false. Install the controller, or name the "
            "class that is there (platform_ingress_class; kubectl get ingressclass lists them)."
        )
    found, expected = classes[0]["spec"].get("controller"), CONTROLLERS.get(declaration["controller"])
    if expected and found != expected:
        raise IngressError(
            f"The IngressClass {declaration['class']!r} belongs to the controller {found}, and platform_ingress_controller is "
            f"{declaration['controller']!r} ({expected}). Set platform_ingress_controller or platform_ingress_class so that they agree."
        )
    return middleware_objects(declaration["namespace"]) if declaration["controller"] == "traefik" else []


def objects(declaration: Mapping[str, Any]) -> list[Object]:
    """Return Traefik's objects, in the order in which they can be made; the namespaces have to exist."""
    name, namespace = declaration["name"], declaration["namespace"]
    labels = {**LABELS, "app.kubernetes.io/instance": name}
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    data = {posixpath.basename(CONFIGURATION): json.dumps({"http": _file(declaration)}, indent=2)}
    digest = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
    port: Object = {"name": "web", "port": 443 if declaration["tls"] else 80, "targetPort": "web", "protocol": "TCP"}
    if declaration["node_port"]:
        port["nodePort"] = declaration["node_port"]
    return [
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IngressClass",
            "metadata": {"name": declaration["class"], "labels": labels},
            "spec": {"controller": CONTROLLERS["traefik"]},
        },
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata, "automountServiceAccountToken": False},
        *_rights(declaration, labels),
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"type": "NodePort" if declaration["node_port"] else "ClusterIP", "selector": labels, "ports": [port]},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata,
            "spec": {
                "replicas": declaration["replicas"],
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels, "annotations": {"checksum/configuration": digest}},
                    "spec": _pod(declaration),
                },
            },
        },
    ]


def _file(declaration: Mapping[str, Any]) -> Object:
    """Return what Traefik reads from its file."""
    if not declaration["tls"]:
        return {"middlewares": MIDDLEWARES}
    return {"routers": {_TO_HTTPS: _HTTPS_ROUTER}, "middlewares": {**MIDDLEWARES, _TO_HTTPS: _HTTPS_MIDDLEWARE}}


def middleware_objects(namespace: str) -> list[Object]:
    """Return the Middlewares for a Traefik that is there already; its own definitions of them have to be."""
    return [
        {"apiVersion": "traefik.io/v1alpha1", "kind": "Middleware", "metadata": {"name": name, "namespace": namespace}, "spec": spec}
        for name, spec in MIDDLEWARES.items()
    ]


def _rights(declaration: Mapping[str, Any], labels: Mapping[str, str]) -> list[Object]:
    """Return what Traefik may read: in the named namespaces only, or everywhere where none is named."""
    namespaces = declaration["namespaces"]
    subjects = [{"kind": "ServiceAccount", "name": declaration["name"], "namespace": declaration["namespace"]}]
    cluster_name = f"{declaration['namespace']}-{declaration['name']}"
    made = _role("ClusterRole", cluster_name, None, CLUSTER_RULES if namespaces else CLUSTER_RULES + NAMESPACE_RULES, subjects, labels)
    for namespace in namespaces:
        made += _role("Role", cluster_name, namespace, NAMESPACE_RULES, subjects, labels)
    return made


def _role(
    kind: str, name: str, namespace: Optional[str], rules: list[Object], subjects: list[Object], labels: Mapping[str, str]
) -> list[Object]:
    metadata = {"name": name, "labels": labels, **({"namespace": namespace} if namespace else {})}
    group = "rbac.authorization.k8s.io"
    return [
        {"apiVersion": f"{group}/v1", "kind": kind, "metadata": metadata, "rules": rules},
        {
            "apiVersion": f"{group}/v1",
            "kind": f"{kind}Binding",
            "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": kind, "name": name},
            "subjects": subjects,
        },
    ]


def _arguments(declaration: Mapping[str, Any]) -> list[str]:
    arguments = [
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
        f"--log.level={declaration['log_level']}",
        "--log.nocolor=true",
        f"--entrypoints.web.address=:{WEB_PORT}",
        f"--entrypoints.traefik.address=:{PING_PORT}",
        "--ping=true",
        # The file alone: in a mounted ConfigMap's directory it would be found two times more, below ..data and what that points to.
        f"--providers.file.filename={CONFIGURATION}",
        "--providers.file.watch=false",
        "--providers.kubernetesingress=true",
        f"--providers.kubernetesingress.ingressclass={declaration['class']}",
        # /spark is /spark and what lies below it, and not /spark-history.
        "--providers.kubernetesingress.strictprefixmatching=true",
    ]
    if declaration["namespaces"]:
        arguments.append(f"--providers.kubernetesingress.namespaces={','.join(declaration['namespaces'])}")
    return arguments + list(declaration["arguments"])


def _pod(declaration: Mapping[str, Any]) -> Object:
    probe = {"httpGet": {"path": "/ping", "port": "ping"}, "timeoutSeconds": 2, "periodSeconds": 10}
    return {
        "serviceAccountName": declaration["name"],
        # Its account's own setting is for whoever else should use it.
        "automountServiceAccountToken": True,
        "enableServiceLinks": False,
        "nodeSelector": declaration["node_selector"],
        "tolerations": declaration["tolerations"],
        "securityContext": {
            "runAsUser": UID,
            "runAsGroup": UID,
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "traefik",
                "image": f"{declaration['image']['repository']}:{declaration['image']['tag']}",
                "imagePullPolicy": "IfNotPresent",
                "args": _arguments(declaration),
                "ports": [
                    {"name": "web", "containerPort": WEB_PORT, "protocol": "TCP"},
                    {"name": "ping", "containerPort": PING_PORT, "protocol": "TCP"},
                ],
                "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
                "resources": declaration["resources"],
                "startupProbe": {**probe, "periodSeconds": 2, "failureThreshold": 60},
                "readinessProbe": probe,
                "livenessProbe": {**probe, "periodSeconds": 30},
                "volumeMounts": [{"name": "middlewares", "mountPath": posixpath.dirname(CONFIGURATION), "readOnly": True}],
            }
        ],
        "volumes": [{"name": "middlewares", "configMap": {"name": declaration["name"]}}],
    }
