"""The bastion: the only way in, and the control host. What it would download elsewhere lies below /srv/mirror."""

from __future__ import annotations

from lab import charts
from lab.components import path as component
from lab.machine import Machine
from lab.settings import BASTION

MIRROR = "/srv/mirror"
COMPONENTS = ("machine", "wheels", "helm", "spark-operator")
"""What it is made of."""


def machine() -> Machine:
    """The bastion as a machine."""
    return Machine(
        BASTION,
        units=("ssh.service",),
        read_only={
            f"{MIRROR}/wheels": component("wheels"),
            f"{MIRROR}/helm": component("helm"),
            f"{MIRROR}/charts/airflow": charts.directory(),
            f"{MIRROR}/charts/spark-operator": component("spark-operator") / "spark-operator-chart",
        },
    )
