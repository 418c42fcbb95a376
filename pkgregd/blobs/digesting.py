"""Digests of bytes that pass by."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from pkgregd.errors import DigestMismatch
from pkgregd.values import HEX_LENGTHS, Digest


class _Hash(Protocol):
    def update(self, data: bytes | bytearray, /) -> None: ...

    def hexdigest(self) -> str: ...


def _new_hash(algorithm: str) -> _Hash:
    if algorithm not in HEX_LENGTHS:
        raise ValueError(f"unknown digest algorithm: {algorithm}")
    if algorithm == "blake2b_256":
        return hashlib.blake2b(digest_size=32)
    # md5 and sha1 are in the wire formats of old clients; nothing here trusts them
    return hashlib.new(algorithm, usedforsecurity=algorithm not in {"md5", "sha1"})


class Digester:
    """
    Computes sha256, and what else is asked for, over the same bytes.

    Thread safety: none; at most one thread at a time.
    """

    def __init__(self) -> None:
        self._hashes: dict[str, _Hash] = {"sha256": _new_hash("sha256")}

    def missing(self, algorithms: Iterable[str]) -> list[str]:
        """Which of the algorithms are not being computed."""
        return [algorithm for algorithm in algorithms if algorithm not in self._hashes]

    def add(self, algorithms: Iterable[str]) -> None:
        """
        Compute these as well.

        Raises:
            ValueError: an unknown algorithm.
        """
        for algorithm in self.missing(algorithms):
            self._hashes[algorithm] = _new_hash(algorithm)

    def update(self, pieces: Sequence[bytes | bytearray]) -> None:
        """Take bytes. From 2 KiB on hashlib lets other threads run meanwhile."""
        for piece in pieces:
            for digest in self._hashes.values():
                digest.update(piece)

    def finish(self, expected: Sequence[Digest]) -> Mapping[str, str]:
        """
        Return every digest as hex by algorithm.

        Raises:
            DigestMismatch: one of the expected ones differs.
        """
        found = {algorithm: digest.hexdigest() for algorithm, digest in self._hashes.items()}
        for digest in expected:
            if found[digest.algorithm] != digest.hex:
                raise DigestMismatch(digest.algorithm, digest.hex, found[digest.algorithm])
        return found
