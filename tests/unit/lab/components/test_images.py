"""The layout of image archives, read back with tar; and where root filesystems get their packages."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest

from lab.components.base import ComponentError
from lab.components.debian import mirrors
from lab.components.images import IMAGES, Config, Image, archive_layers, pack_layer, write_archive
from lab.settings import CHECKOUT

FILES = CHECKOUT / "lab/components/files"


def unpack(archive: Path, to: Path) -> Path:
    to.mkdir(parents=True)
    subprocess.run(["tar", "--extract", f"--file={archive}", f"--directory={to}"], check=True)
    return to


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for name in ("bin", "dev", "proc", "run/app"):
        (root / name).mkdir(parents=True)
    (root / "bin/tool").write_text("#!/bin/sh\n")
    (root / "bin/tool").chmod(0o755)
    (root / "bin/link").symlink_to("tool")
    (root / "proc/leftover").touch()
    return root


def test_archive_is_what_container_runtimes_read(tree: Path, tmp_path: Path) -> None:
    layer = pack_layer(tree, tmp_path / "layer.tar")
    config = Config(("/bin/tool",), ("serve",), (("LANG", "C.UTF-8"),), user="65535:65535", directory="/srv")
    write_archive(tmp_path / "image.tar", "example.test/tool:1", config, [layer])
    image = unpack(tmp_path / "image.tar", tmp_path / "image")

    (manifest,) = json.loads((image / "manifest.json").read_text())
    assert manifest["RepoTags"] == ["example.test/tool:1"]
    document = (image / manifest["Config"]).read_bytes()
    assert manifest["Config"] == f"{hashlib.sha256(document).hexdigest()}.json"
    found = json.loads(document)
    assert found["config"]["Entrypoint"] == ["/bin/tool"]
    assert found["config"]["Cmd"] == ["serve"]
    assert "LANG=C.UTF-8" in found["config"]["Env"]
    assert found["config"]["User"] == "65535:65535"
    digests = ["sha256:" + hashlib.sha256((image / name).read_bytes()).hexdigest() for name in manifest["Layers"]]
    assert found["rootfs"]["diff_ids"] == digests

    root = unpack(image / manifest["Layers"][0], tmp_path / "unpacked")
    assert os.access(root / "bin/tool", os.X_OK)
    assert (root / "bin/link").readlink() == Path("tool")
    assert (root / "run/app").is_dir()
    assert list((root / "proc").iterdir()) == []


def test_a_child_begins_with_the_layers_of_its_parent(tree: Path, tmp_path: Path) -> None:
    parent = pack_layer(tree, tmp_path / "parent-layer.tar")
    write_archive(tmp_path / "parent.tar", "example.test/parent:1", Config(("/bin/tool",)), [parent])
    extra = tmp_path / "extra"
    extra.mkdir()
    (extra / "more").write_text("more")
    own = pack_layer(extra, tmp_path / "own.tar")
    inherited = archive_layers(tmp_path / "parent.tar")
    assert [layer.digest for layer in inherited] == [parent.digest]
    write_archive(tmp_path / "child.tar", "example.test/child:1", Config(("/more",)), [*inherited, own])

    image = unpack(tmp_path / "child.tar", tmp_path / "child")
    (manifest,) = json.loads((image / "manifest.json").read_text())
    diffs = json.loads((image / manifest["Config"]).read_text())["rootfs"]["diff_ids"]
    assert diffs == [f"sha256:{parent.digest}", f"sha256:{own.digest}"]
    for name, digest in zip(manifest["Layers"], diffs, strict=True):
        assert "sha256:" + hashlib.sha256((image / name).read_bytes()).hexdigest() == digest


def test_equal_trees_are_equal_layers(tree: Path, tmp_path: Path) -> None:
    assert pack_layer(tree, tmp_path / "one.tar").digest == pack_layer(tree, tmp_path / "two.tar").digest


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)
def test_images_carry_complete_upstream_names(image: Image) -> None:
    registry, _, rest = image.reference.partition("/")
    assert "." in registry
    assert ":" in rest.rsplit("/", 1)[-1]


@pytest.mark.parametrize(
    "script",
    sorted(script for script in FILES.rglob("*") if script.is_file()),
    ids=lambda path: "/".join(path.parts[-2:]),
)
def test_entry_points_are_executable_and_parse(script: Path) -> None:
    assert os.access(script, os.X_OK)
    if "python" in script.read_text().splitlines()[0]:
        ast.parse(script.read_text())
    else:
        subprocess.run(["bash", "-n", script], check=True)


def test_mirrors_are_those_of_the_machine(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text(
        "# deb http://commented.test/debian bookworm main\n"
        "deb http://one.test/debian bookworm main contrib\n"
        "deb [arch=amd64 signed-by=/keys/x.gpg] http://one.test/security bookworm-security main\n"
        "deb-src http://one.test/debian bookworm main\n"
    )
    (tmp_path / "sources.list.d/more.sources").write_text(
        "Types: deb\n# a remark\nURIs: http://two.test/debian\nSuites: bookworm bookworm-updates\nComponents: main\n"
        "Signed-By: /keys/y.gpg\n\n"
        "Types: deb\nURIs: http://vendor.test/repo\nSuites: bookworm\nComponents: stable\n\n"
        "Enabled: no\nTypes: deb\nURIs: http://off.test/debian\nSuites: bookworm\nComponents: main\n"
    )
    assert mirrors(tmp_path).splitlines() == [
        "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://one.test/debian bookworm main",
        "deb [signed-by=/keys/x.gpg] http://one.test/security bookworm-security main",
        "deb [signed-by=/keys/y.gpg] http://two.test/debian bookworm main",
        "deb [signed-by=/keys/y.gpg] http://two.test/debian bookworm-updates main",
    ]


def test_a_machine_without_a_debian_mirror_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text("deb http://one.test/ubuntu noble main\n")
    with pytest.raises(ComponentError, match="names no Debian mirror with the suite bookworm"):
        mirrors(tmp_path)
