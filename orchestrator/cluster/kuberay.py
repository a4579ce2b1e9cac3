"""A cluster's maximum size and its failures, as KubeRay states them to the pod of the head.

Ray itself knows only the nodes that are there. A pod of an autoscaled cluster may read its RayCluster:
KubeRay gives that right to the autoscaler, which runs beside the head.
"""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datasets.errors import UserError

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""In every pod: the token, the certificate authority and the namespace for requests to Kubernetes."""
LIMIT_S = 5.0
UNITS = {"m": 1e-3, "k": 1e3, "M": 1e6}


def declared(env: Mapping[str, str] = os.environ, account: Path = ACCOUNT) -> dict[str, Any] | None:
    """Return the cluster of this pod in the form of a cluster file (see `as_cluster_file`).

    None outside a pod of KubeRay, without autoscaling, and if Kubernetes does not answer.
    """
    cluster = _cluster(env, account)
    is_growing = cluster and cluster["spec"].get("enableInTreeAutoscaling")
    return as_cluster_file(cluster["spec"]) if cluster and is_growing else None


def trouble(env: Mapping[str, str] = os.environ, account: Path = ACCOUNT) -> str:
    """Return why KubeRay cannot make the pods of this cluster, such as a quota; empty if nothing is known."""
    conditions = ((_cluster(env, account) or {}).get("status") or {}).get("conditions") or ()
    failing = (c for c in conditions if c.get("type") == "ReplicaFailure" and c.get("status") == "True")
    return next((" ".join(str(c.get("message", "")).split()) for c in failing), "")


def _cluster(env: Mapping[str, str], account: Path) -> dict[str, Any] | None:
    """Return the RayCluster of this pod; None outside a pod of KubeRay, and if Kubernetes does not answer."""
    name, host = env.get("RAY_CLUSTER_NAME"), env.get("KUBERNETES_SERVICE_HOST")
    if not (name and host and (account / "token").exists()):
        return None
    import requests

    namespace = (account / "namespace").read_text().strip()
    port = env.get("KUBERNETES_SERVICE_PORT_HTTPS", "443")
    url = f"https://{f'[{host}]' if ':' in host else host}:{port}/apis/ray.io/v1/namespaces/{namespace}"
    headers = {"Authorization": f"Bearer {(account / 'token').read_text().strip()}"}
    try:
        answer = requests.get(
            f"{url}/rayclusters/{name}", headers=headers, verify=str(account / "ca.crt"), timeout=LIMIT_S
        )
        answer.raise_for_status()
        cluster = answer.json()
    except (OSError, ValueError):
        return None
    return cluster if isinstance(cluster, dict) and "spec" in cluster else None


def as_cluster_file(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the spec of a RayCluster in the form of a cluster file: its groups are node types."""
    groups = spec.get("workerGroupSpecs", [])
    kinds = {}
    for group in groups:
        replicas = int(group.get("maxReplicas", 0)) * int(group.get("numOfHosts", 1))
        kinds[group["groupName"]] = {"max_workers": replicas, "resources": _resources(group)}
    return {
        "provider": {"type": "kuberay"},
        "max_workers": sum(kind["max_workers"] for kind in kinds.values()),
        "head_node_type": "head",
        "available_node_types": {"head": {}} | kinds,
    }


def _resources(group: Mapping[str, Any]) -> dict[str, int]:
    """Return cores and GPUs of a pod: what Ray is told to declare, else what Kubernetes gives it."""
    resources = group["template"]["spec"]["containers"][0].get("resources", {})
    given = resources.get("requests", {}) | resources.get("limits", {})
    told, declared = group.get("rayStartParams", {}), group.get("resources", {})
    cpus = declared.get("CPU", told.get("num-cpus", given.get("cpu", 0)))
    gpus = sum(_number(v) for k, v in given.items() if k.endswith("/gpu"))
    return {
        "CPU": math.ceil(_number(cpus)),
        "GPU": math.floor(_number(declared.get("GPU", told.get("num-gpus", gpus)))),
    }


def _number(quantity: object) -> float:
    """Return a quantity of Kubernetes, such as 8, "8" or "500m", as a number."""
    text = str(quantity)
    try:
        return float(text[:-1]) * UNITS[text[-1]] if text[-1:] in UNITS else float(text)
    except ValueError:
        raise UserError(
            f"a resource of the RayCluster must be a Kubernetes quantity such as 8 or 500m, but is {text!r}; "
            f"correct its manifest"
        ) from None
