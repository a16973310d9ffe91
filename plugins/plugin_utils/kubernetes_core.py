# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the wrappers of kubernetes.core's modules have in common: one error a person can read, and no kubeconfig in what is shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Optional

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

NO_CLUSTER = "The kubeconfig names no cluster (an empty one stands for a file that is not there). Set platform_kubeconfig_file."
NO_ANSWER = (
    re.compile(r"cluster unreachable: (?P<cause>[^\n]+)"),  # helm
    re.compile(r"Max retries exceeded.*?Caused by \w+\((?P<cause>.*?)\)\)", re.DOTALL),  # urllib3 under the kubernetes package
)
OBJECT_AT = re.compile(r"<[^>]* object at 0x[^>]*>: |\"?HTTPSConnection\([^)]*\): ")


class KubernetesCoreAction(ActionBase):
    """Runs the module of kubernetes.core that is called as this action is."""

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        """Return the module's result. It repeats the arguments without the kubeconfig, whose keys -vvv and callbacks would show."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        kubeconfig = self._task.args.get("kubeconfig")
        if isinstance(kubeconfig, Mapping) and not kubeconfig.get("clusters"):
            raise AnsibleActionFail(NO_CLUSTER)
        result.update(self.call(dict(self._task.args), task_vars))
        if result.get("failed"):
            # A client that cannot connect ends in an exception, which comes with an empty message.
            unanswered = no_answer(f"{result.get('msg')} {result.get('exception')}", server(kubeconfig))
            if unanswered:
                raise AnsibleActionFail(unanswered)
        result["invocation"] = {"module_args": {key: value for key, value in self._task.args.items() if key != "kubeconfig"}}
        return result

    def call(self, arguments: dict[str, Any], task_vars: Optional[dict[str, Any]]) -> dict[str, Any]:
        """Run the module with these arguments."""
        name = self._task.action.rpartition(".")[2]
        returned: dict[str, Any] = self._execute_module(f"kubernetes.core.{name}", module_args=arguments, task_vars=task_vars)
        return returned


def server(kubeconfig: Any) -> str:
    """Address of the API in a kubeconfig of one cluster, for messages."""
    if isinstance(kubeconfig, Mapping):
        return str(kubeconfig["clusters"][0].get("cluster", {}).get("server"))
    return "the kubeconfig's address"


def no_answer(text: str, address: str) -> str:
    """Say what went wrong if a client's text tells of an API that does not answer, otherwise nothing."""
    for pattern in NO_ANSWER:
        found = pattern.search(text)
        if found:
            cause = OBJECT_AT.sub("", found["cause"]).strip(" '\"\\")
            return f"The Kubernetes API at {address} does not answer: {cause}. Check the address in the kubeconfig, the network and the CA."
    return ""
