# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the benchmark of policies and users makes of its runs."""

from __future__ import annotations

import json

import pytest

from lab.bench.identities import USERS, Measured, agreed, identities, row
from lab.bench.mc import requests
from lab.shell import LabError


def test_each_identity_has_a_name_and_a_key_that_minio_takes() -> None:
    made = identities(100)
    assert len({identity.name for identity in made}) == len({identity.secret_key for identity in made}) == 100
    assert all(3 <= len(identity.name) <= 20 and 8 <= len(identity.secret_key) <= 40 for identity in made), "the limits of mc"
    assert made[0].line() == f"identity-001 identity-001 {made[0].secret_key}\n"


def test_the_middle_of_several_runs_is_told() -> None:
    runs = [Measured(7, seconds, False, task) for seconds, task in ((3.0, 0.5), (1.0, 2.0), (2.0, 1.0))]
    assert agreed(runs, changed=False) == Measured(7, 2.0, False, 1.0)


@pytest.mark.parametrize(
    ("runs", "changed", "message"),
    [
        ([Measured(7, 1, False), Measured(7, 1, True)], False, "where nothing was"),
        ([Measured(7, 1, False)], True, "was not seen"),
        ([Measured(7, 1, False), Measured(8, 1, False)], False, "the number of requests differs"),
    ],
)
def test_runs_that_are_not_what_they_should_be_stop_the_benchmark(runs: list[Measured], changed: bool, message: str) -> None:
    with pytest.raises(LabError, match=message):
        agreed(runs, changed=changed)


def test_a_line_tells_ours_the_peers_and_the_ratio() -> None:
    line = row(10, USERS, "no-op", Measured(4, 2.0, False, 1.25), Measured(20, 1.0, False))
    assert line == ("users", "10", "no-op", "4", "20", "5.0", "2.00", "1.25", "1.00", "0.50")


def test_the_marks_in_a_trace_are_no_requests() -> None:
    calls = [("admin.GetUserInfo", "/minio/admin/v3/user-info"), ("s3.ListObjectsV1", "/end-of-measurement-2"), ("s3.ListBuckets", "/")]
    trace = "".join(json.dumps({"api": api, "path": path, "statusCode": 200}) + "\n" for api, path in calls)
    assert requests(trace) == ["admin.GetUserInfo", "s3.ListBuckets"]
