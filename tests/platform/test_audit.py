"""What the programs of the platform ask of the cluster in a pipeline run, held against the matrix of what they may."""

from __future__ import annotations

import pytest

from tests.platform.conftest import Run
from tests.rbac.matrix import ALLOWED, HOME, PLACES, WITHOUT_A_RUN, allowed
from tests.rbac.rules import cells, rules


def test_nothing_that_a_program_asked_for_was_refused(run: Run) -> None:
    assert [request for request in run.requests if request.status in (401, 403)] == []


def test_the_matrix_allows_what_a_run_needs_and_nothing_without_a_reason(run: Run) -> None:
    seen = {request.cell for request in run.requests if request.cell and HOME.get(request.account) == request.namespace}
    assert seen - set(ALLOWED) == set(), "the matrix lacks what the programs do"
    assert set(ALLOWED) - seen - set(WITHOUT_A_RUN) == set(), "the matrix allows what no program does, and gives no reason"
    assert set(WITHOUT_A_RUN) <= set(ALLOWED), "a reason is given for what is not allowed"


@pytest.mark.parametrize(("account", "namespace"), PLACES)
def test_nobody_but_the_role_rbac_grants_the_accounts_anything(account: str, namespace: str) -> None:
    assert sorted(cells(account, namespace, rules(account, namespace))) == sorted(allowed(account, namespace))
