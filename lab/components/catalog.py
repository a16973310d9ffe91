"""All components of the lab, each after those it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lab.components import debian, go, images, python
from lab.components.base import Component, ComponentError

COMPONENTS: Mapping[str, Component] = {
    component.name: component
    for component in (
        *(python.TOOLCHAIN, *go.TOOLS, go.MC, python.CONTROL_HOST_WHEELS),
        *(debian.MACHINE, debian.MACHINE_VM, debian.BROWSER, *images.IMAGES, *images.NEWER_AIRFLOW),
    )
}
_ON_REQUEST = (python.TOOLCHAIN, go.MC, debian.MACHINE_VM, debian.BROWSER, images.REDIS, *images.NEWER_AIRFLOW)
DEFAULT = tuple(name for name, component in COMPONENTS.items() if component not in _ON_REQUEST)
"""What the lab runs. The toolchain joins only where it is needed, the virtual machine where a real one is asked for, mc for a benchmark,
the browser for the tests of the pages, Redis for a test of CeleryExecutor, the newer versions of Airflow for an upgrade."""


def keys() -> dict[str, str]:
    """Return the key of every component."""
    result: dict[str, str] = {}
    for name, component in COMPONENTS.items():
        result[name] = component.key(result)
    return result


def closure(names: Sequence[str]) -> list[str]:
    """Return the named components and all they need, in an order in which they can be built."""
    unknown = [name for name in names if name not in COMPONENTS]
    if unknown:
        raise ComponentError(f"no such component: {', '.join(unknown)}; there are {', '.join(COMPONENTS)}")
    wanted = set(names)
    for name in reversed(list(COMPONENTS)):
        if name in wanted:
            wanted.update(COMPONENTS[name].needs)
    return [name for name in COMPONENTS if name in wanted]
