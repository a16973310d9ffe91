"""The module static_volume against a real apiserver."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

import pytest
from ansible_collections.homelab.data_platform.plugins.filter.persistent_volumes import persistent_volumes
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
        return self.api.run_module("static_volume", check=check, definition=wanted, nodes=[self.node])

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

    def delete_claim(self) -> None:
        """Somebody deletes the claim; the controllers take the protection off and release the volume."""
        self.api.client.patch(self.claim_path, {"metadata": {"finalizers": None}})
        self.api.client.delete(self.claim_path)
        self.api.client.patch(f"{self.volume_path}/status", {"status": {"phase": "Released"}})


@pytest.fixture
def volumes(api: Api) -> Volumes:
    return Volumes(api, f"node-{secrets.token_hex(3)}", f"space-{secrets.token_hex(3)}")


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
