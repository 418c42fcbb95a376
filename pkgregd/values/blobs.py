"""Bytes: their digests, and what is known of them."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping

from attrs import field, frozen

from pkgregd.errors import InvalidDigest

HEX_LENGTHS: Mapping[str, int] = {
    "md5": 32,
    "sha1": 40,
    "sha256": 64,
    "sha512": 128,
    "blake2b_256": 64,
}
"""The digest algorithms we know, each with the length of its hexadecimal form."""


_HEX = re.compile(r"[0-9a-f]+", re.ASCII)


@frozen
class Digest:
    """
    A checked digest of some bytes.

    Attributes:
        algorithm: a key of HEX_LENGTHS.
        hex: lower-case hexadecimal of exactly the algorithm's length.
    """

    algorithm: str
    hex: str

    def __attrs_post_init__(self) -> None:
        if HEX_LENGTHS.get(self.algorithm) != len(self.hex) or not _HEX.fullmatch(self.hex):
            raise InvalidDigest(self.algorithm, self.hex)

    @classmethod
    def parse(cls, text: str) -> Digest:
        """
        Read `algorithm:hex`, either letter case.

        Raises:
            InvalidDigest: unknown algorithm, or not its number of hex digits.
        """
        algorithm, _, hex_digits = text.partition(":")
        return cls(algorithm.lower(), hex_digits.lower())

    @classmethod
    def sha256(cls, hex_digits: str) -> Digest:
        """Make a sha256 digest of 64 hex digits in either case."""
        return cls("sha256", hex_digits.lower())

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"


class Damage(enum.Enum):
    """What is wrong with the stored bytes of a blob."""

    MISSING = "missing"
    WRONG_SIZE = "wrong_size"
    WRONG_BYTES = "wrong_bytes"


@frozen
class BlobInfo:
    """
    A stored blob.

    Attributes:
        sha256: the digest that names it.
        size_bytes: its length.
        locator: where its bytes lie, in the words of the store that made it.
        digests: the digests that were computed, sha256 included, by algorithm, as hex.
        damage: what the catalog knows to be wrong with the bytes; None while nothing is known.
    """

    sha256: Digest
    size_bytes: int
    locator: str
    digests: Mapping[str, str] = field(factory=dict)
    damage: Damage | None = None


@frozen
class ByteRange:
    """
    A piece of a blob.

    Attributes:
        start: first byte, from 0.
        stop: one past the last byte; greater than start.
    """

    start: int
    stop: int

    @property
    def size_bytes(self) -> int:
        """How many bytes the range covers, at least 1."""
        return self.stop - self.start
