"""The XML of S3 services, read within limits and written."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree

from attrs import frozen

from pkgregd.blobs.s3_bodies import S3Trouble

MAX_ANSWER_BYTES = 4 << 20
"""A page of a listing takes less than one."""

_NAMESPACE = re.compile(r"^\{[^}]*\}")


@frozen
class Listed:
    """An object, or an unfinished upload, of a listing; its key with the prefix."""

    key: str
    at: datetime.datetime
    size_bytes: int = 0
    upload_id: str = ""


@frozen
class Listing:
    """A page of a listing, and the query that asks for the next one: None at the end."""

    found: Sequence[Listed]
    further: Sequence[tuple[str, str]] | None


def read_xml(data: bytes) -> ElementTree.Element:
    """
    Read an answer.

    Raises:
        S3Trouble: it is none.
    """
    try:
        if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
            raise S3Trouble("the answer is not of S3")
        root = ElementTree.fromstring(data)  # noqa: S314 - see above
    except (ElementTree.ParseError, ValueError, LookupError):
        raise S3Trouble("the answer is not XML") from None
    for element in root.iter():
        element.tag = _NAMESPACE.sub("", str(element.tag))
    return root


def error_code(data: bytes) -> str:
    """Return the code of an error, short and printable; empty if there is none."""
    try:
        root = read_xml(data)
    except S3Trouble:
        return ""
    code = (root.findtext("Code") or "") if root.tag == "Error" else ""
    return re.sub(r"[^A-Za-z0-9.]", "", code)[:64]


def text_of(root: ElementTree.Element, name: str) -> str:
    """
    Return the text of a child.

    Raises:
        S3Trouble: there is none.
    """
    text = root.findtext(name)
    if not text:
        raise S3Trouble(f"the answer has no {name}")
    return text


def read_objects(data: bytes) -> Listing:
    """Read a page of ListObjectsV2. Raises S3Trouble."""
    root = read_xml(data)
    found = [
        Listed(text_of(each, "Key"), _time(text_of(each, "LastModified")), _number(text_of(each, "Size")))
        for each in root.findall("Contents")
    ]
    further = None
    if root.findtext("IsTruncated") == "true":
        further = [("continuation-token", text_of(root, "NextContinuationToken"))]
    return Listing(found, further)


def read_uploads(data: bytes) -> Listing:
    """Read a page of ListMultipartUploads. Raises S3Trouble."""
    root = read_xml(data)
    found = [
        Listed(text_of(each, "Key"), _time(text_of(each, "Initiated")), upload_id=text_of(each, "UploadId"))
        for each in root.findall("Upload")
    ]
    further = None
    if root.findtext("IsTruncated") == "true":
        further = [
            ("key-marker", text_of(root, "NextKeyMarker")),
            ("upload-id-marker", text_of(root, "NextUploadIdMarker")),
        ]
    return Listing(found, further)


def completion(etags: Mapping[int, str]) -> bytes:
    """Write what CompleteMultipartUpload takes: every part's number and ETag, in order."""
    root = ElementTree.Element("CompleteMultipartUpload")
    for number, etag in sorted(etags.items()):
        part = ElementTree.SubElement(root, "Part")
        ElementTree.SubElement(part, "PartNumber").text = str(number)
        ElementTree.SubElement(part, "ETag").text = etag
    return ElementTree.tostring(root)


def _time(text: str) -> datetime.datetime:
    try:
        when = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise S3Trouble("the answer has a time that is none") from None
    return when if when.tzinfo is not None else when.replace(tzinfo=datetime.UTC)


def _number(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text, re.ASCII):
        raise S3Trouble("the answer has a number that is none")
    return int(text)
