"""An S3 server on the laboratory's network, and what lies in its one bucket."""

import json
import subprocess
import sys

from cluster import lab

PORT = 5555
URL = "s3://lab/upsweep"
KEYS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-west-2",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_ENDPOINT_URL": f"http://{lab.GATE}:{PORT}",
}
EXPORTS = [f"{name}={value}" for name, value in KEYS.items()]
"""What a machine's instance profile would give it."""
MAKE = """
import boto3, time
client, deadline = boto3.client("s3"), time.time() + 100
while True:
    try:
        client.create_bucket(Bucket="lab", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
        break
    except Exception:
        assert time.time() < deadline
        time.sleep(0.2)
"""
LIST = """
import boto3, json
pages = boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket="lab")
print(json.dumps([o["Key"] for page in pages for o in page.get("Contents", [])]))
"""
READ = """
import boto3, sys
print(boto3.client("s3").get_object(Bucket="lab", Key=sys.argv[1])["Body"].read().decode(), end="")
"""


def _python(*words: str) -> list[str]:
    return ["ip", "netns", "exec", lab.SWITCH, sys.executable, *words]


def _asked(*words: str) -> str:
    env = KEYS | {"PATH": lab.BASE}
    done = subprocess.run(_python("-c", *words), env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def serve() -> "subprocess.Popen[bytes]":
    """The server, with its bucket; it ends with the laboratory."""
    server = subprocess.Popen(
        _python("-m", "moto.server", "-H", lab.GATE, "-p", str(PORT)),
        env=KEYS | {"PATH": lab.BASE},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _asked(MAKE)
    return server


def objects() -> list[str]:
    """Every key."""
    return json.loads(_asked(LIST))


def read(key: str) -> str:
    """The text of one."""
    return _asked(READ, key)
