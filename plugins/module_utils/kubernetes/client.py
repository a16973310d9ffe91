# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One small client of the Kubernetes API: connection and credentials by the Python package, requests and answers as plain JSON."""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Union
from urllib.parse import quote, urlencode

try:
    import urllib3
    import yaml

    from kubernetes import client as kubernetes_client
    from kubernetes.config import kube_config
    from kubernetes.config.config_exception import ConfigException
except ImportError:
    IMPORT_ERROR = traceback.format_exc()
else:
    IMPORT_ERROR = ""

Object = dict[str, Any]
"""A Kubernetes object as the API speaks it."""

PLURALS = {
    "ConfigMap": "configmaps",
    "CustomResourceDefinition": "customresourcedefinitions",
    "DaemonSet": "daemonsets",
    "Deployment": "deployments",
    "Event": "events",
    "Job": "jobs",
    "Namespace": "namespaces",
    "Node": "nodes",
    "PersistentVolume": "persistentvolumes",
    "PersistentVolumeClaim": "persistentvolumeclaims",
    "Pod": "pods",
    "ReplicaSet": "replicasets",
    "Secret": "secrets",
    "StatefulSet": "statefulsets",
    "StorageClass": "storageclasses",
}
"""Well-known kinds; any other one is looked up in the API's discovery."""

CLUSTER_WIDE = ("CustomResourceDefinition", "Namespace", "Node", "PersistentVolume", "StorageClass")
"""Those of them that live in no namespace."""

TIMEOUT = 30


class KubernetesError(Exception):
    """Something that the person who runs the playbook can mend; the message says what."""


