"""What the lab is made of: programs, root filesystems and images, built once into a cache and never again while their inputs stand.

`ensure()` builds what is missing, `path(name)` says where a component is, `python -m lab.components` is both from the command line.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lab.components import catalog, go, host, python, store
from lab.components.base import ComponentError
from lab.components.builder import Builder, drop_scratch
from lab.components.progress import Progress

__all__ = ["ComponentError", "ensure", "path"]


def ensure(names: Sequence[str] | None = None) -> dict[str, Path]:
    """Build the named components (default: all that the lab runs) and what they need, unless they stand; return where they are.

    Raises ComponentError with one line per component that could not be had.
    """
    keys = catalog.keys()
    wanted = catalog.closure(catalog.DEFAULT if names is None else names)
    missing = [name for name in wanted if not _built(name, keys)]
    tools = catalog.closure([tool for name in missing for tool in catalog.COMPONENTS[name].builds_with()])
    missing = [name for name in catalog.COMPONENTS if name in missing or (name in tools and not _built(name, keys))]
    host.ensure_packages()
    if missing:
        shown = [name for name in catalog.COMPONENTS if name in wanted or name in missing]
        labels = {name: f"{name} {catalog.COMPONENTS[name].version}" for name in shown}
        with Progress(labels) as progress:
            progress.cached([name for name in shown if name not in missing])
            Builder([catalog.COMPONENTS[name] for name in missing], keys, progress).run()
    _drop_scratch(keys)
    return {name: store.place(name, keys[name]) for name in wanted}


def path(name: str) -> Path:
    """Return the directory of a built component. Raises ComponentError when it is not built."""
    catalog.closure([name])
    place = store.place(name, catalog.keys()[name])
    if not place.exists():
        raise ComponentError(f"component {name} is not built yet: run `python -m lab.components build {name}`")
    return place


def _built(name: str, keys: dict[str, str]) -> bool:
    return store.place(name, keys[name]).exists()


def _drop_scratch(keys: dict[str, str]) -> None:
    """Compiled packages and downloads serve the next build; once the last one stands they are only in the way."""
    # Another lab may be at a component that this one does without.
    if any(store.building(name) for name in catalog.COMPONENTS):
        return
    done = {component: _built(component, keys) for component in catalog.DEFAULT}
    compiled = all(done[tool.name] for tool in go.TOOLS)
    drop_scratch({go.scratch(): compiled, python.scratch(): all(done.values())})
