# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an Ingress says to each controller, from the one declaration."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ansible_collections.homelab.data_platform.plugins.module_utils.ingress.rules import (
    MIDDLEWARES,
    IngressError,
    below,
    instead,
    root_annotations,
    spark_ui_annotations,
)

METADATA = {"name": "spark-history-server", "namespace": "spark-history"}
BACKEND = {"service": {"name": "spark-history-server", "port": {"name": "ui"}}}
TRAEFIK = "traefik.ingress.kubernetes.io/router"


def declared(controller: str = "traefik", **changes: Any) -> dict[str, Any]:
    return {
        "controller": controller,
        "deployed": controller == "traefik",
        "class": controller,
        "namespace": "ingress",
        "host": "",
        "tls_secret": "",
        "annotations": {},
        "url": "http://localhost:8080",
        **changes,
    }


def history(path: str = "/history", **changes: Any) -> dict[str, Any]:
    return below(declared(**changes), path, METADATA, BACKEND)


def stripped(middleware: str, path: str) -> str:
    """What is left of a path, as Traefik's middleware strips it."""
    (expression,) = MIDDLEWARES[middleware]["stripPrefixRegex"]["regex"]
    return re.sub(expression, "", path, count=1) or "/"


@pytest.mark.parametrize(
    ("middleware", "path", "left"),
    [
        ("strip-one-segment", "/history/static/webui.css", "/static/webui.css"),
        ("strip-one-segment", "/history/history/spark-1/jobs/", "/history/spark-1/jobs/"),
        ("strip-one-segment", "/history", "/"),
        ("strip-two-segments", "/spark-jobs/spark-pi-0123/jobs/", "/jobs/"),
        ("strip-two-segments", "/spark-jobs/spark-pi-0123", "/"),
        ("strip-two-segments", "/spark-jobs/spark-pi-0123/jobs/job/", "/jobs/job/"),
    ],
)
def test_traefik_cuts_the_path_off_once(middleware: str, path: str, left: str) -> None:
    assert stripped(middleware, path) == left


def test_our_traefik_reads_the_middleware_from_its_file_and_another_from_an_object() -> None:
    key = f"{TRAEFIK}.middlewares"
    assert history()["metadata"]["annotations"][key] == "strip-one-segment@file"
    assert history(deployed=False)["metadata"]["annotations"][key] == "ingress-strip-one-segment@kubernetescrd"
    assert spark_ui_annotations(declared())[key] == "strip-two-segments@file"


def test_traefik_is_told_that_the_operators_path_is_an_expression() -> None:
    assert spark_ui_annotations(declared())[f"{TRAEFIK}.pathmatcher"] == "PathRegexp"


def test_ingress_nginx_rewrites_by_itself() -> None:
    ingress = history(controller="nginx")
    (entry,) = ingress["spec"]["rules"][0]["http"]["paths"]
    assert (entry["path"], entry["pathType"]) == ("/history(/|$)(.*)", "ImplementationSpecific")
    target = ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/rewrite-target"]
    for path, left in (("/history/static/webui.css", "/static/webui.css"), ("/history", "/")):
        found = re.match(f"^{entry['path']}", path)
        assert found and target.replace("$2", found[2]) == left
    assert re.match(f"^{entry['path']}$", "/history-of-art") is None
    assert spark_ui_annotations(declared("nginx")) == {}, "the operator writes rewrite-target itself"


def test_of_another_controller_nothing_is_known() -> None:
    assert history(controller="other")["metadata"]["annotations"] == {}
    assert spark_ui_annotations(declared("other", annotations={"a": "b"})) == {"a": "b"}


def test_annotations_host_and_certificate_are_those_of_every_ingress() -> None:
    public: dict[str, Any] = {
        "annotations": {"cert-manager.io/cluster-issuer": "home"},
        "host": "data.example.org",
        "tls_secret": "data-tls",
    }
    made = history(**public)
    assert made["metadata"]["annotations"]["cert-manager.io/cluster-issuer"] == "home"
    assert made["spec"]["rules"][0]["host"] == "data.example.org"
    assert made["spec"]["tls"] == [{"hosts": ["data.example.org"], "secretName": "data-tls"}]
    assert spark_ui_annotations(declared(**public))["cert-manager.io/cluster-issuer"] == "home"
    assert "host" not in history()["spec"]["rules"][0], "through a tunnel the name is localhost"


@pytest.mark.parametrize(("controller", "deployed", "told"), [("traefik", True, True), ("traefik", False, False), ("nginx", False, False)])
def test_our_traefik_is_told_that_a_rule_with_a_certificate_is_for_tls(controller: str, deployed: bool, told: bool) -> None:
    public: dict[str, Any] = {"controller": controller, "deployed": deployed, "host": "data.example.org", "tls_secret": "data-tls"}
    ingress = {**declared(), **public}
    annotations = [
        root_annotations(ingress),
        spark_ui_annotations(ingress),
        history(**public)["metadata"]["annotations"],
        instead(ingress, ["/spark-jobs"], METADATA, BACKEND)["metadata"]["annotations"],
    ]
    assert [one.get(f"{TRAEFIK}.tls") for one in annotations] == ["true" if told else None] * 4
    assert f"{TRAEFIK}.tls" not in root_annotations(declared())


def test_a_certificate_of_no_host_is_refused() -> None:
    with pytest.raises(IngressError, match="platform_ingress_tls_secret is 'data-tls', and platform_ingress_host is empty"):
        history(tls_secret="data-tls")


@pytest.mark.parametrize("path", ["history", "/history/", "/", "/a/b/c", "//history"])
def test_a_path_that_cannot_be_cut_off_is_refused(path: str) -> None:
    with pytest.raises(IngressError, match="wanted one or two segments"):
        history(path)


def test_a_page_wins_over_what_stands_in_for_it_and_everything_over_the_root() -> None:
    stand_in = instead(declared(), ["/spark-jobs", "/etl"], METADATA, BACKEND)
    assert [entry["path"] for entry in stand_in["spec"]["rules"][0]["http"]["paths"]] == ["/spark-jobs", "/etl"]
    root = root_annotations(declared())
    priorities = [int(annotations[f"{TRAEFIK}.priority"]) for annotations in (root, stand_in["metadata"]["annotations"])]
    assert priorities == sorted(priorities)
    assert max(priorities) < len("PathRegexp(``)"), "Traefik's own priority of a rule is its length"
    assert f"{TRAEFIK}.priority" not in {**spark_ui_annotations(declared()), **history()["metadata"]["annotations"]}


def test_nginx_serves_the_front_page_for_whatever_lies_below() -> None:
    stand_in = instead(declared("nginx"), ["/spark-jobs"], METADATA, BACKEND)
    assert stand_in["metadata"]["annotations"]["nginx.ingress.kubernetes.io/rewrite-target"] == "/"
    assert stand_in["spec"]["rules"][0]["http"]["paths"][0]["path"] == "/spark-jobs(/|$)(.*)"
