# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors as Proxmox's HTTP server words them: the message travels in the reason phrase."""

from __future__ import annotations


class ApiError(Exception):
    """An answer other than success."""

    def __init__(self, status: int, message: str, errors: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = errors or {}

    def __str__(self) -> str:
        """The one line that a failed task shows as its exit status."""
        return " ".join([self.message, *(f"{key}: {text}" for key, text in sorted(self.errors.items()))])


def failure(message: str) -> ApiError:
    """A plain ``die`` in Proxmox's code."""
    return ApiError(500, message)


def invalid(errors: dict[str, str]) -> ApiError:
    """Parameters that did not pass verification."""
    return ApiError(400, "Parameter verification failed.", errors)


def forbidden(path: str, privileges: str) -> ApiError:
    """A token without the privileges for a path."""
    return ApiError(403, f"Permission check failed ({path}, {privileges})")
