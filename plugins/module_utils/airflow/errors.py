# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of a declaration that cannot become a release of Airflow."""

from __future__ import annotations


class AirflowError(ValueError):
    """The declaration cannot work: the message says what was found, what was wanted and what to do."""
