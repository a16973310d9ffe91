# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Airflow's page behind the declared ingress controller, in the values of its chart."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.values import derive
from ansible_collections.homelab.data_platform.plugins.module_utils.ingress.rules import IngressError

from tests.unit.plugins.airflow.declared import declaration

TWO, THREE = ("2.10.4", "1.16.0"), ("3.2.2", "1.22.0")


def behind(version: tuple[str, str], **changes: Any) -> dict[str, Any]:
    """The values behind an ingress controller."""
    controller = {"controller": "traefik", "deployed": True, "class": "traefik", "namespace": "ingress"}
    pages = {"path": "/", "host": "", "tls_secret": "", "annotations": {}, "url": "http://localhost:8080"}
    return derive(declaration(*version, ingress={**controller, **pages, **changes}), {})


@pytest.mark.parametrize(("version", "key", "section"), [(TWO, "web", "webserver"), (THREE, "apiServer", "api")])
def test_it_has_the_root_by_the_key_of_its_major_version(version: tuple[str, str], key: str, section: str) -> None:
    values = behind(version)
    assert set(values["ingress"]) == {key}
    web = values["ingress"][key]
    assert (web["enabled"], web["path"], web["hosts"], web["ingressClassName"]) == (True, "/", [], "traefik")
    assert "base_url" not in values["config"][section], "through a tunnel it goes by the name that the browser says"


@pytest.mark.parametrize(("version", "key", "section"), [(TWO, "web", "webserver"), (THREE, "apiServer", "api")])
def test_it_knows_its_public_address_and_nothing_is_cut_off(version: tuple[str, str], key: str, section: str) -> None:
    values = behind(version, path="/airflow", host="data.example.org", tls_secret="data-tls", url="https://data.example.org")
    assert values["config"][section]["base_url"] == "https://data.example.org/airflow"
    web = values["ingress"][key]
    assert web["hosts"] == [{"name": "data.example.org", "tls": {"enabled": True, "secretName": "data-tls"}}]
    assert not [name for name in web["annotations"] if name.endswith("middlewares")]


@pytest.mark.parametrize(("changes", "path"), [({"path": "/airflow"}, "/airflow"), ({"host": "a.test", "url": "http://a.test"}, "")])
def test_tasks_of_airflow_3_find_its_api_below_the_path(changes: dict[str, str], path: str) -> None:
    assert behind(THREE, **changes)["config"]["core"]["execution_api_server_url"] == f"http://airflow-api-server:8080{path}/execution/"
    assert "execution_api_server_url" not in behind(TWO, **changes)["config"].get("core", {})
    assert "execution_api_server_url" not in behind(THREE)["config"].get("core", {}), "the chart knows it"


def test_a_certificate_of_no_host_is_refused() -> None:
    with pytest.raises(IngressError, match="platform_ingress_host is empty"):
        behind(TWO, tls_secret="data-tls")


def test_below_a_path_of_the_tunnel_too() -> None:
    assert behind(TWO, path="/airflow")["config"]["webserver"]["base_url"] == "http://localhost:8080/airflow"


def test_without_an_ingress_nothing_is_said_of_one() -> None:
    assert "ingress" not in derive(declaration(), {})
