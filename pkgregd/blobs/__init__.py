"""Where the bytes of packages lie."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from pkgregd.blobs.files import FileBlobStore
from pkgregd.errors import ConfigError
from pkgregd.interfaces import IBlobStore, IMeasures
from pkgregd.unmeasured import UNMEASURED

__all__ = ["S3Settings", "open_blob_store"]

DEFAULT_REGION = "us-east-1"
"""What services that know no regions call theirs."""


class S3Settings(Protocol):
    """What is configured of an S3 service; texts are empty when not given. See BlobsConfig."""

    @property
    def endpoint_url(self) -> str:
        """Scheme, host and port of the service."""

    @property
    def region(self) -> str:
        """Of the bucket."""

    @property
    def access_key_id(self) -> str:
        """With secret_access_key, else both are taken from the environment."""

    @property
    def secret_access_key(self) -> str:
        """Never shown."""

    @property
    def ca_file(self) -> str:
        """Authorities to believe in instead of the system's."""

    @property
    def staging(self) -> str:
        """Folder for parts on their way."""


def open_blob_store(
    reactor: Any,
    url: str,
    folder: Path,
    *,
    reserve_bytes: int,
    threads: int,
    s3: S3Settings | None = None,
    environment: Mapping[str, str] = os.environ,
    measures: IMeasures = UNMEASURED,
) -> IBlobStore:
    """
    Make the store that a configured URL means. Touches nothing yet.

    Args:
        reactor: provides IReactorTime and IReactorFromThreads, for S3 IReactorTCP and IReactorSSL besides.
        url: `file:PATH`, also `file:///PATH`, or `s3://BUCKET/PREFIX`.
        folder: what a relative path is relative to.
        reserve_bytes: free space that uploads leave alone.
        threads: the most threads to use.
        s3: for a URL of S3.
        environment: where keys of S3 are looked for that are not configured.
        measures: told of requests to S3.

    Raises:
        ConfigError: not a URL of a store we have, or one that cannot be used so.
    """
    scheme, colon, path = url.partition(":")
    if scheme == "s3" and s3 is not None:
        return _open_s3(reactor, path, folder, threads, s3, environment, measures)
    if path.startswith("//"):
        if not path.startswith("///"):
            raise ConfigError(f"blobs.url: {url!r} names a host; write file:PATH or file:///PATH")
        path = path[2:]
    if not colon or scheme != "file" or not path or "\0" in path:
        raise ConfigError(f"blobs.url: {scheme!r} is not a blob store; write file:PATH")
    return FileBlobStore(reactor, folder / path, reserve_bytes=reserve_bytes, threads=threads)


def _open_s3(
    reactor: Any,
    path: str,
    folder: Path,
    threads: int,
    settings: S3Settings,
    environment: Mapping[str, str],
    measures: IMeasures,
) -> IBlobStore:
    try:
        from pkgregd.blobs.s3 import S3BlobStore
        from pkgregd.blobs.s3_agent import make_agent
        from pkgregd.blobs.s3_signing import S3Keys, S3Place, Signer
    except ImportError as error:
        raise ConfigError(f"blobs.url: S3 needs more to be installed, {error.name}: install pkgregd[s3]") from None
    bucket, _, prefix = path.removeprefix("//").partition("/")
    prefix = prefix.strip("/")
    region = settings.region or environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or DEFAULT_REGION
    if not settings.endpoint_url:
        raise ConfigError("blobs.endpoint_url: must be given for s3, such as https://s3.example.com")
    if settings.access_key_id:
        keys = S3Keys(settings.access_key_id, settings.secret_access_key)
    else:
        keys = S3Keys(
            environment.get("AWS_ACCESS_KEY_ID", ""),
            environment.get("AWS_SECRET_ACCESS_KEY", ""),
            environment.get("AWS_SESSION_TOKEN") or None,
        )
    if not keys.access_key_id or not keys.secret_access_key:
        raise ConfigError(
            "blobs.access_key_id: must be given for s3, with secret_access_key or secret_access_key_file, here or by "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment"
        )
    place = S3Place(settings.endpoint_url, bucket, f"{prefix}/" if prefix else "", region)
    agent, close = make_agent(reactor, folder / settings.ca_file if settings.ca_file else None)
    return S3BlobStore(
        reactor,
        agent,
        Signer(place, keys),
        folder / settings.staging,
        threads=threads,
        close_connections=close,
        measures=measures,
    )
