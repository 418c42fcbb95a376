"""
What request headers promise and demand: digests of the body, and conditions on what is there.

All of it pure, over a function that returns a header's value.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping

from pkgregd.errors import InvalidRequest
from pkgregd.values import Digest, Precondition

Header = Callable[[str], str | None]

_HEX_HEADERS: Mapping[str, str] = {
    "X-Checksum-Sha256": "sha256",
    "X-Checksum-Sha512": "sha512",
    "X-Checksum-Sha1": "sha1",
    "X-Checksum-Md5": "md5",
}
_FIELD_ALGORITHMS: Mapping[str, str] = {"sha-256": "sha256", "sha-512": "sha512"}
_LEGACY_ALGORITHMS: Mapping[str, str] = {"sha-256": "sha256", "sha-512": "sha512", "sha": "sha1", "md5": "md5"}

_FIELD_MEMBER = re.compile(r"([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/]*={0,2}):", re.ASCII)
_LEGACY_MEMBER = re.compile(r"([A-Za-z0-9_-]+)=([A-Za-z0-9+/]*={0,2})", re.ASCII)
_ENTITY_TAG = re.compile(r'(W/)?"([!#-~\x80-\xff]*)"')
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


def promised_digests(header: Header) -> tuple[Digest, ...]:
    """
    Collect the digests that a client promises for its body.

    Understands `X-Checksum-Sha256` and its kin (hex), `Repr-Digest` and `Content-Digest`, `Digest` and
    `Content-MD5`. Algorithms that we do not know are passed over.

    Returns:
        At most one digest of each algorithm.

    Raises:
        InvalidRequest: a malformed header, or two promises that cannot both hold.
    Source: RFC 9530; RFC 3230 for `Digest`, RFC 1864 for `Content-MD5`.
    """
    promised: dict[str, Digest] = {}
    for digest in _promises(header):
        if promised.setdefault(digest.algorithm, digest) != digest:
            raise InvalidRequest(f"two different {digest.algorithm} digests are promised")
    return tuple(promised.values())


def _promises(header: Header) -> Iterator[Digest]:
    for name, algorithm in _HEX_HEADERS.items():
        if (text := header(name)) is not None:
            yield Digest(algorithm, text.strip().lower())
    if (text := header("Content-MD5")) is not None:
        yield _from_base64("md5", text.strip(), "Content-MD5")
    for name in ("Repr-Digest", "Content-Digest"):
        yield from _members(header(name), name, _FIELD_MEMBER, _FIELD_ALGORITHMS)
    yield from _members(header("Digest"), "Digest", _LEGACY_MEMBER, _LEGACY_ALGORITHMS)


def _members(text: str | None, name: str, grammar: re.Pattern[str], algorithms: Mapping[str, str]) -> Iterator[Digest]:
    if text is None:
        return
    for member in text.split(","):
        match = grammar.fullmatch(member.strip(" \t"))
        if match is None:
            raise InvalidRequest(f"malformed {name} header")
        algorithm = algorithms.get(match[1].lower())
        if algorithm is not None:
            yield _from_base64(algorithm, match[2], name)


def _from_base64(algorithm: str, text: str, name: str) -> Digest:
    try:
        return Digest(algorithm, base64.b64decode(text.encode("ascii"), validate=True).hex())
    except (binascii.Error, UnicodeEncodeError):
        raise InvalidRequest(f"malformed {name} header") from None


def write_precondition(header: Header) -> Precondition:
    """
    Read the conditions of a PUT or DELETE.

    A weak or foreign entity tag is kept as it was written, so that it is a demand that nothing meets.

    Raises:
        InvalidRequest: a malformed list of entity tags, or an `If-None-Match` other than `*`.
    Source: RFC 9110, sections 13.1.1 and 13.1.2.
    """
    none_match = header("If-None-Match")
    if none_match is not None and none_match.strip() != "*":
        raise InvalidRequest("If-None-Match can only be * here")
    return Precondition(absent=none_match is not None, sha256_any_of=_wanted(header("If-Match")))


def _wanted(text: str | None) -> tuple[str, ...]:
    if text is None:
        return ()
    if text.strip() == "*":
        return ("*",)
    wanted = []
    for member in text.split(","):
        match = _ENTITY_TAG.fullmatch(member.strip(" \t"))
        if match is None:
            raise InvalidRequest("malformed If-Match header")
        is_ours = match[1] is None and _SHA256.fullmatch(match[2])
        wanted.append(match[2] if is_ours else match[0])
    return tuple(wanted)


def best_media_type(accept: str | None, offers: Mapping[str, str], default: str) -> str | None:
    """
    Choose a representation.

    Args:
        accept: the Accept header, or None; parts that are malformed do not count.
        offers: media type to what is chosen by it; of equally welcome ones the first wins.
        default: the media type for clients that take anything.

    Returns:
        The value of the best offer, None when the client takes none of them.
    Source: RFC 9110, section 12.5.1.
    """
    ranges = dict(_media_ranges(accept or "*/*")) or {"*/*": 1.0}
    best: tuple[float, int, bool] | None = None
    chosen = None
    for media_type, value in offers.items():
        kind = media_type.partition("/")[0]
        for specificity, pattern in ((2, media_type), (1, f"{kind}/*"), (0, "*/*")):
            quality = ranges.get(pattern)
            if quality is None:
                continue
            rank = (quality, specificity, specificity == 0 and media_type == default)
            if quality > 0 and (best is None or rank > best):
                best, chosen = rank, value
            break
    return chosen


_MEDIA_RANGE = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+/[!#$%&'*+.^_`|~0-9a-z-]+", re.ASCII)
_QUALITY = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)", re.ASCII)


def _media_ranges(accept: str) -> Iterator[tuple[str, float]]:
    for item in accept.lower().split(","):
        media_range, *parameters = (part.strip(" \t") for part in item.split(";"))
        quality = next((text[2:] for text in parameters if text.startswith("q=")), "1")
        if _MEDIA_RANGE.fullmatch(media_range) and _QUALITY.fullmatch(quality):
            yield media_range, float(quality)
