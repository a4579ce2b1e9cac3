"""File systems of object stores (s3://, gs://) through pyarrow."""

import os
from datetime import timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit


def object_store(url: str) -> tuple[Any, str]:
    """(pyarrow file system, path) of an s3:// or gs:// URL; credentials come from the environment."""
    parts = urlsplit(url)
    return file_system(parts.scheme), f"{parts.netloc}{parts.path}"


@lru_cache(maxsize=4)
def file_system(scheme: str) -> Any:
    from pyarrow import fs

    if scheme == "gs":
        return _google(fs)
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if not endpoint:
        return fs.S3FileSystem()
    address = urlsplit(endpoint)
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    return fs.S3FileSystem(endpoint_override=address.netloc, scheme=address.scheme, region=region)


def _google(fs: Any) -> Any:
    """Google's store, or the double of it that STORAGE_EMULATOR_HOST names, as for Google's own clients."""
    emulator = os.environ.get("STORAGE_EMULATOR_HOST", "")
    patience = timedelta(seconds=60)  # by itself it asks for a quarter of an hour
    if not emulator:
        return fs.GcsFileSystem(retry_time_limit=patience)
    address = urlsplit(emulator if "://" in emulator else f"http://{emulator}")
    return fs.GcsFileSystem(
        anonymous=True, endpoint_override=address.netloc, scheme=address.scheme, retry_time_limit=patience
    )
