"""Objects that are created only once: of several callers, the store lets one succeed.

pyarrow has no such request, so each store is asked through its own client or address.
"""

import os
from typing import Any
from urllib.parse import SplitResult, unquote

from datasets.address import masked, reveal, split
from datasets.object_store import GCS_RETRY_S, GOOGLE, azure_account, s3_endpoint_and_region

AZURE_CLIENT = "pip install azure-storage-blob azure-identity"


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
    key = parts.path.lstrip("/")
    if parts.scheme == "s3":
        return _create_on_s3(parts, key, content)
    if parts.scheme == "gs":
        return _create_on_google(parts.netloc, key, content)
    if parts.scheme == "az":
        return _create_on_azure(parts.netloc, key, content)
    raise ValueError(f"{parts.scheme}:// has no way to create an object only once; use s3://, gs:// or az://")


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


def _create_on_google(bucket: str, key: str, content: bytes) -> bool:
    import requests

    emulator = os.environ.get("STORAGE_EMULATOR_HOST", "")
    session: requests.Session = requests.Session() if emulator else _google_session()
    address = emulator if "://" in emulator else f"http://{emulator}" if emulator else GOOGLE
    query = {"uploadType": "media", "name": key, "ifGenerationMatch": "0"}
    try:
        answer = session.post(
            f"{address}/upload/storage/v1/b/{bucket}/o", params=query, data=content, timeout=GCS_RETRY_S
        )
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


def _create_on_azure(container: str, key: str, content: bytes) -> bool:
    try:
        from azure.core.exceptions import AzureError, ResourceExistsError
        from azure.storage.blob import BlobClient
    except ImportError:
        raise OSError(f"az:// as storage needs another package: {AZURE_CLIENT}") from None
    account, account_key, token, endpoint = azure_account()
    address = f"{endpoint}/{account}" if endpoint else f"https://{account}.blob.core.windows.net"
    credential: Any = {"account_name": account, "account_key": account_key} if account_key else token
    if not credential:
        from azure.identity import DefaultAzureCredential

        credential = DefaultAzureCredential()
    try:
        with BlobClient(address, container, key, credential=credential) as blob:
            blob.upload_blob(content, overwrite=False)
    except ResourceExistsError:
        return False
    except AzureError as error:
        raise OSError(masked(str(error).partition("\n")[0])) from None
    return True
