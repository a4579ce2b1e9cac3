"""Run inside the fence (fence.py): each cluster file given is bootstrapped and launched by Ray's own launcher
against moto, without ssh. Prints one JSON object: file -> what was launched, or the first error.
"""

import contextlib
import functools
import io
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import boto3
import yaml

TAGS = {"ray-node-status": "uninitialized", "ray-launch-config": "checked"}


def main(template: str, files: list[str]) -> dict[str, object]:
    """Make what docs/aws.yaml makes, then check file by file."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    others = {name for _, name in socket.if_nameindex()} - {"lo"}
    if others:  # moto invents addresses that belong to strangers: never outside the fence
        raise SystemExit(f"not fenced: {others}")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    from ray.autoscaler._private.aws import node_provider

    # the same list for every file: four seconds of paging each
    node_provider.list_ec2_instances = functools.cache(node_provider.list_ec2_instances)
    server.start()
    host, port = server.get_host_and_port()
    os.environ["AWS_ENDPOINT_URL"] = f"http://{host}:{port}"
    try:
        made = _account(template)
        return {"account": made} | {file: _check(file) for file in files}
    finally:
        server.stop()


def _account(template: str) -> list[str]:
    cloud = boto3.client("cloudformation")
    cloud.create_stack(
        StackName="upsweep",
        TemplateBody=Path(template).read_text(),
        Capabilities=["CAPABILITY_NAMED_IAM"],
        Parameters=[{"ParameterKey": "Bucket", "ParameterValue": "a-bucket"}],
    )
    profiles = boto3.client("iam").list_instance_profiles()["InstanceProfiles"]
    return sorted(f"{p['InstanceProfileName']}:{p['Roles'][0]['RoleName']}" for p in profiles)


def _check(file: str) -> object:
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            return _launch(yaml.safe_load(Path(file).read_text()))
    except (Exception, SystemExit) as error:
        return f"{type(error).__name__}: {error} {said.getvalue()}"


def _launch(config: dict) -> dict[str, object]:
    """Every node type launched once, through private functions of the Ray that pyproject.toml pins."""
    from ray.autoscaler._private.commands import _bootstrap_config
    from ray.autoscaler._private.providers import _get_node_provider

    config["cluster_name"] = f"{config['cluster_name']}-{time.monotonic_ns()}"
    ready = _bootstrap_config(config, no_config_cache=True)
    provider = _get_node_provider(ready["provider"], ready["cluster_name"])
    found = {}
    for name, kind in ready["available_node_types"].items():
        role = "head" if name == ready["head_node_type"] else "worker"
        own = {"ray-node-type": role, "ray-node-name": name, "ray-user-node-type": name}
        (launched,) = provider.create_node(kind["node_config"], TAGS | own, 1)
        (group,) = boto3.client("ec2").describe_instances(InstanceIds=[launched])["Reservations"]
        (node,) = group["Instances"]
        found[name] = {
            "type": node["InstanceType"],
            "profile": _profile(name, node),
            "spot": node.get("InstanceLifecycle") == "spot",
            "resources": kind["resources"],
        }
    return found


def _profile(name: str, node: dict) -> str:
    profile = node.get("IamInstanceProfile", {}).get("Arn", "").rpartition("/")[2]
    if not profile:
        raise ValueError(f"node type {name} has no instance profile: its nodes could not read the storage")
    boto3.client("iam").get_instance_profile(InstanceProfileName=profile)  # raises where there is none
    return profile


if __name__ == "__main__":
    print("RESULT " + json.dumps(main(sys.argv[1], sys.argv[2:])))
