# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP side: paths, authentication, parameter verification and Proxmox's answers."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lab.proxmox.access import Access, authenticate
from lab.proxmox.errors import ApiError, failure
from lab.proxmox.faults import Faults
from lab.proxmox.guest import Guest, GuestError, NoGuest
from lab.proxmox.machines import Machines
from lab.proxmox.parameters import (
    ClusterResources,
    ConfigGet,
    ConfigUpdate,
    NodePath,
    NoParameters,
    Resize,
    StorageContent,
    StorageList,
    StoragePath,
    Table,
    TaskLog,
    TaskPath,
    Unlink,
    VmList,
    VmPath,
    verify,
)
from lab.proxmox.server import DROP_HEADER, REASON_HEADER
from lab.proxmox.state import Store
from lab.proxmox.storage import Storages
from lab.proxmox.tasks import Tasks

_LOG = logging.getLogger(__name__)

VERSION = {"version": "9.0.11", "release": "9.0", "repoid": "0000000000000000"}


class Call(NamedTuple):
    """A method on a path, the table of its parameters, and what answers it."""

    method: str
    path: str
    table: type[Table]
    answer: Callable[[Access, Any], Any]


class Api:
    """The answers to the calls, one method each."""

    def __init__(self, store: Store, machines: Machines, storages: Storages, tasks: Tasks) -> None:
        self.store, self.machines, self.storages, self.tasks = store, machines, storages, tasks

    @property
    def calls(self) -> list[Call]:
        """Every call that is served."""
        vm, storage, task = "/nodes/{node}/qemu/{vmid}", "/nodes/{node}/storage", "/nodes/{node}/tasks/{upid}"
        return [
            Call("GET", "/version", NoParameters, lambda _access, _query: VERSION),
            Call("GET", "/nodes", NoParameters, self.nodes),
            Call("GET", "/cluster/resources", ClusterResources, self.resources),
            Call("GET", "/nodes/{node}/qemu", VmList, self.vms),
            Call("GET", f"{vm}/config", ConfigGet, self.config),
            Call("POST", f"{vm}/config", ConfigUpdate, self.update_async),
            Call("PUT", f"{vm}/config", ConfigUpdate, self.update_sync),
            Call("GET", f"{vm}/pending", VmPath, self.pending),
            Call("PUT", f"{vm}/resize", Resize, self.resize),
            Call("PUT", f"{vm}/unlink", Unlink, self.unlink),
            Call("GET", f"{vm}/status/current", VmPath, self.status),
            Call("POST", f"{vm}/status/start", VmPath, lambda access, query: self.machines.start(access, query.node, query.vmid)),
            Call("POST", f"{vm}/status/stop", VmPath, lambda access, query: self.machines.stop(access, query.node, query.vmid)),
            Call("GET", storage, StorageList, self.storage_list),
            Call("GET", f"{storage}/{{storage}}/status", StoragePath, self.storage_status),
            Call("GET", f"{storage}/{{storage}}/content", StorageContent, self.storage_content),
            Call("GET", f"{task}/status", TaskPath, self.task_status),
            Call("GET", f"{task}/log", TaskLog, self.task_log),
        ]

    def nodes(self, _access: Access, _query: NoParameters) -> list[dict[str, object]]:
        """The nodes of the cluster."""
        return [{"node": node, "id": f"node/{node}", "type": "node", "status": "online"} for node in self.store.nodes]

    def _vm(self, vmid: int) -> dict[str, Any]:
        entry, config = self.store.vms[vmid], self.store.load(vmid).applied()
        lock = {"lock": config["lock"]} if "lock" in config else {}
        return {"vmid": vmid, "name": config["name"], "status": entry["status"], "template": 0, **lock}

    def resources(self, access: Access, query: ClusterResources) -> list[dict[str, Any]]:
        """What the caller may see of the whole cluster."""
        found: list[dict[str, Any]] = []
        if query.type in (None, "node"):
            found += [{"id": f"node/{node}", "type": "node", "node": node, "status": "online"} for node in self.store.nodes]
        if query.type in (None, "vm"):
            for vmid, entry in self.store.vms.items():
                if access.may(f"/vms/{vmid}", "VM.Audit"):
                    found.append({**self._vm(vmid), "id": f"qemu/{vmid}", "type": "qemu", "node": entry["node"]})
        if query.type in (None, "storage"):
            for name in self._visible_storages(access):
                found += [{"id": f"storage/{node}/{name}", "type": "storage", "node": node, "storage": name} for node in self.store.nodes]
        return found

    def vms(self, access: Access, query: VmList) -> list[dict[str, Any]]:
        """A node's machines, as far as the caller may see them."""
        self._node(query)
        here = [vmid for vmid, entry in self.store.vms.items() if entry["node"] == query.node]
        return [self._vm(vmid) for vmid in here if access.may(f"/vms/{vmid}", "VM.Audit")]

    def config(self, access: Access, query: ConfigGet) -> dict[str, str]:
        """The configuration; pending values look applied unless the current ones are asked for."""
        self._audit(access, query)
        config = self.store.load(query.vmid, query.node)
        return {**(config.current if query.current else config.applied()), "digest": config.digest}

    def pending(self, access: Access, query: VmPath) -> list[dict[str, Any]]:
        """Current and waiting values side by side."""
        self._audit(access, query)
        return self.machines.pending(query.vmid, query.node)

    def status(self, access: Access, query: VmPath) -> dict[str, Any]:
        """Whether the machine runs."""
        self._audit(access, query)
        self.store.load(query.vmid, query.node)
        return {**self._vm(query.vmid), "ha": {"managed": 0}}

    def update_async(self, access: Access, query: Any) -> str | None:
        """Change the configuration in a task."""
        return self._update(access, query, sync=False)

    def update_sync(self, access: Access, query: Any) -> str | None:
        """Change the configuration at once."""
        return self._update(access, query, sync=True)

    def _update(self, access: Access, query: Any, *, sync: bool) -> str | None:
        self._node(query)
        values = query.model_dump(by_alias=True, exclude_unset=True, exclude={"node", "vmid"})
        return self.machines.update(access, query.node, query.vmid, values, sync=sync)

    def unlink(self, access: Access, query: Unlink) -> str | None:
        """Detach disks, or destroy unused volumes."""
        self._node(query)
        values: dict[str, Any] = {"delete": query.idlist, "force": query.force}
        return self.machines.update(access, query.node, query.vmid, values, sync=True)

    def resize(self, access: Access, query: Resize) -> str:
        """Grow a disk in a task."""
        self._node(query)
        return self.machines.resize(access, query.node, query.vmid, query.disk, query.size, query.digest, query.skiplock)

    def _visible_storages(self, access: Access) -> list[str]:
        return [name for name in self.store.storages if access.may(f"/storage/{name}", "Datastore.Audit", "Datastore.AllocateSpace")]

    def storage_list(self, access: Access, query: StorageList) -> list[dict[str, Any]]:
        """The storages that the caller may see, with their room."""
        self._node(query)
        names = [name for name in self._visible_storages(access) if query.storage in (None, name)]
        found = [{"storage": name, **self.storages.status(name)} for name in names]
        return [entry for entry in found if not query.content or query.content in str(entry["content"]).split(",")]

    def storage_status(self, access: Access, query: StoragePath) -> dict[str, object]:
        """One storage's room."""
        self._node(query)
        access.check(f"/storage/{query.storage}", "Datastore.Audit", "Datastore.AllocateSpace")
        return self.storages.status(query.storage)

    def storage_content(self, access: Access, query: StorageContent) -> list[dict[str, Any]]:
        """The volumes on a storage."""
        self._node(query)
        access.check(f"/storage/{query.storage}", "Datastore.Audit", "Datastore.AllocateSpace")
        self.storages.get(query.storage)
        volumes = [
            {"volid": volume, "vmid": vmid, "size": size, "format": "raw", "content": "images"}
            for volume, vmid, size in self.storages.volumes(query.storage)
            if query.content in (None, "images") and query.vmid in (None, vmid)
        ]
        return [volume for volume in volumes if access.may(f"/vms/{volume['vmid']}", "VM.Config.Disk")]

    def task_status(self, access: Access, query: TaskPath) -> dict[str, Any]:
        """Whether a task runs, and how it ended."""
        record = self._task(access, query)
        return {key: value for key, value in record.items() if key != "log"}

    def task_log(self, access: Access, query: TaskLog) -> list[dict[str, Any]]:
        """What a task said."""
        lines = self._task(access, query)["log"][query.start : query.start + query.limit]
        return [{"n": query.start + number, "t": line} for number, line in enumerate(lines, 1)]

    def _task(self, access: Access, query: TaskPath) -> dict[str, Any]:
        self._node(query)
        record = self.tasks.get(query.node, query.upid)
        if record["user"] != access.name:
            access.check(f"/nodes/{query.node}", "Sys.Audit")
        return record

    def _audit(self, access: Access, query: VmPath) -> None:
        self._node(query)
        access.check(f"/vms/{query.vmid}", "VM.Audit")

    def _node(self, query: NodePath) -> None:
        if query.node not in self.store.nodes:
            why = f"failed to get address info for: {query.node}: Name or service not known"
            raise failure(f"hostname lookup '{query.node}' failed - {why}")


