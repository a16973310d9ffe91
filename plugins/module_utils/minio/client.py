# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small client of MinIO's admin and S3 APIs: one connection, and errors that say what to do."""

from __future__ import annotations

import html
import json
import re
import ssl
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from ansible.module_utils.basic import AnsibleModule, env_fallback, missing_required_lib

try:
    import urllib3

    from minio import Minio, MinioAdmin
    from minio.commonconfig import ENABLED
    from minio.credentials import StaticProvider
    from minio.error import InvalidResponseError, MinioAdminException, S3Error, ServerError
    from minio.versioningconfig import SUSPENDED, VersioningConfig
except ImportError:
    IMPORT_ERROR: str | None = traceback.format_exc()
else:
    IMPORT_ERROR = None

_HINTS = {
    "InvalidAccessKeyId": "The server knows no such access key, or the account is disabled: check access_key.",
    "SignatureDoesNotMatch": "The server refuses the secret key of this account: check secret_key.",
    "RequestTimeTooSkewed": "The clocks of this host and of the server differ by more than 15 minutes: check NTP on both.",
    "AccessDenied": "The account that this task signs in with may not do this: use the root account or one with the policy consoleAdmin.",
    "AuthorizationHeaderMalformed": "The server was set up for another region: set region.",
    "XMinioServerNotInitialized": "The server is still starting: try again in a moment.",
}

_WHO_ANSWERS = "does url lead to MinIO's API, or to a proxy or its console?"


class MinioError(Exception):
    """A failure to be shown to the user as it is."""


class NotFoundError(MinioError):
    """The object that was asked for does not exist."""


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


@dataclass(frozen=True)
class FoundUser:
    """What the server says about a user."""

    enabled: bool
    policies: frozenset[str]


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


@contextmanager
def session(module: AnsibleModule) -> Iterator[Client]:
    """The client that a module's arguments describe; whatever goes wrong in it fails the module in one readable line."""
    if IMPORT_ERROR is not None:
        module.fail_json(msg=missing_required_lib("minio"), exception=IMPORT_ERROR)
    try:
        yield Client(Connection(**{name: module.params[name] for name in argument_spec()}))
    except MinioError as error:
        module.fail_json(msg=str(error))


