"""The size that a cluster on Kubernetes may reach, from a double of Kubernetes' own server."""

import json
from http.server import BaseHTTPRequestHandler

import pytest
from helpers.clusters import node
from helpers.job_api import certificate, serving

from datasets.errors import UserError
from orchestrator.cluster import capacity, kuberay
from orchestrator.cluster.capacity import LiveCapacity, Size


def group(name="gpu", most=8, cpu="8", gpu="1", params=None, **more):
    """Return a worker group whose pods have such limits."""
    limits = {"cpu": cpu, "memory": "32Gi"} | ({"nvidia.com/gpu": gpu} if gpu else {})
    template = {"spec": {"containers": [{"resources": {"limits": limits}}]}}
    group = {"groupName": name, "maxReplicas": most, "rayStartParams": params or {}, "template": template}
    return group | more


@pytest.mark.parametrize(
    ("groups", "size"),
    [
        ([group()], Size(9, 64, 8)),
        ([group(cpu="7500m")], Size(9, 64, 8)),
        ([group(most=2, numOfHosts=4, gpu="2")], Size(9, 64, 16)),
        ([group(params={"num-cpus": "4", "num-gpus": "0"})], Size(9, 32, 0)),
        ([group(resources={"CPU": "2", "GPU": "1"}, gpu="")], Size(9, 16, 8)),
        ([group(), group("cpu", 3, gpu="")], Size(12, 88, 8)),
        ([], Size(1, 0, 0)),
    ],
)
def test_the_groups_of_a_cluster_are_its_size_at_most(groups, size):
    config = kuberay.as_cluster_file({"workerGroupSpecs": groups})
    nodes = [node(0, is_head=True)]
    assert capacity.maximum(config, nodes) == size
    assert LiveCapacity(lambda: nodes, lambda rows: capacity.maximum(config, rows))() == size
    assert not groups or not capacity.is_unknown(config, nodes), "no worker is waited for"


def test_a_quantity_that_is_not_a_number_is_named():
    with pytest.raises(UserError, match="a Kubernetes quantity such as 8 or 500m, but is 'many'; correct"):
        kuberay.as_cluster_file({"workerGroupSpecs": [group(cpu="many")]})


class Kubernetes(BaseHTTPRequestHandler):
    """Kubernetes' server with one RayCluster, for whoever has the pod's token."""

    def do_GET(self):
        path = "/apis/ray.io/v1/namespaces/imaging/rayclusters/upsweep"
        allowed = self.headers["Authorization"] == "Bearer of-the-pod" and self.path == path
        self.send_response(200 if allowed else 403)
        self.end_headers()
        self.wfile.write(json.dumps({"spec": self.server.spec, "status": self.server.status}).encode())

    def log_message(self, *_):
        pass


def test_a_pod_reads_its_cluster_with_its_own_token_and_only_if_it_grows(tmp_path):
    tls = certificate(tmp_path)
    for name, text in {"token": "of-the-pod\n", "namespace": "imaging", "ca.crt": tls[0].read_text()}.items():
        (tmp_path / name).write_text(text)
    spec = {"enableInTreeAutoscaling": True, "workerGroupSpecs": [group()]}
    quota = 'FailedCreateWorkerPod:\n pods "gpu" is forbidden: exceeded quota: gpus'
    failing = {"type": "ReplicaFailure", "status": "True", "message": quota}
    with serving(Kubernetes, tls=tls, spec=spec, status={}) as server:
        env = {"RAY_CLUSTER_NAME": "upsweep", "KUBERNETES_SERVICE_HOST": "127.0.0.1"}
        env["KUBERNETES_SERVICE_PORT_HTTPS"] = str(server.server_port)
        assert capacity.maximum(kuberay.declared(env, tmp_path)) == Size(9, 64, 8)
        assert kuberay.trouble(env, tmp_path) == ""
        server.status = {"conditions": [{"type": "HeadPodReady", "status": "True"}, failing]}
        assert kuberay.trouble(env, tmp_path) == " ".join(quota.split())
        server.status = {"conditions": [failing | {"status": "False"}]}
        assert kuberay.trouble(env, tmp_path) == ""
        server.spec = spec | {"enableInTreeAutoscaling": False}
        assert kuberay.declared(env, tmp_path) is None
        (tmp_path / "token").write_text("of another pod")
        assert kuberay.declared(env, tmp_path) is None
    assert kuberay.declared(env, tmp_path) is None, "no answer"
    assert kuberay.declared({}, tmp_path) is None and kuberay.declared(env, tmp_path / "x") is None
