# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs the tasks, and the images that this takes."""

from __future__ import annotations

import pytest
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.values import derive

from tests.unit.plugins.airflow.declared import CHECKSUMS, declaration


def test_celery_has_workers_a_broker_and_no_volume() -> None:
    values = derive(declaration(executor="CeleryExecutor"), {**CHECKSUMS, "airflow-broker": "89ab"})
    assert (values["workers"]["replicas"], values["config"]["celery"]) == (2, {"worker_concurrency": "4"})
    assert values["workers"]["podAnnotations"]["checksum/airflow-broker"] == "89ab"
    assert values["images"]["redis"] == {"repository": "docker.io/library/redis", "tag": "7-bookworm"}
    assert values["redis"]["uid"] == 999


def test_local_tasks_have_the_schedulers_account_and_room() -> None:
    values = derive(declaration(executor="LocalExecutor"), CHECKSUMS)
    assert values["scheduler"]["resources"]["limits"] == {"memory": "4Gi"}
    assert values["scheduler"]["serviceAccount"]["name"] == "airflow-sa"


@pytest.mark.parametrize("executor", ["KubernetesExecutor", "CeleryExecutor", "LocalExecutor"])
def test_parallelism(executor: str) -> None:
    assert derive(declaration(executor=executor, parallelism=3), {})["config"]["core"]["parallelism"] == "3"


def test_prefix_reaches_what_is_off() -> None:
    images = derive(declaration(image_prefix="registry.lan/"), {})["images"]
    assert images["statsd"] == {"repository": "registry.lan/quay.io/prometheus/statsd-exporter"}
    assert images["pgbouncer"] == images["pgbouncerExporter"] == {"repository": "registry.lan/docker.io/apache/airflow"}
    assert "statsd" not in derive(declaration(), {})["images"]
