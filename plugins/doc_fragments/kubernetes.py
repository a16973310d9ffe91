# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that every module talking to the Kubernetes API has in common."""

from __future__ import annotations


class ModuleDocFragment:
    """Connection to the Kubernetes API by a kubeconfig."""

    DOCUMENTATION = r"""
options:
  kubeconfig:
    description:
      - The kubeconfig, as a dictionary, or the path of one on the host where the module runs.
      - A dictionary travels with the task and is stored nowhere on that host.
      - Its tokens, passwords and keys are kept out of every result; its other words are not, so that messages stay readable.
      - Taken from the environment variable E(K8S_AUTH_KUBECONFIG) when not set, then from the place where C(kubectl) finds it.
    type: raw
  context:
    description:
      - Context of the kubeconfig; its current context when not set.
      - Taken from the environment variable E(K8S_AUTH_CONTEXT) when not set.
    type: str
requirements:
  - kubernetes (Python package) >= 24.2
"""
