"""Object stores (s3://, gs://, az://): file systems through pyarrow, and objects that are created only once.

Pyarrow finds the credentials itself. For s3:// it uses AWS's default chain, in this order: environment
variables (AWS_ACCESS_KEY_ID, ...), the files in ~/.aws, the role of the instance. For gs:// it uses Google's
application default credentials. For az:// the account is in AZURE_STORAGE_ACCOUNT, and the key in
AZURE_STORAGE_KEY or the SAS token in AZURE_STORAGE_SAS_TOKEN, the variables of Azure's own command line;
without both, Azure's default chain.

Pyarrow has no request that creates an object unless there is one: for that, each store is asked through its
own client or address.
"""

import os
from datetime import timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import SplitResult, unquote, urlencode, urlsplit

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
        return _google(_google_emulator(), GCS_RETRY_S), f"{parts.netloc}{parts.path}"
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


def _google_emulator() -> str:
    """Return the address of a stand-in for Google's store, or ""."""
    emulator = os.environ.get("STORAGE_EMULATOR_HOST", "")
    return f"http://{emulator}" if emulator and "://" not in emulator else emulator


@lru_cache(maxsize=4)
def _google(emulator: str, retry_s: float) -> Any:
    from pyarrow import fs

    limit = timedelta(seconds=retry_s)
    if not emulator:
        return fs.GcsFileSystem(retry_time_limit=limit)
    address = urlsplit(emulator)
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


def create_object(url: str, content: bytes) -> bool:
    """Write an object unless there is one of that name; return True if it was written.

    The store decides, in one request (If-None-Match on s3:// and az://, ifGenerationMatch=0 on gs://). If the
    answer to an earlier attempt was lost, the store refuses the object that is already this caller's: compare
    its content.

    Raises:
        OSError: the store cannot be reached or refuses the request for another reason.
        ValueError: the scheme is another one.
    """
    parts = split(reveal(url), "the URL")
    stores = {"s3": _create_on_s3, "gs": _create_on_google, "az": _create_on_azure}
    if parts.scheme not in stores:
        raise ValueError(
            f"{parts.scheme}:// has no way to create an object only once; use s3://, gs:// or az://"
        )
    return stores[parts.scheme](parts, parts.path.lstrip("/"), content)


def _create_on_s3(parts: SplitResult, key: str, content: bytes) -> bool:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    endpoint, region = s3_endpoint_and_region()
    style = {"addressing_style": "path" if endpoint else "auto"}
    # servers other than Amazon's may not know the checksums that newer clients add
    config = Config(s3=style, request_checksum_calculation="when_required", retries={"mode": "standard"})
    own = {}
    if parts.username and parts.password:  # s3://KEY:SECRET@bucket, as pyarrow takes it
        own = {
            "aws_access_key_id": unquote(parts.username),
            "aws_secret_access_key": unquote(parts.password),
        }
    client = boto3.client("s3", region_name=region, endpoint_url=endpoint or None, config=config, **own)
    try:
        client.put_object(Bucket=parts.netloc.rpartition("@")[2], Key=key, Body=content, IfNoneMatch="*")
    except ClientError as error:
        if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") in (409, 412):
            return False  # 409: another request for the name is under way
        raise OSError(masked(str(error))) from None
    except BotoCoreError as error:
        raise OSError(masked(str(error))) from None
    return True


def _create_on_google(parts: SplitResult, key: str, content: bytes) -> bool:
    import requests

    emulator = _google_emulator()
    session: requests.Session = requests.Session() if emulator else _google_session()
    address = f"{emulator or GOOGLE}/upload/storage/v1/b/{parts.netloc}/o"
    query = {"uploadType": "media", "name": key, "ifGenerationMatch": "0"}
    try:
        answer = session.post(address, params=query, data=content, timeout=GCS_RETRY_S)
    except requests.RequestException as error:
        raise OSError(str(error)) from None
    if answer.status_code == 412:
        return False
    if not answer.ok:
        raise OSError(f"Google's store answers {answer.status_code} to a request for {key}")
    return True


def _google_session() -> Any:
    """Return a session with the application default credentials, as pyarrow finds them."""
    import google.auth
    from google.auth.transport.requests import AuthorizedSession

    scope = "https://www.googleapis.com/auth/devstorage.read_write"
    return AuthorizedSession(google.auth.default(scopes=[scope])[0])


def _create_on_azure(parts: SplitResult, key: str, content: bytes) -> bool:
    try:
        from azure.core.exceptions import AzureError, ResourceExistsError
        from azure.storage.blob import BlobClient
    except ImportError:
        packages = "pip install azure-storage-blob azure-identity"
        raise OSError(f"az:// as storage needs another package: {packages}") from None
    account, account_key, token, endpoint = azure_account()
    address = f"{endpoint}/{account}" if endpoint else f"https://{account}.blob.core.windows.net"
    credential: Any = {"account_name": account, "account_key": account_key} if account_key else token
    if not credential:
        from azure.identity import DefaultAzureCredential

        credential = DefaultAzureCredential()
    try:
        with BlobClient(address, parts.netloc, key, credential=credential) as blob:
            blob.upload_blob(content, overwrite=False)
    except ResourceExistsError:
        return False
    except AzureError as error:
        raise OSError(masked(str(error).partition("\n")[0])) from None
    return True
