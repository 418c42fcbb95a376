"""What fsck looks for: each kind of inconsistency with its name, what it means, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from pkgregd.values import CatalogCheck

MISSING_BLOB = "missing_blob"
WRONG_SIZE = "wrong_size"
WRONG_BYTES = "wrong_bytes"
WHOLE_AGAIN = "whole_again"
WRONG_DIGESTS = "wrong_digests"
UNKNOWN_OBJECT = "unknown_object"
STAGING_LEFTOVER = "staging_leftover"


@frozen
class Check:
    """
    A kind of inconsistency.

    Attributes:
        name: for programs; stays.
        what: what is wrong.
        to_do: what the operator does about it, where --repair has not done it.
    """

    name: str
    what: str
    to_do: str


_REPAIR = "run `pkgregd fsck --repair`"
_REPUBLISH = (
    "publish the same file again, or put its bytes back from a backup; "
    "until then --repair has it answer 503 and say why"
)
_BY_HAND = "restore the catalog from a backup; nothing is removed, since it may be the last that is known of it"

_ALL = (
    Check(MISSING_BLOB, "the bytes of published files are not in the store", _REPUBLISH),
    Check(WRONG_SIZE, "the bytes of published files have another length than they had", _REPUBLISH),
    Check(WRONG_BYTES, "the bytes of published files are others than they were", _REPUBLISH),
    Check(WHOLE_AGAIN, "the catalog has it damaged, and its bytes are what they should be", _REPAIR),
    Check(WRONG_DIGESTS, "the digests in the catalog are not those of its bytes", _REPAIR),
    Check(UNKNOWN_OBJECT, "bytes in the store that the catalog does not know", f"{_REPAIR}, or wait for the sweep"),
    Check(STAGING_LEFTOVER, "left by a process that died in the middle", f"{_REPAIR}, or wait for the next hour"),
    Check(CatalogCheck.UNRELEASED_BLOB.value, "no file refers to it, and it is not noted since when", _REPAIR),
    Check(CatalogCheck.RELEASED_BLOB.value, "files refer to it, and the catalog says that none do", _REPAIR),
    Check(
        CatalogCheck.FILE_WITHOUT_BLOB.value,
        "the catalog has lost what it knew of its bytes",
        f"{_REPAIR}: bytes that are in the store are taken up again",
    ),
    Check(CatalogCheck.FILE_WITHOUT_PACKAGE.value, "its package is not in the catalog", _BY_HAND),
    Check(CatalogCheck.PACKAGE_WITHOUT_PROJECT.value, "its project is not in the catalog", _BY_HAND),
    Check(CatalogCheck.EMPTY_PACKAGE.value, "it has no file", _REPAIR),
    Check(CatalogCheck.MISSING_REVISION.value, "its index has no revision, so caches may keep an old one", _REPAIR),
    Check(CatalogCheck.REVISION_BEHIND.value, "its index has a lower revision than was given out before", _REPAIR),
    Check(CatalogCheck.WRONG_USAGE.value, "what it uses is counted wrongly", _REPAIR),
    Check(CatalogCheck.DANGLING_TAG.value, "it points at no version of its name", _REPAIR),
    Check(CatalogCheck.STALE_RESERVATION.value, "its upload ended long ago", _REPAIR),
    Check(CatalogCheck.ORPHAN_DOCUMENT.value, "its file is not in the catalog", _REPAIR),
    Check(CatalogCheck.ORPHAN_KEY.value, "its file is not in the catalog, or elsewhere", _REPAIR),
    Check(CatalogCheck.ORPHAN_UNCONFIRMED.value, "its file is not in the catalog", _REPAIR),
)

CHECKS: Mapping[str, Check] = {check.name: check for check in _ALL}
"""All of them, by name."""