class Daemon:
    """What every call has in common: authentication first, then verification, then the answer."""

    def __init__(self, api: Api, faults: Faults, auth_delay: float) -> None:
        self.api, self.faults, self.auth_delay = api, faults, auth_delay

    def routes(self) -> list[Route]:
        """One route a call."""
        return [self._route(call) for call in self.api.calls]

    def _route(self, call: Call) -> Route:
        async def endpoint(request: Request) -> Response:
            form = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
            values = {**request.path_params, **request.query_params, **form}
            return await run_in_threadpool(self._respond, call, request.headers.get("authorization", ""), values)

        return Route(f"/api2/json{call.path}", endpoint, methods=[call.method])

    def _respond(self, call: Call, authorization: str, values: dict[str, str]) -> Response:
        try:
            access = authenticate(authorization, self.api.store.tokens)
        except ApiError as error:
            time.sleep(self.auth_delay)
            return _failed(error)
        if self.faults.proxy_error():
            return _failed(ApiError(599, "Too many redirections"))
        writes = call.method != "GET"
        if writes:
            self.faults.writing()
        try:
            answer = call.answer(access, verify(call.table, values))
        except ApiError as error:
            return _failed(error)
        if writes and self.faults.drop():
            return Response(headers={DROP_HEADER: "1", "connection": "close"})
        return JSONResponse({"data": answer})


