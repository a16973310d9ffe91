"""`python -m lab up | down | status | hosts | vm | kubectl ... | run ...`: the lab from the command line."""

from __future__ import annotations

import argparse
import os
import platform
import sys

from lab.shell import LabError

PASSING_ON = {
    "kubectl": "kubectl as the cluster's administrator",
    "run": "run a program inside the lab's LAN",
}


def main() -> int:
    """Parse the command and run it; what the user can cause ends in one message."""
    parser = argparse.ArgumentParser(prog="python -m lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="bring the hosts up, then run site.yml")
    commands.add_parser("hosts", help="bring the hosts up, nothing more")
    commands.add_parser("vm", help="bring up a virtual machine, the bastion and Proxmox, nothing more")
    commands.add_parser("down", help="remove hosts, namespaces and state")
    commands.add_parser("status", help="say what runs and where everything is")
    bench = commands.add_parser("bench", help="measure, and write docs/benchmarks.md")
    parts = ["converge", "pipeline", "disks", "identities"]
    bench.add_argument("part", nargs="?", choices=parts, help="one part only; converge makes the lab anew")
    for command, purpose in PASSING_ON.items():
        commands.add_parser(command, help=purpose)
    # What follows such a command is another program's, options included: argparse never sees it.
    passing_on = len(sys.argv) > 1 and sys.argv[1] in PASSING_ON
    words = sys.argv[2:] if passing_on else []
    arguments = parser.parse_args(sys.argv[1:2] if passing_on else None)
    if platform.system() != "Linux":
        return _complain("the lab needs Linux: its hosts are network namespaces and systemd-nspawn machines")
    if os.geteuid() != 0:
        return _complain("the lab needs root for namespaces, mounts and loop devices: try again with sudo")
    try:
        # Only now: what the commands need may be missing on a computer that cannot run the lab.
        from lab import lifecycle

        if arguments.command == "bench":
            from lab import bench as benchmark

            benchmark.run(arguments.part)
            return 0
        if passing_on:
            return int(getattr(lifecycle, arguments.command)(words))
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
