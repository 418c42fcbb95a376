"""
Which of several representations a client gets. Pure.

Source: RFC 9110, section 12.5.1.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

MAX_HEADER_CHARACTERS = 4096

_RANGE = re.compile(r"([A-Za-z0-9!#$&^_.+*-]+/[A-Za-z0-9!#$&^_.+*-]+)", re.ASCII)
_QUALITY = re.compile(r"q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)", re.ASCII | re.IGNORECASE)


def choose_media_type(accept: str | None, offered: Sequence[str]) -> str | None:
    """
    Choose a media type.

    Args:
        accept: the header, None when not sent; what is malformed in it is passed over.
        offered: media types, the preferred one first.

    Returns:
        The offer with the greatest quality, the earlier one of equals; None if the client takes none.
    """
    if accept is None or not accept.strip() or len(accept) > MAX_HEADER_CHARACTERS:
        return offered[0]
    ranges = [found for found in map(_parse_range, accept.split(",")) if found is not None]
    if not ranges:
        return offered[0]
    best, best_quality = None, 0.0
    for offer in offered:
        quality = _quality(offer, ranges)
        if quality > best_quality:
            best, best_quality = offer, quality
    return best


def _parse_range(text: str) -> tuple[str, float] | None:
    kind, *parameters = (part.strip() for part in text.split(";"))
    if not _RANGE.fullmatch(kind):
        return None
    for parameter in parameters:
        match = _QUALITY.fullmatch(parameter)
        if match is not None:
            return kind.lower(), float(match[1])
    return kind.lower(), 1.0


def _quality(offer: str, ranges: Sequence[tuple[str, float]]) -> float:
    """Take the quality of the most specific range that covers an offer."""
    main = offer.partition("/")[0]
    for wanted in (offer, f"{main}/*", "*/*"):
        qualities = [quality for kind, quality in ranges if kind == wanted]
        if qualities:
            return max(qualities)
    return 0.0
