"""Each cause is provoked for real, and named by the wait's own report within a minute: with object, reason and remedy, in one line."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from lab import ssh
from lab.certificates import Authority
from lab.settings import BASTION, STATE, WORKER_1
from tests.platform.reality import kubectl, on
from tests.playbook import Site
from tests.waiting import server
from tests.waiting.provocations import REGISTRY, SERVED, TAINT, TLS_PORT, TOGETHER, Provocation

LIMIT = 60
"""Seconds within which each cause has to be named."""
WAITS = {f"wait-{number}": [one for made in together for one in made()] for number, together in enumerate(TOGETHER, 1)}
EVERYTHING = [pytest.param(host, one, id=one.name) for host, provocations in WAITS.items() for one in provocations]
PLAY = {
    "hosts": "waits",
    "gather_facts": False,
    "vars": {"ansible_python_interpreter": "/opt/data-platform/venv/bin/python"},
    "tasks": [
        {
            "name": "Wait for what does not come",
            "homelab.data_platform.kubernetes_ready": {
                "kubeconfig": "{{ lookup('ansible.builtin.file', platform_kubeconfig_file) | from_yaml }}",
                "resources": "{{ resources }}",
                "timeout": 120,
            },
        }
    ],
}


@dataclass(frozen=True)
class Report:
    """What one wait said."""

    progress: str
    message: str
    causes: list[str]


@pytest.fixture(scope="session")
def _servers() -> Iterator[None]:
    """Let a registry that has nothing answer on the node, and a webhook's server whose certificate nobody has signed."""
    pair = Authority(STATE / "waiting-ca", "waiting").create().issue("hook", "hook", names=SERVED)
    put("waiting-server.py", Path(server.__file__).read_text())
    put("waiting-server.pem", pair.certificate.read_text() + pair.key.read_text())
    address, port = REGISTRY.split(":")
    serves = {"waiting-registry": f"{address} {port}", "waiting-hook": f"{WORKER_1.address} {TLS_PORT} /run/waiting-server.pem"}
    for unit, arguments in serves.items():
        on(WORKER_1, f"systemd-run --quiet --unit={unit} /usr/bin/python3 /run/waiting-server.py {arguments}")
    yield
    on(WORKER_1, f"sh -c 'systemctl stop {' '.join(serves)}; rm /run/waiting-server.*'")


def put(name: str, content: str) -> None:
    """Write a file on the node that is gone with it, and that only root can read."""
    argv = ["ssh", "-F", str(ssh.CONFIG), WORKER_1.name, f"sudo sh -c 'umask 077; cat > /run/{name}'"]
    subprocess.run(argv, input=content, text=True, check=True)


@pytest.fixture(scope="session")
def _provoked(_servers: None) -> Iterator[None]:
    """Everything that goes wrong, at the same time."""
    taint = f"{TAINT['key']}={TAINT['value']}:{TAINT['effect']}"
    items = [item for provocations in WAITS.values() for one in provocations for item in one.manifest()]
    objects = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    kubectl("taint", "node", WORKER_1.name, "--overwrite", taint)
    kubectl("apply", "-f", "-", stdin=objects)
    yield
    kubectl("delete", "--ignore-not-found", "--wait=false", "-f", "-", stdin=objects)
    kubectl("taint", "node", WORKER_1.name, f"{taint}-")


@pytest.fixture(scope="session")
def reports(_provoked: None, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Report]:
    """What the waits said, all of one run of ansible-playbook, each for a host of its own by name."""
    folder = tmp_path_factory.mktemp("waiting")
    site = Site.copy(folder)
    hosts = {
        host: {"ansible_host": BASTION.address, "resources": [one.resource for one in provocations]} for host, provocations in WAITS.items()
    }
    (site.inventory / "waits.yml").write_text(yaml.safe_dump({"waits": {"hosts": hosts}}))
    (folder / "play.yml").write_text(yaml.safe_dump([PLAY]))
    done = site.play(str(folder / "play.yml"), ANSIBLE_STDOUT_CALLBACK="ansible.posix.json")
    # On standard output is the result, and nothing else: progress is not for programs.
    (task,) = json.loads(done.stdout)["plays"][0]["tasks"]
    return {
        host: Report(
            "\n".join(line for line in done.stderr.splitlines() if line.startswith(f"waiting: [{host}] ")), result["msg"], result["causes"]
        )
        for host, result in task["hosts"].items()
    }


def holds(line: str, words: tuple[str, ...]) -> bool:
    """Whether a line has all of these words, in this order."""
    return re.search(".*".join(re.escape(word) for word in words), line, re.IGNORECASE) is not None


@pytest.mark.parametrize(("host", "provoked"), EVERYTHING)
def test_the_report_names_object_reason_and_remedy_in_one_line(reports: Mapping[str, Report], host: str, provoked: Provocation) -> None:
    report = reports[host]
    named = [cause for cause in report.causes if holds(cause, provoked.says)]
    assert len(named) == 1, f"{provoked.says} is not one line of:\n{report.message}\n\nprogress:\n{report.progress}"
    assert named[0] in report.message.splitlines()


@pytest.mark.parametrize("host", WAITS)
def test_the_wait_ends_within_a_minute(reports: Mapping[str, Report], host: str) -> None:
    found = re.search(r"will not become so \(waited (\d+) s\)", reports[host].message)
    assert found, reports[host].message
    assert int(found[1]) <= LIMIT


@pytest.mark.parametrize("host", [host for host, provocations in WAITS.items() if len(provocations) > 1])
def test_progress_tells_why_while_it_waits(reports: Mapping[str, Report], host: str) -> None:
    lines = reports[host].progress.splitlines()
    for provoked in WAITS[host]:
        early = [line for line in lines if holds(line, provoked.says)]
        assert early, f"{provoked.says} is not in:\n{reports[host].progress}"
        seconds = re.search(r"\((\d+) s\)", early[0])
        assert seconds
        assert int(seconds[1]) <= LIMIT
