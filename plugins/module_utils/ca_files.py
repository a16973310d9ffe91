# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a trust bundle: keys of its ConfigMap, and where they are in the pods of its clients."""

from __future__ import annotations

CA_KEY = "ca.crt"
BUNDLE_KEY = "ca-bundle.crt"
TRUSTSTORE_KEY = "truststore.p12"

DIRECTORY = "/etc/data-platform/ca"
BUNDLE = f"{DIRECTORY}/{BUNDLE_KEY}"
"""The private CA with the public roots: each of the variables that name it replaces what a client trusts otherwise."""
TRUSTSTORE = f"{DIRECTORY}/{TRUSTSTORE_KEY}"

TRUSTSTORE_PASSWORD = "changeit"  # noqa: S105 - it guards nothing
"""Java wants one, and this is its own default. What is in the truststore is public."""
