"""A sweep whose storage is an S3 server on the laboratory's network: what a cluster in the cloud does."""

import json
import subprocess
import sys

import fence
import lab
import own_yaml
import pytest
from test_cluster_lab import SHORT, furnish, laptop

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1500)]

PORT = 5555
KEYS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-west-2",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_ENDPOINT_URL": f"http://{lab.GATE}:{PORT}",
}
ASK = """
import boto3, json, time
client, deadline = boto3.client("s3"), time.time() + 100
while True:
    try:
        client.create_bucket(Bucket="lab", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
        break
    except client.exceptions.BucketAlreadyOwnedByYou:
        break
    except Exception:
        assert time.time() < deadline
        time.sleep(0.2)
pages = client.get_paginator("list_objects_v2").paginate(Bucket="lab")
print(json.dumps([o["Key"] for page in pages for o in page.get("Contents", [])]))
"""


def objects():
    """Every key of the bucket, which is made where there is none."""
    words = ["ip", "netns", "exec", lab.SWITCH, sys.executable, "-c", ASK]
    done = subprocess.run(words, env=KEYS | {"PATH": lab.BASE}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module", autouse=True)
def machines():
    """Laptop, head and one worker, and the server on the network between them."""
    fence.need_namespaces(*lab.TOOLS)
    lab.down()
    lab.EXPORTS[:] = [f"{name}={value}" for name, value in KEYS.items()]
    words = ["-m", "moto.server", "-H", lab.GATE, "-p", str(PORT)]
    server = None
    try:
        lab.up(2)
        server = subprocess.Popen(
            ["ip", "netns", "exec", lab.SWITCH, sys.executable, *words],
            env=KEYS | {"PATH": lab.BASE},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        assert objects() == []
        text = own_yaml.for_lab(
            lab.ROOT / "cluster.yaml", lab.address("h1"), [lab.address("h2")], "s3://lab/upsweep"
        )
        furnish(text)
        yield
    finally:
        lab.EXPORTS.clear()
        lab.down()
        if server is not None:
            server.kill()
            server.wait()


def test_a_sweep_keeps_everything_in_the_bucket_and_the_report_comes_back():
    laptop("python experiments/cluster.py up --nodes 2")
    said = laptop(f"python experiments/sweep.py --name first {SHORT} --trials 2")
    assert "copied here: runs/first/report.html" in said, said
    found = objects()
    for part in (
        "sweep.json",
        "leaderboard.json",
        "report.html",
        "stages/test.json",
        "submission/commit.txt",
    ):
        assert f"upsweep/first/{part}" in found
    assert any(key.startswith("upsweep/warm/") for key in found)
    assert any(key.startswith("upsweep/mlartifacts/") for key in found)
    laptop("python experiments/cluster.py down")
    assert "upsweep/registry/mlflow.db" in objects()
