"""The module static_volume against a real apiserver."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import Any

import pytest
from ansible_collections.homelab.data_platform.plugins.filter.persistent_volumes import persistent_volumes
from ansible_collections.homelab.data_platform.plugins.filter.shared_volumes import shared_volumes
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.client import Object

from .conftest import Api


@dataclass
class Volumes:
    """One node's declaration, under names that no other test uses."""

    api: Api
    node: str
    namespace: str

    def objects(self, *, node: str = "", storage_class: str = "", **volume: Any) -> list[Object]:
        declared = {"name": "db", "claim": f"{self.namespace}/db", "size": "4Gi", **volume}
        disk = {"name": self.node, "size": "50G", "mount": "/mnt/data", "volumes": [declared]}
        return persistent_volumes([disk], node or self.node, storage_class or f"class-{self.node}")

    def run(self, *, check: bool = False, definition: list[Object] | None = None, **volume: Any) -> dict[str, Any]:
        wanted = self.objects(**volume) if definition is None else definition
        return self.api.run_module("static_volume", check=check, definition=wanted, **self.looked_for)

    @property
    def looked_for(self) -> dict[str, Any]:
        return {"nodes": [self.node]}

    def actions(self, **volume: Any) -> list[str]:
        """Check mode foretells what the run then does, and the next run does nothing."""
        predicted, done = self.run(check=True, **volume), self.run(**volume)
        assert not done.get("failed"), done
        assert (predicted["objects"], predicted["diff"]) == (done["objects"], done["diff"])
        again = self.run(**volume)
        assert (again["changed"], again["diff"]) == (False, [])
        return [entry["action"] for entry in done["objects"]]

    @property
    def volume_path(self) -> str:
        return f"/api/v1/persistentvolumes/{self.node}-db"

    @property
    def claim_path(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/persistentvolumeclaims/db"

    def get(self, path: str) -> Object:
        found = self.api.client.get(path)
        assert found is not None, path
        return found

    def bind(self) -> None:
        """What the controller does."""
        claim = self.get(self.claim_path)
        reference = {"uid": claim["metadata"]["uid"], "resourceVersion": claim["metadata"]["resourceVersion"]}
        self.api.client.patch(self.volume_path, {"spec": {"claimRef": reference}})
        self.api.client.patch(f"{self.volume_path}/status", {"status": {"phase": "Bound"}})
        self.api.client.patch(f"{self.claim_path}/status", {"status": {"phase": "Bound", "capacity": {"storage": "4Gi"}}})

    def wait(self, path: str, phase: str) -> Object:
        """Wait until the controllers have brought it there."""
        deadline = time.monotonic() + 60
        while (found := self.get(path))["status"].get("phase") != phase:
            assert time.monotonic() < deadline, found
            time.sleep(0.2)
        return found

    def delete_claim(self) -> None:
        """Somebody deletes the claim; the controllers take the protection off and release the volume."""
        self.api.client.patch(self.claim_path, {"metadata": {"finalizers": None}})
        self.api.client.delete(self.claim_path)
        self.api.client.patch(f"{self.volume_path}/status", {"status": {"phase": "Released"}})


NFS = {"server": "nas.home.arpa", "path": "/export/db"}
CSI = {
    "driver": "efs.csi.aws.com",
    "volume_handle": "fs-0123456789abcdef0",
    "fs_type": "",
    "read_only": False,
    "attributes": {"encryptInTransit": "true"},
    "node_stage_secret": "kube-system/stage",
    "node_publish_secret": "kube-system/publish",
}
EXPLAINED = "given its mount options (a pod has them from its next start on)"


class SharedVolumes(Volumes):
    """A declaration of one volume that no node's disk carries."""

    def objects(self, *, node: str = "", storage_class: str = "", **volume: Any) -> list[Object]:
        declared = {"name": f"{self.node}-db", "claim": f"{self.namespace}/db", "size": "4Gi", "nfs": NFS, **volume}
        return shared_volumes([declared], storage_class or f"class-{self.node}")

    @property
    def looked_for(self) -> dict[str, Any]:
        return {"shared": True}


@pytest.fixture
def volumes(api: Api) -> Volumes:
    return Volumes(api, f"node-{secrets.token_hex(3)}", f"space-{secrets.token_hex(3)}")


@pytest.fixture
def shared(api: Api) -> SharedVolumes:
    return SharedVolumes(api, f"shared-{secrets.token_hex(3)}", f"space-{secrets.token_hex(3)}")


def test_everything_is_created_once(volumes: Volumes) -> None:
    assert volumes.actions() == ["created"] * 4
    volumes.bind()
    assert volumes.run()["changed"] is False
    assert volumes.get(volumes.claim_path)["spec"]["volumeName"] == f"{volumes.node}-db"


def test_growing_raises_the_volume_and_leaves_the_claim(volumes: Volumes) -> None:
    volumes.run()
    volumes.bind()
    assert volumes.actions(size="9Gi") == ["grown"]
    assert volumes.get(volumes.volume_path)["spec"]["capacity"]["storage"] == "9Gi"
    assert volumes.get(volumes.claim_path)["spec"]["resources"]["requests"]["storage"] == "4Gi"
    assert volumes.run(size="9216Mi")["changed"] is False


def test_a_volume_goes_back_to_a_claim_that_was_deleted(volumes: Volumes) -> None:
    volumes.run()
    volumes.bind()
    uid = volumes.get(volumes.volume_path)["metadata"]["uid"]
    volumes.delete_claim()
    assert volumes.actions() == ["given back to its claim", "created"]
    volume = volumes.get(volumes.volume_path)
    assert volume["metadata"]["uid"] == uid
    assert "uid" not in volume["spec"]["claimRef"]
    volumes.bind()
    assert volumes.run()["changed"] is False


def test_a_claim_that_somebody_made_again_by_hand_gets_the_volume_too(volumes: Volumes) -> None:
    volumes.run()
    volumes.bind()
    volumes.delete_claim()
    volumes.api.client.create(volumes.claim_path.rpartition("/")[0], volumes.objects()[-1])
    assert volumes.actions() == ["given back to its claim"]


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"path": "elsewhere"}, "has spec.local.path /mnt/data/db, declared is /mnt/data/elsewhere: this cannot be changed"),
        ({"node": "another"}, "has spec.nodeAffinity of {node}, declared is of another: this cannot be changed"),
        ({"size": "2Gi"}, "has 4Gi, declared is 2Gi: a volume is not made smaller, declare 4Gi or more"),
        ({"access_modes": ["ReadOnlyMany"]}, "has spec.accessModes ReadWriteOnce, declared is ReadOnlyMany"),
        ({"claim": "other/db"}, "is reserved for the claim {namespace}/db, declared is other/db"),
        ({"storage_class": "another-class"}, "has spec.storageClassName class-{node}, declared is another-class: this cannot be changed"),
    ],
)
def test_what_cannot_be_changed_is_explained_and_nothing_is_touched(volumes: Volumes, declared: dict[str, Any], message: str) -> None:
    volumes.run()
    volumes.bind()
    before = volumes.get(volumes.volume_path)
    refused = volumes.run(**declared)
    assert refused["failed"]
    assert f"PersistentVolume {volumes.node}-db {message.format(node=volumes.node, namespace=volumes.namespace)}" in refused["msg"]
    assert volumes.get(volumes.volume_path) == before
    assert volumes.api.client.get("/api/v1/namespaces/other") is None


