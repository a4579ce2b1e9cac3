"""Where the head of a cluster is: asked of the provider, in a process of its own with a limit.

Ray's own question hangs for minutes where credentials are there and the network is not.
"""

import json
import subprocess
import sys
from pathlib import Path

from datasets.errors import UserError
from orchestrator.remote.trace import Trace

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


def address(trace: Trace, limit_s: float = LIMIT_S) -> str:
    """The address of the head; UserError in seconds with what is the matter."""
    if trace.address:
        return trace.address
    try:
        command = [sys.executable, "-m", "orchestrator.remote.locate", trace.file]
        root = Path(__file__).resolve().parents[2]
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, cwd=root)
        answer = json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        raise UserError(_words(trace, "TimeoutExpired", f"no answer in {limit_s:.0f} s")) from None
    except (ValueError, IndexError):
        raise UserError(_words(trace, "", done.stderr.strip().rpartition("\n")[2])) from None
    if "address" in answer:
        return answer["address"]
    raise UserError(_words(trace, answer["kind"], answer["error"]))


def _words(trace: Trace, kind: str, error: str) -> str:
    """One sentence for a person."""
    local = "; --local runs here"
    file = Path(trace.file).name
    if "NoCredentials" in kind or "PartialCredentials" in kind:
        return f"cluster '{trace.name}' needs AWS credentials and there are none: run aws configure{local}"
    if any(word in kind + error for word in EXPIRED):
        return f"the AWS credentials have expired: renew them (aws sso login){local}"
    if any(word in kind + error for word in REFUSED):
        return f"AWS refuses these credentials for cluster '{trace.name}': {error}{local}"
    if kind == "TimeoutExpired" or any(word in kind for word in NO_NETWORK):
        asked = f"{trace.provider} cannot be asked about cluster '{trace.name}'"
        return f"{asked}: {error}; is there a network?{local}"
    if "not found" in error:
        return (
            f"cluster '{trace.name}' was started from here and has no head now: bring it back with "
            f"ray up {file}, forget it with python experiments/cluster.py down, or use --local to run here"
        )
    return f"the head of cluster '{trace.name}' was not found: {error}{local}"


def main(file: str) -> dict[str, str]:
    """What the provider says, as a dictionary of one answer or one error."""
    import contextlib
    import io

    from ray.autoscaler._private.commands import get_head_node_ip

    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return {"address": get_head_node_ip(file)}
    except (Exception, SystemExit) as error:
        code = getattr(error, "response", {}).get("Error", {}).get("Code", "")
        text = " ".join(str(error).split())
        return {"kind": f"{type(error).__name__} {code}".strip(), "error": text}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
