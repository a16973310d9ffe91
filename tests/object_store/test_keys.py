"""Keys that somebody changed, keys that are rotated, and the pods that read them. Nobody sees a key on the way."""

from __future__ import annotations

import base64
import json
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.settings import INVENTORY
from tests.object_store.calls import Account
from tests.object_store.conftest import KEYS, remove_objects
from tests.platform.reality import get, kubectl, secret, wait_for
from tests.playbook import Site, changed

STORE = "playbooks/object_store.yml"
ROTATE = '--extra-vars={"object_store_rotate": ["airflow-admin"]}'
QUIET = {"vm-bastion": 0}
READER = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "reader", "namespace": "airflow"},
    "spec": {
        "selector": {"matchLabels": {"app": "reader"}},
        "template": {
            "metadata": {"labels": {"app": "reader"}},
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "containers": [
                    {
                        "name": "main",
                        "image": "docker.io/library/postgres:15-bookworm",
                        "command": ["sleep", "infinity"],
                        "envFrom": [{"secretRef": {"name": "airflow-connections"}}],
                        "volumeMounts": [{"name": "ca", "mountPath": "/ca"}],
                    }
                ],
                "volumes": [{"name": "ca", "configMap": {"name": "data-platform-ca"}}],
                "tolerations": [{"operator": "Exists"}],
            },
        },
    },
}
SITE = Site(INVENTORY)


def works(name: str, key: str) -> bool:
    """Whether the server takes a key."""
    try:
        Account(name, key).s3.list_objects_v2(Bucket="datalake", MaxKeys=1)
    except ClientError as error:
        assert error.response["Error"]["Code"] == "SignatureDoesNotMatch"
        return False
    return True


def kept() -> str:
    """Airflow's key, as its Secret keeps it."""
    return secret(*KEYS["airflow-admin"])["secret-key"]


def read_by_the_pod() -> str:
    """Airflow's key, as the newest pod of the reader has it in its environment."""
    connection = kubectl("exec", "--namespace", "airflow", "deployment/reader", "--", "sh", "-c", 'printf %s "$AIRFLOW_CONN_MINIO"')
    return str(json.loads(connection)["password"])


def pods() -> set[str]:
    """The living pods of the reader."""
    found = get("pods", "--namespace", "airflow", "--selector", "app=reader")["items"]
    return {pod["metadata"]["name"] for pod in found if "deletionTimestamp" not in pod["metadata"]}


@pytest.fixture(scope="module", autouse=True)
def _reader() -> Iterator[None]:
    """A program that loads Airflow's connections with envFrom, and mounts the CA."""
    kubectl("create", "--filename=-", stdin=json.dumps(READER))
    kubectl("rollout", "status", "--namespace", "airflow", "deployment/reader", "--timeout=120s")
    yield
    kubectl("delete", "deployment", "--namespace", "airflow", "reader")


def test_the_declared_state_is_kept() -> None:
    assert changed(SITE.play(STORE)) == QUIET
    assert changed(SITE.play(STORE, "--check", "--diff")) == QUIET
    assert works("airflow-admin", kept())
    assert read_by_the_pod() == kept()


NEW = {
    "object_store_buckets": [
        {"name": "foretold", "versioning": True, "prefixes": ["in/"], "lifecycle": [{"prefix": "in/", "expire_days": 3}]}
    ],
    "object_store_identities": [
        {
            "name": "foretold",
            "grants": [{"bucket": "foretold", "prefix": "in/", "access": "read-write"}],
            "secret": {"name": "keys", "namespace": "foretold"},
            "environment": [{"secret": "s3", "namespaces": ["foretold"]}],
        }
    ],
}


def test_what_is_not_there_yet_is_foretold_and_then_made(root: Account) -> None:
    declared = f"--extra-vars={json.dumps(NEW)}"

    def made(*options: str) -> dict[str, Any]:
        results = SITE.results(STORE, declared, "--diff", *options)
        return {task: result.get("diff") for (task, _host), result in results.items() if result.get("changed")}

    foretold = made("--check")
    assert len(foretold) == 4, "bucket, policy, Secrets, user"
    assert "foretold" not in root.admin.policy_list() + root.admin.user_list()
    assert "foretold" not in kubectl("get", "namespaces", "--output=name")
    try:
        assert made() == foretold
        assert made() == {}
        key = secret("foretold", "s3")["AWS_SECRET_ACCESS_KEY"]
        Account("foretold", key).s3.put_object(Bucket="foretold", Key="in/1", Body=b"x")
    finally:
        root.admin.user_remove("foretold")
        root.admin.policy_remove("foretold")
        remove_objects(root, "foretold")
        root.s3.delete_bucket(Bucket="foretold")
        kubectl("delete", "namespace", "foretold")


def test_a_key_that_somebody_changed_on_the_server_is_set_right(root: Account) -> None:
    before, running = kept(), pods()
    root.admin.user_add("airflow-admin", secrets.token_hex(20))
    assert not works("airflow-admin", before)
    foretold = SITE.play(STORE, "--check", "--diff")
    assert changed(foretold) == {"vm-bastion": 1}
    assert "not as declared" in foretold.stdout
    assert not works("airflow-admin", before)
    assert changed(SITE.play(STORE)) == {"vm-bastion": 1}
    assert works("airflow-admin", before)
    assert (kept(), pods()) == (before, running), "the pods have the right key already"


