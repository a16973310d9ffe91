# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a server is reached: one pool of connections under the clients of both APIs, and errors that say what to do."""

from __future__ import annotations

import re
import ssl
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from ansible.module_utils.basic import AnsibleModule, env_fallback, missing_required_lib

try:
    import urllib3
except ImportError:
    IMPORT_ERROR: str | None = traceback.format_exc()
else:
    IMPORT_ERROR = None

CONNECTIONS = 8
"""As many as are used at once."""

WHO_ANSWERS = "does url lead to MinIO's API, or to a proxy or its console?"

_HINTS = {
    "InvalidAccessKeyId": "The server knows no such access key, or the account is disabled: check access_key.",
    "SignatureDoesNotMatch": "The server refuses the secret key of this account: check secret_key.",
    "RequestTimeTooSkewed": "The clocks of this host and of the server differ by more than 15 minutes: check NTP on both.",
    "AccessDenied": "The account that this task signs in with may not do this: use the root account or one with the policy consoleAdmin.",
    "AuthorizationHeaderMalformed": "The server was set up for another region: set region.",
    "InvalidRegion": "The server was set up for another region: set region.",
    "XMinioServerNotInitialized": "The server is still starting: try again in a moment.",
}
_NOT_FOUND = ("XMinioAdminNoSuchUser", "NoSuchBucket", "NoSuchLifecycleConfiguration")
_HOST_AND_PORT = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?")
_REGION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


class MinioError(Exception):
    """A failure to be shown to the user as it is."""


class NotFoundError(MinioError):
    """The object that was asked for does not exist."""


class CodedError(MinioError):
    """An error that the server itself has named."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Connection:
    """How to reach the server, and as whom."""

    url: str
    access_key: str
    secret_key: str = field(repr=False)
    ca_path: str | None = None
    validate_certs: bool = True
    region: str = "us-east-1"
    connect_timeout: int = 5
    timeout: int = 30
    path_style: bool = True

    @property
    def secure(self) -> bool:
        """Whether TLS is spoken."""
        return self.url.startswith("https:")

    @property
    def host_and_port(self) -> str:
        """The part of the address that both libraries want alone."""
        return urlsplit(self.url).netloc

    @property
    def proxy(self) -> str | None:
        """The proxy that the environment names for this server, unless it excepts the host."""
        proxies = {} if proxy_bypass(self.host_and_port) else getproxies()
        return proxies.get("https" if self.secure else "http")


def argument_spec() -> dict[str, dict[str, Any]]:
    """Arguments of the connection, as the fragment ``minio`` documents them."""
    return {
        "url": {"type": "str", "required": True, "fallback": (env_fallback, ["MINIO_URL"])},
        "access_key": {
            "type": "str",
            "required": True,
            # A name, not a secret: masked, it would garble every result that holds the same word.
            "no_log": False,
            "fallback": (env_fallback, ["MINIO_ACCESS_KEY", "MINIO_ROOT_USER"]),
        },
        "secret_key": {
            "type": "str",
            "required": True,
            "no_log": True,
            "fallback": (env_fallback, ["MINIO_SECRET_KEY", "MINIO_ROOT_PASSWORD"]),
        },
        "ca_path": {"type": "path", "fallback": (env_fallback, ["MINIO_CA_PATH"])},
        "validate_certs": {"type": "bool", "default": True, "fallback": (env_fallback, ["MINIO_VALIDATE_CERTS"])},
        "region": {"type": "str", "default": "us-east-1", "fallback": (env_fallback, ["MINIO_REGION"])},
        "connect_timeout": {"type": "int", "default": 5},
        "timeout": {"type": "int", "default": 30, "fallback": (env_fallback, ["MINIO_TIMEOUT"])},
    }


class Client:
    """What the clients of the admin API and of the S3 API share."""

    package = ""
    import_error: str | None = None

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._http = _pool(connection)

    @contextmanager
    def _errors(self, task: str) -> Iterator[None]:
        """Turn whatever a call raises into one readable error: what was tried, where, what came back, what to do."""
        try:
            yield
        except urllib3.exceptions.HTTPError as error:
            raise MinioError(self._said(task, _transport_failure(error, self.connection))) from error
        except ValueError as error:
            # A page, or a body that does not parse or decrypt: somebody else answered in the server's place.
            raise MinioError(self._said(task, f"the answer is not MinIO's ({error}): {WHO_ANSWERS}")) from error

    def _coded(self, task: str, code: str, message: str) -> MinioError:
        """An error that the server itself has named."""
        said = self._said(task, f"{code}: {message}", _HINTS.get(code, ""))
        return NotFoundError(said) if code in _NOT_FOUND else CodedError(said, code)

    def _said(self, task: str, reason: str, hint: str = "") -> str:
        where = f"MinIO at {self.connection.url} (as {self.connection.access_key!r})"
        sentence = reason if reason.endswith((".", "?")) else f"{reason}."
        return f"{where}: cannot {task}: {sentence} {hint}".rstrip()


AnyClient = TypeVar("AnyClient", bound=Client)


@contextmanager
def session(module: AnsibleModule, client: type[AnyClient]) -> Iterator[AnyClient]:
    """The client that a module's arguments describe; whatever goes wrong in it fails the module in one readable line."""
    import_error = IMPORT_ERROR or client.import_error
    if import_error:
        module.fail_json(msg=missing_required_lib(client.package), exception=import_error)
    try:
        yield client(_connection(module.params))
    except MinioError as error:
        module.fail_json(msg=str(error))


