"""Who may do what in the cluster, and where: the cells that are tried on the live apiserver.

The allowed cells are the calls that a run of the pipeline makes, as the apiserver's audit log shows them (`tests/platform/test_audit.py`
compares), and those of `WITHOUT_A_RUN`, each with its reason. Everything else is to be denied.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

AIRFLOW, SPARK = "airflow-sa", "spark-sa"
TASKS, JOBS = "airflow", "spark-jobs"
OTHER, SYSTEM, CLUSTER = "matrix-other", "kube-system", ""
"""A namespace of jobs that nobody declared; the cluster's own; and what is in no namespace."""
HOME = {AIRFLOW: TASKS, SPARK: JOBS}
APPLICATIONS = "sparkapplications.sparkoperator.k8s.io"


@dataclass(frozen=True, order=True)
class Cell:
    """One verb of one account on one kind of object in one namespace."""

    account: str
    verb: str
    resource: str
    """As Kubernetes writes it where rights are asked for: `resource.group/subresource`."""
    namespace: str

    def __str__(self) -> str:
        return f"{self.account}-{self.verb}-{self.resource}-{self.namespace or 'cluster'}"


def _cells(account: str, namespace: str, table: Mapping[str, str]) -> Iterator[Cell]:
    for resource, verbs in table.items():
        for verb in verbs.split():
            yield Cell(account, verb, resource, namespace)


ALLOWED = (
    *_cells(AIRFLOW, TASKS, {"pods": "create delete list patch watch"}),
    *_cells(
        AIRFLOW,
        JOBS,
        {APPLICATIONS: "create delete get", f"{APPLICATIONS}/status": "get", "pods": "get list patch", "pods/log": "get", "events": "list"},
    ),
    *_cells(
        SPARK,
        JOBS,
        {
            "pods": "create delete deletecollection get list watch",
            "configmaps": "create deletecollection",
            "persistentvolumeclaims": "create deletecollection list",
            "services": "deletecollection",
        },
    ),
)

PLACES = sorted({(cell.account, cell.namespace) for cell in ALLOWED})
"""Where an account may do something."""


def allowed(account: str, namespace: str) -> list[Cell]:
    """What an account may do in a namespace."""
    return [cell for cell in ALLOWED if (cell.account, cell.namespace) == (account, namespace)]


WITHOUT_A_RUN = {
    Cell(AIRFLOW, "list", "pods", TASKS): "the scheduler looks for the pods of tasks that have been queued for long, and of one before it",
    Cell(AIRFLOW, "patch", "pods", TASKS): "a scheduler that starts anew takes over the pods of the one before",
    Cell(AIRFLOW, "delete", APPLICATIONS, JOBS): "a task that is stopped deletes its application, and so does delete_on_termination",
    Cell(AIRFLOW, "get", APPLICATIONS, JOBS): "SparkKubernetesSensor looks at an application as a whole",
    Cell(AIRFLOW, "patch", "pods", JOBS): "SparkKubernetesOperator marks the driver of an application that failed",
    Cell(AIRFLOW, "list", "events", JOBS): "log_events_on_failure shows why a driver did not start",
    Cell(SPARK, "delete", "pods", JOBS): "an executor that failed, or that dynamic allocation gives back",
    Cell(SPARK, "create", "persistentvolumeclaims", JOBS): "executors that have claims of their own (OnDemand)",
}
"""The allowed cells that a run of the pipeline need not show, each with what needs it."""

EVERY_VERB = "create delete deletecollection get list patch update watch"
WRITING = "create delete patch update"
_ESCALATION = {
    "secrets": "create get list watch",
    "serviceaccounts": "create",
    "serviceaccounts/token": "create",
    "roles.rbac.authorization.k8s.io": "create",
    "rolebindings.rbac.authorization.k8s.io": "create",
    "pods/exec": "create get",
    "pods/attach": "create",
    "pods/portforward": "create",
    "pods/ephemeralcontainers": "patch",
}
"""Ways to rights that an account does not have, in the namespaces where it has some."""
_OF_THE_CLUSTER = {
    "nodes": "get list patch",
    "nodes/proxy": "get",
    "namespaces": "create delete list",
    "persistentvolumes": "create list",
    "clusterroles.rbac.authorization.k8s.io": "create",
    "clusterrolebindings.rbac.authorization.k8s.io": "create",
    "certificatesigningrequests.certificates.k8s.io": "create",
    "customresourcedefinitions.apiextensions.k8s.io": "create",
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": "create",
    "users": "impersonate",
    "pods": "list watch",
    "secrets": "list",
    APPLICATIONS: "list",
}
_DENIED: Mapping[tuple[str, str], Mapping[str, str]] = {
    (AIRFLOW, TASKS): {
        **_ESCALATION,
        "pods": "deletecollection get update",
        "pods/log": "get",
        "events": "list",
        "configmaps": EVERY_VERB,
        "deployments.apps": "patch delete",
        "statefulsets.apps": "patch delete",
        "persistentvolumeclaims": WRITING,
        APPLICATIONS: "create",
    },
    (AIRFLOW, JOBS): {
        **_ESCALATION,
        APPLICATIONS: "deletecollection list patch update watch",
        f"{APPLICATIONS}/status": "patch update",
        "pods": "create delete deletecollection update watch",
        "configmaps": EVERY_VERB,
    },
    (SPARK, JOBS): {
        **_ESCALATION,
        APPLICATIONS: EVERY_VERB,
        "pods": "patch update",
        "pods/log": "get",
        "configmaps": "delete get list patch update watch",
        "persistentvolumeclaims": "delete get patch update watch",
        "services": "create delete get list patch update watch",
        "events": "list",
    },
    **{
        (account, namespace): {
            "pods": EVERY_VERB,
            "pods/log": "get",
            "pods/exec": "create",
            "secrets": "get list",
            "configmaps": "get create",
            APPLICATIONS: "create delete get list",
            "services": "create",
        }
        for account in (AIRFLOW, SPARK)
        for namespace in (OTHER, SYSTEM)
    },
    (SPARK, TASKS): {"pods": EVERY_VERB, "pods/log": "get", "pods/exec": "create", "secrets": "get list", "configmaps": "get"},
    (AIRFLOW, CLUSTER): _OF_THE_CLUSTER,
    (SPARK, CLUSTER): _OF_THE_CLUSTER,
}
DENIED = tuple(cell for (account, namespace), table in _DENIED.items() for cell in _cells(account, namespace, table))
