"""
Conditional and range requests. Pure.

Source: RFC 9110, sections 8.8 (validators), 13 (conditions), 14 (ranges).
"""

from __future__ import annotations

import datetime
import functools
import re
from email.utils import format_datetime, parsedate_to_datetime

from pkgregd.values import ByteRange

_RANGE = re.compile(r"bytes=[ \t]*(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))[ \t]*", re.IGNORECASE)
_NO_QUALITY = re.compile(r"q=0(?:\.0{0,3})?", re.ASCII)
_ENTITY_TAG = re.compile(r'[ \t]*(W/)?"([!#-~\x80-\xff]*)"[ \t]*(?:,|$)')


@functools.lru_cache(maxsize=1024)
def http_date(moment: datetime.datetime) -> str:
    """Write an aware time as an HTTP date."""
    return format_datetime(moment.astimezone(datetime.UTC).replace(microsecond=0), usegmt=True)


def parse_http_date(text: str) -> datetime.datetime | None:
    """Read an HTTP date; None if it is not one."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment.replace(tzinfo=datetime.UTC) if moment.tzinfo is None else moment


def parse_entity_tags(text: str) -> list[tuple[bool, str]] | None:
    """
    Read a list of entity tags.

    Returns:
        (is weak, opaque part) in order; None if the text is malformed.
    """
    tags = []
    position = 0
    while position < len(text):
        match = _ENTITY_TAG.match(text, position)
        if match is None:
            return None
        tags.append((match[1] is not None, match[2]))
        position = match.end()
    return tags


@functools.lru_cache(maxsize=64)
def accepts_gzip(accept_encoding: str | None) -> bool:
    """
    Decide whether a client takes gzip.

    Source: RFC 9110, section 12.5.3.
    """
    qualities: dict[str, bool] = {}
    for item in (accept_encoding or "").lower().split(","):
        coding, _, parameter = (part.strip(" \t") for part in item.partition(";"))
        qualities[coding] = _NO_QUALITY.fullmatch(parameter) is None
    return qualities.get("gzip", qualities.get("*", False))


def is_unmodified(
    etag: str | None, last_modified: datetime.datetime | None, none_match: str | None, since: str | None
) -> bool:
    """
    Decide whether a GET or HEAD is answered 304.

    Args:
        etag, last_modified: the validators of what would be sent.
        none_match, since: the values of If-None-Match and If-Modified-Since; the first one wins.
    """
    if none_match is not None:
        if none_match.strip() == "*":
            return True
        tags = parse_entity_tags(none_match)
        return etag is not None and tags is not None and any(tag == etag for _, tag in tags)
    if since is None or last_modified is None:
        return False
    moment = parse_http_date(since)
    return moment is not None and last_modified.replace(microsecond=0) <= moment


def is_precondition_met(
    etag: str | None, last_modified: datetime.datetime | None, match: str | None, unmodified_since: str | None
) -> bool:
    """Decide whether If-Match and If-Unmodified-Since let a GET or HEAD go on (else 412)."""
    if match is not None:
        if match.strip() == "*":
            return True
        tags = parse_entity_tags(match)
        return etag is not None and tags is not None and any(not weak and tag == etag for weak, tag in tags)
    if unmodified_since is None or last_modified is None:
        return True
    moment = parse_http_date(unmodified_since)
    return moment is None or last_modified.replace(microsecond=0) <= moment


def choose_range(
    header: str | None,
    if_range: str | None,
    size_bytes: int,
    etag: str | None,
    last_modified: datetime.datetime | None,
) -> ByteRange | bool | None:
    """
    Decide which part of a body to send.

    Returns:
        None for the whole (no range, several ranges, malformed, or If-Range does not hold), a ByteRange,
        or False when the range lies outside and 416 is due.
    """
    if header is None or not _if_range_holds(if_range, etag, last_modified):
        return None
    match = _RANGE.fullmatch(header)
    if match is None:
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        length = min(int(suffix), size_bytes)
        return ByteRange(size_bytes - length, size_bytes) if length else False
    start = int(first)
    if last and int(last) < start:
        return None
    if start >= size_bytes:
        return False
    return ByteRange(start, min(int(last) + 1, size_bytes) if last else size_bytes)


def _if_range_holds(if_range: str | None, etag: str | None, last_modified: datetime.datetime | None) -> bool:
    if if_range is None:
        return True
    text = if_range.strip()
    if text.startswith(('"', "W/")):
        return etag is not None and text == f'"{etag}"'
    moment = parse_http_date(text)
    return moment is not None and last_modified is not None and last_modified.replace(microsecond=0) == moment
