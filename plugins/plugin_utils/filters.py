# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What filters share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from ansible.errors import AnsibleFilterError


def without_traceback(*errors: type[Exception]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make of work a filter: these errors, what cannot work, become errors of the filter, in the words of who found it."""

    def filter_of(work: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(work)
        def filtered(*arguments: Any, **options: Any) -> Any:
            try:
                return work(*arguments, **options)
            except errors as error:
                raise AnsibleFilterError(str(error)) from error

        return filtered

    return filter_of
