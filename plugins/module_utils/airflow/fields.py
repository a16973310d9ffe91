# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Declarations that are dictionaries, whose keys nobody else checks."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Any

from ansible_collections.homelab.data_platform.plugins.module_utils.airflow.errors import AirflowError


def did_you_mean(name: str, known: Collection[str]) -> str:
    """Return the end of a sentence about a name that is not known."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else "."


def with_defaults(variable: str, given: Mapping[str, Any], defaults: Mapping[str, Any], required: Collection[str] = ()) -> dict[str, Any]:
    """Return what is given over its defaults; a key that is not known, of another type, or missing, is refused."""
    known = [*required, *defaults]
    for key in sorted(set(given) - set(known)):
        raise AirflowError(f"{variable} has the key {key!r}, which is not one of {', '.join(known)}{did_you_mean(key, known)}")
    for key, default in defaults.items():
        value = given.get(key, default)
        # To Python a truth value is a number, too.
        if not isinstance(value, type(default)) or isinstance(value, bool) != isinstance(default, bool):
            raise AirflowError(f"{variable}.{key} is {given[key]!r}; wanted {_KINDS[type(default)]}.")
    for key in required:
        if not given.get(key) or not isinstance(given[key], str):
            raise AirflowError(f"{variable}.{key} is missing; wanted a text.")
    return {**defaults, **given}


_KINDS = {str: "a text", int: "a number", bool: "true or false", list: "a list", dict: "a dictionary"}
