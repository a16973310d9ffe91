"""What `make bench` measures, one part a module; each writes a section of docs/benchmarks.md."""

from __future__ import annotations

from lab.bench import converge, disks, identities, pipeline

PARTS = {"converge": converge.run, "pipeline": pipeline.run, "disks": disks.run, "identities": identities.run}


def run(part: str | None) -> None:
    """Measure one part, or all of them."""
    for name, measure in PARTS.items():
        if part in (None, name):
            measure()
