"""
Attestations: signed statements about a file, kept beside it.

Their shape is checked, and that they speak of the very file that came with them. Whether a signature or a
certificate is good is for those who trust somebody to find out: we pass on what was sent, byte for byte.

Source: PEP 740; the specification of index hosted attestations of the Python packaging user guide.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from typing import TypeVar

from attrs import frozen

from pkgregd.errors import InvalidFileName, MalformedBody, MetadataMismatch
from pkgregd.formatkit.names import is_printable
from pkgregd.formatkit.strictjson import read_strict_json
from pkgregd.formats.pypi_names import FileName
from pkgregd.values import Digest

T = TypeVar("T")

MAX_ATTESTATIONS = 8
MAX_TRANSPARENCY_ENTRIES = 16
MAX_FIELD_CHARACTERS = 256 << 10
"""Of all attestations of a file together; one takes some ten thousand."""

MAX_DEPTH = 16

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"

_HEX = re.compile(r"[0-9A-Fa-f]{2,256}", re.ASCII)
_URI = re.compile(r"[a-z][a-z0-9+.-]*:[!-~]{1,300}", re.ASCII)

_BEFORE = b'{"version":1,"attestation_bundles":[{"publisher":{"kind":"pkgregd","claims":{}},"attestations":'
_BEHIND = b"}]}"


@frozen
class Subject:
    """The file that an attestation speaks of: its name, and its sha256 as lower-case hex."""

    file_name: str
    sha256: str


def read_attestations(text: str) -> Sequence[Subject]:
    """
    Check the upload field `attestations`.

    Returns:
        What each of them is about; at least one.

    Raises:
        MalformedBody.
    """
    found = _json(text, "attestations")
    if not isinstance(found, list) or not 1 <= len(found) <= MAX_ATTESTATIONS:
        raise MalformedBody(f"attestations: not a list of 1 to {MAX_ATTESTATIONS}")
    return [_read_attestation(attestation, f"attestation {number}") for number, attestation in enumerate(found, 1)]


def demand_subject(subject: Subject, file_name: FileName, name: str, version: str, sha256: Digest) -> None:
    """
    Pass if an attestation is about this file.

    Args:
        file_name: of the file; another spelling of the same distribution will do.
        name, version: of the package.

    Raises:
        MetadataMismatch.
    """
    try:
        is_same = FileName.parse(subject.file_name).is_spelling_of(file_name, name, version)
    except InvalidFileName:
        is_same = False
    if not is_same:
        raise MetadataMismatch("file name", ("attestation", subject.file_name), ("form", file_name.text))
    if subject.sha256 != sha256.hex:
        raise MetadataMismatch("sha256", ("attestation", subject.sha256), ("file", sha256.hex))


def provenance_of(text: str) -> bytes:
    """
    Make the provenance object that is served.

    The attestations stay as they were sent, within an object of our own.

    Args:
        text: passed read_attestations().
    """
    return _BEFORE + text.encode("utf-8") + _BEHIND


def _read_attestation(attestation: object, what: str) -> Subject:
    version = _member(attestation, "version", int, what)
    if version != 1 or isinstance(version, bool):
        raise MalformedBody(f"{what}: the version is not 1")
    material = _member(attestation, "verification_material", dict, what)
    _from_base64(_member(material, "certificate", str, what), f"{what}: certificate")
    entries = _member(material, "transparency_entries", list, what)
    if len(entries) > MAX_TRANSPARENCY_ENTRIES or not all(isinstance(entry, dict) for entry in entries):
        raise MalformedBody(f"{what}: transparency_entries is not a list of at most {MAX_TRANSPARENCY_ENTRIES} objects")
    envelope = _member(attestation, "envelope", dict, what)
    _from_base64(_member(envelope, "signature", str, what), f"{what}: signature")
    statement = _from_base64(_member(envelope, "statement", str, what), f"{what}: statement")
    return _read_statement(statement, f"{what}: statement")


def _read_statement(data: bytes, what: str) -> Subject:
    try:
        statement = _json(data.decode("utf-8"), what)
    except UnicodeDecodeError:
        raise MalformedBody(f"{what}: not UTF-8") from None
    if _member(statement, "_type", str, what) != STATEMENT_TYPE:
        raise MalformedBody(f"{what}: not an in-toto v1 statement")
    if not _URI.fullmatch(_member(statement, "predicateType", str, what)):
        raise MalformedBody(f"{what}: predicateType is not a URI")
    subjects = _member(statement, "subject", list, what)
    if len(subjects) != 1:
        raise MalformedBody(f"{what}: not about one subject")
    name = _member(subjects[0], "name", str, what)
    if len(name) > 255 or not is_printable(name):
        raise MalformedBody(f"{what}: the subject's name is too long or not plain text")
    digests = _member(subjects[0], "digest", dict, what)
    if not all(isinstance(value, str) and _HEX.fullmatch(value) for value in digests.values()):
        raise MalformedBody(f"{what}: a digest is not hexadecimal")
    sha256 = _member(digests, "sha256", str, what)
    if len(sha256) != 64:
        raise MalformedBody(f"{what}: sha256 has not 64 digits")
    return Subject(name, sha256.lower())


def _json(text: str, what: str) -> object:
    return read_strict_json(text, what, max_characters=MAX_FIELD_CHARACTERS, max_depth=MAX_DEPTH)


def _member(value: object, key: str, kind: type[T], what: str) -> T:
    if not isinstance(value, dict) or not isinstance(value.get(key), kind):
        raise MalformedBody(f"{what}: {key} is missing, or of the wrong kind")
    member: T = value[key]
    return member


def _from_base64(text: str, what: str) -> bytes:
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        data = b""
    if not data:
        raise MalformedBody(f"{what}: not base64")
    return data
