"""
What a wheel says of itself beside METADATA: WHEEL and RECORD.

Source: the binary distribution format, and "Recording installed projects", of the Python packaging user guide.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Sequence
from math import prod

from attrs import frozen
from packaging.tags import Tag, parse_tag

from pkgregd.errors import InvalidArchive
from pkgregd.formatkit.coremetadata import split_fields
from pkgregd.formatkit.names import is_printable

MAX_WHEEL_BYTES = 64 << 10
MAX_RECORD_BYTES = 16 << 20

MAX_TAGS = 512
"""What the tags of one wheel may stand for; a line has room for millions."""

_WHEEL_VERSION = re.compile(r"1\.[0-9]{1,3}", re.ASCII)
_TAG = re.compile(r"[A-Za-z0-9_.]{1,255}-[A-Za-z0-9_.]{1,255}-[A-Za-z0-9_.]{1,255}", re.ASCII)
_BUILD = re.compile(r"[0-9][A-Za-z0-9_.]{0,63}", re.ASCII)
_UNRECORDED = frozenset({"RECORD", "RECORD.jws", "RECORD.p7s"})


@frozen
class WheelFacts:
    """
    What WHEEL says.

    Attributes:
        tags: every one that a file name may have to stand for.
        build: the build tag, empty without one.
    """

    tags: frozenset[Tag]
    build: str


def parse_wheel_facts(data: bytes) -> WheelFacts:
    """
    Read WHEEL.

    Raises:
        InvalidArchive: not what an installer needs: a version 1, whether it is pure, and its tags.
    """
    found: dict[str, list[str]] = {}
    for key, value, _ in split_fields(data, "WHEEL"):
        found.setdefault(key, []).append(value)
    if not all(is_printable(value) for values in found.values() for value in values):
        raise InvalidArchive("WHEEL is not plain text")
    if not _WHEEL_VERSION.fullmatch(_one(found, "wheel-version") or ""):
        raise InvalidArchive("WHEEL has no Wheel-Version, or one that is not 1")
    if (_one(found, "root-is-purelib") or "").lower() not in ("true", "false"):
        raise InvalidArchive("Root-Is-Purelib of WHEEL is neither true nor false")
    build = _one(found, "build") or ""
    if build and not _BUILD.fullmatch(build):
        raise InvalidArchive("Build of WHEEL is malformed")
    return WheelFacts(_expand(found.get("tag", [])), build)


def _one(found: dict[str, list[str]], key: str) -> str | None:
    values = found.get(key, [])
    if len(values) > 1:
        raise InvalidArchive(f"WHEEL has two fields {key.title()}")
    return values[0] if values else None


def _expand(lines: list[str]) -> frozenset[Tag]:
    tags: set[Tag] = set()
    for line in lines:
        if not _TAG.fullmatch(line):
            raise InvalidArchive(f"WHEEL has the malformed Tag {line[:255]!a}")
        if len(tags) + prod(part.count(".") + 1 for part in line.split("-")) > MAX_TAGS:
            raise InvalidArchive(f"WHEEL stands for more than {MAX_TAGS} tags")
        tags |= parse_tag(line)
    if not tags:
        raise InvalidArchive("WHEEL has no Tag")
    return frozenset(tags)


def check_record(data: bytes, folder: str, files: Collection[str]) -> None:
    """
    Pass if RECORD lists the files of the archive, no more and no fewer.

    Hashes are not looked at: the whole file has been hashed.

    Args:
        folder: the .dist-info directory; its RECORD and signatures need not be listed.
        files: paths of all files.

    Raises:
        InvalidArchive.
    """
    free = {f"{folder}/{name}" for name in _UNRECORDED}
    listed = _read_record(data)
    unlisted = sorted(set(files) - listed.keys() - free)
    missing = sorted(listed.keys() - set(files) - free)
    if unlisted:
        raise InvalidArchive(f"RECORD of the wheel does not list {unlisted[0][:255]!a}")
    if missing:
        raise InvalidArchive(f"RECORD of the wheel lists {missing[0][:255]!a}, which is not there")


def _read_record(data: bytes) -> dict[str, Sequence[str]]:
    """Return hash and size as written, by path."""
    listed: dict[str, Sequence[str]] = {}
    try:
        # not splitlines(), which would cut names at characters that csv lets pass
        for row in csv.reader(io.StringIO(data.decode("utf-8"), newline=""), strict=True):
            if row and (len(row) != 3 or listed.setdefault(row[0], row) != row):
                raise InvalidArchive("RECORD of the wheel is malformed, or lists a file twice")
    except (UnicodeDecodeError, csv.Error):
        raise InvalidArchive("RECORD of the wheel is malformed") from None
    return listed
