"""deploy/kuberay against KubeRay's own schema, and what the manifests promise one another and the program."""

import gzip
import json
import re
from pathlib import Path

import jsonschema
import pytest
import ray
import yaml
from helpers.paths import ROOT

from experiments import recipes
from experiments.common import cli
from experiments.common.sweep_options import SweepOptions
from orchestrator.cluster import capacity, kuberay

FOLDER = ROOT / "deploy" / "kuberay"
SCHEMA = Path(__file__).parent / "kuberay" / "rayjob_spec.json.gz"


def documents(name):
    """Return the objects of a manifest, by kind."""
    return {one["kind"]: one for one in yaml.safe_load_all((FOLDER / name).read_text())}


def strict(schema):
    """Return a schema of Kubernetes as JSON schema; like `kubectl apply` it allows no unknown field."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: strict(value) for key, value in schema.items() if not key.startswith("x-kubernetes-")}
    if schema.get("x-kubernetes-int-or-string"):
        made.pop("type", None)
        made["type"] = ["integer", "string"]
    elif "properties" in schema and isinstance(schema.get("type"), str):
        made.setdefault("additionalProperties", bool(schema.get("x-kubernetes-preserve-unknown-fields")))
    return made


JOB, CLUSTER, MLFLOW = (
    documents("job.yaml")["RayJob"],
    documents("cluster.yaml")["RayCluster"],
    documents("mlflow.yaml"),
)
RULES = strict(json.loads(gzip.decompress(SCHEMA.read_bytes())))
CLUSTERS = {"cluster.yaml": CLUSTER["spec"], "job.yaml": JOB["spec"]["rayClusterSpec"]}


def test_the_manifests_are_valid_by_kuberay_s_schema():
    jsonschema.validate(JOB["spec"], RULES)
    jsonschema.validate(CLUSTER["spec"], RULES["properties"]["rayClusterSpec"])
    assert JOB["apiVersion"] == CLUSTER["apiVersion"] == "ray.io/v1"


@pytest.mark.parametrize(
    "change",
    [
        lambda spec: spec.update(entrypiont="python x.py"),
        lambda spec: spec["rayClusterSpec"]["workerGroupSpecs"][0].update(maxReplicas="8"),
        lambda spec: spec["rayClusterSpec"]["authOptions"].update(mode="password"),
        lambda spec: spec["rayClusterSpec"]["headGroupSpec"]["template"]["spec"].update(container=[]),
    ],
)
def test_a_mistake_in_a_manifest_would_be_seen(change):
    spec = json.loads(json.dumps(JOB["spec"]))
    change(spec)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(spec, RULES)


@pytest.mark.parametrize("spec", CLUSTERS.values(), ids=CLUSTERS)
def test_the_head_runs_no_trial_and_gpus_start_from_none_with_a_token_and_limits(spec):
    assert spec["headGroupSpec"]["rayStartParams"] == {"num-cpus": "0", "num-gpus": "0"}
    (workers,) = spec["workerGroupSpecs"]
    assert (workers["replicas"], workers["minReplicas"], spec["enableInTreeAutoscaling"]) == (0, 0, True)
    assert spec["authOptions"] == {"mode": "token", "secretName": "upsweep-ray-token"}
    assert spec["rayVersion"] == ray.__version__
    assert capacity.describe_maximum(kuberay.as_cluster_file(spec)) == "9 nodes, 8 GPUs, 64 CPU cores"
    for group in (spec["headGroupSpec"], workers):
        pod = group["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"]
        for container in pod["containers"]:
            assert set(container["resources"]["limits"]) >= {"cpu", "memory"}
            assert {"name": "UPSWEEP_WORK_DIR", "value": "/work"} in container["env"]
            assert {"name": "work", "mountPath": "/work"} in container["volumeMounts"]


def test_both_manifests_describe_one_cluster():
    assert CLUSTERS["cluster.yaml"] == CLUSTERS["job.yaml"]


def test_the_entry_is_a_command_of_ours_that_names_the_mlflow_of_the_manifests():
    program, script, name, storage, *words = JOB["spec"]["entrypoint"].split()
    assert (program, script) == ("sh", "deploy/sweep_or_resume") and (ROOT / script).exists()
    options = cli.parse(SweepOptions, recipes.build, ["--name", name, "--storage", storage, *words])
    service, port = re.fullmatch(r"http://([\w-]+):(\d+)", options.tracking_uri).groups()
    assert MLFLOW["Service"]["metadata"]["name"] == service
    assert MLFLOW["Service"]["spec"]["ports"][0]["port"] == int(port)
    pod = MLFLOW["Deployment"]["spec"]["template"]
    assert MLFLOW["Service"]["spec"]["selector"] == pod["metadata"]["labels"]
    assert MLFLOW["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == pod["metadata"]["labels"]
    (server,) = pod["spec"]["containers"]
    assert any(f"--allowed-hosts={service}:*" in word for word in server["args"])
    assert {c["image"] for c in [server, *containers(CLUSTER["spec"])]} == {server["image"]}
    env = yaml.safe_load(JOB["spec"]["runtimeEnvYAML"])["env_vars"]
    assert set(env) == {"UPSWEEP_JOB", "RAY_JOB_STOP_SIGNAL", "RAY_JOB_STOP_WAIT_TIME_S"}


def containers(spec):
    """Return the containers of a RayCluster."""
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    return [one for group in groups for one in group["template"]["spec"]["containers"]]


def test_the_image_holds_what_it_copies_and_what_kuberay_runs_in_it():
    """A `COPY` of what .dockerignore leaves out fails only when somebody builds the image."""
    image = (ROOT / "Dockerfile").read_text()
    let_in = [line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")]
    for line in re.findall(r"^COPY (.*)$", image, re.MULTILINE):
        for source in [word for word in line.split()[:-1] if not word.startswith("--")]:
            assert any(f"{source}/".startswith(f"{name}/") for name in let_in), source
            assert (ROOT / source).exists()
    assert "wget" in image and "PATH=/home/ubuntu/venv/bin:$PATH" in image, "health checks; ray, python"


@pytest.mark.parametrize(("known", "first"), [(True, "--resume faces"), (False, "--name faces --trials 3")])
@pytest.mark.parametrize(("code", "left"), [(0, 0), (3, 3), (130, 0), (143, 143)])
def test_a_sweep_is_begun_once_and_resumed_after_that(tmp_path, monkeypatch, known, first, code, left):
    import subprocess

    python = tmp_path / "python"
    python.write_text(
        '#!/bin/sh\necho "$@" >> $LOG\ncase "$*" in *--status*) exit $KNOWN;; esac\nexit $CODE\n'
    )
    python.chmod(0o755)
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "LOG": str(tmp_path / "log"), "CODE": str(code)}
    env["KNOWN"] = "0" if known else "2"
    line = ["sh", ROOT / "deploy" / "sweep_or_resume", "faces", "s3://b", "--trials", "3"]
    assert subprocess.run(line, env=env).returncode == left
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines[1] == f"experiments/sweep.py {first} --storage s3://b"
