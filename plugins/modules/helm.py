# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: helm
short_description: Deploys a Helm release without showing the kubeconfig
version_added: 0.1.0
description:
  - Runs M(kubernetes.core.helm) with the options given, all of which it takes.
  - That module repeats the kubeconfig in its result, keys included, where C(-vvv) and callbacks show it. Here it stays out.
author:
  - The homelab.data_platform contributors (@homelab)
extends_documentation_fragment:
  - homelab.data_platform.attributes.full
options:
  kubeconfig:
    description: The kubeconfig, as a dictionary or as a path on the host where the task runs.
    type: raw
  name:
    description: Name of the release.
    type: str
    required: true
  release_namespace:
    description: Its namespace.
    type: str
    required: true
seealso:
  - module: kubernetes.core.helm
"""

EXAMPLES = r"""
- name: Deploy Airflow
  homelab.data_platform.helm:
    kubeconfig: "{{ platform_kubeconfig }}"
    name: airflow
    release_namespace: airflow
    chart_ref: airflow
    chart_repo_url: https://airflow.apache.org
    chart_version: 1.16.0
    release_values: "{{ values }}"
    wait: false
"""

RETURN = r"""
status:
  description: The release, as M(kubernetes.core.helm) returns it.
  returned: success
  type: dict
"""
