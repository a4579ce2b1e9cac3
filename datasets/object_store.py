"""File systems of object stores (s3://, gs://, az://) through pyarrow, which finds the credentials itself.

For s3:// it uses AWS's default chain, in this order: environment variables (AWS_ACCESS_KEY_ID, ...), the
files in ~/.aws, the role of the instance. For gs:// it uses Google's application default credentials. For
az:// the account is in AZURE_STORAGE_ACCOUNT, and the key in AZURE_STORAGE_KEY or the SAS token in
AZURE_STORAGE_SAS_TOKEN, the variables of Azure's own command line; without both, Azure's default chain.
"""

import os
from datetime import timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode, urlsplit

from datasets.address import masked, reveal, split

GOOGLE = "https://storage.googleapis.com"
GCS_RETRY_S = 60.0
"""Seconds for which a request to Google's store is repeated; pyarrow's own limit is a quarter of an hour."""


def file_system(url: str) -> tuple[Any, str]:
    """Return (pyarrow file system, path in it) of an s3://, gs:// or az:// URL; pyarrow decides on others.

    S3 servers other than Amazon's are named by AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, a stand-in for
    Google's store by STORAGE_EMULATOR_HOST, one for Azure's by AZURE_STORAGE_BLOB_ENDPOINT. ValueError or
    OSError if pyarrow cannot open the URL.
    """
    parts = split(reveal(url), "the URL")
    if parts.scheme == "gs":
        return _google(
            os.environ.get("STORAGE_EMULATOR_HOST", ""), GCS_RETRY_S
        ), f"{parts.netloc}{parts.path}"
    if parts.scheme == "s3":
        system, bucket = _amazon(parts.netloc, *s3_endpoint_and_region())
        return system, f"{bucket}{parts.path}"
    if parts.scheme == "az":
        return open_azure(), f"{parts.netloc}{parts.path}"
    from pyarrow import fs

    return fs.FileSystem.from_uri(reveal(url))


def s3_endpoint_and_region() -> tuple[str, str]:
    """Return the address of an S3 server other than Amazon's, or "", and the region.

    ValueError for an address without http:// or https://.
    """
    for_s3 = os.environ.get("AWS_ENDPOINT_URL_S3")
    endpoint = for_s3 or os.environ.get("AWS_ENDPOINT_URL") or ""
    if endpoint and not endpoint.startswith(("http://", "https://")):
        variable = "AWS_ENDPOINT_URL_S3" if for_s3 else "AWS_ENDPOINT_URL"
        raise ValueError(f"{variable} must begin with http:// or https://, but is '{endpoint}'")
    return endpoint, os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"


def azure_account() -> tuple[str, str, str, str]:
    """Return the account of az://, its key, its SAS token and the address of a stand-in; each may be "".

    ValueError without an account.
    """
    account = os.environ.get("AZURE_STORAGE_ACCOUNT", "")
    if not account:
        raise ValueError("az:// needs the name of the storage account in AZURE_STORAGE_ACCOUNT")
    return (
        account,
        os.environ.get("AZURE_STORAGE_KEY", ""),
        os.environ.get("AZURE_STORAGE_SAS_TOKEN", ""),
        os.environ.get("AZURE_STORAGE_BLOB_ENDPOINT", ""),
    )


def open_azure() -> Any:
    """Return the file system of az:// for the account that the environment names."""
    return _azure(*azure_account())


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


@lru_cache(maxsize=4)
def _azure(account: str, key: str, token: str, endpoint: str) -> Any:
    from pyarrow import fs

    options: dict[str, str] = {"account_key": key} if key else {"sas_token": token} if token else {}
    if endpoint:
        address = urlsplit(endpoint)
        for service in ("blob", "dfs"):
            options |= {
                f"{service}_storage_authority": address.netloc,
                f"{service}_storage_scheme": address.scheme,
            }

    class AzureFiles(fs.AzureFileSystem):  # type: ignore[misc]
        """Pickled without the key, which Tune would write into its state: who opens it reads their own."""

        def __reduce__(self) -> Any:
            return open_azure, ()

    return AzureFiles(account, **options)


def reason(error: Exception) -> str:
    """Return the first line of an error's message, without the details that Google's client appends."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return masked(lines[0].partition(" error_info={")[0])
