# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the DAGs come from, as values of Airflow's chart: git-sync, a bucket, a volume, or the image itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.homelab.data_platform.plugins.module_utils.airflow import git, images, pods, trust
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.errors import AirflowError
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.fields import with_defaults
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.versions import major
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.workloads import dag_readers

Values = dict[str, Any]

DIRECTORY = "/opt/airflow/dags"
LINK = "current"
"""What the script s3_sync.py keeps: a link to the newest state of the bucket."""
VOLUME = "dags"
PERIOD = 60
"""Seconds."""


def values(declaration: Mapping[str, Any]) -> Values:
    """Return the values for the declared source."""
    dags = declaration["dags"]
    source = dags.get("source")
    if source not in _SOURCES:
        raise AirflowError(f"airflow_dags.source is {source!r}; wanted one of {', '.join(_SOURCES)}.")
    return _SOURCES[source](declaration, {key: value for key, value in dags.items() if key != "source"})


def scan(declaration: Mapping[str, Any]) -> Values:
    """Return the values by which Airflow looks for new files as often as they come; its own default is five minutes."""
    section, option = ("scheduler", "dag_dir_list_interval") if major(declaration) < 3 else ("dag_processor", "refresh_interval")
    return {"config": {section: {option: str(declaration["dags"].get("period", PERIOD))}}}


def _git(declaration: Mapping[str, Any], given: Mapping[str, Any]) -> Values:
    dags = git.checked(given, declaration["given"])
    sync: Values = {
        "enabled": True,
        "repo": dags["repository"],
        "branch": dags["branch"],
        "ref": dags["branch"],
        "subPath": dags["path"],
        "depth": 1,
        "period": f"{dags['period']}s",
        # A repository that is away for a while must not restart the scheduler.
        "maxFailures": 10,
        "resources": declaration["resources"]["dags_sync"],
    }
    sync.update(git.access(dags, declaration))
    if declaration["ca_config_map"]:
        sync["env"] = [{"name": "GIT_SSL_CAINFO", "value": trust.environment(declaration)["GIT_SSL_CAINFO"]}]
        sync["extraVolumeMounts"] = trust.mounts(declaration)
    return {"dags": {"gitSync": sync}}


def _volume(_declaration: Mapping[str, Any], given: Mapping[str, Any]) -> Values:
    """A claim that somebody else makes, with room for every pod that reads DAGs."""
    dags = with_defaults("airflow_dags", given, {"path": ""}, required=["claim"])
    persistence = {"enabled": True, "existingClaim": dags["claim"]}
    if dags["path"].strip("/"):
        persistence["subPath"] = dags["path"].strip("/")
    return {"dags": {"persistence": persistence}}


def _image(_declaration: Mapping[str, Any], given: Mapping[str, Any]) -> Values:
    dags = with_defaults("airflow_dags", given, {"path": DIRECTORY})
    return {"config": {"core": {"dags_folder": dags["path"]}}} if dags["path"] != DIRECTORY else {}


def _s3(declaration: Mapping[str, Any], given: Mapping[str, Any]) -> Values:
    """An empty volume in each pod that reads DAGs, which a container of Airflow's own image fills: its provider brings the client."""
    dags = with_defaults("airflow_dags", given, {"prefix": "", "period": PERIOD, "secret": ""}, required=["bucket"])
    if dags["period"] < 1:
        raise AirflowError(f"airflow_dags.period is {dags['period']}; wanted seconds, at least 1.")
    mount: Values = {"name": VOLUME, "mountPath": DIRECTORY}
    result: Values = {"config": {"core": {"dags_folder": f"{DIRECTORY}/{LINK}"}}}
    for component in dag_readers(declaration):
        result[component] = {
            "extraVolumes": [{"name": VOLUME, "emptyDir": {}}],
            "extraVolumeMounts": [{**mount, "readOnly": True}],
            "extraInitContainers": [_sync_container(declaration, dags, mount, once=True)],
        }
        # A task's pod takes the newest DAGs and keeps them; a container beside the task would keep the pod from ending.
        if component != "workers" or "Celery" in declaration["executor"]:
            result[component]["extraContainers"] = [_sync_container(declaration, dags, mount, once=False)]
    return result


def _sync_container(declaration: Mapping[str, Any], dags: Mapping[str, Any], mount: Values, *, once: bool) -> Values:
    settings = {
        "DAGS_BUCKET": dags["bucket"],
        "DAGS_PREFIX": dags["prefix"],
        "DAGS_DIRECTORY": DIRECTORY,
        "DAGS_LINK": LINK,
        "DAGS_PERIOD": "0" if once else str(dags["period"]),
        **trust.environment(declaration),
    }
    container: Values = {
        "name": "s3-sync-init" if once else "s3-sync",
        "image": images.airflow(declaration),
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", declaration["scripts"]["s3_sync"]],
        "env": [{"name": name, "value": value} for name, value in settings.items()],
        "resources": declaration["resources"]["dags_sync"],
        "securityContext": pods.RESTRICTED,
        "volumeMounts": [mount, *trust.mounts(declaration)],
    }
    if dags["secret"]:
        container["envFrom"] = [{"secretRef": {"name": dags["secret"]}}]
    return container


_SOURCES: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Any]], Values]] = {
    "git": _git,
    "s3": _s3,
    "volume": _volume,
    "image": _image,
}
