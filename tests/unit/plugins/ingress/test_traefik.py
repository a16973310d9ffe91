# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects of Traefik, and when a controller that is there already is accepted."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.homelab.data_platform.plugins.filter.ingress_controller import FilterModule

ingress_controller = FilterModule().filters()["ingress_controller"]


def declared(**changes: Any) -> dict[str, Any]:
    return {
        "controller": "traefik",
        "deployed": True,
        "class": "traefik",
        "name": "traefik",
        "namespace": "ingress",
        "namespaces": ["airflow", "spark-jobs"],
        "node_port": 30998,
        "tls": False,
        "image": {"repository": "docker.io/library/traefik", "tag": "v3.5.3"},
        "replicas": 1,
        "log_level": "INFO",
        "arguments": [],
        "resources": {"limits": {"memory": "256Mi"}},
        "node_selector": {},
        "tolerations": [],
        **changes,
    }


def found(controller: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": "traefik", "labels": labels}, "spec": {"controller": controller}}


def made(**changes: Any) -> list[dict[str, Any]]:
    objects: list[dict[str, Any]] = ingress_controller(declared(**changes), [])
    return objects


def of(kind: str, **changes: Any) -> list[dict[str, Any]]:
    return [one for one in made(**changes) if one["kind"] == kind]


def container(**changes: Any) -> dict[str, Any]:
    (deployment,) = of("Deployment", **changes)
    (only,) = deployment["spec"]["template"]["spec"]["containers"]
    return dict(only)


def test_it_may_read_where_pages_are_and_change_nothing() -> None:
    rules = [rule for one in made() if one["kind"].endswith("Role") for rule in one["rules"]]
    assert {verb for rule in rules for verb in rule["verbs"]} == {"get", "list", "watch"}
    (cluster,) = of("ClusterRole")
    assert {resource for rule in cluster["rules"] for resource in rule["resources"]} == {"nodes", "ingressclasses"}
    assert {one["metadata"]["namespace"] for one in of("Role")} == {one["metadata"]["namespace"] for one in of("RoleBinding")}
    assert {one["metadata"]["namespace"] for one in of("Role")} == {"airflow", "spark-jobs"}
    assert "--providers.kubernetesingress.namespaces=airflow,spark-jobs" in container()["args"]


def test_no_namespace_is_every_namespace() -> None:
    assert of("Role", namespaces=[]) == []
    (cluster,) = of("ClusterRole", namespaces=[])
    assert {"secrets", "services", "ingresses"} <= {resource for rule in cluster["rules"] for resource in rule["resources"]}
    assert not [word for word in container(namespaces=[])["args"] if "namespaces" in word]


def test_every_binding_names_the_account_and_a_role_that_is_made() -> None:
    roles = {(one["kind"], one["metadata"]["name"], one["metadata"].get("namespace")) for one in made()}
    (account,) = of("ServiceAccount")
    for one in made():
        if one["kind"].endswith("Binding"):
            assert (one["roleRef"]["kind"], one["roleRef"]["name"], one["metadata"].get("namespace")) in roles
            assert one["subjects"] == [{"kind": "ServiceAccount", "name": account["metadata"]["name"], "namespace": "ingress"}]


def test_nobody_is_called_and_nothing_but_pages_is_served() -> None:
    arguments = container(arguments=["--accesslog=true"])["args"]
    assert {"--global.checknewversion=false", "--global.sendanonymoususage=false", "--accesslog=true"} <= set(arguments)
    assert not [word for word in arguments if word.startswith(("--api", "--providers.kubernetescrd"))]


def test_an_ordinary_user_on_a_read_only_root_filesystem() -> None:
    (deployment,) = of("Deployment")
    pod = deployment["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert all(port["containerPort"] > 1024 for port in container()["ports"])


def test_the_service_leads_to_the_pod_and_has_the_port() -> None:
    (service,) = of("Service")
    (deployment,) = of("Deployment")
    assert service["spec"]["selector"].items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
    (port,) = service["spec"]["ports"]
    assert (service["spec"]["type"], port["nodePort"]) == ("NodePort", 30998)
    assert port["targetPort"] in {one["name"] for one in container()["ports"]}
    (inside,) = of("Service", node_port=0)
    assert inside["spec"]["type"] == "ClusterIP"
    assert "nodePort" not in inside["spec"]["ports"][0]


def configuration(**changes: Any) -> dict[str, Any]:
    """What Traefik reads from its file."""
    (config,) = of("ConfigMap", **changes)
    (content,) = config["data"].values()
    return dict(yaml.safe_load(content)["http"])


def test_with_a_certificate_plain_http_is_sent_to_tls_and_else_it_is_served() -> None:
    content = configuration(tls=True)
    ((name, router),) = content["routers"].items()
    assert router["middlewares"] == [name]
    redirect = content["middlewares"][name]["redirectRegex"]
    assert re.sub(redirect["regex"], redirect["replacement"], "http://a.test:30998/b?c=http://d") == "https://a.test:30998/b?c=http://d"
    assert "tls" not in router, "it is for those who come without"
    assert "routers" not in configuration()
    assert [one["spec"]["ports"][0]["port"] for tls in (True, False) for one in of("Service", tls=tls)] == [443, 80]


def test_the_middlewares_lie_in_a_file_that_its_provider_reads() -> None:
    (config,) = of("ConfigMap")
    ((name, content),) = config["data"].items()
    (place,) = [mount["mountPath"] for mount in container()["volumeMounts"]]
    assert f"--providers.file.filename={place}/{name}" in container()["args"]
    assert name.endswith((".yml", ".yaml", ".toml")), "Traefik reads no others"
    assert set(yaml.safe_load(content)["http"]["middlewares"]) == {"strip-one-segment", "strip-two-segments", "front-page"}


def test_a_traefik_that_is_there_gets_the_middlewares_only() -> None:
    classes = [found("traefik.io/ingress-controller")]
    objects = ingress_controller(declared(deployed=False), classes)
    assert {(one["kind"], one["metadata"]["namespace"]) for one in objects} == {("Middleware", "ingress")}


@pytest.mark.parametrize(("kind", "controller"), [("nginx", "k8s.io/ingress-nginx"), ("other", "haproxy.org/ingress-controller")])
def test_another_controller_that_is_there_is_left_alone(kind: str, controller: str) -> None:
    assert ingress_controller(declared(controller=kind, deployed=False), [found(controller)]) == []


@pytest.mark.parametrize(
    ("changes", "classes", "said"),
    [
        ({"deployed": False}, [], "There is no IngressClass 'traefik'"),
        ({"deployed": False}, [found("k8s.io/ingress-nginx")], "belongs to the controller k8s.io/ingress-nginx"),
        ({"controller": "nginx", "deployed": False}, [found("traefik.io/ingress-controller")], "Set platform_ingress_controller"),
        ({"controller": "nginx"}, [], "only Traefik is deployed"),
        ({"controller": "treafik"}, [], "wanted one of traefik, nginx, other, none"),
        ({}, [found("traefik.io/ingress-controller")], "Set platform_ingress_deploy to false"),
    ],
)
def test_what_does_not_agree_is_refused(changes: dict[str, Any], classes: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(AnsibleFilterError, match=said):
        ingress_controller(declared(**changes), classes)


def test_its_own_class_is_known_again() -> None:
    (own,) = of("IngressClass")
    assert ingress_controller(declared(), [own]) == made()
