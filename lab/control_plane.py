"""The Kubernetes control plane: etcd, apiserver, controller-manager, scheduler, kube-proxy and CoreDNS on a host of their own."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import yaml

from lab import certificates
from lab.components import path as component
from lab.service import Service
from lab.settings import (
    APISERVER_PORT,
    CONTROL_PLANE,
    DNS_SERVICE,
    HOSTS,
    KUBERNETES_SERVICE,
    NODES,
    POD_NETWORK,
    SERVICE_NETWORK,
    STATE,
    Host,
)
from lab.shell import in_namespace, run

DIRECTORY = STATE / "control-plane"
AUDIT_LOG = DIRECTORY / "audit" / "audit.log"
AUDITED = ("system:serviceaccounts:airflow", "system:serviceaccounts:spark-jobs")
"""The groups whose requests the apiserver writes down: every account of the namespaces in which a pipeline runs."""
PKI = DIRECTORY / "pki"
KUBECONFIG = DIRECTORY / "admin.conf"
SERVER = f"https://{CONTROL_PLANE.address}:{APISERVER_PORT}"


def authority() -> certificates.Authority:
    """The cluster's own authority."""
    return certificates.Authority(PKI, "lab-kubernetes").create()


def kubeconfig(user: str, *, name: str, organization: str = "") -> str:
    """A kubeconfig with everything inside, for one user of the cluster."""
    ca = authority()
    pair = ca.issue(user, name, organization=organization)
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "lab", "cluster": {"server": SERVER, "certificate-authority-data": _base64(ca.certificate)}}],
            "users": [{"name": user, "user": {"client-certificate-data": _base64(pair.certificate), "client-key-data": _base64(pair.key)}}],
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": user}}],
            "current-context": "lab",
        },
        sort_keys=False,
    )


def services() -> list[Service]:
    """The programs, in the order in which they start."""
    ca = authority()
    addresses = ["127.0.0.1", CONTROL_PLANE.address, KUBERNETES_SERVICE]
    names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost", *CONTROL_PLANE.names]
    server = ca.issue("apiserver", "kube-apiserver", names=names, addresses=addresses)
    kubelet_client = ca.issue("kubelet-client", "kube-apiserver", organization="system:masters")
    account_key = ca.issue("service-account", "service-account").key
    _write(KUBECONFIG, kubeconfig("admin", name="admin", organization="system:masters"))
    for user in ("kube-controller-manager", "kube-scheduler", "kube-proxy"):
        _write(DIRECTORY / f"{user}.conf", kubeconfig(user, name=f"system:{user}"))
    _write(DIRECTORY / "proxy.yaml", proxy_configuration(str(DIRECTORY / "kube-proxy.conf")))
    _write(DIRECTORY / "Corefile", _corefile())
    _write(DIRECTORY / "audit-policy.yaml", audit_policy())
    AUDIT_LOG.parent.mkdir(exist_ok=True)
    kubernetes = component("kubernetes")

    def service(name: str, argv: list[str | Path], probe: str, host: Host = CONTROL_PLANE) -> Service:
        return Service(name, argv, host, lambda: _answers(host, probe))

    return [
        service(
            "etcd",
            [
                *(component("etcd") / "etcd", "--data-dir", DIRECTORY / "etcd", "--logger=zap", "--log-level=warn"),
                *("--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379"),
                # The lab's state need not outlive a power cut, and every write waits for the disk otherwise.
                *("--listen-peer-urls=http://127.0.0.1:2380", "--unsafe-no-fsync"),
            ],
            "http://127.0.0.1:2379/health",
        ),
        service(
            "kube-apiserver",
            [
                *(kubernetes / "kube-apiserver", "--etcd-servers=http://127.0.0.1:2379", f"--secure-port={APISERVER_PORT}"),
                *(f"--client-ca-file={ca.certificate}", f"--tls-cert-file={server.certificate}", f"--tls-private-key-file={server.key}"),
                *(f"--advertise-address={CONTROL_PLANE.address}", "--allow-privileged", "--authorization-mode=Node,RBAC"),
                *(f"--service-account-key-file={account_key}", f"--service-account-signing-key-file={account_key}"),
                *("--service-account-issuer=https://kubernetes.default.svc", f"--service-cluster-ip-range={SERVICE_NETWORK}"),
                *(f"--kubelet-client-certificate={kubelet_client.certificate}", f"--kubelet-client-key={kubelet_client.key}"),
                *(f"--kubelet-certificate-authority={ca.certificate}", "--kubelet-preferred-address-types=InternalIP"),
                *(f"--audit-policy-file={DIRECTORY}/audit-policy.yaml", f"--audit-log-path={AUDIT_LOG}"),
                *("--audit-log-maxsize=20", "--audit-log-maxbackup=1"),
            ],
            f"{SERVER}/readyz",
        ),
        service(
            "kube-controller-manager",
            [
                *(kubernetes / "kube-controller-manager", f"--kubeconfig={DIRECTORY}/kube-controller-manager.conf", "--leader-elect=false"),
                *(
                    f"--service-account-private-key-file={account_key}",
                    f"--root-ca-file={ca.certificate}",
                    "--use-service-account-credentials",
                ),
                *(f"--cluster-signing-cert-file={ca.certificate}", f"--cluster-signing-key-file={ca.key}"),
                *("--node-monitor-grace-period=30s", "--v=1"),
            ],
            "https://127.0.0.1:10257/healthz",
        ),
        service(
            "kube-scheduler",
            [kubernetes / "kube-scheduler", f"--kubeconfig={DIRECTORY}/kube-scheduler.conf", "--leader-elect=false"],
            "https://127.0.0.1:10259/healthz",
        ),
        # The apiserver calls webhooks by their Service's address, so its host needs the rules of a node. kube-proxy waits for the Node
        # object of the name that it is given, and this host has none; the rules are the same under a worker's name.
        service(
            "kube-proxy",
            [kubernetes / "kube-proxy", f"--config={DIRECTORY}/proxy.yaml", f"--hostname-override={NODES[0].name}"],
            "http://127.0.0.1:10256/livez",
        ),
        service("coredns", [component("coredns") / "coredns", "-conf", DIRECTORY / "Corefile"], "http://127.0.0.1:8181/ready"),
    ]


