"""The address of a cluster's head, from its provider, in another process with a time limit.

Ray's own query hangs for minutes if there are credentials and no network. So AWS first gets a query of ours
that needs an equal permission: one attempt, a few seconds.
"""

import contextlib
import io
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from datasets.errors import UserError
from orchestrator.cluster import ray_private
from orchestrator.cluster.known_clusters import KnownCluster, read
from orchestrator.provenance import ROOT

LOCAL = ", or use --local to run here"
LIMIT_S = 20.0
"""Half of it is the import of Ray and boto3 on a slow machine."""
EXPIRED = ("ExpiredToken", "RequestExpired", "ExpiredTokenException", "TokenRefreshRequired", "SSOTokenLoad")
REFUSED = ("AuthFailure", "InvalidClientTokenId", "UnauthorizedOperation", "SignatureDoesNotMatch")
NO_NETWORK = (
    "EndpointConnectionError",
    "ConnectTimeoutError",
    "ConnectionClosedError",
    "ProxyConnectionError",
)


def head_address(cluster: KnownCluster, limit_s: float = LIMIT_S) -> str:
    """Return the address of the head. UserError within `limit_s` with the reason if there is none."""
    return cluster.address or _query(cluster, "address", limit_s, LOCAL)


def check_credentials(cluster: KnownCluster, limit_s: float = LIMIT_S) -> None:
    """Raise UserError within `limit_s` if the provider refuses our credentials; only AWS is asked."""
    if cluster.provider == "aws":
        _query(cluster, "check", limit_s, "")


def _query(cluster: KnownCluster, query: str, limit_s: float, remedy: str) -> str:
    command = [sys.executable, "-m", "orchestrator.cluster.provider", cluster.file, query]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, cwd=ROOT)
        answer = json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        answer = {"kind": "TimeoutExpired", "error": f"no answer in {limit_s:.0f} s"}
    except (ValueError, IndexError):
        answer = {"kind": "", "error": done.stderr.strip().rpartition("\n")[2]}
    if "address" in answer:
        return answer["address"]
    raise UserError(_explain(cluster, answer["kind"], answer["error"], remedy))


def _explain(cluster: KnownCluster, kind: str, error: str, remedy: str) -> str:
    """Return the sentence for a person; `remedy` is an alternative to the repair, or empty."""
    name = f"cluster '{cluster.name}'"
    if "NoCredentials" in kind or "PartialCredentials" in kind:
        return f"{name} needs AWS credentials and there are none: run aws configure{remedy}"
    if any(word in kind + error for word in EXPIRED):
        return f"the AWS credentials have expired: renew them (aws sso login){remedy}"
    if any(word in kind + error for word in REFUSED):
        return f"AWS refuses these credentials for {name} ({error}): correct them{remedy}"
    if kind == "TimeoutExpired" or any(word in kind for word in NO_NETWORK):
        return f"{cluster.provider} cannot be asked about {name} ({error}): check the network{remedy}"
    if "not found" in error:
        return (
            f"{name} was started from here and has no head now: start it again with ray up "
            f"{shlex.quote(cluster.file)}, remove it with upsweep cluster down{LOCAL}"
        )
    return f"the provider returned no head of {name} ({error}): check it in its console{remedy}"


def main(file: str, query: str) -> dict[str, str]:
    """Return {"address": ...}, empty for the query "check", or {"kind": ..., "error": ...}."""
    try:
        _describe_aws_instances(read(Path(file))["provider"])
        with contextlib.redirect_stdout(io.StringIO()):  # Ray prints to where our answer goes
            return {"address": ray_private.head_address(file) if query == "address" else ""}
    except (Exception, SystemExit) as error:
        code = getattr(error, "response", {}).get("Error", {}).get("Code", "")
        return {"kind": f"{type(error).__name__} {code}".strip(), "error": " ".join(str(error).split())}


def _describe_aws_instances(provider: dict[str, Any]) -> None:
    """Raise boto3's error if network, credentials or the permission to list instances are missing."""
    if provider["type"] != "aws":
        return
    import boto3
    from botocore.config import Config

    once = Config(connect_timeout=4, read_timeout=4, retries={"total_max_attempts": 1})
    keys = provider.get("aws_credentials") or {}
    client = boto3.client("ec2", region_name=provider.get("region"), config=once, **keys)
    client.describe_instances(MaxResults=5)


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
