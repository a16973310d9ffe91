# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is told of failures: the declaration, and the module that tells a real mail server and a real web server."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow import notifications
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.errors import AirflowError
from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.values import derive, render

from lab.certificates import Authority
from tests.listeners import mail_server, web_server
from tests.serving import served
from tests.unit.plugins.airflow.declared import ROLE, declaration

MAIL = {"host": "mail.lan", "from": "airflow@example.com", "to": "me@example.com"}
Load = Callable[..., ModuleType]


def derived(declared: dict[str, Any], *given: str) -> dict[str, Any]:
    return derive(declaration(notifications=declared, given=list(given)), {})


def test_nothing_declared_says_nothing() -> None:
    values = derived({})
    assert "airflowLocalSettings" not in values
    assert notifications.SETTINGS not in values["extraEnv"]


def test_settings_are_in_every_container_and_the_secrets_are_not_in_them() -> None:
    values = derived({"webhook": True, "mail": {**MAIL, "username": "bot"}}, "webhook_url", "smtp_password")
    variables = {variable["name"]: variable["value"] for variable in yaml.safe_load(values["extraEnv"])}
    settings = json.loads(variables[notifications.SETTINGS])
    assert settings["events"] == ["dag_run"]
    assert settings["mail"]["to"] == ["me@example.com"]
    assert {"secretRef": {"name": "airflow-notifications"}} in yaml.safe_load(values["extraEnvFrom"])
    assert values["airflowLocalSettings"] == (ROLE / "files/local_settings.py").read_text()


@pytest.mark.parametrize(
    ("declared", "given", "said"),
    [
        ({"webhook": True}, [], "webhook and airflow_webhook_url .* belong together"),
        ({"mail": MAIL}, ["webhook_url"], "webhook and airflow_webhook_url .* belong together"),
        ({}, ["webhook_url"], "airflow_notifications is empty"),
        ({"events": ["task"]}, [], "names neither mail nor webhook"),
        ({"events": ["sla"], "mail": MAIL}, [], "events has 'sla'; wanted some of dag_run, task"),
        ({"email": MAIL}, [], "has the key 'email'.*did you mean 'mail'"),
        ({"mail": {**MAIL, "to": []}}, [], "mail.to is .*wanted one address or a list"),
        ({"mail": {"to": "me@example.com", "from": "a@b"}}, [], "airflow_notifications.mail.host is missing"),
        ({"mail": {**MAIL, "tls": "yes"}}, [], "wanted one of none, starttls, implicit"),
        ({"mail": {**MAIL, "username": "bot"}}, [], "username and airflow_smtp_password belong together"),
        ({"mail": {**MAIL, "username": "bot", "tls": "none"}}, ["smtp_password"], "for everybody to read"),
    ],
)
def test_what_cannot_work_is_refused(declared: dict[str, Any], given: list[str], said: str) -> None:
    with pytest.raises(AirflowError, match=said):
        derived(declared, *given)


def test_own_local_settings_would_replace_ours() -> None:
    own = {"airflowLocalSettings": "x = 1"}
    assert render(declaration(), own, {})["airflowLocalSettings"] == "x = 1"
    with pytest.raises(AirflowError, match="would replace the module"):
        render(declaration(notifications={"mail": MAIL}), own, {})