class ApiError(KubernetesError):
    """The API refused a request."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class Client:
    """Requests to one cluster over one pool of connections."""

    def __init__(self, kubeconfig: Union[str, Mapping[str, Any], None] = None, context: str | None = None) -> None:
        """Connect by a kubeconfig: its content, the path of a file, or none for kubectl's own default."""
        try:
            self._api = kubernetes_client.ApiClient(_configuration(kubeconfig, context))
        except (ConfigException, yaml.YAMLError, ValueError, OSError) as error:
            raise KubernetesError(f"The kubeconfig cannot be used: {error}. Give one with a cluster, a user and a context.") from error
        self._plurals: dict[tuple[str, str], tuple[str, bool]] = {}

    @property
    def server(self) -> str:
        """Address of the API, for messages."""
        return str(self._api.configuration.host)

    def get(self, path: str, **query: str | int) -> Object | None:
        """Return an object or a list, nothing where it does not exist."""
        try:
            return self._json("GET", path, query)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def metadata(self, path: str, **query: str | int) -> list[Object]:
        """Return the metadata of a collection's objects, without what they hold."""
        accepted = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
        answer = json.loads(self._request("GET", path, query, accept=accepted))
        return [item["metadata"] for item in answer.get("items") or []]

    def create(self, path: str, body: Object) -> Object:
        """Create an object in a collection."""
        return self._json("POST", path, {}, body)

    def patch(self, path: str, body: Object) -> Object:
        """Apply a JSON merge patch."""
        return self._json("PATCH", path, {}, body)

    def delete(self, path: str) -> None:
        """Delete an object; one that is gone already is no error."""
        try:
            self._json("DELETE", path, {})
        except ApiError as error:
            if error.status != 404:
                raise

    def namespace_exists(self, name: str) -> bool:
        """Whether there is such a namespace, as far as the account may see."""
        try:
            return self.get(self.path("v1", "Namespace", name=name)) is not None
        except ApiError as error:
            if error.status == 403:
                # Those who may write into a namespace need not be allowed to look at it; the API will say if it is missing.
                return True
            raise

    def create_namespace(self, name: str) -> None:
        """Create a namespace; one that is there already is no error."""
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        try:
            self.create(self.path("v1", "Namespace"), body)
        except ApiError as error:
            if error.status != 409:
                raise

    def text(self, path: str, **query: str | int) -> str:
        """Return what is not JSON, such as a log."""
        return self._request("GET", path, query).decode("utf-8", "replace")

    def path(self, api_version: str, kind: str, namespace: str | None = None, name: str | None = None) -> str:
        """Return the path of an object, or of its collection without a name."""
        plural, namespaced = self._resource(api_version, kind)
        parts = ["", "apis" if "/" in api_version else "api", api_version]
        if namespaced and namespace:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(plural)
        if name:
            parts.append(quote(name, safe=""))
        return "/".join(parts)

    def _resource(self, api_version: str, kind: str) -> tuple[str, bool]:
        if kind in PLURALS:
            return PLURALS[kind], kind not in CLUSTER_WIDE
        if (api_version, kind) not in self._plurals:
            found = self.get(f"/{'apis' if '/' in api_version else 'api'}/{api_version}") or {}
            for resource in found.get("resources", []):
                if "/" not in resource["name"]:
                    self._plurals[api_version, resource["kind"]] = (resource["name"], resource["namespaced"])
        try:
            return self._plurals[api_version, kind]
        except KeyError:
            message = f"{self.server} does not know the kind {kind} of {api_version}: install what defines it first, or correct the name."
            raise ApiError(404, "NotFound", message) from None

    def _json(self, method: str, path: str, query: Mapping[str, str | int], body: Object | None = None) -> Object:
        answer: Object = json.loads(self._request(method, path, query, body))
        return answer

    def _request(
        self, method: str, path: str, query: Mapping[str, str | int], body: Object | None = None, accept: str = "application/json, */*"
    ) -> bytes:
        configuration = self._api.configuration
        headers = {"Accept": accept}
        for credential in configuration.auth_settings().values():
            headers[credential["key"]] = credential["value"]
        if body is not None:
            headers["Content-Type"] = "application/merge-patch+json" if method == "PATCH" else "application/json"
        url = f"{self.server}{path}{'?' + urlencode(query) if query else ''}"
        data = None if body is None else json.dumps(body)
        try:
            # The package's own pool knows the CA, the client's certificate and proxies.
            answer = self._api.rest_client.pool_manager.request(method, url, body=data, headers=headers, timeout=TIMEOUT, retries=2)
        except urllib3.exceptions.HTTPError as error:
            cause = getattr(error, "reason", None) or error
            advice = "Check the address in the kubeconfig, the network and the CA."
            raise KubernetesError(f"The Kubernetes API at {self.server} does not answer: {cause}. {advice}") from error
        if answer.status >= 300:
            raise _refusal(answer.status, answer.data, f"{method} {path}", self.server)
        content: bytes = answer.data
        return content


def _configuration(kubeconfig: Union[str, Mapping[str, Any], None], context: str | None) -> Any:
    configuration = kubernetes_client.Configuration()
    if isinstance(kubeconfig, Mapping):
        if not kubeconfig.get("clusters"):
            raise ValueError("it names no cluster (an empty one stands for a file that is not there)")
        kube_config.load_kube_config_from_dict(dict(kubeconfig), context=context, client_configuration=configuration)
    else:
        file = str(Path(kubeconfig).expanduser()) if kubeconfig else None
        kube_config.load_kube_config(file, context=context, client_configuration=configuration, persist_config=False)
    return configuration


def _refusal(status: int, body: bytes, request: str, server: str) -> ApiError:
    try:
        answer = json.loads(body)
    except ValueError:
        answer = {}
    if not isinstance(answer, dict):
        answer = {}
    reason = str(answer.get("reason") or status)
    message = str(answer.get("message") or body.decode("utf-8", "replace")[:300])
    advice = {
        401: " The credentials in the kubeconfig are wrong or have expired.",
        403: " The user of the kubeconfig may not do that.",
    }.get(status, "")
    return ApiError(status, reason, f"{server} refused {request} ({status} {reason}): {message}.{advice}")
