# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why the API refuses to create a workload's pods: pure functions of what its controller was told."""

from __future__ import annotations

import re

from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.causes import PATIENCE, Cause, one_line
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.client import Object
from ansible_collections.homelab.data_platform.plugins.module_utils.kubernetes.scheduling import amount

_WRAPPING = re.compile(
    r"^(\(combined from similar events\): |Error creating: |create \S+ \S+ in \S+ \S+ failed error: |create Pod \S+ in \S+ \S+ failed: "
    r'|Internal error occurred: |pods "[^"]*" is forbidden: |failed to call webhook: )+'
)
_WEBHOOK = re.compile(r'failed calling webhook "(?P<name>[^"]+)": (?:failed to call webhook: )?(?P<said>.*)')
_SERVICE = re.compile(r"https://(?P<service>[^./]+)\.(?P<namespace>[^./]+)\.svc[:/]")
_QUOTA = re.compile(r"exceeded quota: (?P<name>[^,]+), requested: (?P<requested>.*?), used: (?P<used>.*?), limited: (?P<limited>.*)")


def webhook_of(message: str) -> str:
    """Name of the webhook that could not be asked."""
    found = _WEBHOOK.search(message)
    return found["name"] if found else ""


def refusal_cause(subject: str, namespace: str, message: str, webhook: Object | None = None, endpoints: int | None = None) -> Cause:
    """Name what the API has against the pods; ``webhook`` and ``endpoints`` are those of the one that could not be asked."""
    said = _WRAPPING.sub("", one_line(message))
    called = _WEBHOOK.search(one_line(message))
    if called:
        return _webhook(subject, called["name"], called["said"], webhook, endpoints)
    for pattern, cause in (
        (r'^admission webhook "([^"]+)" denied', "webhook-denied"),
        (r"^exceeded quota: ", "quota"),
        (r"^failed quota: ", "quota-unsaid"),
        (r"^violates PodSecurity ", "security"),
        (r"error looking up service account (\S+)/(\S+):", "account"),
        (r"(maximum|minimum) \S+ usage per |limit to request ratio", "limit"),
        (r"PriorityClass", "priority"),
    ):
        if re.search(pattern, said):
            return _MAKERS[cause](subject, namespace, said)
    return Cause("refused", subject, f"its pods are refused: {said}", "correct what the API names")


def _webhook(subject: str, name: str, said: str, webhook: Object | None, endpoints: int | None) -> Cause:
    service = _SERVICE.search(said)
    place = f"Service {service['namespace']}/{service['service']}" if service else "its address"
    head = f"its pods are refused, since the admission webhook {name}"
    if "certificate is valid for" in said or "certificate is not valid for" in said:
        reason = f"{head} is at {place}, whose certificate is for other names: {said.rpartition('x509: ')[2]}"
        return Cause("webhook-name", subject, reason, f"give it a certificate for {place}, or name the right service", PATIENCE)
    if "x509" in said or "certificate" in said:
        bundle = (webhook or {}).get("clientConfig", {}).get("caBundle") if webhook is not None else "unknown"
        problem = said.rpartition("x509: ")[2] or said
        if bundle:
            reason = f"{head} has another CA than the one that signed the certificate of {place}: {problem}"
        else:
            reason = f"{head} has no CA to verify {place} by (its caBundle is empty): {problem}"
        kind = "webhook-ca" if bundle else "webhook-no-ca"
        remedy = (
            "put the CA of that certificate into caBundle (the webhook's operator does so when it starts, cert-manager's cainjector soon)"
        )
        return Cause(kind, subject, reason, remedy, PATIENCE)
    if service and "not found" in said:
        reason = f"{head} is at {place}, which does not exist"
        return Cause("webhook-service", subject, reason, _either(name), PATIENCE)
    if service and (endpoints == 0 or "no endpoints available" in said):
        reason = f"{head} is at {place}, which has no ready pod"
        return Cause("webhook-endpoints", subject, reason, _either(name), PATIENCE)
    return Cause("webhook", subject, f"{head} does not answer: {said}", _either(name), PATIENCE)


def _either(name: str) -> str:
    return f"start what serves it, or delete the webhook configuration with {name} if that is gone for good"


def _quota(subject: str, namespace: str, said: str) -> Cause:
    found = _QUOTA.search(said)
    if not found:
        return Cause("quota", subject, f"its pods are refused: {said}", "raise the quota, or ask for less")
    parts = ("requested", "used", "limited")
    numbers = {part: dict(pair.split("=", 1) for pair in found[part].split(",") if "=" in pair) for part in parts}
    what = "; ".join(
        f"{key}: it asks for {asked}, {numbers['used'].get(key)} of {numbers['limited'].get(key)} are used"
        for key, asked in numbers["requested"].items()
    )
    never = any(amount(asked) > amount(numbers["limited"].get(key)) for key, asked in numbers["requested"].items())
    name = f"ResourceQuota {namespace}/{found['name']}"
    remedy = f"raise {name}, or ask for less" if never else f"end what uses it up, raise {name}, or ask for less"
    # What others use up may come free.
    return Cause("quota", subject, f"its pods are refused by {name} ({what})", remedy, PATIENCE if never else None)


def _quota_unsaid(subject: str, namespace: str, said: str) -> Cause:
    found = re.search(r"failed quota: ([^:]+): must specify (.*)", said)
    name = f"ResourceQuota {namespace}/{found[1]}" if found else "a ResourceQuota"
    what = found[2] if found else said
    remedy = "say in the containers' resources how much they take, or give the namespace a LimitRange with defaults"
    return Cause("quota-unsaid", subject, f"its pods are refused by {name}, which wants to be told {what}", remedy, PATIENCE)


def _limit(subject: str, namespace: str, said: str) -> Cause:
    reason = f"its pods are refused by a LimitRange of the namespace {namespace}: {said}"
    return Cause("limit", subject, reason, f"ask for what it allows, or change it (kubectl get limitrange -n {namespace})", PATIENCE)


def _security(subject: str, namespace: str, said: str) -> Cause:
    reason = f"its pods are refused by the Pod Security level of the namespace {namespace}: {said}"
    remedy = f"set what it asks for in the securityContext, or the label pod-security.kubernetes.io/enforce of Namespace {namespace}"
    return Cause("security", subject, reason, remedy, PATIENCE)


def _account(subject: str, _namespace: str, said: str) -> Cause:
    found = re.search(r"service account (\S+)/(\S+):", said)
    name = f"ServiceAccount {found[1]}/{found[2]}" if found else "its service account"
    reason = f"its pods are refused, since {name} does not exist"
    return Cause("account", subject, reason, f"create {name} (role rbac), or correct the name", PATIENCE)


def _priority(subject: str, _namespace: str, said: str) -> Cause:
    return Cause("priority", subject, f"its pods are refused: {said}", "create the PriorityClass, or correct the name", PATIENCE)


def _denied(subject: str, _namespace: str, said: str) -> Cause:
    return Cause("webhook-denied", subject, f"its pods are refused: {said}", "correct what the webhook names", PATIENCE)


_MAKERS = {
    "account": _account,
    "limit": _limit,
    "priority": _priority,
    "quota": _quota,
    "quota-unsaid": _quota_unsaid,
    "security": _security,
    "webhook-denied": _denied,
}
