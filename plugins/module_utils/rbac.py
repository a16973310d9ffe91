# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may do what in the cluster: Airflow's account commands, Spark's account does the work. From one declaration to the objects.

The rules are what a run of the pipeline asks for, as the apiserver's audit log shows it, and what only shows when something fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes import namespaces

Object = dict[str, Any]
Rule = dict[str, list[str]]

GROUP = "rbac.authorization.k8s.io"
SPARK_GROUP = "sparkoperator.k8s.io"


def rule(group: str, resource: str, *verbs: str) -> Rule:
    """What may be done with one kind of object."""
    return {"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}


TASK_PODS = [
    # A scheduler that starts anew patches the pods that it takes over.
    rule("", "pods", "create", "delete", "list", "patch", "watch"),
]
"""The KubernetesExecutor, in Airflow's own namespace."""

COMMANDER = [
    # A task that is stopped deletes what it created. SparkKubernetesSensor gets it.
    rule(SPARK_GROUP, "sparkapplications", "create", "delete", "get"),
    rule(SPARK_GROUP, "sparkapplications/status", "get"),
    # SparkKubernetesOperator looks for a driver to go on with, and marks the pod of a failed one: without that, a 403 hides why it failed.
    rule("", "pods", "get", "list", "patch"),
    rule("", "pods/log", "get"),
    # With log_events_on_failure, and in newer providers at each start.
    rule("", "events", "list"),
]
"""SparkKubernetesOperator, in a job namespace."""

SPARK_DRIVER = [
    # Executors. One that failed, or that dynamic allocation gives back, is deleted by itself.
    rule("", "pods", "create", "delete", "deletecollection", "get", "list", "watch"),
    # Their configuration, and the claims that they may have.
    rule("", "configmaps", "create", "deletecollection"),
    rule("", "persistentvolumeclaims", "create", "deletecollection", "list"),
    # In the end, the Service that the operator made for the driver.
    rule("", "services", "deletecollection"),
]
"""A driver and its executors, in a job namespace."""


class RbacError(ValueError):
    """The declaration cannot become objects: the message says what was found, what was wanted and what to do."""


def objects(declaration: Mapping[str, Any]) -> list[Object]:
    """Return namespaces, accounts, roles and bindings, in the order in which they can be made."""
    _check(declaration)
    airflow, spark = declaration["airflow"], declaration["spark"]
    commander = declaration["commander_role"]
    return [
        *map(namespaces.declared, dict.fromkeys([airflow["namespace"], *spark["namespaces"]])),
        _account(airflow["account"], airflow["namespace"]),
        *_granted(_task_pods(airflow), airflow["namespace"], [*TASK_PODS, *airflow["rules"]], airflow),
        _role("ClusterRole", commander, None, [*COMMANDER, *declaration["commander_rules"]]),
        *(item for namespace in spark["namespaces"] for item in _job_namespace(declaration, namespace)),
    ]


def withdrawn(declaration: Mapping[str, Any]) -> list[Object]:
    """Return what lets the two accounts act in the namespaces that are given up. Accounts and namespaces stay, with what is in them."""
    _check(declaration)
    commander, account = declaration["commander_role"], declaration["spark"]["account"]
    return [
        {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}}
        for namespace in declaration["withdrawn_namespaces"]
        for kind, name in (("RoleBinding", commander), ("RoleBinding", account), ("Role", account))
    ]


def _check(declaration: Mapping[str, Any]) -> None:
    kept = {declaration["airflow"]["namespace"], *declaration["spark"]["namespaces"]}
    both = sorted(kept & set(declaration["withdrawn_namespaces"]))
    if both:
        raise RbacError(
            f"rbac_withdrawn_namespaces names {', '.join(both)}, and so does rbac_airflow_namespace or rbac_spark_job_namespaces; "
            "wanted: a namespace either has the accounts' rights or has them withdrawn. Take it out of one of the two."
        )


def _job_namespace(declaration: Mapping[str, Any], namespace: str) -> list[Object]:
    """What a namespace of SparkApplications has: the commander's binding, and the account of the drivers."""
    spark, commander = declaration["spark"], declaration["commander_role"]
    worker = {"account": spark["account"], "namespace": namespace}
    return [
        _binding(commander, namespace, "ClusterRole", declaration["airflow"]),
        _account(spark["account"], namespace),
        *_granted(spark["account"], namespace, [*SPARK_DRIVER, *spark["rules"]], worker),
    ]


def _task_pods(airflow: Mapping[str, Any]) -> str:
    return f"{airflow['account']}-task-pods"


def _account(name: str, namespace: str) -> Object:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}


def _granted(name: str, namespace: str, rules: list[Rule], account: Mapping[str, Any]) -> list[Object]:
    return [_role("Role", name, namespace, rules), _binding(name, namespace, "Role", account)]


def _role(kind: str, name: str, namespace: str | None, rules: list[Rule]) -> Object:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": metadata, "rules": rules}


def _binding(name: str, namespace: str, kind: str, account: Mapping[str, Any]) -> Object:
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name, "namespace": namespace},
        "roleRef": {"apiGroup": GROUP, "kind": kind, "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": account["account"], "namespace": account["namespace"]}],
    }