def create_app(
    state_dir: Path | str,
    guest: Guest | None = None,
    *,
    faults: Faults | None = None,
    auth_delay: float = 3.0,
    lock_timeout: float = 10.0,
) -> Starlette:
    """The daemon over a state directory; every machine that should run is on, with its disks, before the first answer.

    ``auth_delay`` is how late a 401 comes, ``lock_timeout`` how long a call waits for another one's work on the same machine.
    """
    faults = faults or Faults()
    store = Store(Path(state_dir))
    storages, tasks = Storages(store), Tasks(store, faults)
    machines = Machines(store, storages, tasks, guest or NoGuest(), lock_timeout)
    daemon = Daemon(Api(store, machines, storages, tasks), faults, auth_delay)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        for vmid in store.vms:
            if machines.running(vmid):
                await run_in_threadpool(_resume, machines, vmid)
        yield

    return Starlette(routes=daemon.routes(), lifespan=lifespan, exception_handlers={404: _not_implemented, 405: _not_implemented})


def _resume(machines: Machines, vmid: int) -> None:
    """One machine that does not start keeps no other back, nor the daemon."""
    try:
        machines.resume(vmid)
    except GuestError as error:
        _LOG.warning("VM %s: %s", vmid, error)


async def _not_implemented(request: Request, _error: Exception) -> Response:
    path = request.url.path.removeprefix("/api2/json")
    return _failed(ApiError(501, f"Method '{request.method} {path}' not implemented"))


def _failed(error: ApiError) -> Response:
    body: dict[str, Any] = {"data": None, "message": f"{error.message}\n"}
    if error.errors:
        body["errors"] = error.errors
    return JSONResponse(body, error.status, headers={REASON_HEADER: error.message.replace("\n", " ")})
