# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Declarations of Airflow as the role composes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROLE = Path(__file__).resolve().parents[4] / "roles/airflow"

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
        "git_sync": {
            "image": {"repository": "registry.k8s.io/git-sync/git-sync", "tag": "v4.3.0"},
            "repo": "https://git.lab.test/data-platform-core.git",
            "branch": "main",
            "subpath": "dags",
            "period": "60s",
            "credentials_secret": "",
            "ssh_key_secret": "",
            "known_hosts": "",
        },
        "remote_logs": {"folder": "s3://datalake/logs/airflow-logs", "connection": "minio"},
        "connections_secret": "airflow-connections",
        "database": {"host": "postgresql.airflow", "port": 5432, "name": "airflow", "user": "air flow", "secret": "postgresql"},
        "secrets": {use: f"airflow-{use}" for use in ("keys", "database", "admin", "broker")},
        "node_port": 30998,
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
    empty["git_sync"]["repo"] = empty["remote_logs"]["folder"] = ""
    return empty
