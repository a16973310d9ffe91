# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Declarations of Airflow as the role composes them."""

from __future__ import annotations

from typing import Any

import yaml

from lab.settings import CHECKOUT

ROLE = CHECKOUT / "roles/airflow"

PAIRS = [("1.13.1", "2.10.4"), ("1.16.0", "2.10.4"), ("1.18.0", "3.0.2"), ("1.19.0", "2.10.4"), ("1.22.0", "2.11.0"), ("1.22.0", "3.2.2")]

CHECKSUMS = {"airflow-keys": "0123", "airflow-database": None, "airflow-admin": "4567"}


def declaration(version: str = "2.10.4", chart: str = "1.16.0", **changes: Any) -> dict[str, Any]:
    return {
        "release": "airflow",
        "namespace": "airflow",
        "version": version,
        "chart_version": chart,
        "executor": "KubernetesExecutor",
        "service_account": "airflow-sa",
        "image": {"repository": "docker.io/apache/airflow", "tag": f"{version}-python3.12"},
        "images": {
            "git_sync": {"repository": "registry.k8s.io/git-sync/git-sync", "tag": "v4.3.0"},
            "redis": {"repository": "docker.io/library/redis", "tag": "7-bookworm"},
        },
        "image_prefix": "",
        "pull_secret": "",
        "parallelism": 16,
        "celery": {"workers": 2, "concurrency": 4},
        "dags": {"source": "git", "repository": "https://git.lab.test/data-platform-core.git"},
        "given": [],
        "scripts": {name: (ROLE / f"files/{name}.py").read_text() for name in ("s3_sync", "local_settings")},
        "remote_logs": {"folder": "s3://datalake/logs/airflow-logs", "connection": "minio"},
        "connections_secret": "airflow-connections",
        "variables": {},
        "database": {
            "host": "postgresql.airflow",
            "port": 5432,
            "name": "airflow",
            "user": "air flow",
            "secret": "postgresql",
            "sslmode": "",
        },
        "database_cleanup": {},
        "notifications": {},
        "secrets": {use: f"airflow-{use}" for use in ("keys", "database", "admin", "broker", "git", "notifications")},
        "node_port": 30998,
        "ingress": {},
        "node_selector": {"workload": "orchestration"},
        "tolerations": [{"key": "dedicated", "operator": "Equal", "value": "orchestration", "effect": "NoSchedule"}],
        "resources": yaml.safe_load((ROLE / "defaults/main.yml").read_text())["airflow_resources"],
        "triggerer": False,
        "webserver_workers": 2,
        "ca_config_map": "data-platform-ca",
        **changes,
    }


def bare(version: str, chart: str) -> dict[str, Any]:
    """No DAG repository, object store, private CA or NodePort, but the triggerer."""
    empty = declaration(version, chart, ca_config_map="", connections_secret="", node_port=0, triggerer=True)
    empty["dags"], empty["remote_logs"]["folder"] = {"source": "image"}, ""
    return empty


def everything(version: str, chart: str) -> dict[str, Any]:
    """A private repository, notifications of all kinds, an air gap and a database of one's own."""
    known = {"known_hosts": "git.lab.test ssh-ed25519 AAAA"}
    mail = {"host": "mail.lan", "username": "bot", "from": "airflow@example.com", "to": "me@example.com"}
    return declaration(
        version,
        chart,
        dags={"source": "git", "repository": "git@git.lab.test:dags.git", **known},
        given=["git_ssh_key", "smtp_password", "webhook_url"],
        notifications={"events": ["task", "dag_run"], "webhook": True, "mail": mail},
        image_prefix="registry.lan/",
        triggerer=True,
    )
