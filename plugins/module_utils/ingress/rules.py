# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an Ingress says to the declared controller so that a page below a path reaches a server that knows nothing of the path.

A path of `strip` segments is cut off: `/spark-jobs/pi/jobs/` becomes `/jobs/`. Kubernetes has no field for that, each controller has
annotations of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Object = dict[str, Any]

CONTROLLERS = {"traefik": "traefik.io/ingress-controller", "nginx": "k8s.io/ingress-nginx"}
"""What an IngressClass calls the controllers whose annotations are known here."""
KINDS = ("traefik", "nginx", "other", "none")

MIDDLEWARES: dict[str, Object] = {
    "strip-one-segment": {"stripPrefixRegex": {"regex": ["^/[^/]+"]}},
    "strip-two-segments": {"stripPrefixRegex": {"regex": ["^/[^/]+/[^/]+"]}},
    "front-page": {"replacePath": {"path": "/"}},
}
"""What Traefik does to a path, as its file provider and its Middleware both take it."""
_STRIP = {1: "strip-one-segment", 2: "strip-two-segments"}

_TRAEFIK = "traefik.ingress.kubernetes.io/router"
_NGINX = "nginx.ingress.kubernetes.io"

_ROOT, _INSTEAD = "1", "2"
"""Traefik's priorities: by itself it takes the length of a rule, under which a page may lose to what only stands in for it."""


class IngressError(ValueError):
    """The declaration cannot become an Ingress: the message says what was found, what was wanted and what to do."""


def check_kind(kind: str) -> None:
    """Refuse a kind of controller that nobody knows."""
    if kind not in KINDS:
        raise IngressError(f"platform_ingress_controller is {kind!r}; wanted one of {', '.join(KINDS)}.")


def spark_ui_annotations(ingress: Mapping[str, Any]) -> dict[str, str]:
    """Return the annotations of a running application's Ingress, whose path `/<namespace>/<name>(/|$)(.*)` the Spark operator writes.

    The operator adds ingress-nginx's `rewrite-target` itself.
    """
    return {
        **_traefik(ingress, pathmatcher="PathRegexp", middlewares=_middleware(ingress, _STRIP[2])),
        **ingress["annotations"],
    }


def root_annotations(ingress: Mapping[str, Any]) -> dict[str, str]:
    """Return the annotations of the Ingress at `/`, which serves what nothing else does."""
    return {**_traefik(ingress, priority=_ROOT), **ingress["annotations"]}


def below(ingress: Mapping[str, Any], path: str, metadata: Mapping[str, Any], backend: Object) -> Object:
    """Return an Ingress that serves a service below a path and cuts the path off."""
    strip = _STRIP[_segments(path)]
    if ingress["controller"] == "nginx":
        return _ingress(ingress, metadata, [_nginx_path(path, backend)], _nginx_rewrite("/$2"))
    annotations = _traefik(ingress, middlewares=_middleware(ingress, strip))
    return _ingress(ingress, metadata, [{"path": path, "pathType": "Prefix", "backend": backend}], annotations)


def instead(ingress: Mapping[str, Any], paths: Sequence[str], metadata: Mapping[str, Any], backend: Object) -> Object:
    """Return an Ingress that serves a service's front page for all below some paths that has no rule of its own."""
    if ingress["controller"] == "nginx":
        return _ingress(ingress, metadata, [_nginx_path(path, backend) for path in paths], _nginx_rewrite("/"))
    annotations = _traefik(ingress, middlewares=_middleware(ingress, "front-page"), priority=_INSTEAD)
    return _ingress(ingress, metadata, [{"path": path, "pathType": "Prefix", "backend": backend} for path in paths], annotations)


def tls(ingress: Mapping[str, Any]) -> list[Object]:
    """Return what an Ingress says of its certificate. Refuses one that is of no host."""
    if not ingress["tls_secret"]:
        return []
    if not ingress["host"]:
        raise IngressError(
            f"platform_ingress_tls_secret is {ingress['tls_secret']!r}, and platform_ingress_host is empty: set it to the host that the "
            "certificate is for."
        )
    return [{"hosts": [ingress["host"]], "secretName": ingress["tls_secret"]}]


def _ingress(ingress: Mapping[str, Any], metadata: Mapping[str, Any], paths: list[Object], annotations: Mapping[str, str]) -> Object:
    rule: Object = {"http": {"paths": paths}}
    if ingress["host"]:
        rule["host"] = ingress["host"]
    spec: Object = {"ingressClassName": ingress["class"], "rules": [rule]}
    if tls(ingress):
        spec["tls"] = tls(ingress)
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {**metadata, "annotations": {**annotations, **ingress["annotations"]}},
        "spec": spec,
    }


def _traefik(ingress: Mapping[str, Any], **options: str) -> dict[str, str]:
    """Return what Traefik is told of a rule, and nothing for another controller.

    Ours has one port for both: a rule with a certificate is for TLS only, else the certificate would be there and the rule for plain HTTP.
    https://doc.traefik.io/traefik/v3.0/routing/providers/kubernetes-ingress/#enabling-tls-via-annotations
    """
    if ingress["controller"] != "traefik":
        return {}
    if ingress["deployed"] and tls(ingress):
        options["tls"] = "true"
    return {f"{_TRAEFIK}.{name}": value for name, value in options.items()}


def _nginx_path(path: str, backend: Object) -> Object:
    return {"path": f"{path}(/|$)(.*)", "pathType": "ImplementationSpecific", "backend": backend}


def _nginx_rewrite(target: str) -> dict[str, str]:
    return {f"{_NGINX}/use-regex": "true", f"{_NGINX}/rewrite-target": target}


def _segments(path: str) -> int:
    segments = [segment for segment in path.split("/") if segment]
    if path != "/" + "/".join(segments) or len(segments) not in _STRIP:
        raise IngressError(
            f"the path {path!r} cannot be cut off; wanted one or two segments such as /spark-history, without a slash at the end."
        )
    return len(segments)


def _middleware(ingress: Mapping[str, Any], name: str) -> str:
    """Ours reads it from a file; a Traefik that was there already from an object of its own kind."""
    return f"{name}@file" if ingress["deployed"] else f"{ingress['namespace']}-{name}@kubernetescrd"