def _connection(params: dict[str, Any]) -> Connection:
    """The connection that is asked for, validated; a host and port alone mean TLS."""
    given = params["url"]
    url = given if "://" in given else f"https://{given}"
    scheme, _separator, rest = url.partition("://")
    address = _HOST_AND_PORT.fullmatch(rest.removesuffix("/"))
    port = address[2] if address else None
    if scheme not in ("http", "https") or not address or not (0 < int(port) < 65536 if port else url == given):
        raise MinioError(f"url is {given!r}: it must have the form https://host:port or host:port, with nothing after the port.")
    if not _REGION.fullmatch(params["region"]):
        raise MinioError(f"region is {params['region']!r}: expected something like us-east-1, or leave it out.")
    if not (params["access_key"].isascii() and params["access_key"].isprintable()):
        raise MinioError(f"access_key is {params['access_key']!r}: the name of an account that can sign in is ASCII.")
    for name in ("connect_timeout", "timeout"):
        if params[name] < 1:
            raise MinioError(f"{name} is {params[name]}: it must be at least 1 second.")
    options = {name: params[name] for name in (*argument_spec(), "path_style") if name in params}
    return Connection(**{**options, "url": f"{scheme}://{address[0]}"})


class _WithoutPages:
    """Connections to a host. MinIO's API never answers with a page; taken for one, a proxy's page would mean an empty list or a success."""

    def __init__(self, connections: urllib3.HTTPConnectionPool) -> None:
        self._connections = connections

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._connections, name)
        return partial(self._look, attribute) if callable(attribute) else attribute

    @staticmethod
    def _look(call: Callable[..., Any], *args: Any, **kw: Any) -> Any:
        answer = call(*args, **kw)
        if "text/html" in getattr(answer, "headers", {}).get("Content-Type", "") and not answer.get_redirect_location():
            raise ValueError(f"HTTP status {answer.status} with a web page")
        return answer


