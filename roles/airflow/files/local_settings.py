"""Airflow's local settings: every DAG and task tells of its failure, beside what its author asked for."""

import json
import os
import smtplib
import ssl
import urllib.request
from email.message import EmailMessage

__all__ = ["dag_policy", "task_policy"]

SETTINGS = json.loads(os.environ.get("DATA_PLATFORM_NOTIFICATIONS", "null")) or {"events": []}


def task_policy(task):
    """Called by Airflow for each task of a DAG that it reads."""
    if "task" in SETTINGS["events"]:
        task.on_failure_callback = with_ours(task.on_failure_callback, tell_of_task)


def dag_policy(dag):
    """Called by Airflow for each DAG that it reads."""
    if "dag_run" in SETTINGS["events"]:
        dag.on_failure_callback = with_ours(dag.on_failure_callback, tell_of_dag_run)
        # Noted when the DAG was made; without it the scheduler would not ask.
        dag.has_on_failure_callback = True


def with_ours(callbacks, ours):
    """Return the callbacks of the DAG's author and ours; Airflow takes one, several or none."""
    theirs = callbacks if isinstance(callbacks, (list, tuple)) else [callbacks] if callbacks else []
    return [*theirs, ours]


def tell_of_task(context):
    """Tell of a task that has failed for good."""
    instance = context["task_instance"]
    where = {"dag_id": instance.dag_id, "task_id": instance.task_id, "run_id": context["run_id"], "try_number": instance.try_number}
    error, address = context.get("exception"), getattr(instance, "log_url", "")
    tell(f"Task {where['dag_id']}.{where['task_id']} failed", dict(event="task", **where, error=str(error or ""), log_url=address))


def tell_of_dag_run(context):
    """Tell of a run that has failed."""
    dag_id = context["dag"].dag_id
    detail = {"event": "dag_run", "dag_id": dag_id, "run_id": context["run_id"], "reason": str(context.get("reason") or "")}
    tell(f"Run of {dag_id} failed", detail)


def tell(subject, detail):
    """Tell by each of the declared ways; one that fails does not keep the other from trying."""
    failures = []
    for way, send in (("mail", send_mail), ("webhook", call_webhook)):
        if SETTINGS.get(way):
            try:
                send(subject, detail)
            except Exception as error:  # noqa: BLE001 - whatever it is, it stands in the task's log
                failures.append(f"{way}: {type(error).__name__}: {error}")
    if failures:
        # Airflow writes it into the log and goes on.
        raise RuntimeError("Nobody was told of the failure by " + "; ".join(failures))


def send_mail(subject, detail):
    """Send a mail of plain text."""
    mail = SETTINGS["mail"]
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = f"[Airflow] {subject}", mail["from"], ", ".join(mail["to"])
    message.set_content("".join(f"{key}: {value}\n" for key, value in detail.items() if value))
    context = ssl.create_default_context()
    if mail["tls"] == "implicit":
        server = smtplib.SMTP_SSL(mail["host"], mail["port"], timeout=mail["timeout"], context=context)
    else:
        server = smtplib.SMTP(mail["host"], mail["port"], timeout=mail["timeout"])
    with server:
        if mail["tls"] == "starttls":
            server.starttls(context=context)
        if mail["username"]:
            server.login(mail["username"], os.environ["DATA_PLATFORM_SMTP_PASSWORD"])
        server.send_message(message)


def call_webhook(subject, detail):
    """Post JSON; `text` is what Slack, Mattermost and the like show."""
    lines = [subject, *(f"{key}: {value}" for key, value in detail.items() if value)]
    body = json.dumps(dict(text="\n".join(lines), **detail)).encode()
    address, headers = os.environ["DATA_PLATFORM_WEBHOOK_URL"], {"Content-Type": "application/json"}
    # Whoever runs Airflow declared the address.
    with urllib.request.urlopen(urllib.request.Request(address, body, headers), timeout=10):  # noqa: S310
        pass
