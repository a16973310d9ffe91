# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for Proxmox VE's API daemon, held to Proxmox's own description of its API.

Proxmox itself cannot run in the lab. This package answers the paths that the collection uses, with Proxmox's own semantics:
tokens and privileges, parameter verification, UPIDs, digest, locks, pending values, allocation and normalisation of disks.
Its parameter tables are compared with Proxmox's machine-readable API description by ``tests/unit/lab/proxmox``.
The virtual machines behind it are plugged in through :class:`lab.proxmox.guest.Guest`.
"""
