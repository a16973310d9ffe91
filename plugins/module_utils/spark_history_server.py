# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From one small declaration to the objects of Spark's History Server, which reads event logs in an object store."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

from ansible_collections.homelab.data_platform.plugins.module_utils import ca_files
from ansible_collections.homelab.data_platform.plugins.module_utils.ingress import rules
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes import namespaces

Object = dict[str, Any]

UID = 185
"""The user `spark` of Spark's images."""
PORT = 18080
CONF_DIRECTORY = "/etc/spark-history-server"
JARS_DIRECTORY = "/opt/data-platform/jars"
TRUSTSTORE_OPTIONS = (
    f"-Djavax.net.ssl.trustStore={ca_files.TRUSTSTORE}",
    f"-Djavax.net.ssl.trustStorePassword={ca_files.TRUSTSTORE_PASSWORD}",
)
FETCH_SCRIPT = "fetch_jars.py"
SPARK_CLASS = "/opt/spark/bin/spark-class"
HADOOP_PREFIX = "spark.hadoop."
TAKEN = {"history", "proxy"}
"""Segments of an address by which the scripts of Spark's pages tell where they are; the first one counts."""

S3A = {
    # Hadoop fills in what the environment says, which comes from a Secret. Its S3A takes the endpoint from no variable by itself.
    "fs.s3a.endpoint": "${env.AWS_ENDPOINT_URL_S3}",
    "fs.s3a.endpoint.region": "${env.AWS_REGION}",
    "fs.s3a.path.style.access": "true",
    "fs.s3a.aws.credentials.provider": "com.amazonaws.auth.EnvironmentVariableCredentialsProvider",
    # Otherwise the first log would delete the marker that makes the directory, and the last one to be cleaned the directory.
    "fs.s3a.directory.marker.retention": "keep",
}
FEW_ATTEMPTS = {"fs.s3a.attempts.maximum": "3", "fs.s3a.retry.limit": "3", "fs.s3a.connection.establish.timeout": "5000"}
"""By default S3A tries for a quarter of an hour; whoever waits for the first container should see an error before that."""


class SparkHistoryServerError(ValueError):
    """The declaration cannot become objects: the message says what was found, what was wanted and what to do."""


def objects(declaration: Mapping[str, Any]) -> list[Object]:
    """Return the namespace, the configuration, the Service, the Deployment and, where there is a controller, two Ingresses.

    The pod restarts when the configuration changes.
    The keys and the CA are other roles' to keep; those restart what reads them.
    """
    _check_log_directory(declaration["log_directory"])
    labels = {"app.kubernetes.io/name": "spark-history-server", "app.kubernetes.io/instance": declaration["name"]}
    metadata = {"name": declaration["name"], "namespace": declaration["namespace"], "labels": labels}
    data = _configuration(declaration)
    digest = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
    port: Object = {"name": "ui", "port": PORT, "targetPort": "ui", "protocol": "TCP"}
    ingress = declaration["ingress"]
    return [
        namespaces.declared(declaration["namespace"]),
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data},
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"type": "ClusterIP", "selector": labels, "ports": [port]}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata,
            "spec": {
                "replicas": 1,
                # Two of them at once would want the memory of two.
                "strategy": {"type": "Recreate"},
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels, "annotations": {"checksum/configuration": digest}}, "spec": _pod(declaration)},
            },
        },
        *(_ingresses(ingress, metadata, {"service": {"name": declaration["name"], "port": {"name": port["name"]}}}) if ingress else []),
    ]


def _ingresses(ingress: Mapping[str, Any], metadata: Mapping[str, Any], backend: Object) -> list[Object]:
    """Its own page; and, where an application has none any more, a page that knows the ended ones instead of an error."""
    taken = sorted(TAKEN & set(ingress["path"].split("/")))
    if taken:
        raise SparkHistoryServerError(
            f"spark_history_server_ingress_path is {ingress['path']!r}: Spark's own scripts take {taken[0]!r} for a word of theirs "
            "and would look for data elsewhere. Choose another path, such as /spark-history."
        )
    ended = {**metadata, "name": f"{metadata['name']}-ended"}
    return [
        rules.below(ingress, ingress["path"], metadata, backend),
        rules.instead(ingress, [f"/{namespace}" for namespace in ingress["job_namespaces"]], ended, backend),
    ]


def _check_log_directory(directory: str) -> None:
    address = urlsplit(directory)
    if address.scheme != "s3a" or not address.netloc or not address.path.strip("/"):
        raise SparkHistoryServerError(
            f"spark_history_server_log_directory is {directory!r}; wanted a directory in a bucket as Hadoop names it, "
            "such as s3a://datalake/logs/spark-log/."
        )


def _configuration(declaration: Mapping[str, Any]) -> dict[str, str]:
    """What lies in Spark's configuration directory. Hadoop's part is a file of its own, which Hadoop's own programs read too."""
    cleaner = declaration["cleaner"]
    properties = {
        "spark.history.fs.logDirectory": declaration["log_directory"],
        "spark.history.ui.port": str(PORT),
        "spark.history.fs.cleaner.enabled": _text(cleaner["enabled"]),
        "spark.history.fs.cleaner.interval": cleaner["interval"],
        "spark.history.fs.cleaner.maxAge": cleaner["max_age"],
        **_behind(declaration["ingress"]),
        **{f"{HADOOP_PREFIX}{name}": value for name, value in S3A.items()},
        **{name: _text(value) for name, value in declaration["properties"].items()},
    }
    spark = {name: value for name, value in properties.items() if not name.startswith(HADOOP_PREFIX)}
    hadoop = {name[len(HADOOP_PREFIX) :]: value for name, value in properties.items() if name.startswith(HADOOP_PREFIX)}
    data = {"spark-defaults.conf": "".join(f"{name} {value}\n" for name, value in spark.items()), "core-site.xml": _core_site(hadoop)}
    if declaration["jars"]:
        data[FETCH_SCRIPT] = declaration["fetch_script"]
    return data


