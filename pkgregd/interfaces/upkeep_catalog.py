"""What the database is asked by those who keep the registry well."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from zope.interface import Interface

from pkgregd.values import BlobInfo, CatalogCheck, Damage, Digest, Fault, ScrubState, StoredBlob

SCRUB_LEASE_SECONDS = 600
"""How long whoever reads all blobs has them for himself without saying so again."""

STALE_SECONDS = 86_400
"""A reservation that ended so long ago should have been forgotten."""


class IUpkeepCatalog(Interface):
    """Blobs one after the other, what is wrong in the catalog, and where the reading of all blobs stands."""

    async def list_blobs(after: str, limit: int) -> tuple[StoredBlob, ...]:
        """Blobs with a sha256 hex greater than `after`, in that order, at most `limit`."""

    async def find_blob(sha256: Digest) -> StoredBlob | None:
        """Find what is known of a blob."""

    async def name_files(sha256: Digest, limit: int) -> tuple[str, ...]:
        """Name published files that a blob is of, by age, each with its project."""

    async def mark_blob(sha256: Digest, locator: str, damage: Damage | None) -> bool:
        """
        Note what is wrong with the bytes that lie somewhere, or that nothing is.

        Returns:
            Whether the blob lies there, and that is known of it now.
        """

    async def set_digests(sha256: Digest, digests: Mapping[str, str]) -> bool:
        """Put the digests of a blob right; False if it is not there."""

    async def restore_blob(blob: BlobInfo) -> bool:
        """
        Add the row of a blob that files refer to and that has none, with damage if its bytes are lost; or have the row
        of a damaged one tell of these bytes, which were found whole.

        Returns:
            Whether it was added or changed.
        """

    async def find_faults(check: CatalogCheck, after: tuple[int | str, ...] | None, limit: int) -> tuple[Fault, ...]:
        """
        Find rows that are wrong in one way, in order of their keys.

        Args:
            after: the key to go on behind; None begins.
        """

    async def mend_fault(check: CatalogCheck, fault: Fault) -> bool:
        """
        Mend a row if that can be done without losing anything but itself.

        Returns:
            Whether it was mended; False also if nothing is wrong with it any more.
        """

    async def take_scrub(holder: str, interval: datetime.timedelta | None) -> ScrubState | None:
        """
        Have all blobs to read for oneself, for SCRUB_LEASE_SECONDS.

        Args:
            holder: who, unlike any other.
            interval: the least time between the end of a round and the beginning of the next; None begins a new round
                now, from the first blob, and takes them from whoever has them.

        Returns:
            Where to go on; None if somebody else has them, or the time has not come.
        """

    async def keep_scrub(holder: str, state: ScrubState, *, is_over: bool = False) -> bool:
        """
        Note where the reading stands.

        Args:
            is_over: let others go on.

        Returns:
            False if somebody else has taken over: then nothing is noted.
        """

    async def end_scrub(holder: str, state: ScrubState) -> bool:
        """Note that a round has come to its end, now; False as for keep_scrub()."""

    async def find_scrub() -> ScrubState:
        """Return where the reading stands."""
