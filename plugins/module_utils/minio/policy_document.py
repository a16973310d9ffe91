# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Policy documents: what they mean, what is wrong with them, and how grants become one.

A statement allows (or denies) every one of its actions on every one of its resources. So a document means the set of its
single rights: effect, one action, one resource, conditions. Two documents are equal when these sets are, however their
statements are ordered, split, repeated or named.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

VERSION = "2012-10-17"
BUILTIN_POLICIES = frozenset({"consoleAdmin", "diagnostics", "readonly", "readwrite", "writeonly"})

_DOCUMENT_KEYS = {"Version", "ID", "Id", "Statement"}
_STATEMENT_KEYS = {"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"}
_ACTION = re.compile(r"(s3|admin|kms|sts):[A-Za-z*?]+|\*")
_RESOURCE = re.compile(r"arn:aws:s3:::[^/].*|arn:minio:kms:::[^/\\.]+|\*")
_OPERATOR = re.compile(
    r"((ForAllValues|ForAnyValue):)?"
    r"(String(Not)?Equals(IgnoreCase)?|String(Not)?Like|BinaryEquals|(Not)?IpAddress|Null|Bool"
    r"|(Numeric|Date)((Not)?Equals|(Less|Greater)Than(Equals)?)|NumericGreaterThanIfExists)"
)
_BUCKET = re.compile(r"(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")

_READ = ("s3:GetObject",)
# Uploads of any size, and their aborting. Deleting is part of writing: a rename is a copy and a delete.
_WRITE = ("s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:DeleteObject")
_LIST = ("s3:GetBucketLocation", "s3:ListBucket")
OBJECT_ACTIONS = {"read": _READ, "write": _WRITE, "read-write": _READ + _WRITE}
# MinIO lets whoever may read or delete objects do the same with their old versions, unless that is denied. Denied, in a bucket with
# versioning everything that was deleted or overwritten is out of reach, and can be brought back by the administrator. (It also lets whoever
# may list objects list the versions' names, and nothing denies that.)
_OLD_VERSIONS = {"read": "s3:GetObjectVersion", "write": "s3:DeleteObjectVersion"}
# For the newest version too MinIO asks whether versions may be read; the condition holds where the request names one.
_CONDITIONS = {"read": {"StringLike": {"s3:versionid": ["?*"]}}}
# It also lets every user change its own secret key and make access keys below itself, which would outlive a rotation.
_NO_KEYS_OF_ITS_OWN = {"Effect": "Deny", "Action": ["admin:*"]}

# One right: effect, ("Action", name) or ("NotAction", names), (element, resource or resources), conditions in JSON.
_Right = tuple[str, tuple[str, tuple[str, ...]], tuple[str, tuple[str, ...]], str]


class DocumentError(ValueError):
    """What is wrong with a document, and where in it."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}")


def parse(text: str, path: str) -> dict[str, Any]:
    """A valid document from JSON; ``path`` is what errors call it."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise DocumentError(path, f"not valid JSON: {error}") from error
    validate(document, path)
    return dict(document)


def canonical(document: Mapping[str, Any]) -> dict[str, Any]:
    """The one form of all documents that mean the same.

    Rights that differ in the action alone are joined first, then statements that differ in the resource alone.
    """
    actions: defaultdict[Any, set[str]] = defaultdict(set)
    for effect, action, resource, condition in _rights(document):
        actions[effect, action[0], _exceptions(action), resource, condition].update(action[1])

    resources: defaultdict[Any, set[str]] = defaultdict(set)
    for (effect, action_element, _exempt, resource, condition), names in actions.items():
        resources[effect, action_element, tuple(sorted(names)), resource[0], _exceptions(resource), condition].update(resource[1])

    statements = []
    for (effect, action_element, names, resource_element, _exempt, condition), patterns in sorted(
        (key, sorted(values)) for key, values in resources.items()
    ):
        statement: dict[str, Any] = {"Effect": effect, action_element: list(names)}
        if patterns:
            statement[resource_element] = patterns
        if condition != "{}":
            statement["Condition"] = json.loads(condition)
        statements.append(statement)
    return {"Version": document.get("Version") or VERSION, "Statement": statements}


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two documents mean the same."""
    return canonical(one) == canonical(other)


def ready_to_send(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document as its author wrote it (statements, order, names of statements), completed as the server demands it."""
    statements = [{**statement, "Effect": str(statement["Effect"]).capitalize()} for statement in _as_list(document["Statement"])]
    return {**document, "Version": document.get("Version") or VERSION, "Statement": statements}