def bootstrap() -> None:
    """Create what a cluster installer would: the DNS service."""
    kubectl("apply", "--server-side", "--field-manager=lab", "-f", "-", stdin=_dns_service())


def kubectl(*words: str, stdin: str | None = None, check: bool = True) -> str:
    """Run kubectl as the cluster's administrator."""
    argv: list[str | Path] = [*in_namespace(CONTROL_PLANE), component("kubernetes") / "kubectl", f"--kubeconfig={KUBECONFIG}", *words]
    return run(argv, stdin=stdin, check=check)


def proxy_configuration(kubeconfig_file: str) -> str:
    """kube-proxy's configuration; connection tracking limits belong to the computer and are left alone."""
    return yaml.safe_dump(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "iptables",
            "clusterCIDR": POD_NETWORK,
            "clientConnection": {"kubeconfig": kubeconfig_file},
            "conntrack": {"maxPerCore": 0},
        }
    )


def audit_policy() -> str:
    """Who asked for what, without what was in it, and for nobody else's requests."""
    return yaml.safe_dump(
        {
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived"],
            "omitManagedFields": True,
            "rules": [{"level": "Metadata", "userGroups": list(AUDITED)}, {"level": "None"}],
        }
    )


def _dns_service() -> str:
    metadata = {"name": "kube-dns", "namespace": "kube-system"}
    ports = [{"name": f"dns-{protocol.lower()}", "port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")]
    service = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"clusterIP": DNS_SERVICE, "ports": ports}}
    slice_metadata = {"name": "kube-dns", "namespace": "kube-system", "labels": {"kubernetes.io/service-name": "kube-dns"}}
    endpoints = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": slice_metadata,
        "addressType": "IPv4",
        "endpoints": [{"addresses": [CONTROL_PLANE.address], "conditions": {"ready": True}}],
        "ports": ports,
    }
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": [service, endpoints]})


def _corefile() -> str:
    hosts = "".join(f"    {host.address} {' '.join(host.names)}\n" for host in HOSTS)
    return (
        f".:53 {{\n  bind {CONTROL_PLANE.address}\n  errors\n  ready 127.0.0.1:8181\n"
        f"  hosts {{\n{hosts}    fallthrough\n  }}\n"
        f"  kubernetes cluster.local in-addr.arpa {{\n    kubeconfig {KUBECONFIG}\n    pods insecure\n    ttl 5\n  }}\n"
        "  cache 5\n}\n"
    )


def _answers(host: Host, url: str) -> bool:
    """Whether a health address answers 200; asked with curl from inside the host's namespace."""
    words = ["curl", "--silent", "--fail", "--max-time", "2", "--output", "/dev/null", "--insecure"]
    pair = authority().issue("admin", "admin", organization="system:masters")
    if url.startswith("https"):
        words += ["--cert", str(pair.certificate), "--key", str(pair.key)]
    return run([*in_namespace(host), *words, "--write-out", "%{http_code}", url], check=False).strip() == "200"


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    file.write_text(text)


def _base64(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()
