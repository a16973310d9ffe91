"""The Kubernetes nodes: machines with containerd, kubelet and kube-proxy as units of their own systemd."""

from __future__ import annotations

import json

import yaml

from lab import control_plane
from lab.components import path as component
from lab.machine import Machine
from lab.settings import DNS_SERVICE, IMAGES, Node
from lab.shell import LabError

_KUBERNETES = "/etc/kubernetes"
_PAUSE_IMAGE = "registry.k8s.io/pause:3.10"


def machine(node: Node) -> Machine:
    """The node as a machine, with every file that its services need."""
    ca = control_plane.authority()
    serving = ca.issue(f"kubelet-{node.name}", node.name, names=node.names, addresses=[node.address])
    return Machine(
        node,
        files={
            f"{_KUBERNETES}/ca.crt": ca.certificate.read_text(),
            f"{_KUBERNETES}/kubelet.crt": serving.certificate.read_text(),
            f"{_KUBERNETES}/kubelet.key": serving.key.read_text(),
            f"{_KUBERNETES}/kubelet.conf": control_plane.kubeconfig(
                node.name, name=f"system:node:{node.name}", organization="system:nodes"
            ),
            f"{_KUBERNETES}/kube-proxy.conf": control_plane.kubeconfig("kube-proxy", name="system:kube-proxy"),
            f"{_KUBERNETES}/kubelet.yaml": _kubelet_configuration(),
            f"{_KUBERNETES}/proxy.yaml": control_plane.proxy_configuration(f"{_KUBERNETES}/kube-proxy.conf"),
            "/etc/containerd/config.toml": _containerd_configuration(),
            "/etc/cni/net.d/10-lab.conflist": _network_configuration(node),
            "/etc/systemd/system/kubelet.service": _unit(
                "kubelet",
                f"--kubeconfig={_KUBERNETES}/kubelet.conf --config={_KUBERNETES}/kubelet.yaml --node-ip={node.address}",
                after="containerd.service",
            ),
            "/etc/systemd/system/kube-proxy.service": _unit("kube-proxy", f"--config={_KUBERNETES}/proxy.yaml"),
            "/etc/crictl.yaml": "runtime-endpoint: unix:///run/containerd/containerd.sock\n",
        },
        units=("ssh.service", "containerd.service", "kubelet.service", "kube-proxy.service"),
        read_only={
            "/opt/kubernetes": component("kubernetes"),
            **{f"/opt/images/{image}": component(image) for image in IMAGES[node.name]},
        },
        kept=("/var/lib/containerd", "/var/lib/kubelet"),
    )


def load_images(node: Node) -> list[str]:
    """Import the node's images into its containerd; returns those that it did not have as they are built now."""
    on = machine(node)
    imported = []
    for image in IMAGES[node.name]:
        # The note says which build was imported: the name of an image stays the same when its content changes.
        note, build = on.directory / "images" / image, component(image).name
        if not note.exists() or note.read_text() != build:
            on.execute("ctr", "-n", "k8s.io", "images", "import", f"/opt/images/{image}/image.tar")
            note.parent.mkdir(exist_ok=True)
            note.write_text(build)
            imported.append(image)
    return imported


def load_another_image(node: Node, image: str) -> None:
    """Import an image that the node does not hold by itself, while it runs."""
    machine(node).feed(component(image) / "image.tar", "ctr", "-n", "k8s.io", "images", "import", "-")


def ready(node: Node) -> bool:
    """Whether the cluster calls the node Ready."""
    answer = control_plane.kubectl("get", "node", node.name, "--output=json", check=False)
    conditions = json.loads(answer)["status"]["conditions"] if answer.strip() else []
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def why_not_ready(node: Node) -> LabError:
    """The error for a node that does not become Ready: its kubelet's last words."""
    words = machine(node).execute("journalctl", "--unit=kubelet", "--lines=8", "--no-pager", "--output=cat", check=False)
    return LabError(f"{node.name} does not become Ready; its kubelet says:\n{words}")


def _unit(program: str, arguments: str, after: str = "") -> str:
    # nspawn gives a machine its cgroup v1 controllers read-only; with v2 they are writable and there is nothing to remount.
    remount = "-/bin/sh -c 'for controller in /sys/fs/cgroup/*/; do mount -o remount,bind,rw $$controller; done'"
    return (
        f"[Unit]\nDescription={program}\nAfter=network.target {after}\nStartLimitIntervalSec=0\n"
        f"[Service]\nExecStartPre={remount}\nExecStart=/opt/kubernetes/{program} {arguments}\n"
        "Restart=always\nRestartSec=1\nKillMode=process\n"
        "[Install]\nWantedBy=multi-user.target\n"
    )


def _kubelet_configuration() -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": f"{_KUBERNETES}/ca.crt"},
            },
            "authorization": {"mode": "Webhook"},
            "cgroupDriver": "cgroupfs",
            "failCgroupV1": False,
            "failSwapOn": False,
            "clusterDNS": [DNS_SERVICE],
            "clusterDomain": "cluster.local",
            "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
            "tlsCertFile": f"{_KUBERNETES}/kubelet.crt",
            "tlsPrivateKeyFile": f"{_KUBERNETES}/kubelet.key",
            # The disk is the computer's own: what else fills it is not this node's affair. And no image can be pulled again.
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%", "nodefs.inodesFree": "1%"},
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "shutdownGracePeriod": "0s",
            # A change of a Secret reaches a pod's files soon enough to be waited for.
            "syncFrequency": "10s",
        }
    )


def _containerd_configuration() -> str:
    return f"""version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{_PAUSE_IMAGE}"
  # Not every computer grants CAP_SYS_RESOURCE, and without it no sandbox starts otherwise.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
"""


def _network_configuration(node: Node) -> str:
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "ipMasq": True,
        "hairpinMode": True,
        "ipam": {"type": "host-local", "ranges": [[{"subnet": node.pod_network}]], "routes": [{"dst": "0.0.0.0/0"}]},
    }
    return json.dumps(
        {"cniVersion": "0.4.0", "name": "lab", "plugins": [bridge, {"type": "portmap", "capabilities": {"portMappings": True}}]}
    )
