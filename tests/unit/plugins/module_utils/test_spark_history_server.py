# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The declaration of the History Server and the objects that come of it."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.homelab.data_platform.plugins.filter.spark_history_server import FilterModule
from ansible_collections.homelab.data_platform.plugins.module_utils.spark_history_server import objects

JAR = {"url": "https://maven.lan/thing-1.jar", "sha256": "0" * 64}


def declaration(**changes: Any) -> dict[str, Any]:
    return {
        "name": "spark-history-server",
        "namespace": "spark-history",
        "log_directory": "s3a://datalake/logs/spark-log/",
        "secret": "spark-history-object-store",
        "cleaner": {"enabled": True, "interval": "1d", "max_age": "30d"},
        "properties": {},
        "ingress": {},
        "image": {"repository": "registry.lan/spark-s3a", "tag": "3.5.7"},
        "jars": [],
        "fetch_script": "print()\n",
        "ca_config_map": "data-platform-ca",
        "memory": "512m",
        "resources": {"limits": {"memory": "1Gi"}},
        "node_selector": {},
        "tolerations": [],
        **changes,
    }


def made(**changes: Any) -> dict[str, dict[str, Any]]:
    return {one["kind"]: one for one in objects(declaration(**changes))}


def pod(**changes: Any) -> dict[str, Any]:
    return dict(made(**changes)["Deployment"]["spec"]["template"]["spec"])


def environment(container: dict[str, Any]) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in container["env"]}


def hadoop(**changes: Any) -> dict[str, str | None]:
    root = ElementTree.fromstring(made(**changes)["ConfigMap"]["data"]["core-site.xml"])
    return {str(entry.findtext("name")): entry.findtext("value") for entry in root}


def test_keys_come_from_the_secret_into_the_environment_and_nowhere_else() -> None:
    found = pod(jars=[JAR])
    fetch, make = found["initContainers"]
    (server,) = found["containers"]
    for container in (make, server):
        assert container["envFrom"] == [{"secretRef": {"name": "spark-history-object-store"}}]
    assert "envFrom" not in fetch, "what talks to Maven needs no key"
    assert found["automountServiceAccountToken"] is False
    assert hadoop()["fs.s3a.aws.credentials.provider"] == "com.amazonaws.auth.EnvironmentVariableCredentialsProvider"


def test_nothing_may_be_written_but_below_tmp_and_where_the_jars_go() -> None:
    found = pod(jars=[JAR])
    for container in (*found["initContainers"], *found["containers"]):
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        writable = {mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
        assert writable - {"/tmp"} == ({"/opt/data-platform/jars"} if container["name"] == "fetch-jars" else set())


def test_every_mount_has_its_volume() -> None:
    for jars in ([], [JAR]):
        for ca in ("", "data-platform-ca"):
            found = pod(jars=jars, ca_config_map=ca)
            volumes = {volume["name"] for volume in found["volumes"]}
            mounted = {mount["name"] for one in (*found["initContainers"], *found["containers"]) for mount in one["volumeMounts"]}
            assert mounted == volumes == {"configuration", "tmp", *(["jars"] if jars else []), *(["ca"] if ca else [])}


def test_an_image_that_has_the_jars_fetches_none() -> None:
    found = pod()
    assert [container["name"] for container in found["initContainers"]] == ["make-log-directory"]
    assert "SPARK_DIST_CLASSPATH" not in environment(found["containers"][0])
    assert "fetch_jars.py" not in made()["ConfigMap"]["data"]


def test_without_a_private_ca_java_trusts_what_it_always_does() -> None:
    assert "JAVA_TOOL_OPTIONS" not in environment(pod(ca_config_map="")["containers"][0])
    assert "-Djavax.net.ssl.trustStore=/etc/data-platform/ca/truststore.p12" in environment(pod()["containers"][0])["JAVA_TOOL_OPTIONS"]


def test_hadoops_part_of_the_properties_is_in_hadoops_file() -> None:
    properties = {"spark.hadoop.fs.s3a.path.style.access": False, "spark.history.retainedApplications": 5, "spark.hadoop.a": "<&>"}
    assert hadoop(properties=properties)["fs.s3a.path.style.access"] == "false"
    assert hadoop(properties=properties)["a"] == "<&>"
    lines = made(properties=properties)["ConfigMap"]["data"]["spark-defaults.conf"].splitlines()
    assert "spark.history.retainedApplications 5" in lines
    assert "spark.history.fs.cleaner.enabled true" in lines
    assert not [line for line in lines if "hadoop" in line]


def test_another_configuration_makes_another_pod() -> None:
    def digest(**changes: Any) -> str:
        return str(made(**changes)["Deployment"]["spec"]["template"]["metadata"]["annotations"])

    assert digest() == digest()
    assert digest() != digest(cleaner={"enabled": True, "interval": "1d", "max_age": "7d"})


@pytest.mark.parametrize("directory", ["s3://datalake/logs/", "s3a://datalake/", "s3a:///logs/", "/logs", ""])
def test_a_directory_that_is_none_of_an_object_store_is_refused(directory: str) -> None:
    render = FilterModule().filters()["spark_history_server"]
    with pytest.raises(AnsibleFilterError, match=r"spark_history_server_log_directory is .*; wanted a directory in a bucket"):
        render(declaration(log_directory=directory))


def test_behind_an_ingress_its_links_and_redirects_lead_back_through_it() -> None:
    ingress = {"controller": "traefik", "deployed": True, "class": "traefik", "host": "", "tls_secret": "", "annotations": {}}
    found = made(ingress={**ingress, "path": "/spark-history", "job_namespaces": ["spark-jobs"]})
    settings = dict(line.split(" ", 1) for line in found["ConfigMap"]["data"]["spark-defaults.conf"].splitlines())
    assert settings["spark.ui.proxyBase"] == "/spark-history"
    assert settings["spark.ui.proxyRedirectUri"] == "/", "the path in both would be there twice"
    assert "Ingress" not in made()
    assert "proxyBase" not in made()["ConfigMap"]["data"]["spark-defaults.conf"]


def test_it_stands_in_for_applications_that_have_ended() -> None:
    ingress = {"controller": "traefik", "deployed": True, "class": "traefik", "host": "", "tls_secret": "", "annotations": {}}
    everything = objects(declaration(ingress={**ingress, "path": "/spark-history", "job_namespaces": ["spark-jobs"]}))
    (service,) = [one for one in everything if one["kind"] == "Service"]
    pages = [one for one in everything if one["kind"] == "Ingress"]
    paths = {one["metadata"]["name"]: one["spec"]["rules"][0]["http"]["paths"] for one in pages}
    assert {name: [entry["path"] for entry in entries] for name, entries in paths.items()} == {
        "spark-history-server": ["/spark-history"],
        "spark-history-server-ended": ["/spark-jobs"],
    }
    for entry in (entry for entries in paths.values() for entry in entries):
        assert entry["backend"]["service"]["name"] == service["metadata"]["name"]
        assert entry["backend"]["service"]["port"]["name"] in {port["name"] for port in service["spec"]["ports"]}


@pytest.mark.parametrize("path", ["/history", "/proxy", "/spark/history"])
def test_a_path_that_sparks_own_scripts_misread_is_refused(path: str) -> None:
    ingress = {"controller": "traefik", "deployed": True, "class": "traefik", "host": "", "tls_secret": "", "annotations": {}}
    with pytest.raises(AnsibleFilterError, match="Choose another path, such as /spark-history"):
        FilterModule().filters()["spark_history_server"](declaration(ingress={**ingress, "path": path, "job_namespaces": ["spark-jobs"]}))