def _pool(connection: Connection) -> urllib3.PoolManager:
    """Connections that fail soon, and that take no web page for an answer."""
    # urllib3 knows the proxies of the environment only when told; the clients of Proxmox and Kubernetes honour them by themselves.
    kind: type[urllib3.PoolManager] = urllib3.ProxyManager if connection.proxy else urllib3.PoolManager

    class WithContext(urllib3.connection.HTTPSConnection):
        """Has a TLS context of its own.

        urllib3 sets protocols of the context at each connection. Shared, OpenSSL may just be reading them for another thread, which
        then sends a greeting that no server can decode (psf/requests, issue 6560).
        """

        def connect(self) -> None:
            self.ssl_context = _ssl_context(connection)
            super().connect()

    class Pool(kind):  # type: ignore[valid-type,misc]
        """Looks at each answer (ansible-test takes an overridden request method for a call of urllib's function)."""

        def connection_from_host(self, *args: Any, **kw: Any) -> Any:
            connections = super().connection_from_host(*args, **kw)
            if connection.secure:
                connections.ConnectionCls = WithContext
            return _WithoutPages(connections)

        def clear(self) -> None:
            """Keep the connections: a client of the library closes them when it is no longer used, under all others that share them."""

    # A redirect is not followed: it would carry the signature to somebody else. A starting server answers 503 and asks to come
    # back in a minute; it is ready in seconds.
    retries = urllib3.Retry(
        connect=2,
        read=0,
        other=0,
        redirect=0,
        status=5,
        backoff_factor=0.2,
        status_forcelist=[502, 503, 504],
        respect_retry_after_header=False,
        raise_on_status=False,
    )
    options: dict[str, Any] = {
        "maxsize": CONNECTIONS,
        "timeout": urllib3.Timeout(connect=connection.connect_timeout, read=connection.timeout),
        "retries": retries,
    }
    if connection.secure:
        # What is wrong with ca_path is said before anything is asked.
        options["ssl_context"] = _ssl_context(connection)
    if connection.proxy:
        try:
            return Pool(connection.proxy, **options)
        except (ValueError, urllib3.exceptions.HTTPError) as error:
            raise MinioError(
                f"The environment's proxy for {connection.url} is no proxy's address ({_proxy_failure(connection)})."
            ) from error
    return Pool(**options)


def _ssl_context(connection: Connection) -> ssl.SSLContext:
    """Verification against the given CA, or the system's."""
    try:
        context = ssl.create_default_context(cafile=connection.ca_path)
    except (OSError, ssl.SSLError) as error:
        raise MinioError(f"ca_path is {connection.ca_path!r}: no CA certificates in PEM form can be read from it ({error}).") from error
    if not connection.validate_certs:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _transport_failure(error: Exception, connection: Connection) -> str:
    """What a failed connection most likely means."""
    reason = getattr(error, "reason", None) or error
    text = re.sub(r"^<[^>]*>: |^.*?object at 0x[0-9a-f]+>: ", "", str(reason))
    if isinstance(reason, urllib3.exceptions.ProxyError):
        cause = re.sub(r"^.*?object at 0x[0-9a-f]+>: ", "", str(getattr(reason, "original_error", text)))
        return f"no connection ({cause}) by way of the environment's proxy ({_proxy_failure(connection)})"
    if isinstance(reason, urllib3.exceptions.SSLError):
        if "WRONG_VERSION_NUMBER" in text:
            return f"TLS failed ({text}): the port seems to speak plain http"
        given = f"ca_path {connection.ca_path}" if connection.ca_path else "the system's CAs (no ca_path is set)"
        return f"TLS failed ({text}): the certificate must name the host in url and be signed by {given}"
    if isinstance(reason, urllib3.exceptions.ReadTimeoutError):
        return f"no answer within {connection.timeout} seconds (timeout)"
    if isinstance(reason, (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)):
        return f"no connection ({text}): is the server up, and do host and port in url lead to it from this host?"
    if isinstance(reason, urllib3.exceptions.ResponseError):
        return f"the answer is not MinIO's ({text}): {WHO_ANSWERS}"
    return f"the connection broke ({text}): is url right about http and https?"


def _proxy_failure(connection: Connection) -> str:
    """Which proxy, without the password that may stand in its address, and how to go without."""
    proxy = urlsplit(connection.proxy or "")
    variable = "HTTPS_PROXY" if connection.secure else "HTTP_PROXY"
    return f"{proxy.netloc.rpartition('@')[2]}, from {variable}; a host in NO_PROXY is reached without"
