"""Measure `minio_policy` and `minio_user` beside scripts of `mc`, on a MinIO over TLS for each."""

from __future__ import annotations

import json
import os
import secrets
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import components
from lab.bench.mc import Mc, Trace
from lab.bench.playbook import LOCAL, Playbook
from lab.bench.report import ratio, table, write
from lab.components.catalog import COMPONENTS
from lab.loopback_minio import Server, running
from lab.object_store import ROOT_USER
from lab.shell import LabError

COUNTS = (1, 10, 100)
RUNS = 3
"""Of each no-op; creating is measured once."""


@dataclass(frozen=True)
class Identity:
    """A user and the policy of its name, as the role `object_store` makes them."""

    name: str
    secret_key: str

    def policy(self) -> dict[str, Any]:
        """As `minio_policy` takes it."""
        grants = [{"bucket": "datalake", "access": "list"}, {"bucket": "datalake", "prefix": f"{self.name}/", "access": "read-write"}]
        return {"name": self.name, "grants": grants}

    def user(self) -> dict[str, Any]:
        """As `minio_user` takes it."""
        return {**self.user_without_key(), "secret_key": self.secret_key}

    def user_without_key(self) -> dict[str, Any]:
        """The same, its secret key neither tried nor changed."""
        return {"name": self.name, "policies": [self.name]}

    def line(self) -> str:
        """As the scripts take it."""
        return f"{self.name} {self.name} {self.secret_key}\n"


def identities(count: int) -> list[Identity]:
    """So many, each with a key of its own."""
    return [Identity(f"identity-{number:03}", secrets.token_hex(16)) for number in range(1, count + 1)]


@dataclass(frozen=True)
class Kind:
    """What is declared: by which argument of which module, and which script does the like."""

    name: str
    module: str
    argument: str
    declared: Callable[[Identity], dict[str, Any]]
    script: str
    created: int = 0
    """Up to how many at a time the creating is measured as well."""


POLICIES = Kind("policies", "minio_policy", "policies", Identity.policy, "policies.sh", created=100)
USERS = Kind("users", "minio_user", "users", Identity.user, "users.sh", created=10)
USERS_WITHOUT_KEYS = Kind("users without keys", "minio_user", "users", Identity.user_without_key, "users_listed.sh")


@dataclass(frozen=True)
class Measured:
    """One run."""

    requests: int
    seconds: float
    changed: bool
    task_seconds: float = 0.0
    """Of our seconds, those of the module's task."""


@dataclass(frozen=True)
class Bench:
    """A MinIO whose requests are watched, and a place for files."""

    place: Path
    server: Server
    mc: Mc
    trace: Trace

    def ours(self, kind: Kind, wanted: Sequence[Identity]) -> Measured:
        """Have what is wanted, by a playbook of one task with the whole list."""
        arguments = {kind.argument: [kind.declared(identity) for identity in wanted]}
        hosts = {"all": {"hosts": {"localhost": LOCAL}}}
        playbook = Playbook(self.place, hosts, [{"name": kind.name, f"homelab.data_platform.{kind.module}": arguments}])
        environment = {
            "MINIO_URL": self.server.url,
            "MINIO_ACCESS_KEY": ROOT_USER,
            "MINIO_SECRET_KEY": self.server.root_password,
            "MINIO_CA_PATH": str(self.server.ca),
        }
        self.trace.calls()
        played = playbook.play(environment)
        return Measured(len(self.trace.calls()), played.seconds, played.changed, played.task_seconds)

    def peer(self, kind: Kind, wanted: Sequence[Identity], documents: Mapping[str, Any]) -> Measured:
        """The same by a script of mc."""
        given = self._policies(wanted, documents) if kind is POLICIES else self._users(wanted)
        self.trace.calls()
        seconds, changed = self.mc.script(kind.script, given)
        return Measured(len(self.trace.calls()), seconds, changed)

    def _policies(self, wanted: Sequence[Identity], documents: Mapping[str, Any]) -> Path:
        directory = self.place / "policies"
        directory.mkdir(exist_ok=True)
        for identity in wanted:
            (directory / f"{identity.name}.json").write_text(json.dumps(documents[identity.name], indent=1))
        return directory

    def _users(self, wanted: Sequence[Identity]) -> Path:
        file = self.place / "users"
        file.touch(mode=0o600)
        file.write_text("".join(identity.line() for identity in wanted))
        return file

    def documents(self) -> dict[str, Any]:
        """The policies that the server holds."""
        return dict(json.loads(self.server.admin.policy_list()))

    def check(self, kind: Kind, wanted: Sequence[Identity]) -> None:
        """That the server holds what is wanted, whatever the one who wrote it says."""
        if kind is POLICIES:
            held = set(self.documents())
        else:
            users: dict[str, dict[str, str]] = json.loads(self.server.admin.user_list())
            held = {name for name, user in users.items() if (user.get("policyName"), user.get("status")) == (name, "enabled")}
        missing = sorted({identity.name for identity in wanted} - held)
        if missing:
            raise LabError(f"{kind.name}: not as declared afterwards: {', '.join(missing)}")