def expand_grants(grants: Iterable[Mapping[str, Any]], path: str) -> dict[str, Any]:
    """The least document that gives these grants.

    A grant of ``list`` opens the bucket's listing, within ``list_prefix`` where given; the others open the objects below
    ``prefix`` and nothing about the bucket; with ``directory``, an object of the prefix's own name without the slash may be asked for.
    None opens old versions, or the admin API.
    """
    statements: list[dict[str, Any]] = []
    for index, grant in enumerate(grants):
        _validate_grant(grant, f"{path}[{index}]")
        bucket = f"arn:aws:s3:::{grant['bucket']}"
        if grant["access"] == "list":
            statements += _listing(bucket, grant.get("list_prefix") or [])
        else:
            prefix = grant.get("prefix") or ""
            statements += _objects(grant["access"], f"{bucket}/{prefix}*")
            if grant.get("directory"):
                statements.append(_allow(_READ, f"{bucket}/{prefix.rstrip('/')}"))
    if not statements:
        raise DocumentError(path, "is empty; a policy must grant something")
    return canonical({"Statement": [*statements, _NO_KEYS_OF_ITS_OWN]})


def is_bucket_name(name: str) -> bool:
    """Whether a bucket may be called so."""
    return bool(_BUCKET.fullmatch(name))


def validate(document: object, path: str) -> None:
    """Refuse what the server would refuse or misread, naming the place."""
    document = _mapping(document, path, _DOCUMENT_KEYS)
    version = document.get("Version")
    if version not in (None, "", VERSION):
        raise DocumentError(f"{path}.Version", f"is {version!r}; it must be {VERSION!r} (or left out)")
    statements = document.get("Statement")
    if not statements or not isinstance(statements, (list, Mapping)):
        raise DocumentError(f"{path}.Statement", "must be a list of at least one statement")
    for index, statement in enumerate(_as_list(statements)):
        _validate_statement(statement, f"{path}.Statement[{index}]")


def _objects(access: str, objects: str) -> Iterator[dict[str, Any]]:
    yield _allow(OBJECT_ACTIONS[access], objects)
    for part in access.split("-"):
        yield _no_old_versions(part, objects)


def _listing(bucket: str, prefixes: list[str]) -> Iterator[dict[str, Any]]:
    if not prefixes:
        yield _allow(_LIST, bucket)
        return
    # The location has no prefix: under the condition it would be denied.
    yield _allow(("s3:GetBucketLocation",), bucket)
    yield {**_allow(("s3:ListBucket",), bucket), "Condition": {"StringLike": {"s3:prefix": [f"{prefix}*" for prefix in prefixes]}}}


