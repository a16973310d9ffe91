"""`python -m lab up | down | status | hosts | kubectl ... | run ...`: the lab from the command line."""

from __future__ import annotations

import argparse
import os
import platform
import sys

from lab.shell import LabError


def main() -> int:
    """Parse the command and run it; what the user can cause ends in one message."""
    parser = argparse.ArgumentParser(prog="python -m lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="bring the hosts up, then run site.yml")
    commands.add_parser("hosts", help="bring the hosts up, nothing more")
    commands.add_parser("down", help="remove hosts, namespaces and state")
    commands.add_parser("status", help="say what runs and where everything is")
    commands.add_parser("bench", help="measure, on a lab made anew, and write docs/benchmarks.md")
    kubectl = commands.add_parser("kubectl", help="kubectl as the cluster's administrator")
    kubectl.add_argument("words", nargs=argparse.REMAINDER)
    run = commands.add_parser("run", help="run a program inside the lab's LAN")
    run.add_argument("words", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    if platform.system() != "Linux":
        return _complain("the lab needs Linux: its hosts are network namespaces and systemd-nspawn machines")
    if os.geteuid() != 0:
        return _complain("the lab needs root for namespaces, mounts and loop devices: try again with sudo")
    try:
        # Only now: what the commands need may be missing on a computer that cannot run the lab.
        from lab import lifecycle

        if arguments.command in ("kubectl", "run"):
            return int(getattr(lifecycle, arguments.command)(arguments.words))
        return int(getattr(lifecycle, arguments.command)() or 0)
    except LabError as error:
        return _complain(str(error))
    except KeyboardInterrupt:
        return _complain("interrupted; the same command goes on from here")


def _complain(message: str) -> int:
    print(f"lab: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