def test_a_volume_that_is_not_declared_any_more_stays_and_is_named(volumes: Volumes) -> None:
    volumes.run()
    result = volumes.run(definition=[])
    assert (result["changed"], result["undeclared"]) == (False, [f"{volumes.node}-db"])
    assert f"PersistentVolume {volumes.node}-db: no longer declared" in result["output"]
    assert volumes.get(volumes.volume_path)


def test_what_is_no_part_of_a_volume_is_refused(volumes: Volumes) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}
    assert "Pod is nothing that a static volume is made of" in volumes.run(definition=[pod])["msg"]


@pytest.mark.parametrize(
    "carrier",
    [
        {},
        {"nfs": {**NFS, "read_only": True}, "mount_options": ["nfsvers=4.1", "hard"]},
        {"nfs": None, "csi": CSI, "labels": {"volume": "db"}},
    ],
)
def test_a_shared_volume_is_created_once(shared: SharedVolumes, carrier: dict[str, Any]) -> None:
    assert shared.actions(**carrier) == ["created"] * 4
    volume = shared.get(shared.volume_path)
    assert "nodeAffinity" not in volume["spec"]
    assert shared.objects(**carrier)[2]["spec"].items() <= volume["spec"].items()
    shared.bind()
    assert shared.run(**carrier)["changed"] is False


