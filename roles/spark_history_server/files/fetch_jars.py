"""Fetch Java archives into a directory, unless they lie there: DIRECTORY URL#sha256=HASH..."""

import hashlib
import http.client
import pathlib
import shutil
import sys
import urllib.request


def main(directory, *jars):
    """Fetch one after the other; the first that cannot be had ends it."""
    for jar in jars:
        url, _mark, wanted = jar.partition("#sha256=")
        file = pathlib.Path(directory) / url.rpartition("/")[2]
        if not (file.exists() and sha256(file) == wanted):
            fetch(url, file, wanted)
        print(f"{file.name}: {wanted}", flush=True)


def fetch(url, file, wanted):
    """Make the file visible only once its hash is known to be right."""
    part = file.with_name(f"{file.name}.part")
    try:
        with urllib.request.urlopen(url, timeout=60) as answer, part.open("wb") as target:  # noqa: S310 - whatever mirror is named
            shutil.copyfileobj(answer, target)
    except (OSError, http.client.HTTPException) as error:
        sys.exit(f"{url} cannot be had: {error}. Set platform_maven_url to a mirror, or use an image that has the jars.")
    found = sha256(part)
    if found != wanted:
        part.unlink()
        sys.exit(f"{url} has the SHA-256 {found}, spark_history_server_jars says {wanted}.")
    part.rename(file)


def sha256(file):
    """Hash a file that need not fit into the container's memory; hashlib.file_digest is younger than the image's Python."""
    digest = hashlib.sha256()
    with file.open("rb") as data:
        while chunk := data.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


if __name__ == "__main__":
    main(*sys.argv[1:])
