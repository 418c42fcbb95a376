"""Where the bytes of packages lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pkgregd.blobs.files import FileBlobStore
from pkgregd.errors import ConfigError
from pkgregd.interfaces import IBlobStore

__all__ = ["open_blob_store"]


def open_blob_store(reactor: Any, url: str, folder: Path, *, reserve_bytes: int, threads: int) -> IBlobStore:
    """
    Make the store that a configured URL means. Touches nothing yet.

    Args:
        reactor: provides IReactorTime and IReactorFromThreads.
        url: `file:PATH`, also `file:///PATH`.
        folder: what a relative path is relative to.
        reserve_bytes: free space that uploads leave alone.
        threads: the most threads to use.

    Raises:
        ConfigError: not a URL of a store we have.
    """
    scheme, colon, path = url.partition(":")
    if path.startswith("//"):
        if not path.startswith("///"):
            raise ConfigError(f"blobs.url: {url!r} names a host; write file:PATH or file:///PATH")
        path = path[2:]
    if not colon or scheme != "file" or not path or "\0" in path:
        raise ConfigError(f"blobs.url: {scheme!r} is not a blob store; write file:PATH")
    return FileBlobStore(reactor, folder / path, reserve_bytes=reserve_bytes, threads=threads)
