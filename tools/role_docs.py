"""Keep the roles' documentation in step: defaults and argument specs name the same variables, README files hold their table.

`python tools/role_docs.py` writes the section "Variables" of each role's README.md; with `--check` it only says what is out of step.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROLES = Path(__file__).resolve().parent.parent / "roles"
HEADING = "## Variables"
SECTION = re.compile(r"^## Variables\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
MARKUP = re.compile(r"\b[BCIMOPRV]\(([^()]*(?:\([^()]*\)[^()]*)*)\)")
EXPRESSION = re.compile(r"\{\{ ([^{}]+) \}\}")
SHORT = 40


def main(arguments: list[str]) -> int:
    """Check or write every role's documentation, and return the exit status."""
    problems = [problem for role in sorted(ROLES.iterdir()) if role.is_dir() for problem in _role(role, write="--check" not in arguments)]
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


def _role(role: Path, write: bool) -> Iterator[str]:
    spec_file = role / "meta" / "argument_specs.yml"
    if not spec_file.exists():
        yield f"{role.name}: meta/argument_specs.yml is missing"
        return
    entry_points = yaml.safe_load(spec_file.read_text())["argument_specs"]
    options = {name: option for spec in entry_points.values() for name, option in (spec.get("options") or {}).items()}
    defaults = _defaults(role)
    yield from _differences(role.name, options, defaults)
    readme = role / "README.md"
    found = readme.read_text() if readme.exists() else f"# {role.name}\n\n{entry_points['main']['short_description']}.\n"
    wanted = _with_section(found, _section(options, defaults))
    if readme.exists() and wanted == found:
        return
    if write:
        readme.write_text(wanted)
    else:
        yield f"{role.name}: README.md is out of step with meta/argument_specs.yml; run: make docs"


def _defaults(role: Path) -> dict[str, Any]:
    files = [*sorted((role / "defaults" / "main").glob("*.yml")), role / "defaults" / "main.yml"]
    merged: dict[str, Any] = {}
    for file in files:
        merged.update((yaml.safe_load(file.read_text()) or {}) if file.exists() else {})
    return merged


def _differences(role: str, options: Mapping[str, Mapping[str, Any]], defaults: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(defaults.keys() - options.keys()):
        yield f"{role}: {name} is in defaults, but not in meta/argument_specs.yml"
    for name, option in options.items():
        if name not in defaults:
            if not option.get("required"):
                yield f"{role}: {name} is in meta/argument_specs.yml and not required, but not in defaults"
        elif not _templated(defaults[name]) and option.get("default", defaults[name]) != defaults[name]:
            yield f"{role}: {name} is {defaults[name]!r} in defaults, but {option['default']!r} in meta/argument_specs.yml"
        elif _templated(defaults[name]) and "default" in option:
            yield f"{role}: {name} has a templated default, which meta/argument_specs.yml must describe in words, not repeat"


def _with_section(text: str, section: str) -> str:
    if SECTION.search(text):
        text = SECTION.sub(lambda _: f"{section}\n", text)
    elif section:
        text = f"{text.rstrip()}\n\n{section}"
    return text.rstrip() + "\n"


def _section(options: Mapping[str, Mapping[str, Any]], defaults: Mapping[str, Any]) -> str:
    if not options:
        return ""
    rows = [f"| `{name}` | {_type(option)} | {_default(defaults, name)} | {_description(option)} |" for name, option in options.items()]
    return "\n".join([HEADING, "", "| variable | type | default | meaning |", "|---|---|---|---|", *rows, ""])


def _type(option: Mapping[str, Any]) -> str:
    kind = option.get("type", "str")
    return f"{kind} of {option['elements']}" if "elements" in option else str(kind)


def _default(defaults: Mapping[str, Any], name: str) -> str:
    if name not in defaults:
        return "required"
    value = defaults[name]
    if not _templated(value):
        text = value if isinstance(value, str) and value else json.dumps(value)
        return f"`{text}`" if len(text) <= SHORT else "see `defaults`"
    expression = EXPRESSION.fullmatch(value) if isinstance(value, str) else None
    return f"`{expression.group(1)}`".replace("|", r"\|") if expression and len(expression.group(1)) <= SHORT else "derived"


def _description(option: Mapping[str, Any]) -> str:
    lines = option["description"]
    text = " ".join([lines] if isinstance(lines, str) else lines)
    if "choices" in option:
        text = f"{text} One of {', '.join(f'`{choice}`' for choice in option['choices'])}."
    return MARKUP.sub(r"`\1`", " ".join(text.split())).replace("|", r"\|")


def _templated(value: Any) -> bool:
    return "{{" in json.dumps(value) if not isinstance(value, str) else "{{" in value


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
