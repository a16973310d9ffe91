# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run kubernetes.core.k8s_info without showing the kubeconfig."""

from __future__ import annotations

from ansible_collections.homelab.data_platform.plugins.plugin_utils.kubernetes_core import KubernetesCoreAction


class ActionModule(KubernetesCoreAction):
    """All that is needed is common to the wrappers."""
