"""Every use of Ray's private parts in this package, which a new release of Ray may change without notice.

tests/test_layout.py refuses private names of Ray elsewhere (but for the files it lists), and
tests/orchestrator/cluster/test_ray_private.py has a test for each function here.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

ADDRESSES = {"RAY_API_SERVER_ADDRESS": "", "RAY_ADDRESS": ""}
"""Variables by which Ray's client replaces the address that it is given."""
CONNECT_S, READ_S = 5.0, 60.0
"""Limits of a request, in seconds: to connect, and for each wait for the answer. Ray's client has none."""


def job_client(url: str, headers: Mapping[str, str], verify: bool | str) -> "JobSubmissionClient":
    """Return Ray's client for the job API at `url`, with time limits and without regard to Ray's variables.

    Args:
        headers: sent with each request.
        verify: True to check the certificate by the usual authorities, or the path of a file of authorities.

    Raises:
        OSError, RuntimeError, AuthenticationError: Ray does not answer, or refuses the headers.
    """
    from ray.job_submission import JobSubmissionClient

    class Client(JobSubmissionClient):
        def _do_request(self, method: str, endpoint: str, **more: Any) -> Any:
            return super()._do_request(method, endpoint, **({"timeout": (CONNECT_S, READ_S)} | more))

    with _without_addresses():
        return Client(url, headers=dict(headers), verify=verify)


@contextmanager
def _without_addresses() -> Iterator[None]:
    """Remove the variables that name an address while the block runs."""
    kept = dict(os.environ)
    for name in ADDRESSES:
        os.environ.pop(name, None)
    try:
        yield
    finally:
        os.environ.update({name: kept[name] for name in ADDRESSES if name in kept})
