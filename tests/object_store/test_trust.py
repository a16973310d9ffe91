"""Each client of the platform verifies with the private CA: with the ConfigMap it is let in, without it refuses the server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lab import components
from tests.platform.reality import get, kubectl, wait_for

BUNDLE = "/etc/data-platform/ca/ca-bundle.crt"
TRUSTSTORE = "-Djavax.net.ssl.trustStore=/etc/data-platform/ca/truststore.p12 -Djavax.net.ssl.trustStorePassword=changeit"
LIST = "import boto3; print(boto3.client('s3').list_objects_v2(Bucket='datalake')['KeyCount'])"
# Given settings one by one, Hadoop wants a file of settings all the same.
HADOOP = (
    "export SPARK_CONF_DIR=$(mktemp -d); echo '<configuration/>' > $SPARK_CONF_DIR/core-site.xml; "
    "/opt/spark/bin/spark-class org.apache.hadoop.fs.FsShell -D fs.s3a.endpoint=$AWS_ENDPOINT_URL_S3 -D fs.s3a.path.style.access=true "
    "-D fs.s3a.attempts.maximum=1 -D fs.s3a.retry.limit=0 -ls s3a://datalake/logs/spark-log/"
)
CLIENTS = {
    "boto3 in Airflow's image": ("image-airflow", ["python", "-c", LIST], {"AWS_CA_BUNDLE": BUNDLE}),
    "S3A in Spark's image": ("image-spark-s3a", ["sh", "-c", HADOOP], {"JAVA_TOOL_OPTIONS": TRUSTSTORE}),
    "git in git-sync's image": (
        "image-git-sync",
        ["git", "ls-remote", "https://git.lab.test/data-platform-core.git"],
        {"GIT_SSL_CAINFO": BUNDLE},
    ),
}
REFUSALS = ("certificate verify failed", "unable to find valid certification path", "certificate verification failed")


def run(name: str, image: str, command: list[str], environment: dict[str, str]) -> tuple[str, str]:
    """How a pod ended, and what it said."""
    container: dict[str, Any] = {
        "name": "main",
        "image": (components.path(image) / "name").read_text().strip(),
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        "envFrom": [{"secretRef": {"name": "spark-object-store"}}],
        "env": [{"name": variable, "value": value} for variable, value in environment.items()],
        "volumeMounts": [{"name": "ca", "mountPath": "/etc/data-platform/ca"}],
    }
    spec = {"restartPolicy": "Never", "containers": [container], "volumes": [{"name": "ca", "configMap": {"name": "data-platform-ca"}}]}
    place = ("--namespace", "spark-jobs", name)
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "spark-jobs"}, "spec": spec}
    kubectl("create", "--filename=-", stdin=json.dumps(pod))

    def ended() -> str:
        phase: str = get("pod", *place)["status"]["phase"]
        return phase if phase in ("Succeeded", "Failed") else ""

    try:
        return wait_for(f"the end of the pod {name}", ended, 180), kubectl("logs", *place)
    finally:
        kubectl("delete", "pod", *place, "--wait=false")


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_verifies_with_the_private_ca_and_not_without(client: str) -> None:
    image, command, trust = CLIENTS[client]
    phase, said = run(f"with-{image}", image, command, trust)
    assert phase == "Succeeded", said
    phase, said = run(f"without-{image}", image, command, {})
    assert phase == "Failed", said
    assert any(refusal in said for refusal in REFUSALS), said
