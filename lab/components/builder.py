"""Build what is missing: lanes side by side, dependencies first, everything that can stand despite a failure elsewhere."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from lab.components import store
from lab.components.base import Component, ComponentError
from lab.components.progress import Progress
from lab.components.run import InterruptedBuildError, Job
from lab.shell import LabError


class Builder:
    """One run of builds. `components` are in an order in which they can be built, with `keys` for each."""

    def __init__(self, components: Sequence[Component], keys: Mapping[str, str], progress: Progress) -> None:
        """Take note of what stands already."""
        self._components = components
        self._keys = keys
        self._progress = progress
        self._changed = threading.Condition()
        self._started: set[str] = set()
        self._failed: dict[str, LabError] = {}
        self._jobs: list[Job] = []
        self._stopping = False
        self._lanes = {component.lane for component in components}
        """The lanes that are still at work."""

    def run(self) -> None:
        """Build everything. Raises the failures as one ComponentError; a KeyboardInterrupt stops the builds in order."""
        threads = [
            threading.Thread(target=self._work, args=(lane,), name=f"components-{lane}", daemon=True) for lane in sorted(self._lanes)
        ]
        for thread in threads:
            thread.start()
        try:
            while any(thread.is_alive() for thread in threads):
                for thread in threads:
                    thread.join(0.2)
                self._progress.remind()
        except KeyboardInterrupt:
            self._stop()
            for thread in threads:
                thread.join()
            raise
        if self._failed:
            raise ComponentError("\n".join(str(error) for error in self._failed.values()))
        left = [component.name for component in self._components if not self.path(component.name).exists()]
        if left:
            raise ComponentError(f"not built: {', '.join(left)}")

    def path(self, name: str) -> Path:
        """Return where a component stands."""
        return store.place(name, self._keys[name])

    def _stop(self) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for job in self._jobs:
            job.stop()

    def _work(self, lane: str) -> None:
        try:
            while (component := self._next(lane)) is not None:
                job = Job(
                    component.name, store.root() / component.name / "build.log", partial(self._progress.step, component.name), self.path
                )
                self._jobs.append(job)
                self._progress.end(component.name, self._build(component, job))
        finally:
            with self._changed:
                self._lanes.discard(lane)
                self._changed.notify_all()

    def _next(self, lane: str) -> Component | None:
        """Return the lane's next component that can be built now; None when nothing of the lane is left to build."""
        with self._changed:
            while not self._stopping:
                left = [component for component in self._components if component.lane == lane and component.name not in self._started]
                possible = [component for component in left if not self._blocked(component)]
                for component in possible:
                    if all(self.path(need).exists() for need in self._needs(component)):
                        self._started.add(component.name)
                        return component
                if not possible or self._lanes == {lane}:
                    # Nothing left, or nobody else is there who could still build what is missing.
                    return None
                self._changed.wait(0.5)
        return None

    def _needs(self, component: Component) -> tuple[str, ...]:
        return (*component.needs, *component.builds_with())

    def _blocked(self, component: Component) -> bool:
        by_name = {other.name: other for other in self._components}
        needs = self._needs(component)
        return any(need in self._failed or (need in by_name and self._blocked(by_name[need])) for need in needs)

    def _build(self, component: Component, job: Job) -> str:
        """Build one component and say how that ended: built, failed or stopped."""
        name, key = component.name, self._keys[component.name]

        def wait() -> None:
            if job.stopped:
                raise InterruptedBuildError(f"{name}: stopped")
            job.step("waiting for another lab that builds it")
            time.sleep(1)

        state = "failed"
        try:
            with store.lock(name, wait):
                if not store.place(name, key).exists():
                    job.log.unlink(missing_ok=True)
                    job.step("starting")
                    component.build(store.partial(name, key), job)
                    store.publish(name, key)
            state = "built"
        except InterruptedBuildError:
            state = "stopped"
        except LabError as error:
            self._failed[name] = error
        except (OSError, subprocess.SubprocessError) as error:
            self._failed[name] = ComponentError(f"{name}: {error}")
        with self._changed:
            self._changed.notify_all()
        return state


def drop_scratch(directories: Mapping[Path, bool]) -> None:
    """Drop the download and build caches of those clients that have nothing left to build."""
    for directory, done in directories.items():
        # Out of the way first, in one step: another lab may be about to drop it as well.
        doomed = directory.with_name(f"{directory.name}.{os.getpid()}")
        if done:
            with contextlib.suppress(FileNotFoundError):
                directory.rename(doomed)
                shutil.rmtree(doomed)
