"""File systems of object stores (s3://, gs://) through pyarrow, which finds the credentials itself.

For s3:// it uses AWS's default chain, in this order: environment variables (AWS_ACCESS_KEY_ID, ...), the
files in ~/.aws, the role of the instance. For gs:// it uses Google's application default credentials.
"""

import os
from datetime import timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode, urlsplit

from datasets.address import masked, reveal, split

GCS_RETRY_S = 60.0
"""Seconds for which a request to Google's store is repeated; pyarrow's own limit is a quarter of an hour."""


def file_system(url: str) -> tuple[Any, str]:
    """Return (pyarrow file system, path in it) of an s3:// or gs:// URL; pyarrow decides on other schemes.

    S3 servers other than Amazon's are named by AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, a stand-in for
    Google's store by STORAGE_EMULATOR_HOST. ValueError or OSError if pyarrow cannot open the URL.
    """
    parts = split(reveal(url), "the URL")
    if parts.scheme == "gs":
        return _google(
            os.environ.get("STORAGE_EMULATOR_HOST", ""), GCS_RETRY_S
        ), f"{parts.netloc}{parts.path}"
    if parts.scheme == "s3":
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        system, bucket = _amazon(parts.netloc, endpoint, region)
        return system, f"{bucket}{parts.path}"
    from pyarrow import fs

    return fs.FileSystem.from_uri(reveal(url))


@lru_cache(maxsize=4)
def _amazon(bucket: str, endpoint: str, region: str) -> tuple[Any, str]:
    from pyarrow import fs

    # Delayed: a file below 10 MB is sent in one request; a multipart upload takes three.
    options = {"allow_delayed_open": "true"}
    if endpoint:  # without one, pyarrow asks Amazon in which region the bucket is
        address = urlsplit(endpoint)
        options |= {"endpoint_override": address.netloc, "scheme": address.scheme, "region": region}
    return fs.FileSystem.from_uri(f"s3://{bucket}?{urlencode(options)}")


@lru_cache(maxsize=4)
def _google(emulator: str, retry_s: float) -> Any:
    from pyarrow import fs

    limit = timedelta(seconds=retry_s)
    if not emulator:
        return fs.GcsFileSystem(retry_time_limit=limit)
    address = urlsplit(emulator if "://" in emulator else f"http://{emulator}")
    return fs.GcsFileSystem(
        anonymous=True, endpoint_override=address.netloc, scheme=address.scheme, retry_time_limit=limit
    )


def reason(error: Exception) -> str:
    """Return the first line of an error's message, without the details that Google's client appends."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return masked(lines[0].partition(" error_info={")[0])
