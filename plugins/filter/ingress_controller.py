# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters from the one declaration of the ingress controller: its own objects, and what an Ingress has to say to it."""

from __future__ import annotations

DOCUMENTATION = r"""
name: ingress_controller
author: The homelab.data_platform contributors (@homelab)
version_added: 0.1.0
short_description: Objects of the declared ingress controller
description:
  - Gives the objects of Traefik where it is to be deployed, the two Middlewares that its pages need where a Traefik is there already,
    and nothing for another controller that is there already.
  - Refuses a class that belongs to another controller than declared, and one that is not there.
positional: classes
options:
  _input:
    description: The declaration, as the role C(ingress_controller) composes it.
    type: dict
    required: true
  classes:
    description: The declared IngressClass as it was found, in a list; an empty one where it is not there.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Deploy the ingress controller
  homelab.data_platform.k8s:
    definition: "{{ declaration | homelab.data_platform.ingress_controller(found.resources) }}"
"""

RETURN = r"""
_value:
  description: The objects.
  type: list
  elements: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.homelab.data_platform.plugins.module_utils.ingress import rules, traefik
from ansible_collections.homelab.data_platform.plugins.plugin_utils.filters import without_traceback


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        works: dict[str, Callable[..., Any]] = {
            "ingress_controller": traefik.wanted,
            "ingress_tls": rules.tls,
            "spark_ui_annotations": rules.spark_ui_annotations,
        }
        refusing = without_traceback(rules.IngressError)
        return {name: refusing(work) for name, work in works.items()}
