"""What is uploaded: wheels as peers take them too, and bodies that are unlike each other."""

from __future__ import annotations

import hashlib
import random

from attrs import field, frozen

from bench.load import Pieces
from bench.settings import SMALL_BYTES
from tests.support.packages import make_great_wheel, make_wheel, wheel_name
from tests.support.rawhttp import repeated


@frozen
class Wheel:
    """
    A wheel to upload.

    Attributes:
        pieces: its bytes in order.
    """

    name: str
    version: str
    file_name: str
    sha256: str
    pieces: Pieces = field(repr=False)


def tiny_wheel(name: str, version: str) -> Wheel:
    """Make a wheel with next to nothing in it."""
    return _wheel(name, version, make_wheel(name, version, f"version = {version!r}\n".encode()))


def small_wheel(name: str, version: str) -> Wheel:
    """Make a wheel of about SMALL_BYTES that no one can compress."""
    frame = len(make_wheel(name, version, b""))
    return _wheel(name, version, make_wheel(name, version, random.randbytes(SMALL_BYTES - frame)))


def great_wheel(name: str, version: str, size_bytes: int) -> Wheel:
    """Make a wheel whose one module has that size."""
    made = make_great_wheel(name, version, size_bytes)
    return Wheel(name, version, made.file_name, made.sha256, made.pieces)


def great_body(mark: str, size_bytes: int) -> Pieces:
    """Make that many bytes, unlike those of another mark."""
    head = hashlib.sha256(mark.encode()).digest()
    return [head, *repeated(size_bytes - len(head))]


def _wheel(name: str, version: str, data: bytes) -> Wheel:
    return Wheel(name, version, wheel_name(name, version), hashlib.sha256(data).hexdigest(), [data])
