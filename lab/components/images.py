"""Container images of the lab, as archives that `ctr image import` takes. They carry upstream's names and honour upstream's contracts."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.components import maven
from lab.components.base import HERE, REQUIREMENTS, Component
from lab.components.debian import System, User, add_files, bootstrap, remove_tree, save_packages
from lab.components.python import PYTHON, install
from lab.components.run import Job

_FILES = HERE / "files"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Config:
    """How a container of the image starts."""

    entrypoint: tuple[str, ...]
    command: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    user: str = ""
    directory: str = "/"


@dataclass(frozen=True)
class Layer:
    """A layer inside some archive (or alone in a file): its digest and where its bytes are."""

    digest: str
    file: Path
    offset: int
    size: int


@dataclass(frozen=True)
class Image(Component):
    """An image: the layers of its parent, then one of its own. `image.tar`, `name` and `packages.txt`."""

    reference: str = ""
    config: Config = Config(())
    system: System | None = None
    parent: str = ""
    programs: tuple[tuple[str, str, str], ...] = ()
    """Programs of other components: component, program, place in the image."""

    @property
    def needs(self) -> tuple[str, ...]:
        """The parent, and the components whose programs go in."""
        return (*((self.parent,) if self.parent else ()), *dict.fromkeys(component for component, _, _ in self.programs))

    @property
    def files(self) -> str:
        """The directory of our own files in it, below `files`."""
        return self.name

    def inputs(self) -> Iterator[Path]:
        """Yield our own files in it."""
        if (_FILES / self.files).exists():
            yield _FILES / self.files

    def fill(self, root: Path, job: Job) -> None:
        """Put in what is neither Debian's, nor a program, nor a file of ours. Runs again after an interruption."""

    def build(self, target: Path, job: Job) -> None:
        """Fill a root filesystem, pack it as a layer, and write the archive."""
        root = target / "rootfs"
        if self.system:
            bootstrap(self.system, root, job)
            save_packages(root, target / "packages.txt")
        root.mkdir(exist_ok=True)
        for component, program, place in self.programs:
            (root / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(job.component(component) / program, root / place)
        add_files(self.files, root)
        self.fill(root, job)
        job.step("packing")
        own = pack_layer(root, target / "layer.tar")
        layers = [*(archive_layers(job.component(self.parent) / "image.tar") if self.parent else ()), own]
        write_archive(target / "image.tar", self.reference, self.config, layers)
        (target / "name").write_text(f"{self.reference}\n")
        (target / "layer.tar").unlink()
        remove_tree(root)


def pack_layer(root: Path, out: Path) -> Layer:
    """Pack a root filesystem, without what a container gets from its runtime."""
    runtime = [f"--exclude=./{place}/*" for place in ("dev", "proc", "sys")]
    argv = ["tar", "--create", "--sort=name", "--numeric-owner", *runtime, f"--directory={root}", "."]
    subprocess.run([*argv[:1], f"--file={out}", *argv[1:]], check=True)
    with out.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    return Layer(digest.hexdigest(), out, 0, out.stat().st_size)


def archive_layers(archive: Path) -> list[Layer]:
    """Return the layers of an image archive that `write_archive` wrote, the lowest first."""
    with tarfile.open(archive) as tar:
        names = json.loads(tar.extractfile("manifest.json").read())[0]["Layers"]  # type: ignore[union-attr]
        members = {name: tar.getmember(name) for name in names}
    return [Layer(name.partition("/")[0], archive, member.offset_data, member.size) for name, member in members.items()]


def write_archive(out: Path, reference: str, config: Config, layers: list[Layer]) -> None:
    """Write a docker-archive: the configuration, the manifest, and the layers."""
    environment = {"PATH": _PATH, **dict(config.environment)}
    document = {
        "architecture": "amd64",
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {
            "Entrypoint": list(config.entrypoint),
            "Cmd": list(config.command) or None,
            "Env": [f"{name}={value}" for name, value in environment.items()],
            "User": config.user,
            "WorkingDir": config.directory,
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.digest}" for layer in layers]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "lab.components"} for _ in layers],
    }
    data = json.dumps(document).encode()
    config_name = f"{hashlib.sha256(data).hexdigest()}.json"
    names = [f"{layer.digest}/layer.tar" for layer in layers]
    manifest = json.dumps([{"Config": config_name, "RepoTags": [reference], "Layers": names}]).encode()
    with tarfile.open(out, "w") as tar:
        for name, content in ((config_name, data), ("manifest.json", manifest)):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for name, layer in zip(names, layers):
            member = tarfile.TarInfo(name)
            member.size = layer.size
            with layer.file.open("rb") as source:
                source.seek(layer.offset)
                tar.addfile(member, source)


class PostgresImage(Image):
    """PostgreSQL of Debian 12 under the official image's contract."""

    recipe = 2

    def fill(self, root: Path, job: Job) -> None:
        """Drop the cluster that Debian makes, and let the server's own user write where the official one may."""
        for place in ("var/lib/postgresql/15", "etc/postgresql/15"):
            if (root / place).exists():
                shutil.rmtree(root / place)
        for place, mode in (("var/lib/postgresql/data", "1777"), ("var/run/postgresql", "3777"), ("docker-entrypoint-initdb.d", "755")):
            job.run(["chroot", root, "install", "--directory", "--owner=postgres", "--group=postgres", f"--mode={mode}", f"/{place}"])
        job.run(["chroot", root, "sh", "-c", "ln -sf /usr/lib/postgresql/15/bin/* /usr/local/bin/"])
        # As upstream's image: Debian's sample listens on the loopback address alone.
        sample = "/usr/share/postgresql/15/postgresql.conf.sample"
        job.run(["chroot", root, "sed", "--regexp-extended", "--in-place", "s/^#?listen_addresses.*/listen_addresses = '*'/", sample])


class RedisImage(Image):
    """Redis of Debian 12 under the official image's contract."""

    def fill(self, root: Path, job: Job) -> None:
        """Give its user the directory that the server works in."""
        job.run(["chroot", root, "install", "--directory", "--owner=redis", "--group=redis", "/data"])


class AirflowImage(Image):
    """Airflow in a virtual environment of its user, as upstream lays it out. `image-X` is made from the lock `X.txt`."""

    files = "image-airflow"

    @property
    def lock(self) -> Path:
        """The packages in it."""
        return REQUIREMENTS / f"{self.name.removeprefix('image-')}.txt"

    def inputs(self) -> Iterator[Path]:
        """Yield the lock too."""
        yield from super().inputs()
        yield self.lock

    def fill(self, root: Path, job: Job) -> None:
        """Install, compile to bytecode (starting is what costs time), and give all to uid 50000 and group 0."""
        home = root / "home/airflow/.local"
        install(self.lock, root.with_name("airflow"), job)
        _virtual_environment(root.with_name("airflow"), home, "/home/airflow/.local")
        for name in ("dags", "logs", "plugins"):
            (root / "opt/airflow" / name).mkdir(parents=True, exist_ok=True)
        (root / "usr/local/bin/python").unlink(missing_ok=True)
        (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
        job.step("compiling to bytecode")
        _compile(root, "/home/airflow/.local/lib", job)
        for place in ("/home/airflow", "/opt/airflow"):
            job.run(
                [
                    "chroot",
                    root,
                    "sh",
                    "-c",
                    f"chown -R 50000:0 {place} && chmod -R g=u {place} && find {place} -type d -exec chmod g+s {{}} +",
                ]
            )


class SparkImage(Image):
    """Spark as in its own distribution, below /opt/spark."""

    def inputs(self) -> Iterator[Path]:
        """Yield the lock too."""
        yield from super().inputs()
        yield REQUIREMENTS / "spark.txt"

    def fill(self, root: Path, job: Job) -> None:
        """Lay the Python package out as the distribution is: bin, jars, python, examples."""
        packages = root.with_name("pyspark")
        install(REQUIREMENTS / "spark.txt", packages, job)
        spark = root / "opt/spark"
        if spark.exists():
            shutil.rmtree(spark)
        spark.mkdir(parents=True)
        for name in ("bin", "sbin", "jars", "examples", "data"):
            (packages / "pyspark" / name).rename(spark / name)
        (spark / "python").mkdir()
        (packages / "pyspark/python/lib").rename(spark / "python/lib")
        for extra in ("python", "licenses"):
            shutil.rmtree(packages / "pyspark" / extra, ignore_errors=True)
        (packages / "pyspark").rename(spark / "python/pyspark")
        shutil.rmtree(packages)
        (spark / "conf").mkdir()
        # Tools that decide by this file whether a directory is a distribution.
        (spark / "RELEASE").write_text(f"Spark {self.version} built for Hadoop 3.3.4\n")
        java = root / "opt/java"
        java.mkdir(parents=True, exist_ok=True)
        (java / "openjdk").unlink(missing_ok=True)
        (java / "openjdk").symlink_to("/" / next((root / "usr/lib/jvm").glob("java-17-openjdk-*")).relative_to(root))
        job.step("compiling to bytecode")
        _compile(root, "/opt/spark/python", job)
        job.run(["chroot", root, "sh", "-c", "chmod -R a+rX /opt/spark && chmod a+x /opt/spark/bin/* /opt/spark/sbin/*"])
        job.run(
            [
                "chroot",
                root,
                "install",
                "--directory",
                "--owner=spark",
                "--group=spark",
                "--mode=2775",
                "/opt/spark/work-dir",
                "/home/spark",
            ]
        )
        job.run(["chroot", root, "chown", "spark:spark", "/opt/spark", "/opt/spark/conf"])


class SparkS3aImage(Image):
    """Spark with Hadoop's client for S3 among its jars, which upstream's image lacks: such an image is everybody's own, and so its name."""

    def inputs(self) -> Iterator[Path]:
        """Yield the lock too."""
        yield from super().inputs()
        yield REQUIREMENTS / "spark-s3a.sha256"

    def fill(self, root: Path, job: Job) -> None:
        """Add the jars. The directory above them stays its user's: a layer brings the owners of the directories in it."""
        maven.fetch(REQUIREMENTS / "spark-s3a.sha256", root / "opt/spark/jars", job)
        job.run(["chown", "185:185", root / "opt/spark"])


class SparkOperatorImage(Image):
    """The operator on top of Spark, whose spark-submit it calls."""

    def fill(self, root: Path, job: Job) -> None:
        """Make the directories that the operator's own user writes to."""
        job.step("directories")
        for place in ("etc/k8s-webhook-server/serving-certs", "home/spark"):
            (root / place).mkdir(parents=True, exist_ok=True)
            job.run(["chown", "-R", "185:185", root / place])
            job.run(["chmod", "-R", "g+rw", root / place])


class GitSyncImage(Image):
    """A stand-in for git-sync; see files/image-git-sync/git-sync."""

    def fill(self, root: Path, job: Job) -> None:
        """Make the directory that the real one clones into by default."""
        job.step("directories")
        job.run(["chroot", root, "install", "--directory", "--owner=65533", "--group=65533", "--mode=2775", "/git"])
        # --add-user: a foreign uid of group 0 may name itself.
        job.run(["chroot", root, "chmod", "g+w", "/etc/passwd"])


def _virtual_environment(packages: Path, home: Path, place: str) -> None:
    """Turn a directory of packages into a virtual environment that will be seen at `place`."""
    if home.exists():
        shutil.rmtree(home)
    library = home / f"lib/python{PYTHON}/site-packages"
    library.parent.mkdir(parents=True)
    (home / "bin").mkdir()
    for name in ("python", "python3", f"python{PYTHON}"):
        (home / "bin" / name).symlink_to(f"/usr/bin/python{PYTHON}")
    for script in sorted((packages / "bin").iterdir()):
        text = script.read_bytes()
        # An interpreter whose path is too long for a "#!" line is called through three lines of shell.
        lines = (
            3 if text.startswith(b"#!/bin/sh\n'''exec'") else 1 if text.startswith(b"#!") and b"python" in text.partition(b"\n")[0] else 0
        )
        if lines:
            text = b"\n".join([f"#!{place}/bin/python".encode(), *text.split(b"\n")[lines:]])
        (home / "bin" / script.name).write_bytes(text)
        (home / "bin" / script.name).chmod(0o755)
    shutil.rmtree(packages / "bin")
    packages.rename(library)
    (home / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")


def _compile(root: Path, place: str, job: Job) -> None:
    """Compile to bytecode that is never compared with its source again. Files of other Python versions are left as they are."""
    command = f"python3 -m compileall -q -j 2 --invalidation-mode unchecked-hash {place} > /dev/null || true"
    job.run(["chroot", root, "sh", "-c", command])


_JAVA_TRIM = ("usr/lib/jvm/java-17-openjdk-*/docs", "usr/lib/jvm/java-17-openjdk-*/man", "usr/lib/jvm/java-17-openjdk-*/legal")
_AIRFLOW_HOME = "/home/airflow"

_SPARK = Config(
    ("/opt/entrypoint.sh",),
    environment=(
        ("PATH", f"/opt/java/openjdk/bin:{_PATH}"),
        ("JAVA_HOME", "/opt/java/openjdk"),
        ("SPARK_HOME", "/opt/spark"),
        ("PYTHONPATH", "/opt/spark/python/lib/pyspark.zip:/opt/spark/python/lib/py4j-0.10.9.7-src.zip"),
        ("LANG", "C.UTF-8"),
    ),
    user="spark",
    directory="/opt/spark/work-dir",
)

REDIS = RedisImage(
    name="image-redis",
    version="7",
    reference="docker.io/library/redis:7-bookworm",
    config=Config(("docker-entrypoint.sh",), ("redis-server",), directory="/data"),
    system=System(packages=("redis-server",), users=(User("redis", 999, 999, "/data", group="redis"),)),
)


def _airflow(name: str, version: str) -> AirflowImage:
    return AirflowImage(
        name=name,
        version=version,
        reference=f"docker.io/apache/airflow:{version}-python{PYTHON}",
        config=Config(
            ("/usr/bin/dumb-init", "--", "/entrypoint"),
            environment=(
                ("PATH", f"{_AIRFLOW_HOME}/.local/bin:{_PATH}"),
                ("VIRTUAL_ENV", f"{_AIRFLOW_HOME}/.local"),
                ("AIRFLOW_HOME", "/opt/airflow"),
                ("AIRFLOW_USER_HOME_DIR", _AIRFLOW_HOME),
                ("AIRFLOW_UID", "50000"),
                ("AIRFLOW_VERSION", version),
                ("AIRFLOW__CORE__LOAD_EXAMPLES", "false"),
                ("DUMB_INIT_SETSID", "1"),
                ("GUNICORN_CMD_ARGS", "--worker-tmp-dir /dev/shm"),
                ("HOME", _AIRFLOW_HOME),
                ("LANG", "C.UTF-8"),
            ),
            user="50000:0",
            directory="/opt/airflow",
        ),
        system=System(
            packages=(
                *("python3", "python3-venv", "dumb-init", "libstdc++6", "ca-certificates", "tzdata", "media-types", "netbase"),
                *("netcat-openbsd", "procps", "curl", "openssh-client", "git"),
            ),
            users=(User("airflow", 50000, 0, _AIRFLOW_HOME),),
        ),
    )


IMAGES = (
    Image(
        name="image-pause",
        version="3.10",
        reference="registry.k8s.io/pause:3.10",
        config=Config(("/pause",), user="65535:65535"),
        programs=(("pause", "pause", "pause"),),
    ),
    PostgresImage(
        name="image-postgres",
        version="15",
        reference="docker.io/library/postgres:15-bookworm",
        config=Config(
            ("docker-entrypoint.sh",),
            ("postgres",),
            (("PGDATA", "/var/lib/postgresql/data"), ("LANG", "C.UTF-8"), ("PG_MAJOR", "15")),
        ),
        system=System(
            packages=("postgresql-15", "postgresql-client-15", "libnss-wrapper", "ca-certificates", "tzdata"),
            users=(User("postgres", 999, 999, "/var/lib/postgresql", group="postgres"),),
        ),
    ),
    REDIS,
    _airflow("image-airflow", "2.10.4"),
    GitSyncImage(
        name="image-git-sync",
        version="4.3.0",
        reference="registry.k8s.io/git-sync/git-sync:v4.3.0",
        config=Config(("/git-sync",), environment=(("HOME", "/tmp"), ("GITSYNC_ROOT", "/git")), user="65533:65533", directory="/tmp"),
        system=System(
            packages=("git", "openssh-client", "ca-certificates", "python3"),
            users=(User("git-sync", 65533, 65533, "/tmp/git-sync-home", "/usr/sbin/nologin", "git-sync"),),
        ),
    ),
    SparkImage(
        name="image-spark",
        version="3.5.7",
        reference="docker.io/library/spark:3.5.7-python3",
        config=_SPARK,
        system=System(
            packages=("openjdk-17-jre-headless", "python3", "tini", "procps", "ca-certificates", "libnss-wrapper", "netbase"),
            users=(User("spark", 185, 185, "/home/spark", group="spark"),),
            remove=_JAVA_TRIM,
        ),
    ),
    SparkS3aImage(
        name="image-spark-s3a",
        version="3.5.7",
        reference="registry.lan/spark-s3a:3.5.7-python3",
        config=_SPARK,
        parent="image-spark",
    ),
    SparkOperatorImage(
        name="image-spark-operator",
        version="2.5.2",
        reference="ghcr.io/kubeflow/spark-operator/controller:2.5.2",
        config=Config(
            ("/usr/bin/entrypoint.sh",),
            environment=(
                ("PATH", f"/opt/java/openjdk/bin:{_PATH}"),
                ("JAVA_HOME", "/opt/java/openjdk"),
                ("SPARK_HOME", "/opt/spark"),
                ("LANG", "C.UTF-8"),
            ),
            user="185:185",
            directory="/opt/spark/work-dir",
        ),
        parent="image-spark",
        programs=(("spark-operator", "spark-operator", "usr/bin/spark-operator"),),
    ),
    Image(
        name="image-traefik",
        version="3.5.3",
        reference="docker.io/library/traefik:v3.5.3",
        config=Config(("/entrypoint.sh",), ("traefik",), (("PATH", _PATH),)),
        system=System(packages=("ca-certificates", "tzdata")),
        programs=(("traefik", "traefik", "usr/local/bin/traefik"),),
    ),
)

NEWER_AIRFLOW = (_airflow("image-airflow-2.11", "2.11.2"), _airflow("image-airflow-3", "3.2.2"))
"""What Airflow 2.10.4 is upgraded to."""
