"""A real apiserver on etcd, on free ports of 127.0.0.1, for as long as the tests run."""

from __future__ import annotations

import base64
import importlib
import json
import secrets
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from ssl import SSLContext, create_default_context
from typing import Any

import pytest
from ansible.module_utils.common.parameters import PASS_VARS
from ansible.module_utils.testing import patch_module_args
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.client import Client

from lab import components
from lab.certificates import Authority
from tests.unit.forked import answer, forked

START_LIMIT = 60


@dataclass(frozen=True)
class Api:
    """A running apiserver."""

    server: str
    kubeconfig: dict[str, Any]
    directory: Path

    @property
    def client(self) -> Client:
        """A connection as administrator."""
        return Client(self.kubeconfig)

    def namespace(self) -> str:
        """Make a namespace that no other test uses."""
        name = f"test-{secrets.token_hex(4)}"
        client = self.client
        client.create(client.path("v1", "Namespace"), {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        return name

    def end_job(self, namespace: str, name: str, outcome: str, **why: str) -> None:
        """Write the end that its controller would write: ``outcome`` is Complete or Failed, after the condition that each needs."""
        now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        first = {"Complete": "SuccessCriteriaMet", "Failed": "FailureTarget"}[outcome]
        conditions = [{**why, "type": kind, "status": "True", "lastTransitionTime": now} for kind in (first, outcome)]
        counted = {"completionTime": now, "succeeded": 1} if outcome == "Complete" else {"failed": 1}
        path = self.client.path("batch/v1", "Job", namespace, name)
        self.client.patch(f"{path}/status", {"status": {"startTime": now, **counted, "conditions": conditions}})

    def run_module(self, name: str, /, *, check: bool = False, diff: bool = True, **arguments: Any) -> dict[str, Any]:
        """Run a module as Ansible does: a process of its own, arguments on standard input, one JSON answer."""
        options = {"kubeconfig": self.kubeconfig, **arguments, "_ansible_check_mode": check, "_ansible_diff": diff}
        if "inject_invocation" in PASS_VARS:
            # Newer ansible-core repeats the arguments in a result only when asked to; older ones always do.
            options["_ansible_inject_invocation"] = True
        module = importlib.import_module(f"ansible_collections.homelab.data_platform.plugins.modules.{name}")

        def call() -> None:
            with patch_module_args(options):
                module.main()

        _status, output = forked(call, self.directory / "printed")
        return {**answer(output), "output": output}


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Start etcd and kube-apiserver from the lab's component cache; an error says how to build them."""
    kubernetes, etcd = components.path("kubernetes"), components.path("etcd")
    directory = tmp_path_factory.mktemp("kubernetes")
    ca = Authority(directory / "pki", "test").create()
    server = ca.issue("apiserver", "kube-apiserver", names=["localhost"], addresses=["127.0.0.1"])
    account_key = ca.issue("service-account", "service-account").key
    client_port, peer_port, port = _free_ports(3)
    token = secrets.token_hex(16)
    tokens = directory / "tokens.csv"
    tokens.touch(mode=0o600)
    tokens.write_text(f"{token},admin,admin,system:masters\n")
    etcd_url, peer_url = f"http://127.0.0.1:{client_port}", f"http://127.0.0.1:{peer_port}"
    commands = {
        "etcd": [
            *(str(etcd / "etcd"), f"--data-dir={directory}/etcd", "--log-level=error", "--unsafe-no-fsync"),
            *(f"--listen-client-urls={etcd_url}", f"--advertise-client-urls={etcd_url}"),
            *(f"--listen-peer-urls={peer_url}", f"--initial-advertise-peer-urls={peer_url}", f"--initial-cluster=default={peer_url}"),
        ],
        "kube-apiserver": [
            *(str(kubernetes / "kube-apiserver"), f"--etcd-servers={etcd_url}", "--bind-address=127.0.0.1", f"--secure-port={port}"),
            *(f"--tls-cert-file={server.certificate}", f"--tls-private-key-file={server.key}", f"--token-auth-file={tokens}"),
            *("--authorization-mode=RBAC", "--service-cluster-ip-range=10.96.0.0/16", "--disable-admission-plugins=ServiceAccount"),
            *(f"--service-account-key-file={account_key}", f"--service-account-signing-key-file={account_key}"),
            "--service-account-issuer=https://kubernetes.default.svc",
        ],
    }
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for name, command in commands.items():
            with (directory / f"{name}.log").open("wb") as log:
                processes.append(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT))
        url = f"https://127.0.0.1:{port}"
        _wait(f"{url}/readyz", ca.certificate, token, processes, directory)
        yield Api(url, _kubeconfig(url, ca.certificate, token), directory)
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait(30)


@pytest.fixture
def volume_controllers(api: Api) -> Iterator[None]:
    """Run the controllers that bind claims, release volumes and keep both while they are in use."""
    kubeconfig = api.directory / "controller-manager.conf"
    kubeconfig.write_text(json.dumps(api.kubeconfig))
    names = ("persistentvolume-binder", "persistentvolume-protection", "persistentvolumeclaim-protection")
    command = [str(components.path("kubernetes") / "kube-controller-manager"), f"--kubeconfig={kubeconfig}", "--leader-elect=false"]
    command += ["--secure-port=0", "--pvclaimbinder-sync-period=1s", f"--controllers={','.join(f'{name}-controller' for name in names)}"]
    with (api.directory / "controller-manager.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    yield
    process.terminate()
    process.wait(30)


def _kubeconfig(server: str, ca: Path, token: str) -> dict[str, Any]:
    authority = base64.b64encode(ca.read_bytes()).decode()
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": {"server": server, "certificate-authority-data": authority}}],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "admin"}}],
        "current-context": "lab",
    }


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(sock.getsockname()[1]) for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports


def _wait(url: str, ca: Path, token: str, processes: list[subprocess.Popen[bytes]], directory: Path) -> None:
    """Wait until the apiserver answers, or show why it does not."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    deadline = time.monotonic() + START_LIMIT
    context = create_default_context(cafile=str(ca))
    while time.monotonic() < deadline and all(process.poll() is None for process in processes):
        if _answers(request, context):
            return
        time.sleep(0.2)
    logs = "\n".join(f"{log.name}:\n{log.read_text()[-2000:]}" for log in sorted(directory.glob("*.log")))
    pytest.fail(f"the apiserver did not become ready\n{logs}")


def _answers(request: urllib.request.Request, context: SSLContext) -> bool:
    try:
        with urllib.request.urlopen(request, context=context, timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False
