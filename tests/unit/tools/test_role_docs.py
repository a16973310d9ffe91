"""The tool that keeps the roles' documentation in step finds what is out of step."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from tools import role_docs

SPEC = """
    argument_specs:
      main:
        short_description: A role
        options:
          example_size:
            type: int
            default: 3
            description: How many, see O(example_name) or C(a|b).
          example_name:
            type: str
            description: [First., Default is C(other).]
"""
DEFAULTS = 'example_size: 3\nexample_name: "{{ other | upper }}"\n'


@pytest.fixture
def role(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A role whose documentation is in step."""
    folder = tmp_path / "example"
    (folder / "meta").mkdir(parents=True)
    (folder / "defaults").mkdir()
    (folder / "meta" / "argument_specs.yml").write_text(dedent(SPEC))
    (folder / "defaults" / "main.yml").write_text(DEFAULTS)
    (folder / "README.md").write_text("# example\n\n## Variables\n\nold\n\n## Afterwards\n\nkept\n")
    monkeypatch.setattr(role_docs, "ROLES", tmp_path)
    assert role_docs.main([]) == 0
    assert role_docs.main(["--check"]) == 0
    return folder


def test_the_table_replaces_its_section_only(role: Path) -> None:
    text = (role / "README.md").read_text()
    assert "| `example_size` | int | `3` | How many, see `example_name` or `a\\|b`. |" in text
    assert "| `example_name` | str | `other \\| upper` | First. Default is `other`. |" in text
    assert text.startswith("# example\n")
    assert text.endswith("## Afterwards\n\nkept\n")
    assert "old" not in text


@pytest.mark.parametrize(
    ("defaults", "words"),
    [
        (DEFAULTS + "example_more: 1\n", "example_more is in defaults, but not in"),
        ("example_size: 3\n", "example_name is in meta/argument_specs.yml and not required, but not in defaults"),
        (DEFAULTS.replace("3", "4"), "example_size is 4 in defaults, but 3 in"),
        (DEFAULTS.replace("3", '"{{ 3 }}"'), "example_size has a templated default"),
        (DEFAULTS.replace("other", "another"), "README.md is out of step"),
    ],
)
def test_a_difference_is_named(role: Path, defaults: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    (role / "defaults" / "main.yml").write_text(defaults)
    assert role_docs.main(["--check"]) == 1
    assert f"example: {words}" in capsys.readouterr().err