@contextmanager
def _bench(place: Path) -> Iterator[Bench]:
    with running(place / "minio") as server:
        mc = Mc(place, server)
        with mc.trace() as trace:
            yield Bench(place, server, mc, trace)


def agreed(runs: Sequence[Measured], *, changed: bool) -> Measured:
    """The medians of several runs of the same, which are to differ in nothing else."""
    if {run.changed for run in runs} != {changed}:
        raise LabError(f"something was {'to do, and was not seen' if changed else 'seen to do where nothing was'}: {runs}")
    if len({run.requests for run in runs}) > 1:
        raise LabError(f"the number of requests differs from run to run: {runs}")
    seconds, task_seconds = (statistics.median(getattr(run, name) for run in runs) for name in ("seconds", "task_seconds"))
    return Measured(runs[0].requests, seconds, changed, task_seconds)


def measure(place: Path, count: int) -> Iterator[tuple[str, ...]]:
    """The rows of so many policies and users: each is created, and then had again."""
    wanted = identities(count)
    with _bench(place / "both") as both, _bench(place / "peer") as alone:
        for kind in (POLICIES, USERS):
            created = both.ours(kind, wanted)
            both.check(kind, wanted)
            documents = both.documents()
            if count <= kind.created:
                peers = alone.peer(kind, wanted, documents)
                alone.check(kind, wanted)
                yield row(count, kind, "create", agreed([created], changed=True), agreed([peers], changed=True))
            yield _no_op(both, kind, wanted, documents)
        yield _no_op(both, USERS_WITHOUT_KEYS, wanted, documents)


def _no_op(bench: Bench, kind: Kind, wanted: Sequence[Identity], documents: Mapping[str, Any]) -> tuple[str, ...]:
    runs = [(bench.ours(kind, wanted), bench.peer(kind, wanted, documents)) for _ in range(RUNS)]
    bench.check(kind, wanted)
    return row(len(wanted), kind, "no-op", *(agreed(side, changed=False) for side in zip(*runs)))


def run() -> None:
    """Measure both, in turn; print the figures and write them into the report."""
    components.ensure(["minio", "mc"])
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        for count in COUNTS:
            for line in measure(Path(directory) / str(count), count):
                rows.append(line)
                print(*line, sep="  ", flush=True)
    write("Policies and users of MinIO", _text(table(_COLUMNS, rows)))


_COLUMNS = ("of", "how many", "what", "requests", "mc's", "ratio", "seconds", "of them the task's", "mc's", "ratio")


def row(count: int, kind: Kind, what: str, ours: Measured, peer: Measured) -> tuple[str, ...]:
    """A line of the table."""
    requests = (str(ours.requests), str(peer.requests), ratio(ours.requests, peer.requests))
    seconds = (f"{ours.seconds:.2f}", f"{ours.task_seconds:.2f}", f"{peer.seconds:.2f}", ratio(ours.seconds, peer.seconds))
    return (kind.name, str(count), what, *requests, *seconds)


def _text(figures: str) -> str:
    return f"""\
Measured by `make bench-identities` (and by `make bench`) on {os.cpu_count()} cores: `minio_policy` and `minio_user` beside MinIO's own
client `mc` ({COMPONENTS["mc"].version}, built from its Go module), against MinIO {COMPONENTS["minio"].version} over TLS, which both
verify. No other module is measured: community.general has none for MinIO any more, nor has the `ansible` package of PyPI, and the lab
takes what it is made of from PyPI, Debian and Go's module proxy, not from Ansible Galaxy, where `dagoldfish.minio` and
`dubzland.minio` are. What one writes without a module is a shell script; those measured are in `lab/bench/scripts`.

- Identities are as the role `object_store` makes them: a policy of two grants, and a user with a key of its own that holds it.
  `create`: none is there, each on a server of its own, run once. `no-op`: all are there, the median of {RUNS} runs, in turn on one server.
- Requests are counted by MinIO's own trace and are exact: the benchmark stops where they differ from run to run, where one of the
  two sees something to do in a `no-op`, and where another client does not find what was declared.
- Seconds are those of the whole command: `ansible-playbook` from its start to its end with one task (its own seconds stand beside it),
  and the script. They follow the machine and what else it does: read them as rough. A ratio says how many times as much `mc` takes;
  below 1 it takes less.
- `policies`: the script takes one `mc admin policy info` a policy and compares lines, sorted, because MinIO gives lists in an order
  that changes from call to call. So an action moved to another statement goes unseen, and the same meaning in other words (a scalar, a
  statement in two) is written again each time.
- `users`: one `mc admin user info` a user. `mc` has no command to try a secret key: the script lists as that user, under an alias in the
  environment, and reads the refusal. With one `mc admin user list` in place of the infos it would make one request a user and one more.
  To make a user costs either side half a second of key derivation, so that 100 are not made twice.
- `users without keys`: keys are neither tried nor changed, so that a key that was changed elsewhere stays unseen. The script takes a
  single `mc admin user list`, the least that it can do, and says who differs without setting it right.
- The scripts foretell nothing and show no differences, leave policies that a user holds beside the declared one, and take a server
  that does not answer for one without the user until they write.

{figures}
"""
