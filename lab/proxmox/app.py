# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP side: paths, authentication, parameter verification and Proxmox's answers."""

from __future__ import annotations

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
from lab.proxmox.guest import Guest, NoGuest
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
        vm, storage, task = "/nodes/{node}/qemu/{vmid}", "/nodes/{node}/storage", "/nodes/{node}/tasks/{upid}"
        return [
            Call("GET", "/version", NoParameters, lambda access, query: VERSION),
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

    def nodes(self, access: Access, query: NoParameters) -> list[dict[str, object]]:
        return [{"node": node, "id": f"node/{node}", "type": "node", "status": "online"} for node in self.store.nodes]

    def _vm(self, vmid: int) -> dict[str, Any]:
        entry, config = self.store.vms[vmid], self.store.load(vmid).applied()
        lock = {"lock": config["lock"]} if "lock" in config else {}
        return {"vmid": vmid, "name": config["name"], "status": entry["status"], "template": 0, **lock}

    def resources(self, access: Access, query: ClusterResources) -> list[dict[str, Any]]:
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
        self._node(query)
        here = [vmid for vmid, entry in self.store.vms.items() if entry["node"] == query.node]
        return [self._vm(vmid) for vmid in here if access.may(f"/vms/{vmid}", "VM.Audit")]

    def config(self, access: Access, query: ConfigGet) -> dict[str, str]:
        self._audit(access, query)
        config = self.store.load(query.vmid, query.node)
        return {**(config.current if query.current else config.applied()), "digest": config.digest}

    def pending(self, access: Access, query: VmPath) -> list[dict[str, Any]]:
        self._audit(access, query)
        return self.machines.pending(query.vmid, query.node)

    def status(self, access: Access, query: VmPath) -> dict[str, Any]:
        self._audit(access, query)
        self.store.load(query.vmid, query.node)
        return {**self._vm(query.vmid), "ha": {"managed": 0}}

    def update_async(self, access: Access, query: Any) -> str | None:
        return self._update(access, query, sync=False)

    def update_sync(self, access: Access, query: Any) -> str | None:
        return self._update(access, query, sync=True)

    def _update(self, access: Access, query: Any, *, sync: bool) -> str | None:
        self._node(query)
        values = query.model_dump(by_alias=True, exclude_unset=True, exclude={"node", "vmid"})
        return self.machines.update(access, query.node, query.vmid, values, sync=sync)

    def unlink(self, access: Access, query: Unlink) -> str | None:
        self._node(query)
        values: dict[str, Any] = {"delete": query.idlist, "force": query.force}
        return self.machines.update(access, query.node, query.vmid, values, sync=True)

    def resize(self, access: Access, query: Resize) -> str:
        self._node(query)
        return self.machines.resize(access, query.node, query.vmid, query.disk, query.size, query.digest, query.skiplock)

    def _visible_storages(self, access: Access) -> list[str]:
        return [name for name in self.store.storages if access.may(f"/storage/{name}", "Datastore.Audit", "Datastore.AllocateSpace")]

    def storage_list(self, access: Access, query: StorageList) -> list[dict[str, Any]]:
        self._node(query)
        names = [name for name in self._visible_storages(access) if query.storage in (None, name)]
        found = [{"storage": name, **self.storages.status(name)} for name in names]
        return [entry for entry in found if not query.content or query.content in str(entry["content"]).split(",")]

    def storage_status(self, access: Access, query: StoragePath) -> dict[str, object]:
        self._node(query)
        access.check(f"/storage/{query.storage}", "Datastore.Audit", "Datastore.AllocateSpace")
        return self.storages.status(query.storage)

    def storage_content(self, access: Access, query: StorageContent) -> list[dict[str, Any]]:
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
        record = self._task(access, query)
        return {key: value for key, value in record.items() if key != "log"}

    def task_log(self, access: Access, query: TaskLog) -> list[dict[str, Any]]:
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
            raise failure(f"hostname lookup '{query.node}' failed - failed to get address info for: {query.node}: Name or service not known")


def create_app(
    state_dir: Path | str,
    guest: Guest | None = None,
    *,
    faults: Faults | None = None,
    auth_delay: float = 3.0,
    lock_timeout: float = 10.0,
) -> Starlette:
    """The daemon over a state directory; every running machine gets its disks plugged before the first answer.

    ``auth_delay`` is how late a 401 comes, ``lock_timeout`` how long a call waits for another one's work on the same machine.
    """
    faults = faults or Faults()
    store = Store(Path(state_dir))
    storages, tasks = Storages(store), Tasks(store, faults)
    machines = Machines(store, storages, tasks, guest or NoGuest(), lock_timeout)
    api = Api(store, machines, storages, tasks)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        for vmid in store.vms:
            if machines.running(vmid):
                await run_in_threadpool(machines.plug_all, vmid)
        yield

    def respond(request: Request, call: Call, form: dict[str, str]) -> Response:
        try:
            access = authenticate(request.headers.get("authorization", ""), store.tokens)
        except ApiError as error:
            time.sleep(auth_delay)
            return _failed(error)
        try:
            if faults.proxy_error():
                raise ApiError(599, "Too many redirections")
            if call.method != "GET":
                faults.writing()
            answer = call.answer(access, verify(call.table, {**request.path_params, **request.query_params, **form}))
        except ApiError as error:
            return _failed(error)
        if call.method != "GET" and faults.drop():
            return Response(headers={DROP_HEADER: "1"})
        return JSONResponse({"data": answer})

    def route(call: Call) -> Route:
        async def endpoint(request: Request) -> Response:
            form = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
            return await run_in_threadpool(respond, request, call, form)

        return Route(f"/api2/json{call.path}", endpoint, methods=[call.method])

    async def not_implemented(request: Request, error: Exception) -> Response:
        path = request.url.path.removeprefix("/api2/json")
        return _failed(ApiError(501, f"Method '{request.method} {path}' not implemented"))

    return Starlette(
        routes=[route(call) for call in api.calls],
        lifespan=lifespan,
        exception_handlers={404: not_implemented, 405: not_implemented},
    )


def _failed(error: ApiError) -> Response:
    body: dict[str, Any] = {"data": None, "message": f"{error.message}\n"}
    if error.errors:
        body["errors"] = error.errors
    return JSONResponse(body, error.status, headers={REASON_HEADER: error.message.replace("\n", " ")})
