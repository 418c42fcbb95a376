"""The fake store."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pkgregd.blobs.memory import MemoryBlobStore
from pkgregd.interfaces import IBlobStore
from pkgregd.testing.blob_store_contract import OneCopyContract
from pkgregd.values import BlobInfo


class MemoryBlobStoreTests(OneCopyContract, SynchronousTestCase):
    """MemoryBlobStore keeps the contract."""

    def make_store(self) -> MemoryBlobStore:
        """Make an empty store."""
        return MemoryBlobStore()

    def damage(self, store: IBlobStore, blob: BlobInfo, data: bytes | None) -> None:
        """Change the bytes behind the store's back."""
        assert isinstance(store, MemoryBlobStore)
        _, written_at = store.contents.pop(blob.sha256)
        if data is not None:
            store.contents[blob.sha256] = (data, written_at)