def test_mount_options_are_changed_where_they_are_declared(shared: SharedVolumes) -> None:
    shared.run(mount_options=["hard"])
    shared.bind()
    assert shared.actions(mount_options=["nfsvers=4.1", "hard"], size="9Gi") == [f"grown, {EXPLAINED}"]
    assert shared.get(shared.volume_path)["spec"]["mountOptions"] == ["nfsvers=4.1", "hard"]
    assert shared.run(size="9Gi")["changed"] is False
    assert shared.actions(mount_options=[], size="9Gi") == [EXPLAINED]
    assert "mountOptions" not in shared.get(shared.volume_path)["spec"]


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (
            {"nfs": {**NFS, "path": "/export/b"}},
            "PersistentVolume {name}-db has spec.nfs path /export/db, server nas.home.arpa, "
            "declared is path /export/b, server nas.home.arpa: this cannot be changed",
        ),
        (
            {"nfs": None, "csi": CSI},
            "PersistentVolume {name}-db has spec.csi nothing, declared is driver efs.csi.aws.com, nodePublishSecretRef name",
        ),
        ({"access_modes": ["ReadOnlyMany"]}, "PersistentVolume {name}-db has spec.accessModes ReadWriteMany, declared is ReadOnlyMany"),
        ({"size": "2Gi"}, "PersistentVolume {name}-db has 4Gi, declared is 2Gi: a volume is not made smaller"),
        ({"claim": "other/db"}, "PersistentVolume {name}-db is reserved for the claim {namespace}/db, declared is other/db"),
        (
            {"labels": {"volume": "logs"}},
            "PersistentVolumeClaim {namespace}/db has spec.selector matchLabels volume db, declared is matchLabels volume logs",
        ),
    ],
)
def test_what_cannot_be_changed_of_a_shared_volume(shared: SharedVolumes, declared: dict[str, Any], message: str) -> None:
    shared.run(labels={"volume": "db"})
    shared.bind()
    before = shared.get(shared.volume_path)
    refused = shared.run(**{"labels": {"volume": "db"}, **declared})
    assert refused["failed"]
    assert message.format(name=shared.node, namespace=shared.namespace) in refused["msg"]
    assert shared.get(shared.volume_path) == before


def test_a_shared_volume_that_is_not_declared_any_more_stays_and_is_named(shared: SharedVolumes, volumes: Volumes) -> None:
    shared.run()
    volumes.run()
    result = shared.run(definition=[])
    assert f"{shared.node}-db" in result["undeclared"]
    assert f"{volumes.node}-db" not in result["undeclared"]
    assert f"{shared.node}-db" in result["output"].partition("no longer declared")[0]
    assert volumes.run()["undeclared"] == [], "a node's own run does not look for shared ones"


@pytest.mark.usefixtures("volume_controllers")
@pytest.mark.parametrize("kind", ["volumes", "shared"])
def test_the_controllers_bind_the_claim_before_any_pod_comes(kind: str, request: pytest.FixtureRequest) -> None:
    one: Volumes = request.getfixturevalue(kind)
    declared: dict[str, Any] = {"labels": {"volume": "db"}, "access_modes": ["ReadOnlyMany"]}
    one.run(**declared)
    assert one.wait(one.claim_path, "Bound")["spec"]["selector"] == {"matchLabels": {"volume": "db"}}
    uid = one.wait(one.volume_path, "Bound")["metadata"]["uid"]
    assert one.run(**declared)["changed"] is False
    one.api.client.delete(one.claim_path)
    one.wait(one.volume_path, "Released")
    given_back = one.run(**declared, size="9Gi")
    assert [entry["action"] for entry in given_back["objects"]] == ["grown, given back to its claim", "created"]
    one.wait(one.claim_path, "Bound")
    assert one.wait(one.volume_path, "Bound")["metadata"]["uid"] == uid


@pytest.mark.usefixtures("volume_controllers")
def test_a_claim_of_that_name_which_a_chart_makes_gets_the_volume_and_another_one_does_not(shared: SharedVolumes) -> None:
    labels = {"volume": "db"}
    *before, theirs = shared.objects(labels=labels)
    del theirs["spec"]["volumeName"]
    other = {**theirs, "metadata": {**theirs["metadata"], "name": "other"}}
    shared.run(definition=before)
    for claim in (other, theirs):
        shared.api.client.create(shared.claim_path.rpartition("/")[0], claim)
    shared.wait(shared.claim_path, "Bound")
    assert shared.run(labels=labels)["changed"] is False
    assert shared.get(f"{shared.claim_path.rpartition('/')[0]}/other")["status"]["phase"] == "Pending"
