# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Namespaces that the server applies."""

from __future__ import annotations

from typing import Any


def declared(name: str) -> dict[str, Any]:
    """Return a namespace with the label that the API server gives it.

    Left to the server, the label belongs to whoever creates the namespace by server-side apply, and the next apply gives it up: a change of
    nothing but the books, which kubernetes.core reports.
    """
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}}}