class Client:
    """Calls the admin API and the S3 API of one server over one pool of connections."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._endpoint, self._secure = _endpoint(connection.url)
        self._http = _pool(connection, secure=self._secure)
        self._admin = MinioAdmin(
            endpoint=self._endpoint,
            credentials=StaticProvider(connection.access_key, connection.secret_key),
            region=connection.region,
            secure=self._secure,
            http_client=self._http,
        )
        self._s3 = self._s3_as(connection.access_key, connection.secret_key)

    def policies(self) -> dict[str, dict[str, Any]]:
        """Every policy of the server, by name."""
        with self._errors("list the policies"):
            return dict(json.loads(self._admin.policy_list()))

    def put_policy(self, name: str, document: dict[str, Any]) -> None:
        """Write a policy, whether it exists or not."""
        with self._errors(f"write the policy {name!r}"):
            self._admin.policy_add(name, policy=document)

    def remove_policy(self, name: str) -> None:
        """Remove a policy that nobody holds."""
        with self._errors(f"remove the policy {name!r}"):
            self._admin.policy_remove(name)

    def policy_holders(self, name: str) -> list[str]:
        """The users and groups that a policy is attached to, in words."""
        with self._errors(f"see who holds the policy {name!r}"):
            mappings = json.loads(self._admin.get_policy_entities([], [], [name])).get("policyMappings") or []
        return [
            f"{kind} {holder!r}" for mapping in mappings for kind in ("user", "group") for holder in sorted(mapping.get(f"{kind}s") or [])
        ]

    def user(self, name: str) -> FoundUser | None:
        """A user, or None where there is none of that name."""
        try:
            with self._errors(f"read the user {name!r}"):
                found = json.loads(self._admin.user_info(name))
        except NotFoundError:
            return None
        return FoundUser(
            enabled=found.get("status") == "enabled",
            policies=frozenset(filter(None, (found.get("policyName") or "").split(","))),
        )

    def secret_matches(self, name: str, secret_key: str) -> bool:
        """Whether an enabled user's secret is this one: a request signed with it tells, whatever the user may do."""
        with self._errors(f"prove the secret of the user {name!r}"):
            try:
                self._s3_as(name, secret_key).list_buckets()
            except S3Error as error:
                if error.code == "SignatureDoesNotMatch":
                    return False
                if error.code != "AccessDenied":
                    raise
        return True

    def set_user(self, name: str, secret_key: str) -> None:
        """Create a user, or give an existing one this secret; either way the user is enabled afterwards."""
        with self._errors(f"write the user {name!r}"):
            self._admin.user_add(name, secret_key)

    def enable_user(self, name: str, enabled: bool) -> None:
        """Enable or disable a user."""
        with self._errors(f"set the status of the user {name!r}"):
            (self._admin.user_enable if enabled else self._admin.user_disable)(name)

    def remove_user(self, name: str) -> None:
        """Remove a user with the service accounts below it."""
        with self._errors(f"remove the user {name!r}"):
            self._admin.user_remove(name)

    def attach_policies(self, user: str, policies: Iterable[str]) -> None:
        """Attach policies that the user does not hold yet."""
        with self._errors(f"attach policies to the user {user!r}"):
            self._admin.attach_policy(sorted(policies), user=user)

    def detach_policies(self, user: str, policies: Iterable[str]) -> None:
        """Detach policies that the user holds."""
        with self._errors(f"detach policies from the user {user!r}"):
            self._admin.detach_policy(sorted(policies), user=user)

    def versioning(self, bucket: str) -> bool | None:
        """Whether a bucket keeps versions, or None where there is no such bucket."""
        try:
            with self._errors(f"read the bucket {bucket!r}"):
                return bool(self._s3.get_bucket_versioning(bucket).status == ENABLED)
        except NotFoundError:
            return None

    def make_bucket(self, bucket: str) -> None:
        """Create a bucket."""
        with self._errors(f"create the bucket {bucket!r}"):
            self._s3.make_bucket(bucket)

    def set_versioning(self, bucket: str, enabled: bool) -> None:
        """Keep versions from now on, or stop keeping new ones."""
        with self._errors(f"set the versioning of the bucket {bucket!r}"):
            self._s3.set_bucket_versioning(bucket, VersioningConfig(ENABLED if enabled else SUSPENDED))

    def bucket_is_empty(self, bucket: str) -> bool:
        """Whether a bucket holds nothing, old versions and delete markers included."""
        with self._errors(f"list the bucket {bucket!r}"):
            return not any(True for _entry in self._s3.list_objects(bucket, recursive=True, include_version=True))

    def remove_bucket(self, bucket: str) -> None:
        """Remove an empty bucket."""
        with self._errors(f"remove the bucket {bucket!r}"):
            self._s3.remove_bucket(bucket)

    def _s3_as(self, access_key: str, secret_key: str) -> Minio:
        return Minio(
            endpoint=self._endpoint,
            access_key=access_key,
            secret_key=secret_key,
            secure=self._secure,
            region=self.connection.region,
            http_client=self._http,
        )

    @contextmanager
    def _errors(self, task: str) -> Iterator[None]:
        """Turn whatever a call raises into one readable error: what was tried, where, what came back, what to do."""
        try:
            yield
        except urllib3.exceptions.HTTPError as error:
            raise MinioError(self._said(task, _transport_failure(error, self.connection))) from error
        except (MinioAdminException, InvalidResponseError) as error:
            # The library keeps both in private attributes only.
            raise self._refusal(task, str(vars(error)["_code"]), str(vars(error)["_body"])) from error
        except S3Error as error:
            raise self._coded(task, str(error.code), str(error.message)) from error
        except ServerError as error:
            trouble = f"it answered {error.status_code}: the server, or a proxy before it, is in trouble"
            raise MinioError(self._said(task, trouble)) from error
        except ValueError as error:
            # A page, or a body that is not JSON or does not decrypt: somebody else answered in the server's place.
            raise MinioError(self._said(task, f"the answer is not MinIO's ({error}): {_WHO_ANSWERS}")) from error

    def _refusal(self, task: str, status: str, body: str) -> MinioError:
        """An error answer of the admin API: JSON, or XML where the server refuses before it looks at the path."""
        in_xml = re.search(r"<Code>(.*?)</Code>\s*<Message>(.*?)</Message>", body, re.DOTALL)
        if in_xml:
            return self._coded(task, *map(html.unescape, in_xml.groups()))
        try:
            answer = json.loads(body)
            return self._coded(task, str(answer["Code"]), str(answer["Message"]))
        except (ValueError, KeyError, TypeError):
            return MinioError(self._said(task, f"HTTP status {status} and not MinIO's own answer ({body[:120]!r}): {_WHO_ANSWERS}"))

    def _coded(self, task: str, code: str, message: str) -> MinioError:
        """An error that the server itself has named."""
        kind = NotFoundError if code in ("XMinioAdminNoSuchUser", "NoSuchBucket") else MinioError
        return kind(self._said(task, f"{code}: {message}", _HINTS.get(code, "")))

    def _said(self, task: str, reason: str, hint: str = "") -> str:
        where = f"MinIO at {self.connection.url} (as {self.connection.access_key!r})"
        sentence = reason if reason.endswith((".", "?")) else f"{reason}."
        return f"{where}: cannot {task}: {sentence} {hint}".rstrip()


def _endpoint(url: str) -> tuple[str, bool]:
    """``host:port`` and whether TLS is spoken there."""
    parts = urlsplit(url)
    plain = not (parts.path.strip("/") or parts.query or parts.fragment or parts.username)
    if parts.scheme not in ("http", "https") or not parts.hostname or not plain:
        raise MinioError(f"url is {url!r}: it must have the form https://host:port, with nothing after the port.")
    return parts.netloc, parts.scheme == "https"


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


def _pool(connection: Connection, *, secure: bool) -> urllib3.PoolManager:
    """Connections that fail soon, and that take no web page for an answer."""

    class Pool(urllib3.PoolManager):
        """Looks at each answer (ansible-test takes an overridden request method for a call of urllib's function)."""

        def connection_from_host(self, *args: Any, **kw: Any) -> Any:
            return _WithoutPages(super().connection_from_host(*args, **kw))

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
    timeout = urllib3.Timeout(connect=connection.connect_timeout, read=connection.timeout)
    if not secure:
        return Pool(timeout=timeout, retries=retries)
    return Pool(timeout=timeout, retries=retries, ssl_context=_ssl_context(connection))


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
        return f"the answer is not MinIO's ({text}): {_WHO_ANSWERS}"
    return f"the connection broke ({text}): is url right about http and https?"
