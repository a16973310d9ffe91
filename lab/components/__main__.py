"""`python -m lab.components build [NAME...] | list | path NAME`: the lab's components from the command line."""

from __future__ import annotations

import argparse
import sys

from lab import components
from lab.components import catalog, store
from lab.shell import LabError


def main() -> int:
    """Parse the command and run it; what the user can cause ends in one message."""
    parser = argparse.ArgumentParser(prog="python -m lab.components", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="build what is missing")
    build.add_argument("names", nargs="*", metavar="NAME", help="default: all that the lab runs")
    commands.add_parser("list", help="say what there is, and whether it is built")
    where = commands.add_parser("path", help="print where a component is")
    where.add_argument("name", metavar="NAME")
    arguments = parser.parse_args()
    try:
        if arguments.command == "build":
            for name, place in components.ensure(arguments.names or None).items():
                print(f"{name}: {place}")
        elif arguments.command == "list":
            for name, key in catalog.keys().items():
                state = "built" if store.place(name, key).exists() else "not built"
                print(f"{name:22} {catalog.COMPONENTS[name].version:16} {key} {state}")
        else:
            print(components.path(arguments.name))
    except LabError as error:
        print(f"components: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("components: interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