@pytest.fixture(name="load")
def fixture_load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load the module as Airflow does, with the settings and secrets that its containers have."""

    def load(settings: dict[str, Any], **secrets: str) -> ModuleType:
        environment = {notifications.SETTINGS: json.dumps(settings), **secrets}
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        spec = spec_from_file_location("local_settings", ROLE / "files/local_settings.py")
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


def settings(declared: dict[str, Any], *given: str) -> dict[str, Any]:
    return notifications.settings(declaration(notifications={"events": ["task"], **declared}, given=list(given)))


INSTANCE = SimpleNamespace(dag_id="etl", task_id="load", try_number=2, log_url="https://airflow.lan/log")
CONTEXT = {"task_instance": INSTANCE, "run_id": "manual", "exception": ValueError("no more disk"), "dag": SimpleNamespace(dag_id="etl")}


def tell(module: ModuleType, callbacks: Any = None) -> None:
    """Have a task fail that brings callbacks of its own."""
    task = SimpleNamespace(on_failure_callback=callbacks)
    module.task_policy(task)
    for callback in task.on_failure_callback:
        callback(CONTEXT)


@pytest.fixture(name="kept")
def fixture_kept() -> list[dict[str, Any]]:
    return []


@pytest.fixture(name="hook")
def fixture_hook(kept: list[dict[str, Any]]) -> Iterator[str]:
    with served(web_server(kept.append)) as port:
        yield f"http://127.0.0.1:{port}/hooks/token"


def test_webhook_is_told_what_failed_and_where(load: Load, kept: list[dict[str, Any]], hook: str) -> None:
    tell(load(settings({"webhook": True}, "webhook_url"), DATA_PLATFORM_WEBHOOK_URL=hook))
    (entry,) = kept
    assert entry["path"] == "/hooks/token"
    assert entry["body"]["text"].startswith("Task etl.load failed\n")
    assert (entry["body"]["dag_id"], entry["body"]["run_id"], entry["body"]["try_number"]) == ("etl", "manual", 2)
    assert entry["body"]["error"] == "no more disk"


def test_mail_is_encrypted_and_logged_in(load: Load, kept: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path, "mail").create()
    pair = authority.issue("mail", "localhost", names=["localhost"], addresses=["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    with served(mail_server(kept.append, context)) as port:
        mail = {**MAIL, "host": "localhost", "port": port, "username": "bot", "to": ["me@example.com", "you@example.com"]}
        tell(load(settings({"mail": mail}, "smtp_password"), DATA_PLATFORM_SMTP_PASSWORD="s3cret"))
    (entry,) = kept
    assert (entry["login"], entry["to"]) == ("bot s3cret", ["me@example.com", "you@example.com"])
    assert entry["subject"] == "[Airflow] Task etl.load failed"
    assert "error: no more disk" in entry["body"]


def test_server_whose_certificate_nobody_knows_gets_no_password(load: Load, kept: list[dict[str, Any]], tmp_path: Path) -> None:
    pair = Authority(tmp_path, "mail").create().issue("mail", "localhost", names=["localhost"], addresses=["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    with served(mail_server(kept.append, context)) as port:
        mail = {**MAIL, "host": "localhost", "port": port, "username": "bot"}
        module = load(settings({"mail": mail}, "smtp_password"), DATA_PLATFORM_SMTP_PASSWORD="s3cret")
        with pytest.raises(RuntimeError, match="mail: SSLCertVerificationError"):
            tell(module)
    assert not kept


@pytest.mark.parametrize("theirs", ["one", "several"])
def test_callbacks_of_the_dags_author_stay(load: Load, kept: list[dict[str, Any]], hook: str, theirs: str) -> None:
    called: list[str] = []

    def own(_context: Any) -> None:
        called.append("theirs")

    module = load(settings({"webhook": True}, "webhook_url"), DATA_PLATFORM_WEBHOOK_URL=hook)
    tell(module, own if theirs == "one" else [own])
    assert (called, len(kept)) == (["theirs"], 1)


def test_way_that_fails_leaves_the_other(load: Load, kept: list[dict[str, Any]], hook: str) -> None:
    with served(web_server(kept.append)) as port:
        closed = port
    both = {"webhook": True, "mail": {**MAIL, "host": "127.0.0.1", "port": closed, "tls": "none"}}
    module = load(settings(both, "webhook_url"), DATA_PLATFORM_WEBHOOK_URL=hook)
    with pytest.raises(RuntimeError, match="mail: ConnectionRefusedError"):
        tell(module)
    assert [entry["way"] for entry in kept] == ["webhook"]


def test_runs_are_told_of_where_they_are_declared(load: Load, kept: list[dict[str, Any]], hook: str) -> None:
    module = load(settings({"webhook": True, "events": ["dag_run"]}, "webhook_url"), DATA_PLATFORM_WEBHOOK_URL=hook)
    task, dag = SimpleNamespace(on_failure_callback=None), SimpleNamespace(on_failure_callback=None, has_on_failure_callback=False)
    module.task_policy(task)
    module.dag_policy(dag)
    assert task.on_failure_callback is None
    assert dag.has_on_failure_callback
    (callback,) = dag.on_failure_callback
    callback({**CONTEXT, "reason": "timed_out"})
    assert (kept[0]["body"]["event"], kept[0]["body"]["reason"]) == ("dag_run", "timed_out")
