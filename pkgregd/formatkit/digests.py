"""
The digests a client promises in headers, and the conditions it sets. Pure.

Source: RFC 9530 (Repr-Digest, Content-Digest), RFC 1864 (Content-MD5), RFC 9110 section 13.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable

from pkgregd.errors import InvalidRequest
from pkgregd.values import NO_PRECONDITION, Digest, Precondition

MAX_HEADER_CHARACTERS = 4096

_CHECKSUM_HEADERS = {"x-checksum-sha256": "sha256", "x-checksum-sha1": "sha1", "x-checksum-md5": "md5"}
_RFC_9530_NAMES = {"sha-256": "sha256", "sha-512": "sha512"}
_DICTIONARY_MEMBER = re.compile(r"[ \t]*([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/=]*):[ \t]*(?:,|$)")
_ENTITY_TAG = re.compile(r'[ \t]*(W/)?"([!#-~\x80-\xff]*)"[ \t]*(?:,|$)')

Header = Callable[[str], str | None]


def promised_digests(header: Header) -> tuple[Digest, ...]:
    """
    Collect what the client says the bytes are.

    Args:
        header: gives a header's value by name, or None.

    Returns:
        Each algorithm once, in no particular order.

    Raises:
        InvalidRequest: a digest is malformed, or two headers contradict each other.
    """
    found: dict[str, Digest] = {}
    for name, algorithm in _CHECKSUM_HEADERS.items():
        value = header(name)
        if value is not None:
            _add(found, Digest.parse(f"{algorithm}:{value.strip()}"))
    for name in ("repr-digest", "content-digest"):
        value = header(name)
        if value is not None:
            for digest in _parse_dictionary(name, value):
                _add(found, digest)
    md5 = header("content-md5")
    if md5 is not None:
        _add(found, Digest("md5", _decode("content-md5", md5.strip())))
    return tuple(found.values())


def _add(found: dict[str, Digest], digest: Digest) -> None:
    if found.setdefault(digest.algorithm, digest) != digest:
        raise InvalidRequest(f"two headers promise different {digest.algorithm} digests")


def _parse_dictionary(name: str, value: str) -> list[Digest]:
    """Read a structured-field dictionary of byte sequences; algorithms we do not know are passed over."""
    digests = []
    position = 0
    if not value.strip() or len(value) > MAX_HEADER_CHARACTERS:
        raise InvalidRequest(f"malformed {name} header")
    while position < len(value):
        match = _DICTIONARY_MEMBER.match(value, position)
        if match is None:
            raise InvalidRequest(f"malformed {name} header")
        algorithm = _RFC_9530_NAMES.get(match[1])
        if algorithm is not None:
            digests.append(Digest(algorithm, _decode(name, match[2])))
        position = match.end()
    return digests


def _decode(name: str, text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).hex()
    except (binascii.Error, ValueError):
        raise InvalidRequest(f"malformed {name} header") from None


def precondition(header: Header) -> Precondition:
    """
    Read If-Match and If-None-Match of a request that writes.

    Raises:
        InvalidRequest: malformed, or an If-None-Match other than `*`.
    """
    none_match, match = header("if-none-match"), header("if-match")
    if none_match is not None and none_match.strip() != "*":
        raise InvalidRequest("the only If-None-Match of a request that writes is *")
    if match is None:
        return Precondition(absent=True) if none_match is not None else NO_PRECONDITION
    return Precondition(absent=none_match is not None, sha256_any_of=_parse_tags(match))


def _parse_tags(text: str) -> tuple[str, ...]:
    """Read the entity tags that can match; a weak one never does, so that only the impossible is left of it."""
    if text.strip() == "*":
        return ("*",)
    tags = []
    position = 0
    while position < len(text):
        match = _ENTITY_TAG.match(text, position)
        if match is None:
            raise InvalidRequest("malformed If-Match header")
        tags.append("" if match[1] else match[2])
        position = match.end()
    if not tags:
        raise InvalidRequest("malformed If-Match header")
    return tuple(tags)
