# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The top level of the values of Airflow's chart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.errors import AirflowError
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.fields import did_you_mean

_KNOWN = """
    affinity airflowConfigAnnotations airflowHome airflowLocalSettings airflowPodAnnotations airflowVersion allowJobLaunching
    allowPodLaunching apiSecretAnnotations apiSecretKey apiSecretKeySecretName apiServer cleanup config containerLifecycleHooks
    createUserJob dagProcessor dags data databaseCleanup defaultAirflowDigest defaultAirflowRepository defaultAirflowTag
    elasticsearch enableBuiltInSecretEnvVars enableServiceLinks env executor extraConfigMaps extraEnv extraEnvFrom extraSecrets
    fernetKey fernetKeySecretAnnotations fernetKeySecretName flower fullnameOverride gid images imagePullSecrets ingress jwtSecret
    jwtSecretAnnotations jwtSecretName kerberos labels limits logs migrateDatabaseJob multiNamespaceMode nameOverride
    networkPolicies nodeSelector opensearch otelCollector pgbouncer podTemplate ports postgresql priorityClasses quotas rbac redis
    registry revisionHistoryLimit scheduler schedulerName secret securityContext securityContexts statsd tolerations
    topologySpreadConstraints triggerer uid useStandardNaming volumeMounts volumes webserver webserverSecretAnnotations
    webserverSecretKey webserverSecretKeySecretName workers
"""
KNOWN_KEYS = frozenset(_KNOWN.split())
"""Every top-level value of the charts 1.13.1 to 1.22.0, whose schemas leave the top level open: a mistyped key would do nothing."""


def check_keys(values: Mapping[str, Any]) -> None:
    """Refuse a top-level key that no chart knows."""
    for key in sorted(set(values) - KNOWN_KEYS):
        raise AirflowError(
            f"airflow_values has the key {key!r}, which Airflow's chart does not know and would silently ignore"
            f"{did_you_mean(key, KNOWN_KEYS)}"
        )
