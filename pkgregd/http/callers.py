"""Tells callers apart before anybody has looked at who they are."""

from __future__ import annotations

import enum
import hashlib
import os

from pkgregd.http.credentials import HEADERS, may_carry_token
from pkgregd.http.request import FrontRequest

SALT_BYTES = 16
DIGEST_BYTES = 16


class LooksAt(enum.Enum):
    """What a route finds its principal by, beside the address."""

    NOTHING = b"address"
    TOKEN = b"token"
    TOKEN_AND_NAME = b"token and name"


class Callers:
    """
    Digests of what requests show of who sends them.

    Keyed anew by each process: they say nothing of a token to who sees them, and nobody can choose two that are equal.

    Args:
        accepts_query: whether a token may be in the query.
    """

    def __init__(self, *, accepts_query: bool) -> None:
        self._accepts_query = accepts_query
        self._salt = os.urandom(SALT_BYTES)

    def digest(self, request: FrontRequest, looks_at: LooksAt) -> bytes:
        """Return the digest of the address and of all that is looked at: of whole headers, be they good or not."""
        shown = [looks_at.value, request.address.encode()]
        if looks_at is not LooksAt.NOTHING:
            for header in request.head.headers:
                if header[0] in HEADERS:
                    shown += header
            if self._accepts_query and may_carry_token(request):
                shown.append(request.raw_query)
        lengths = ",".join([str(len(part)) for part in shown])
        return hashlib.blake2b(
            b"".join([lengths.encode(), b":", *shown]), digest_size=DIGEST_BYTES, key=self._salt
        ).digest()
