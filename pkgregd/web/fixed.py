"""Replies that are the same each time, for everybody."""

from __future__ import annotations

import gzip
import hashlib

from attrs import frozen

from pkgregd.values import Page, PageBody, Reply

POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
MAX_AGE_SECONDS = 300
"""How long a browser shows a page without asking whether it has changed."""

HEADERS = (("Content-Security-Policy", POLICY), ("Cache-Control", f"public, max-age={MAX_AGE_SECONDS}"))


@frozen
class Fixed:
    """A reply that is the same each time, with validators, packed once."""

    reply: Reply

    @classmethod
    def of(cls, body: bytes, content_type: str) -> Fixed:
        """Make one of a body."""
        packed = gzip.compress(body, mtime=0)
        page = Page(body, packed if len(packed) < len(body) else None)

        async def rendered() -> Page:
            return page

        etag = hashlib.sha256(body).hexdigest()[:32]
        return cls(Reply(200, PageBody(rendered), content_type, HEADERS, etag=etag))

    async def answer(self) -> Reply:
        """Return the reply."""
        return self.reply
