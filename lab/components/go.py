"""Programs built from Go modules: go/<name>/go.mod and go.sum say which, the checksum database of Go vouches for them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

from lab.components import store
from lab.components.base import HERE, Component, ComponentError
from lab.components.run import Job

_MODULES = HERE / "go"


@dataclass(frozen=True)
class GoTool(Component):
    """Programs of one Go module."""

    module: str = ""
    """The module that holds the programs; empty when go/<name> itself is the program."""
    stamps: tuple[str, ...] = ()
    """Variables set by the linker, as package.name=value."""
    rename: tuple[tuple[str, str], ...] = ()
    """What Go calls a program, and what we call it."""
    copies: tuple[tuple[str, str], ...] = ()
    """Directories of the module, and what they are called in the component."""

    lane: ClassVar[str] = "go"

    @property
    def directory(self) -> Path:
        """Where go.mod lies."""
        return _MODULES / self.name

    @property
    def go_version(self) -> tuple[int, ...]:
        """The oldest Go that go.mod allows."""
        return _numbers(self._from_go_mod(r"^go (\S+)$"))

    def inputs(self) -> Iterator[Path]:
        """Yield the module files and our own source, if any."""
        yield self.directory

    def builds_with(self) -> tuple[str, ...]:
        """Return the toolchain's component where this machine's own Go will not do."""
        return () if machine_go() >= self.go_version else ("go-toolchain",)

    def build(self, target: Path, job: Job) -> None:
        """Compile without cgo; what is compiled already is found in the build cache."""
        go: str | Path = job.component("go-toolchain") / "go/bin/go" if self.builds_with() else "go"
        stamps = "".join(f" -X {stamp}" for stamp in self.stamps)
        job.step("downloading modules")
        job.run([go, "mod", "download"], cwd=self.directory, env=environment())
        job.step("compiling")
        output = f"{target}{os.sep}"
        what = "tool" if self.module else "."
        job.run([go, "build", "-trimpath", f"-ldflags=-s -w{stamps}", "-o", output, what], cwd=self.directory, env=environment())
        for theirs, ours in self.rename:
            (target / theirs).rename(target / ours)
        for theirs, ours in self.copies:
            shutil.copytree(self._source() / theirs, target / ours, dirs_exist_ok=True)

    def _source(self) -> Path:
        version = self._from_go_mod(rf"^(?:require)?\s*{re.escape(self.module)} (v\S+)")
        # The module cache writes a capital letter as an exclamation mark and the small one.
        return scratch() / "mod" / f"{re.sub(r'[A-Z]', lambda letter: '!' + letter.group().lower(), self.module)}@{version}"

    def _from_go_mod(self, pattern: str) -> str:
        file = self.directory / "go.mod"
        found = re.search(pattern, file.read_text(), re.MULTILINE)
        if found is None:
            raise ComponentError(f"{file} has no line like {pattern}")
        return found.group(1)


def scratch() -> Path:
    """Return where modules and compiled packages are kept until all programs stand."""
    return store.root() / ".go"


def environment() -> dict[str, str]:
    """Return the settings of every build: our own caches, this toolchain and no other, checksums verified."""
    return {
        "GOPATH": str(scratch() / "path"),
        "GOMODCACHE": str(scratch() / "mod"),
        "GOCACHE": str(scratch() / "build"),
        "GOFLAGS": "-buildvcs=false -modcacherw",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "CGO_ENABLED": "0",
    }


@cache
def machine_go() -> tuple[int, ...]:
    """Return the version of this machine's own Go, () when it has none."""
    go = shutil.which("go")
    if go is None:
        return ()
    result = subprocess.run(
        [go, "env", "-json", "GOVERSION"], capture_output=True, text=True, check=False, env={**os.environ, "GOTOOLCHAIN": "local"}
    )
    return _numbers(json.loads(result.stdout)["GOVERSION"].removeprefix("go")) if result.returncode == 0 else ()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


_VERSION = "k8s.io/component-base/version"
_CLIENT = "k8s.io/client-go/pkg/version"

TOOLS = (
    GoTool(
        name="kubernetes",
        version="1.34.2",
        module="k8s.io/kubernetes",
        stamps=tuple(
            f"{package}.{stamp}"
            for package in (_VERSION, _CLIENT)
            for stamp in ("gitVersion=v1.34.2", "gitMajor=1", "gitMinor=34", "gitTreeState=clean")
        ),
    ),
    GoTool(name="etcd", version="3.6.5", module="go.etcd.io/etcd/server/v3", rename=(("server", "etcd"),)),
    GoTool(
        name="helm",
        version="3.19.5",
        module="helm.sh/helm/v3",
        stamps=(
            "helm.sh/helm/v3/internal/version.version=v3.19.5",
            # Helm checks a chart's kubeVersion against these when it renders without a cluster.
            *(
                f"helm.sh/helm/v3/pkg/{package}.k8sVersion{part}"
                for package in ("chartutil", "lint/rules")
                for part in ("Major=1", "Minor=34")
            ),
        ),
    ),
    GoTool(name="minio", version="20260212201848", module="github.com/minio/minio"),
    GoTool(
        name="spark-operator",
        version="2.5.2",
        module="github.com/kubeflow/spark-operator/v2",
        rename=(("operator", "spark-operator"),),
        copies=(("charts/spark-operator-chart", "spark-operator-chart"),),
    ),
    GoTool(
        name="traefik",
        version="3.5.3",
        module="github.com/traefik/traefik/v3",
        stamps=("github.com/traefik/traefik/v3/pkg/version.Version=3.5.3",),
    ),
    GoTool(name="coredns", version="1.12.1", module="github.com/coredns/coredns"),
    GoTool(name="pause", version="1"),
)

MC = GoTool(name="mc", version="20250313080218", module="github.com/minio/mc")
"""MinIO's own client: what the object-store modules are measured beside."""
