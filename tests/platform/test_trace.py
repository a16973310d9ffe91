"""What the programs of the platform ask of the object store in a pipeline run, held against the matrix of what they may."""

from __future__ import annotations

from tests.object_store.matrix import ALLOWED, WITHOUT_A_RUN
from tests.platform.conftest import Run


def test_nothing_that_a_program_asked_for_was_refused(run: Run) -> None:
    assert [call for call in run.calls if call.status in (401, 403)] == []


def test_the_matrix_allows_what_a_run_needs_and_nothing_without_a_reason(run: Run) -> None:
    seen = {call.cell for call in run.calls}
    assert seen - set(ALLOWED) == set(), "the matrix lacks what the programs do"
    assert set(ALLOWED) - seen - set(WITHOUT_A_RUN) == set(), "the matrix allows what no program does, and gives no reason"
