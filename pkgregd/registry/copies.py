"""What the catalog is asked about a blob of a store: about the bytes, or about one copy of them."""

from __future__ import annotations

from pkgregd.errors import Unavailable
from pkgregd.interfaces import IBlobStore, ICatalog
from pkgregd.values import BlobInfo, Digest


async def forget(catalog: ICatalog, blobs: IBlobStore, blob: BlobInfo) -> bool:
    """Have the catalog forget a blob of this store; whether it may be removed. See IBlobCatalog.forget_blob."""
    return await catalog.forget_blob(blob.sha256, _copy(blobs, blob))


async def is_unused(catalog: ICatalog, blobs: IBlobStore, blob: BlobInfo) -> bool:
    """Whether no file refers to a blob of this store. See IBlobCatalog.is_blob_unused."""
    return await catalog.is_blob_unused(blob.sha256, _copy(blobs, blob))


async def is_unknown(catalog: ICatalog, blobs: IBlobStore, blob: BlobInfo) -> bool:
    """Whether the catalog has no row of what lies here, and no file that may need it, the row's own copy being lost."""
    stored = await catalog.find_blob(blob.sha256)
    if stored is not None:
        if not blobs.has_copies or stored.info.locator == blob.locator:
            return False
        if stored.is_used and await is_lost(blobs, stored.info):
            return False
    return await is_unused(catalog, blobs, blob)


async def is_lost(blobs: IBlobStore, blob: BlobInfo) -> bool:
    """Whether what the catalog refers to is damaged, as far as that is known or shows without reading it."""
    return blob.damage is not None or await blobs.stat(blob) != blob.size_bytes


async def knows_nothing(catalog: ICatalog) -> bool:
    """Whether the catalog has no blob at all: then it may be a new one over the files of another."""
    return not await catalog.list_blobs("", 1)


async def demand_some(blobs: IBlobStore) -> None:
    """
    Pass if there is any blob in a store: then one that is missing is missing.

    Raises:
        Unavailable: there is none, as where a disk is not mounted, or another place is configured.
    """
    async for _ in blobs.iter_blobs():
        return
    raise Unavailable("there is not one file where the blobs should be: is the disk mounted, and blobs.url right?")


async def is_unpublished(catalog: ICatalog, sha256: Digest) -> bool:
    """Whether the catalog has neither a row nor a file of these bytes; those it lets go of are the sweep's, in time."""
    return await catalog.find_blob(sha256) is None and await catalog.is_blob_unused(sha256)


def _copy(blobs: IBlobStore, blob: BlobInfo) -> str | None:
    return blob.locator if blobs.has_copies else None