def test_check_mode_foretells_a_rotation() -> None:
    before, running = kept(), pods()
    foretold = SITE.play(STORE, "--check", "--diff", ROTATE)
    assert changed(foretold) == {"vm-bastion": 3}, "the Secrets, the user, the restart"
    assert "Deployment airflow/reader" in foretold.stdout
    assert (kept(), pods()) == (before, running)
    assert works("airflow-admin", before)


def test_a_rotation_reaches_the_server_and_the_pods() -> None:
    before, running = kept(), pods()
    done = SITE.play(STORE, "--diff", ROTATE)
    assert changed(done) == {"vm-bastion": 3}
    after = kept()
    assert after != before
    assert works("airflow-admin", after)
    assert not works("airflow-admin", before)
    wait_for("the end of the old pod", lambda: not pods() & running, 60)
    assert read_by_the_pod() == after
    assert changed(SITE.play(STORE)) == QUIET


def test_a_run_killed_in_the_middle_of_a_rotation_is_mended_by_the_next() -> None:
    running = pods()
    # What such a run has left: a new key in its Secret, the old one on the server and in what is composed of it.
    killed = base64.b64encode(secrets.token_hex(20).encode()).decode()
    kubectl("patch", "secret", "--namespace", "airflow", "airflow-object-store", f"--patch={json.dumps({'data': {'secret-key': killed}})}")
    assert not works("airflow-admin", kept())
    assert changed(SITE.play(STORE)) == {"vm-bastion": 3}
    assert works("airflow-admin", kept())
    wait_for("the end of the old pod", lambda: not pods() & running, 60)
    assert read_by_the_pod() == kept()
    assert changed(SITE.play(STORE)) == QUIET


def test_a_changed_bundle_restarts_what_mounts_it() -> None:
    running = pods()
    trust = "playbooks/trust_bundle.yml"
    assert changed(SITE.play(trust, "--extra-vars=trust_bundle_public_roots=false")) == {"vm-bastion": 2}
    wait_for("the end of the old pod", lambda: not pods() & running, 60)
    assert changed(SITE.play(trust)) == {"vm-bastion": 2}
    assert changed(SITE.play(trust)) == QUIET


class Watch:
    """Looks at every process of the machine again and again, the lab's own included, for as long as it is open."""

    def __init__(self, words: list[str]) -> None:
        self._words, self._stop, self.found, self.looks = [word.encode() for word in words], threading.Event(), set[str](), 0
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.is_set():
            self.looks += 1
            for place in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    line = place.read_bytes()
                except OSError:
                    continue
                if any(word in line for word in self._words):
                    self.found.add(line.replace(b"\0", b" ").decode(errors="replace"))


def test_nobody_sees_a_key_on_the_way(root: Account) -> None:
    root.admin.user_add("spark", secrets.token_hex(20))
    before = [secret(*place)["secret-key"] for place in KEYS.values()]
    with Watch([*before, root.secret_key]) as watch:
        done = SITE.play(STORE, "--diff", "-vvv", ROTATE)
    assert changed(done)["vm-bastion"] == 3
    keys = {*before, kept(), root.secret_key}
    said = done.stdout + done.stderr
    assert "airflow-object-store" in said
    assert [key[:4] for key in keys if key in said] == []
    assert watch.looks > 5
    assert watch.found == set()


def test_a_key_that_the_inventory_gives_is_seen_nowhere(root: Account, tmp_path: Path) -> None:
    given, other = secrets.token_hex(20), secrets.token_hex(20)
    identity = {
        "name": "given",
        "grants": [{"bucket": "datalake", "access": "list"}],
        "secret": {"name": "given", "namespace": "airflow"},
        "environment": [{"secret": "given-connection", "namespaces": ["airflow"], "connection": "given"}],
    }
    try:
        for key in (given, other):
            declared = tmp_path / "vars.json"
            declared.write_text(json.dumps({"object_store_buckets": [], "object_store_identities": [{**identity, "secret_key": key}]}))
            with Watch([given, other]) as watch:
                done = SITE.play(STORE, "--diff", "-vvv", f"--extra-vars=@{declared}")
            assert changed(done)["vm-bastion"] > 0
            assert not [word for word in (given, other) if word in done.stdout + done.stderr]
            assert watch.found == set()
            assert works("given", key)
        assert not works("given", given), "editing it in the inventory rotates it"
    finally:
        root.admin.user_remove("given")
        root.admin.policy_remove("given")
        kubectl("delete", "secret", "--namespace", "airflow", "given", "given-connection")


def test_the_keys_stand_in_secrets_and_nowhere_else_in_the_cluster() -> None:
    text = json.dumps([get(kind, "--all-namespaces") for kind in ("configmaps", "pods", "deployments", "events", "jobs")])
    assert [name for name, place in KEYS.items() if secret(*place)["secret-key"] in text] == []
