# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m lab.proxmox``: the daemon as a process."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from pathlib import Path

from lab.proxmox.app import create_app
from lab.proxmox.guest import Guest, NoGuest
from lab.proxmox.server import run


def load_guest(name: str) -> Guest:
    """The guest made by a factory without arguments, named as ``package.module:factory``."""
    module, _, factory = name.partition(":")
    guest: Guest = getattr(importlib.import_module(module), factory)()
    return guest


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the options and serve."""
    parser = argparse.ArgumentParser(prog="python -m lab.proxmox", description="The lab's stand-in for Proxmox VE's API daemon")
    parser.add_argument("--state", type=Path, required=True, help="directory with the machines, storages, tokens and volumes")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8006)
    parser.add_argument("--cert", required=True, help="PEM file with the server's certificate")
    parser.add_argument("--key", required=True, help="PEM file with its key")
    parser.add_argument("--guest", help="what the machines' disks are plugged into, as package.module:factory")
    parser.add_argument("--auth-delay", type=float, default=3.0, help="seconds before a 401 is answered")
    options = parser.parse_args(arguments)
    guest = load_guest(options.guest) if options.guest else NoGuest()
    app = create_app(options.state, guest, auth_delay=options.auth_delay)
    run(app, options.host, options.port, options.cert, options.key)


if __name__ == "__main__":
    main()