def _allow(actions: Iterable[str], resource: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": [resource]}


def _no_old_versions(access: str, resource: str) -> dict[str, Any]:
    statement = {**_allow([_OLD_VERSIONS[access]], resource), "Effect": "Deny"}
    return {**statement, "Condition": _CONDITIONS[access]} if access in _CONDITIONS else statement


def _rights(document: Mapping[str, Any]) -> Iterator[_Right]:
    """The single rights of a document; one that excepts (NotAction, NotResource) holds all its exceptions at once."""
    for statement in _as_list(document.get("Statement") or []):
        effect = str(statement.get("Effect", "")).capitalize()
        condition = json.dumps(_condition(statement.get("Condition") or {}), sort_keys=True)
        for action in _parts(statement, "Action", "NotAction"):
            for resource in _parts(statement, "Resource", "NotResource"):
                yield effect, action, resource, condition


def _parts(statement: Mapping[str, Any], element: str, exception: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    if statement.get(exception):
        yield exception, tuple(sorted({str(value) for value in _as_list(statement[exception])}))
        return
    # Statements on the server itself need no resource.
    for value in _as_list(statement.get(element) or []) or [None]:
        yield element, () if value is None else (str(value),)


def _exceptions(part: tuple[str, tuple[str, ...]]) -> tuple[str, ...]:
    """What keeps two parts from being joined: "all but a" and "all but b" are not "all but a and b"."""
    return part[1] if part[0].startswith("Not") else ()


def _condition(condition: Mapping[str, Any]) -> dict[str, dict[str, list[str]]]:
    return {
        operator: {key: sorted({_text(value) for value in _as_list(values)}) for key, values in keys.items()}
        for operator, keys in condition.items()
    }


def _text(value: object) -> str:
    """A condition's value: true and "true" mean the same, and so do 5 and "5"."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _mapping(value: object, path: str, known: set[str]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise DocumentError(path, f"must be a mapping, not {type(value).__name__}")
    for key in value:
        if key not in known:
            raise DocumentError(f"{path}.{key}", f"is unknown here; known are {', '.join(sorted(known))}")
    return value


def _validate_statement(value: object, path: str) -> None:
    statement = _mapping(value, path, _STATEMENT_KEYS)
    if str(statement.get("Effect", "")).capitalize() not in ("Allow", "Deny"):
        raise DocumentError(f"{path}.Effect", f"is {statement.get('Effect')!r}; it must be 'Allow' or 'Deny'")
    if statement.get("NotAction"):
        # "Action": [] is then added in the server's storage, which it refuses to read: the list of all policies fails.
        raise DocumentError(f"{path}.NotAction", "MinIO takes it, cannot read it back, and lists no policy from then on; name the actions")
    actions = _validate_names(statement, path, ("Action",), _ACTION, "s3:GetObject or s3:*", required=True)
    services = {action.partition(":")[0] for action in actions}
    if len(services) > 1:
        raise DocumentError(f"{path}.Action", f"mixes actions of {', '.join(sorted(services))}; give each service a statement of its own")
    on_objects = bool(services & {"s3", "*"})  # only these need a resource
    _validate_names(statement, path, ("Resource", "NotResource"), _RESOURCE, "arn:aws:s3:::bucket/prefix/*", required=on_objects)
    if "Condition" in statement:
        _validate_condition(statement["Condition"], f"{path}.Condition")


def _validate_names(
    statement: Mapping[str, Any], path: str, elements: tuple[str, ...], pattern: re.Pattern[str], example: str, *, required: bool
) -> list[str]:
    given = [element for element in elements if statement.get(element)]
    if len(given) > 1:
        raise DocumentError(path, f"has both {' and '.join(given)}; only one of them may be given")
    if not given:
        if required:
            raise DocumentError(f"{path}.{elements[0]}", "is missing or empty")
        return []
    value = statement[given[0]]
    for index, name in enumerate(_as_list(value)):
        if not isinstance(name, str) or not pattern.fullmatch(name):
            place = f"{path}.{given[0]}[{index}]" if isinstance(value, list) else f"{path}.{given[0]}"
            raise DocumentError(place, f"is {name!r}; expected something like {example}")
    return [str(name) for name in _as_list(value)]


def _validate_condition(condition: object, path: str) -> None:
    if not isinstance(condition, Mapping) or not condition:
        raise DocumentError(path, "must be a mapping of operators and not empty")
    for operator, keys in condition.items():
        if not _OPERATOR.fullmatch(str(operator)):
            raise DocumentError(f"{path}.{operator}", "is no condition operator; examples are StringLike and IpAddress")
        if not isinstance(keys, Mapping) or not keys:
            raise DocumentError(f"{path}.{operator}", "must be a mapping of condition keys and not empty")
        for key, values in keys.items():
            if not _as_list(values) or not all(isinstance(value, (str, bool, int)) for value in _as_list(values)):
                raise DocumentError(f"{path}.{operator}.{key}", "must be a value or a list of values (strings, numbers, booleans)")


def _validate_grant(grant: Mapping[str, Any], path: str) -> None:
    bucket, prefix, prefixes = str(grant["bucket"]), grant.get("prefix") or "", grant.get("list_prefix") or []
    if not is_bucket_name(bucket):
        raise DocumentError(f"{path}.bucket", f"is {bucket!r}; a bucket's name has 3 to 63 lower-case letters, digits, dots and dashes")
    if grant["access"] == "list" and prefix:
        raise DocumentError(f"{path}.prefix", "opens objects, and access is 'list'; limit a listing by list_prefix")
    if grant["access"] != "list" and prefixes:
        raise DocumentError(f"{path}.list_prefix", f"limits a listing, and access is {grant['access']!r}; add a grant with access 'list'")
    if grant.get("directory") and not prefix:
        raise DocumentError(f"{path}.directory", "is for a grant with a prefix: the bucket itself has no name to ask for")
    if prefix and not prefix.endswith("/"):
        raise DocumentError(f"{path}.prefix", f"is {prefix!r}; it must end with '/', or it would open its neighbours {prefix}... too")
    named = [(f"{path}.prefix", prefix)] + [(f"{path}.list_prefix[{index}]", value) for index, value in enumerate(prefixes)]
    for place, value in named:
        if value.startswith("/") or re.search(r"[*?]", value):
            raise DocumentError(place, f"is {value!r}; a prefix does not begin with '/' and holds no wildcards")
