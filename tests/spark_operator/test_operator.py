"""The custom resource definitions of the Spark operator, which Helm never brings up to date."""

from __future__ import annotations

from pathlib import Path

from tests.platform.reality import get, kubectl
from tests.playbook import Site


def test_the_definitions_are_brought_to_those_of_the_chart(tmp_path: Path) -> None:
    definition = ("customresourcedefinition", "sparkapplications.sparkoperator.k8s.io")
    deployment = ("deployment", "--namespace", "spark-operator", "spark-operator-controller")
    wanted = get(*definition)["spec"]
    chart = get(*deployment)["metadata"]["labels"]["helm.sh/chart"]
    # As an older chart would have left both.
    kubectl("patch", *definition, "--type=json", "--patch", '[{"op": "remove", "path": "/spec/versions/0/additionalPrinterColumns"}]')
    kubectl("label", *deployment, "--overwrite", "helm.sh/chart=spark-operator-2.4.0")
    try:
        assert Site.copy(tmp_path).play("playbooks/spark.yml").returncode == 0
        assert get(*definition)["spec"] == wanted
    finally:
        kubectl("label", *deployment, "--overwrite", f"helm.sh/chart={chart}")
