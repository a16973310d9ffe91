# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the inventory as a whole, on the controller, before anything is touched."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.homelab.data_platform.plugins.module_utils.declaration import (
    KNOWN_VARIABLES,
    SECRET_VARIABLES,
    Host,
    Unreadable,
    check,
)


class ActionModule(ActionBase):
    """Reads what every host of the inventory declares (also those outside --limit) and reports all problems at once."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _supports_diff = False
    _VALID_ARGS: frozenset[str] = frozenset()

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        """Return the problems; there being one fails the task."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        groups = variables["groups"]
        hosts = [self._host(name, variables) for name in groups["all"]]
        problems = check(hosts, groups, self._read_file)
        result.update(changed=False)
        if problems:
            count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
            result.update(
                failed=True, msg="\n".join([f"The inventory has {count}; nothing was touched.", *(f"- {one}" for one in problems)])
            )
        else:
            result["msg"] = f"the declarations of {len(hosts)} hosts are in order"
        return result

    def _host(self, name: str, task_vars: Mapping[str, Any]) -> Host:
        raw = task_vars["hostvars"].raw_get(name)
        # A declaration may use what the shared defaults role holds (platform_postgresql_uid), which hostvars do not.
        role = self._task._role
        defaults = role.get_default_vars(dep_chain=self._task.get_dep_chain()) if role else {}
        available = {**defaults, **raw, "hostvars": task_vars["hostvars"]}
        templar = self._templar.copy_with_new_env(available_variables=available)
        values = {variable: self._value(templar, variable, available[variable]) for variable in KNOWN_VARIABLES if variable in available}
        return Host(name, values, names=[key for key in raw if isinstance(key, str)])

    @staticmethod
    def _value(templar: Any, variable: str, value: Any) -> Any:
        try:
            return templar.template(value)
        except AnsibleError as error:
            # Only the first line: what follows quotes the source, which may be a secret.
            reason = str(error).splitlines()[0] if variable not in SECRET_VARIABLES else _cause(error)
            return Unreadable(f"it cannot be read: {reason.rstrip('.')}")

    def _read_file(self, path: str) -> Optional[str]:
        try:
            return Path(self._loader.path_dwim(str(Path(path).expanduser()))).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None


def _cause(error: AnsibleError) -> str:
    """Name the innermost cause, which is about names and not about values."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    return str(cause).splitlines()[0]
