"""Import every DAG with the Airflow of this image, and say which files it cannot import: one line of JSON, the last one."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import warnings
from pathlib import Path

logging.disable(logging.ERROR)
warnings.simplefilter("ignore")


def load(folder: Path) -> tuple[int, dict[str, str]]:
    """Return the number of DAGs and the errors by file."""
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:
        from airflow.models.dagbag import DagBag
    # As the scheduler and the DAG processor do, so that DAGs find the modules beside them.
    sys.path.insert(0, str(folder))
    bag = DagBag(str(folder), include_examples=False)
    return len(bag.dags), bag.import_errors


def cause(error: str) -> str:
    """Return the line of a traceback that says what is wrong."""
    lines = [line.strip() for line in error.strip().splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"


def main() -> None:
    """Print the report. What DAGs print themselves goes elsewhere."""
    with contextlib.redirect_stdout(sys.stderr):
        from airflow import __version__, settings

        folder = Path(settings.DAGS_FOLDER)
        dags, errors = load(folder)
    # A DAG may write to the standard output behind Python's back.
    said = [
        f"{file.removeprefix(f'{folder}/')} will not import with Airflow {__version__}: {cause(errors[file])}" for file in sorted(errors)
    ]
    print(f"\n{json.dumps({'dags': dags, 'warnings': said})}")


main()
