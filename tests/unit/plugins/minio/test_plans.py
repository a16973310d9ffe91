# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a user that is there and one that is wanted to the calls between them."""

from __future__ import annotations

import pytest
from ansible_collections.homelab.data_platform.plugins.module_utils.minio.admin import FoundUser
from ansible_collections.homelab.data_platform.plugins.module_utils.minio.buckets import Found
from ansible_collections.homelab.data_platform.plugins.module_utils.minio.buckets import plan as plan_bucket
from ansible_collections.homelab.data_platform.plugins.module_utils.minio.connection import MinioError
from ansible_collections.homelab.data_platform.plugins.module_utils.minio.policies import Wanted as WantedPolicy
from ansible_collections.homelab.data_platform.plugins.module_utils.minio.policies import plan as plan_policies
from ansible_collections.homelab.data_platform.plugins.module_utils.minio.users import Steps, Wanted, plan

A, B, NONE = frozenset({"a"}), frozenset({"b"}), frozenset[str]()
ON, OFF = FoundUser(enabled=True, policies=A), FoundUser(enabled=False, policies=A)
KEY = "secret-of-the-test"


@pytest.mark.parametrize(
    ("found", "wanted", "secret_matches", "action", "steps"),
    [
        (None, Wanted("u", secret_key=KEY), None, "created", Steps(set_secret=True)),
        (None, Wanted("u", secret_key=KEY, policies=A), None, "created", Steps(set_secret=True, attach=A)),
        (None, Wanted("u", state="disabled", secret_key=KEY), None, "created", Steps(set_secret=True, enable=False)),
        (None, Wanted("u", state="absent"), None, "unchanged", Steps()),
        (ON, Wanted("u", state="absent"), None, "removed", Steps(remove=True)),
        (ON, Wanted("u"), None, "unchanged", Steps()),
        (ON, Wanted("u", secret_key=KEY, policies=A), True, "unchanged", Steps()),
        (ON, Wanted("u", secret_key=KEY), False, "updated", Steps(set_secret=True)),
        (ON, Wanted("u", policies=B), None, "updated", Steps(attach=B, detach=A)),
        (ON, Wanted("u", policies=B, append_policies=True), None, "updated", Steps(attach=B)),
        (ON, Wanted("u", policies=A, append_policies=True), None, "unchanged", Steps()),
        (ON, Wanted("u", policies=NONE), None, "updated", Steps(detach=A)),
        (ON, Wanted("u", state="disabled", secret_key=KEY), None, "updated", Steps(enable=False)),
        (OFF, Wanted("u", state="disabled", secret_key=KEY), None, "unchanged", Steps()),
        (OFF, Wanted("u"), None, "updated", Steps(enable=True)),
        # The secret of a disabled user cannot be tried: enabling writes it, which enables too.
        (OFF, Wanted("u", secret_key=KEY), None, "updated", Steps(set_secret=True)),
    ],
)
def test_the_plan_of_a_user(found: FoundUser | None, wanted: Wanted, secret_matches: bool | None, action: str, steps: Steps) -> None:
    change, planned = plan(found, wanted, secret_matches)
    assert (change.action, planned) == (action, steps)


def test_a_user_is_not_created_without_a_secret() -> None:
    with pytest.raises(MinioError, match="'u' does not exist, and no secret_key"):
        plan(None, Wanted("u"), None)


def test_a_secret_shows_in_no_representation() -> None:
    assert KEY not in repr(Wanted("u", secret_key=KEY))


@pytest.mark.parametrize(
    ("found", "wanted", "action"),
    [
        (None, {"versioning": True, "state": "present"}, "created"),
        (False, {"versioning": True, "state": "present"}, "updated"),
        (True, {"versioning": None, "state": "present"}, "unchanged"),
        (True, {"versioning": False, "state": "present"}, "updated"),
        (True, {"versioning": None, "state": "absent"}, "removed"),
        (None, {"versioning": None, "state": "absent"}, "unchanged"),
    ],
)
def test_the_plan_of_a_bucket(found: bool | None, wanted: dict[str, object], action: str) -> None:
    bucket = None if found is None else Found(versioning=found)
    assert plan_bucket(bucket, {"name": "datalake", "lifecycle": None, "prefixes": None, **wanted}).action == action


READ_ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::*"]}]}


def test_a_built_in_policy_is_left_alone_unless_told() -> None:
    wanted = [WantedPolicy("readonly", READ_ALL)]
    with pytest.raises(MinioError, match="'readonly' is built into MinIO and would be created"):
        plan_policies({}, wanted, overwrite_builtin=False)
    assert plan_policies({}, wanted, overwrite_builtin=True)[0].action == "created"
    assert plan_policies({"readonly": READ_ALL}, wanted, overwrite_builtin=False)[0].action == "unchanged"