def _behind(ingress: Mapping[str, Any]) -> dict[str, str]:
    """How its own links and redirects lead back through the Ingress, which cuts the path off. The path in both would double it."""
    return {"spark.ui.proxyBase": ingress["path"], "spark.ui.proxyRedirectUri": "/"} if ingress else {}


def _text(value: Any) -> str:
    """A value as Java reads it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _core_site(properties: Mapping[str, str]) -> str:
    root = ElementTree.Element("configuration")
    for name, value in properties.items():
        entry = ElementTree.SubElement(root, "property")
        ElementTree.SubElement(entry, "name").text = name
        ElementTree.SubElement(entry, "value").text = value
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _pod(declaration: Mapping[str, Any]) -> Object:
    volumes: list[Object] = [
        {"name": "configuration", "configMap": {"name": declaration["name"]}},
        {"name": "tmp", "emptyDir": {}},
    ]
    if declaration["jars"]:
        volumes.append({"name": "jars", "emptyDir": {}})
    if declaration["ca_config_map"]:
        volumes.append({"name": "ca", "configMap": {"name": declaration["ca_config_map"]}})
    mounts: list[Object] = [
        {"name": "configuration", "mountPath": CONF_DIRECTORY, "readOnly": True},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the container's own
    ]
    if declaration["ca_config_map"]:
        mounts.append({"name": "ca", "mountPath": ca_files.DIRECTORY, "readOnly": True})
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "nodeSelector": declaration["node_selector"],
        "tolerations": declaration["tolerations"],
        "securityContext": {
            "runAsUser": UID,
            "runAsGroup": UID,
            "fsGroup": UID,
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "initContainers": [*([_fetch_jars(declaration, mounts)] if declaration["jars"] else []), _make_directory(declaration, mounts)],
        "containers": [_server(declaration, mounts)],
        "volumes": volumes,
    }


def _container(declaration: Mapping[str, Any], name: str, command: list[str], mounts: list[Object]) -> Object:
    return {
        "name": name,
        "image": f"{declaration['image']['repository']}:{declaration['image']['tag']}",
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
        "resources": declaration["resources"],
        "volumeMounts": mounts,
    }


def _fetch_jars(declaration: Mapping[str, Any], mounts: list[Object]) -> Object:
    """What Spark's own image lacks. The files stay while the pod does."""
    jars = [f"{jar['url']}#sha256={jar['sha256']}" for jar in declaration["jars"]]
    command = ["python3", f"{CONF_DIRECTORY}/{FETCH_SCRIPT}", JARS_DIRECTORY, *jars]
    container = _container(declaration, "fetch-jars", command, [*mounts, {"name": "jars", "mountPath": JARS_DIRECTORY}])
    if declaration["ca_config_map"]:
        # A mirror may have a certificate of the private authority, and Maven Central has one of a public one.
        container["env"] = [{"name": "SSL_CERT_FILE", "value": ca_files.BUNDLE}]
    return container


def _java(declaration: Mapping[str, Any], name: str, words: list[str], mounts: list[Object], environment: dict[str, str]) -> Object:
    """A program of Spark's class path, with the keys of the object store in its environment and in nobody's arguments."""
    variables = {"SPARK_CONF_DIR": CONF_DIRECTORY, **environment}
    if declaration["jars"]:
        variables["SPARK_DIST_CLASSPATH"] = f"{JARS_DIRECTORY}/*"
        mounts = [*mounts, {"name": "jars", "mountPath": JARS_DIRECTORY, "readOnly": True}]
    if declaration["ca_config_map"]:
        # Read by every Java; Spark's own variables differ from program to program.
        variables["JAVA_TOOL_OPTIONS"] = " ".join(TRUSTSTORE_OPTIONS)
    container = _container(declaration, name, [SPARK_CLASS, *words], mounts)
    container["envFrom"] = [{"secretRef": {"name": declaration["secret"]}}]
    container["env"] = [{"name": variable, "value": value} for variable, value in variables.items()]
    return container


def _make_directory(declaration: Mapping[str, Any], mounts: list[Object]) -> Object:
    """The server does not start without the directory, which an object store forgets with the last object in it."""
    attempts = [word for name, value in FEW_ATTEMPTS.items() for word in ("-D", f"{name}={value}")]
    words = ["org.apache.hadoop.fs.FsShell", *attempts, "-mkdir", "-p", declaration["log_directory"]]
    return _java(declaration, "make-log-directory", words, mounts, {})


def _server(declaration: Mapping[str, Any], mounts: list[Object]) -> Object:
    words = ["org.apache.spark.deploy.history.HistoryServer"]
    container = _java(declaration, "history-server", words, mounts, {"SPARK_DAEMON_MEMORY": declaration["memory"]})
    probe = {"httpGet": {"path": "/api/v1/version", "port": "ui"}, "timeoutSeconds": 5}
    return {
        **container,
        "ports": [{"name": "ui", "containerPort": PORT, "protocol": "TCP"}],
        "startupProbe": {**probe, "periodSeconds": 3, "failureThreshold": 100},
        "readinessProbe": {**probe, "periodSeconds": 10},
        "livenessProbe": {**probe, "periodSeconds": 30, "failureThreshold": 5, "timeoutSeconds": 10},
    }
