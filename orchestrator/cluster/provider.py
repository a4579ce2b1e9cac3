"""Where the head of a cluster is: asked of the provider, in a process of its own with a limit.

Ray's own question hangs for minutes where credentials are there and the network is not, so AWS is first
asked one of ours: the same permission, one attempt, a few seconds.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from datasets.errors import UserError
from orchestrator.cluster.known_clusters import KnownCluster, read

LOCAL = "; --local runs here"
LIMIT_S = 20.0
"""Seconds; half of it is the import of Ray and boto3 on a slow machine."""
EXPIRED = ("ExpiredToken", "RequestExpired", "ExpiredTokenException", "TokenRefreshRequired", "SSOTokenLoad")
REFUSED = ("AuthFailure", "InvalidClientTokenId", "UnauthorizedOperation", "SignatureDoesNotMatch")
NO_NETWORK = (
    "EndpointConnectionError",
    "ConnectTimeoutError",
    "ConnectionClosedError",
    "ProxyConnectionError",
)


def head_address(trace: KnownCluster, limit_s: float = LIMIT_S) -> str:
    """The address of the head; UserError in seconds with what is the matter."""
    return trace.address or _asked(trace, "address", limit_s, LOCAL)


def check_credentials(trace: KnownCluster, limit_s: float = LIMIT_S) -> None:
    """UserError in seconds where the provider does not take our questions; only AWS is asked."""
    if trace.provider == "aws":
        _asked(trace, "check", limit_s, "")


def _asked(trace: KnownCluster, what: str, limit_s: float, remedy: str) -> str:
    try:
        command = [sys.executable, "-m", "orchestrator.cluster.provider", trace.file, what]
        root = Path(__file__).resolve().parents[2]
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, cwd=root)
        answer = json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        answer = {"kind": "TimeoutExpired", "error": f"no answer in {limit_s:.0f} s"}
    except (ValueError, IndexError):
        answer = {"kind": "", "error": done.stderr.strip().rpartition("\n")[2]}
    if "address" in answer:
        return answer["address"]
    raise UserError(_words(trace, answer["kind"], answer["error"], remedy))


def _words(trace: KnownCluster, kind: str, error: str, remedy: str) -> str:
    """One sentence for a person, with what else they can do."""
    file = Path(trace.file).name
    if "NoCredentials" in kind or "PartialCredentials" in kind:
        return f"cluster '{trace.name}' needs AWS credentials and there are none: run aws configure{remedy}"
    if any(word in kind + error for word in EXPIRED):
        return f"the AWS credentials have expired: renew them (aws sso login){remedy}"
    if any(word in kind + error for word in REFUSED):
        return f"AWS refuses these credentials for cluster '{trace.name}': {error}{remedy}"
    if kind == "TimeoutExpired" or any(word in kind for word in NO_NETWORK):
        asked = f"{trace.provider} cannot be asked about cluster '{trace.name}'"
        return f"{asked}: {error}; is there a network?{remedy}"
    if "not found" in error:
        return (
            f"cluster '{trace.name}' was started from here and has no head now: bring it back with "
            f"ray up {file}, forget it with python experiments/cluster.py down, or use --local to run here"
        )
    return f"the head of cluster '{trace.name}' was not found: {error}{remedy}"


def main(file: str, what: str) -> dict[str, str]:
    """What the provider says, as a dictionary of one answer or one error."""
    try:
        _ask_aws(read(Path(file))["provider"])
        return {"address": _of_head(file) if what == "address" else ""}
    except (Exception, SystemExit) as error:
        code = getattr(error, "response", {}).get("Error", {}).get("Code", "")
        text = " ".join(str(error).split())
        return {"kind": f"{type(error).__name__} {code}".strip(), "error": text}


def _ask_aws(provider: dict[str, Any]) -> None:
    """Whether the network, the credentials and their permission to look at instances are there."""
    if provider["type"] != "aws":
        return
    import boto3
    from botocore.config import Config

    once = Config(connect_timeout=4, read_timeout=4, retries={"total_max_attempts": 1})
    keys = provider.get("aws_credentials") or {}
    client = boto3.client("ec2", region_name=provider.get("region"), config=once, **keys)
    client.describe_instances(MaxResults=5)


def _of_head(file: str) -> str:
    import contextlib
    import io

    from ray.autoscaler._private.commands import get_head_node_ip

    with contextlib.redirect_stdout(io.StringIO()):
        return get_head_node_ip(file)


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
