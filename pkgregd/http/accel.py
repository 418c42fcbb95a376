"""
Which replies are finished by nginx in front, out of the folder that holds the blobs.

nginx replaces what we answer by a file of its own. Anybody else would take our answer for the file, which is then
empty: so nothing is handed over unless a trusted proxy says, in a header of its own, that it knows what to do.
"""

from __future__ import annotations

from pkgregd.http.request import FrontRequest
from pkgregd.interfaces import IBlobSource
from pkgregd.values import ByteRange

HEADER = "X-Accel-Redirect"

_SAYS_SO = b"x-sendfile-type"
"""Where a proxy writes HEADER if it can open our files."""

_OURS_TO_DECIDE = (b"if-match", b"if-unmodified-since")
"""Conditions that nginx would ask of its file once more, whose tag is not the one that the client has."""


def path_for_proxy(request: FrontRequest, source: IBlobSource, piece: ByteRange | None) -> str | None:
    """
    Return what the proxy is told instead of the bytes, None if they have to be sent.

    Args:
        piece: what the client gets of the blob; None for all of it.
    """
    prefix = request.channel.factory.settings.accel_redirect
    if not prefix or source.shared_path is None or not _takes_over(request):
        return None
    if piece is None and request.header(b"range") is not None:
        return None  # it would be read again, and perhaps not be left out again
    return f"{prefix}{source.shared_path}"


def _takes_over(request: FrontRequest) -> bool:
    if not request.channel.is_proxy or request.header(_SAYS_SO) != HEADER.encode("ascii"):
        return False
    return request.method == b"GET" and not any(request.header(name) is not None for name in _OURS_TO_DECIDE)
