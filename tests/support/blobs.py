"""Where the blobs of a test's daemon lie: in files, or with PKGREGD_TEST_BLOBS=s3 in a bucket of SeaweedFS."""

from __future__ import annotations

import os

ON_DISK = 'url = "file:blobs"'
"""The keys of a daemon whose tests look into its folder of blobs, whatever the others of the run have."""


def blobs_section() -> str:
    """Return the keys of the `[blobs]` section of one more daemon, without what a test adds to them."""
    where = os.environ.get("PKGREGD_TEST_BLOBS", "file")
    if where == "s3":
        from tests.support.seaweedfs import s3_blobs  # which needs what this module is needed for

        return s3_blobs()
    if where != "file":
        raise ValueError(f"PKGREGD_TEST_BLOBS is {where!r}, and has to be file or s3")
    return ON_DISK
