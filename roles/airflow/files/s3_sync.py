"""Keep a directory as a prefix of a bucket is; runs inside an Airflow image, once or for ever.

Each state of the bucket becomes a directory of its own. A link names the newest and is replaced at once, so that nobody reads half of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path, PurePosixPath

import boto3
from botocore.exceptions import BotoCoreError, ClientError

STATES = ".states"


def inside(key, prefix):
    """Return an object's path below the prefix. S3 takes any name, a file system does not."""
    path = PurePosixPath(key[len(prefix) :])
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"the object {key!r} has a name that leads out of the directory")
    return str(path)


def listed(s3, bucket, prefix):
    """Return the checksum of each object, by its path below the prefix."""
    found = {}
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            if not entry["Key"].endswith("/"):
                found[inside(entry["Key"], prefix)] = entry["ETag"]
    return found


def download(s3, bucket, prefix, objects, target):
    """Write the objects below a directory. One that changed since it was listed ends the attempt."""
    for path, checksum in objects.items():
        place = target / path
        place.parent.mkdir(parents=True, exist_ok=True)
        body = s3.get_object(Bucket=bucket, Key=prefix + path, IfMatch=checksum)["Body"]
        with place.open("wb") as file:
            shutil.copyfileobj(body, file)


def sync(s3, bucket, prefix, root, link):
    """Bring the directory to the state of the bucket; say how many objects there are now, or None where nothing changed."""
    objects = listed(s3, bucket, prefix)
    state = hashlib.sha256(json.dumps(objects, sort_keys=True).encode()).hexdigest()[:16]
    current = str((root / link).readlink()) if (root / link).is_symlink() else ""
    if current == f"{STATES}/{state}":
        return None
    target = root / STATES / state
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    download(s3, bucket, prefix, objects, target)
    fresh = root / f".{link}"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(f"{STATES}/{state}")
    fresh.replace(root / link)
    # The state before may be read yet; those before it are not.
    for old in (root / STATES).iterdir():
        if old.name not in (state, Path(current).name):
            shutil.rmtree(old)
    return len(objects)


def main():
    """Sync once where the period is 0, else for ever: a store that is away for a while must not stop Airflow."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    bucket, prefix = os.environ["DAGS_BUCKET"], os.environ["DAGS_PREFIX"].strip("/")
    prefix = f"{prefix}/" if prefix else ""
    root, link, period = Path(os.environ["DAGS_DIRECTORY"]), os.environ["DAGS_LINK"], int(os.environ["DAGS_PERIOD"])
    # Hadoop and the AWS SDKs for other languages read AWS_REGION, boto3 does not.
    region = os.environ.get("AWS_REGION") or None
    while True:
        try:
            count = sync(boto3.client("s3", region_name=region), bucket, prefix, root, link)
        except (BotoCoreError, ClientError, OSError, ValueError) as error:
            print(f"s3://{bucket}/{prefix}: {error}", file=sys.stderr, flush=True)
            if not period:
                sys.exit(1)
        else:
            if count is not None:
                print(f"s3://{bucket}/{prefix}: {count} objects", flush=True)
            if not period:
                return
        time.sleep(period)


if __name__ == "__main__":
    main()
