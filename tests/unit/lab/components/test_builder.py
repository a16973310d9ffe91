"""Building, keeping, resuming and failing, with small recipes that run real programs in a real cache."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from rich.console import Console

from lab.components import store
from lab.components.base import Component, ComponentError
from lab.components.builder import Builder, drop_scratch
from lab.components.progress import Progress
from lab.components.run import Job
from lab.settings import CHECKOUT


@dataclass(frozen=True)
class Script(Component):
    """A component that a shell script makes in its own directory."""

    script: str = "echo made > result"
    after: tuple[str, ...] = ()

    @property
    def needs(self) -> tuple[str, ...]:
        return self.after

    def build(self, target: Path, job: Job) -> None:
        job.step("running")
        job.run(["sh", "-ec", self.script], cwd=target)


@dataclass(frozen=True)
class OtherLane(Script):
    lane: ClassVar[str] = "other"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def keys(*components: Component) -> dict[str, str]:
    result: dict[str, str] = {}
    for component in components:
        result[component.name] = component.key(result)
    return result


def build(*components: Component) -> str:
    """Build the components, return what a log file would show."""
    shown = io.StringIO()
    with Progress({component.name: component.name for component in components}, Console(file=shown)) as progress:
        Builder(components, keys(*components), progress).run()
    return shown.getvalue()


def test_key_follows_version_recipe_and_needs() -> None:
    base = Script("base", "1")
    top = Script("top", "1", after=("base",))
    first = keys(base, top)
    assert keys(base, top) == first
    assert keys(Script("base", "2"), top)["base"] != first["base"]
    assert keys(Script("base", "1", "echo other > result"), top)["base"] != first["base"]
    assert keys(Script("base", "2"), top)["top"] != first["top"], "what is built from another base is another thing"


def test_key_follows_the_content_and_mode_of_input_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.components.base.HERE", tmp_path / "lab" / "components")
    file = tmp_path / "input"
    file.write_text("one")

    @dataclass(frozen=True)
    class Reader(Script):
        def inputs(self) -> Iterator[Path]:
            yield file

    first = Reader("reader", "1").key({})
    file.write_text("two")
    second = Reader("reader", "1").key({})
    file.chmod(0o755)
    assert len({first, second, Reader("reader", "1").key({})}) == 3


def test_every_component_of_the_lab_has_a_key_of_its_own() -> None:
    from lab.components import catalog

    found = catalog.keys()
    assert len(set(found.values())) == len(catalog.COMPONENTS)
    assert catalog.closure(["image-spark-operator"]) == ["spark-operator", "image-spark", "image-spark-operator"]
    assert not {"mc", "machine-vm"} & set(catalog.closure(catalog.DEFAULT)), "built only where asked for"
    with pytest.raises(ComponentError, match="no such component: kubernetis"):
        catalog.closure(["kubernetis"])


def test_a_component_is_there_whole_or_not_at_all(cache: Path) -> None:
    broken = Script("thing", "1", "echo half > result; exit 3")
    with pytest.raises(ComponentError, match="thing: sh ended with 3"):
        build(broken)
    assert not store.place("thing", keys(broken)["thing"]).exists()
    whole = Script("thing", "1")
    build(whole)
    assert (store.place("thing", keys(whole)["thing"]) / "result").read_text() == "made\n"


def test_a_build_goes_on_where_the_last_one_was_interrupted(tmp_path: Path) -> None:
    switch = tmp_path / "switch"
    recipe = Script(
        "slow", "1", f"test -e first || {{ touch first; echo first >> {tmp_path}/steps; }}; test -e {switch}; echo made > result"
    )
    with pytest.raises(ComponentError):
        build(recipe)
    switch.touch()
    build(recipe)
    assert (store.place("slow", keys(recipe)["slow"]) / "result").exists()
    assert len((tmp_path / "steps").read_text().splitlines()) == 1, "the first step ran once"


def test_an_older_key_is_dropped_once_the_new_one_stands() -> None:
    old, new = Script("thing", "1"), Script("thing", "2")
    build(old)
    build(new)
    assert not store.place("thing", keys(old)["thing"]).exists()
    assert store.place("thing", keys(new)["thing"]).exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_an_older_key_that_a_running_lab_has_mounted_stays(tmp_path: Path) -> None:
    old, new = Script("thing", "1"), Script("thing", "2")
    build(old)
    place = store.place("thing", keys(old)["thing"])
    (tmp_path / "seen").mkdir()
    # In a mount namespace of its own, as a machine of the lab has one.
    script = 'mount --bind "$1" "$2"; echo mounted; read -r word'
    command = ["unshare", "--mount", "sh", "-ec", script, "sh", str(place), str(tmp_path / "seen")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as user:
        assert user.stdout is not None
        assert user.stdout.readline() == "mounted\n"
        build(new)
        assert (place / "result").exists()
        user.communicate("done\n")
    build(Script("thing", "3"))
    assert not place.exists()


def test_needs_are_built_first_across_lanes() -> None:
    base = OtherLane("base", "1", "sleep 0.3; echo base > result")
    top = Script("top", "1", "cat ../../base/*/result > result", after=("base",))
    shown = build(base, top)
    assert (store.place("top", keys(base, top)["top"]) / "result").read_text() == "base\n"
    assert shown.index("base: built") < shown.index("top: starting")


def test_a_failure_spares_what_does_not_depend_on_it() -> None:
    parts = (
        Script("bad", "1", "exit 1"),
        Script("dependent", "1", after=("bad",)),
        Script("good", "1"),
        OtherLane("far", "1", after=("bad",)),
    )
    with pytest.raises(ComponentError, match="bad: sh ended with 1") as caught:
        build(*parts)
    assert "good" not in str(caught.value)
    found = keys(*parts)
    assert store.place("good", found["good"]).exists()
    assert not store.place("dependent", found["dependent"]).exists()


def test_two_labs_build_a_component_once(tmp_path: Path) -> None:
    recipe = Script("shared", "1", f"date +%N >> {tmp_path}/builds; sleep 0.5; echo made > result")
    threads = [threading.Thread(target=build, args=(recipe,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len((tmp_path / "builds").read_text().splitlines()) == 1


def test_what_somebody_builds_is_known_to_others(cache: Path) -> None:
    assert not store.building("slow"), "never built"
    thread = threading.Thread(target=build, args=(Script("slow", "1", "echo begun > begun; sleep 1; echo made > result"),))
    thread.start()
    while not list(cache.glob("slow/*.partial/begun")):
        time.sleep(0.05)
    assert store.building("slow")
    thread.join()
    assert not store.building("slow")


def test_interrupting_stops_the_program_and_leaves_what_it_did(tmp_path: Path, cache: Path) -> None:
    script = textwrap.dedent(
        f"""
        import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
        import test_builder as t
        try:
            t.build(t.Script("slow", "1", "echo begun > begun; sleep 60"))
        except KeyboardInterrupt:
            sys.exit(130)
        """
    )
    environment = {**os.environ, "LAB_CACHE": str(cache), "PYTHONPATH": str(CHECKOUT)}
    process = subprocess.Popen([sys.executable, "-c", script], env=environment)
    deadline = time.monotonic() + 30
    while not list(cache.glob("slow/*.partial/begun")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 130
    assert [file.read_text() for file in cache.glob("slow/*.partial/begun")] == ["begun\n"]


def test_scratch_of_finished_clients_is_dropped(tmp_path: Path) -> None:
    done, busy = tmp_path / "done", tmp_path / "busy"
    for directory in (done, busy):
        (directory / "below").mkdir(parents=True)
    drop_scratch({done: True, busy: False, tmp_path / "absent": True})
    assert [entry.name for entry in tmp_path.iterdir() if entry.name != "cache"] == ["busy"]


def test_the_display_says_what_is_left_and_what_came_from_the_cache() -> None:
    shown = io.StringIO()
    with Progress({"one": "one 1", "two": "two 2", "three": "three 3"}, Console(file=shown)) as progress:
        progress.cached(["one"])
        progress.step("two", "compiling")
        progress.end("two", "built")
        assert progress.summary().startswith("1 built, 1 from the cache, 1 left, ")
    assert "1 of 3 from the cache" in shown.getvalue()
    assert "two 2: compiling" in shown.getvalue()


def test_a_log_is_told_again_what_takes_long(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.components.progress._SILENCE", 0.1)
    assert "] still at slow (running), " in build(Script("slow", "1", "sleep 1; echo made > result"))


def test_the_live_display_names_every_component() -> None:
    shown = io.StringIO()
    with Progress({"one": "one 1", "two": "two 2"}, Console(file=shown, force_terminal=True, width=100)) as progress:
        progress.cached(["one"])
        progress.step("two", "compiling")
    assert "compiling" in shown.getvalue()
    assert "one 1" in shown.getvalue()
