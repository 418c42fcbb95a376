"""
What is read of an archive before it is published, and compared with what the form says.

inspect_package() runs in the inspector, a process of its own; inspection_of() takes its answer, and believes nothing.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import IO, Any

from attrs import field, frozen
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from pkgregd.errors import InvalidArchive, MetadataMismatch
from pkgregd.formatkit.answers import optional_bytes, optional_text, text
from pkgregd.formatkit.archives import read_sdist, read_wheel
from pkgregd.formatkit.coremetadata import MAX_LINE_CHARACTERS, parse_core_metadata
from pkgregd.formats.pypi_metadata import MetadataFields, read_fields
from pkgregd.formats.pypi_names import (
    WHEEL,
    FileName,
    canonical_name,
    canonical_version,
    demand_dist_info,
    demand_ending,
    demand_tags,
)
from pkgregd.values import MAX_DOCUMENT_BYTES

MAX_REQUIREMENTS = 2000
"""With more than these a form's requirements are not compared, but refused."""

MAX_REQUIREMENT_CHARACTERS = 2000
"""A longer one is compared as it is written."""


@frozen
class Inspection:
    """
    What was found.

    Attributes:
        name, version: as the archive says, checked.
        requires_python: as the archive says, or None.
        metadata: the bytes of METADATA or PKG-INFO; None if they are too many to be kept.
    """

    name: str
    version: str
    requires_python: str | None
    metadata: bytes | None = field(repr=False)


def inspection_of(answer: Mapping[str, object], name: str, version: str) -> Inspection:
    """
    Take what inspect_package() returned.

    Args:
        name, version: as the form says, checked.

    Raises:
        InvalidArchive: it is not what inspect_package() returns about that package.
    """
    found = Inspection(
        text(answer, "name", MAX_LINE_CHARACTERS),
        text(answer, "version", MAX_LINE_CHARACTERS),
        optional_text(answer, "requires_python", MAX_LINE_CHARACTERS),
        optional_bytes(answer, "metadata_base64", MAX_DOCUMENT_BYTES),
    )
    _demand_same(found.name, found.version, name, version)
    return found


def inspect_package(
    file: IO[bytes],
    *,
    file_name: str,
    name: str,
    version: str,
    requires_python: str | None,
    requires_dist: Sequence[str],
) -> dict[str, Any]:
    """
    Read the archive's own metadata.

    Args:
        file_name: a checked one.
        name, version, requires_python, requires_dist: as the form says; None or empty where it says nothing.

    Returns:
        What inspection_of() takes.

    Raises:
        InvalidArchive.
        MetadataMismatch: archive, form and file name are not about the same package.
    """
    checked = FileName.parse(file_name)
    data = _read(file, checked)
    found = parse_core_metadata(data)
    fields = read_fields(data)
    _demand_same(found.name, found.version, name, version)
    if found.requires_python is not None or _is_final(checked, fields, "requires-python"):
        _demand_python(requires_python, found.requires_python)
    if fields.all("requires-dist") or _is_final(checked, fields, "requires-dist"):
        _demand_requirements(requires_dist, fields.all("requires-dist"))
    is_kept = len(data) <= MAX_DOCUMENT_BYTES
    return {
        "name": found.name,
        "version": found.version,
        "requires_python": found.requires_python,
        "metadata_base64": base64.b64encode(data).decode("ascii") if is_kept else None,
    }


def _demand_same(found_name: str, found_version: str, name: str, version: str) -> None:
    if canonical_name(found_name) != canonical_name(name):
        raise MetadataMismatch("name", ("form", name), ("archive", found_name))
    if canonical_version(found_version) != canonical_version(version):
        raise MetadataMismatch("version", ("form", version), ("archive", found_version))


def _read(file: IO[bytes], file_name: FileName) -> bytes:
    """Return METADATA or PKG-INFO of an archive that is what its file name says."""
    if file_name.filetype == WHEEL:
        wheel = read_wheel(file)
        demand_dist_info(wheel.folder, file_name)
        demand_tags(wheel.facts, file_name)
        return wheel.metadata
    sdist = read_sdist(file)
    demand_ending(sdist.is_zip, file_name)
    return sdist.metadata


def _is_final(file_name: FileName, fields: MetadataFields, name: str) -> bool:
    """
    Whether a field that the archive lacks will be lacking for good.

    A source distribution may leave a field to its build: all of them before metadata 2.2, since then those
    that it calls dynamic.
    """
    if file_name.filetype == WHEEL:
        return True
    major, _, minor = (fields.one("metadata-version") or "").partition(".")
    is_old = not (major.isdecimal() and minor.isdecimal()) or (int(major[:4]), int(minor[:4])) < (2, 2)
    return not is_old and name not in [value.lower() for value in fields.all("dynamic")]


def _demand_python(said: str | None, found: str | None) -> None:
    if said and _clauses(said) != _clauses(found or ""):
        raise MetadataMismatch("Requires-Python", ("form", said), ("archive", found or ""))


def _clauses(specifier: str) -> set[str]:
    return {"".join(clause.split()) for clause in specifier.split(",")}


def _demand_requirements(said: Sequence[str], found: Sequence[str]) -> None:
    """Pass if the form names no requirements, or those of the archive however they are written."""
    if not said or set(said) == set(found):
        return
    if max(len(said), len(found)) > MAX_REQUIREMENTS:
        raise InvalidArchive(f"more than {MAX_REQUIREMENTS} requirements, which are not the same in form and archive")
    in_form, in_archive = ({_normal(text): text for text in texts} for texts in (said, found))
    if in_form.keys() != in_archive.keys():
        only_form = "; ".join(in_form[key] for key in in_form.keys() - in_archive.keys())
        only_archive = "; ".join(in_archive[key] for key in in_archive.keys() - in_form.keys())
        raise MetadataMismatch("Requires-Dist", ("form", only_form), ("archive", only_archive))


def _normal(text: str) -> str:
    """Bring a requirement to one spelling; what is none stays as it is, but for its spaces."""
    as_text = " ".join(text.split())
    if len(text) > MAX_REQUIREMENT_CHARACTERS:
        return as_text
    try:
        requirement = Requirement(text)
    except (InvalidRequirement, RecursionError):
        return as_text
    requirement.name = canonicalize_name(requirement.name)
    return str(requirement)
