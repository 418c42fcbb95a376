"""
How objects in a bucket are named.

    blobs/SHA256-RANDOM                 a blob that was sent at once
    large/RANDOM                        a blob that came in parts, before its digest was known
    receipts/RANDOM-SHA256-SIZE         empty; tells what large/RANDOM is
    probe                               empty; written to see whether writing works

Names from outside are nowhere in them. Each upload has a name of its own, so what is removed is never what somebody
else has just put there.
"""

from __future__ import annotations

import re

from pkgregd.values import BlobInfo, Digest

BLOBS = "blobs/"
LARGE = "large/"
RECEIPTS = "receipts/"
PROBE = "probe"

_BLOB = re.compile(r"blobs/([0-9a-f]{64})-[0-9a-f]{32}", re.ASCII)
_LARGE = re.compile(r"large/([0-9a-f]{32})", re.ASCII)
_RECEIPT = re.compile(r"receipts/([0-9a-f]{32})-([0-9a-f]{64})-([0-9]{1,15})", re.ASCII)


def blob_key(sha256: Digest, random: str) -> str:
    """Return where a blob of a known digest lies."""
    return f"{BLOBS}{sha256.hex}-{random}"


def large_key(random: str) -> str:
    """Return where a blob lies that comes in parts."""
    return LARGE + random


def receipt_key(random: str, sha256: Digest, size_bytes: int) -> str:
    """Return the name of a large blob's receipt."""
    return f"{RECEIPTS}{random}-{sha256.hex}-{size_bytes}"


def keys_of(blob: BlobInfo) -> tuple[str, ...]:
    """Return all objects of a blob, its bytes first; nothing if its locator is not one of ours."""
    large = _LARGE.fullmatch(blob.locator)
    if large is not None:
        return blob.locator, receipt_key(large[1], blob.sha256, blob.size_bytes)
    found = _BLOB.fullmatch(blob.locator)
    return (blob.locator,) if found is not None and found[1] == blob.sha256.hex else ()


def read_name(key: str, size_bytes: int) -> BlobInfo | None:
    """
    Tell which blob an object is, or is the receipt of.

    Args:
        size_bytes: of the object.

    Returns:
        None for objects that tell nothing.
    """
    if (found := _BLOB.fullmatch(key)) is not None:
        sha256 = Digest("sha256", found[1])
        return BlobInfo(sha256, size_bytes, key, {"sha256": sha256.hex})
    if (found := _RECEIPT.fullmatch(key)) is not None:
        sha256 = Digest("sha256", found[2])
        return BlobInfo(sha256, int(found[3]), large_key(found[1]), {"sha256": sha256.hex})
    return None
