"""What pages know of a file, where it is found below the format's address, and in which order files are shown."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote

from attrs import asdict, fields, frozen

from pkgregd.formats.pypi_names import WHEEL, parse_version
from pkgregd.values import PackageFile

FORMAT = "pypi"

METADATA_DOCUMENT = "metadata"
"""METADATA of a wheel or PKG-INFO of a source distribution, as it is in the archive."""

PROVENANCE_DOCUMENT = "provenance"
"""The provenance object, as it is served."""


@frozen
class FileMetadata:
    """
    What is kept in the row of a file: only what the index shows of each.

    Attributes:
        filetype: `bdist_wheel` or `sdist`.
        requires_python: as the archive says, or None.
        metadata_sha256: of METADATA_DOCUMENT as hex; None when there is none, as of files published by
            versions before it was kept.
        has_provenance: whether there is a PROVENANCE_DOCUMENT.
    """

    filetype: str
    requires_python: str | None = None
    metadata_sha256: str | None = None
    has_provenance: bool = False

    def to_json(self) -> str:
        """Write it for the catalog."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> FileMetadata:
        """Read what to_json() wrote, in this version or in one that knows more."""
        return cls(**{key: value for key, value in json.loads(text).items() if key in _FIELD_NAMES})

    @property
    def wheel_metadata_sha256(self) -> str | None:
        """The digest of METADATA if it is offered: of wheels, whose metadata installing does not change."""
        return self.metadata_sha256 if self.filetype == WHEEL else None


_FIELD_NAMES = frozenset(each.name for each in fields(FileMetadata))


def file_path(file: PackageFile) -> str:
    """Return where a file is found, below the format's address."""
    return f"files/{file.blob.sha256.hex}/{quote(file.file_name)}"


def base_tag(base_url: str) -> str:
    """Make a short text that stands for an address, for validators of pages that show it."""
    return hashlib.sha256(base_url.encode("utf-8")).hexdigest()[:16]


def upload_time(file: PackageFile) -> str:
    """Write when a file was published, in UTC."""
    text = file.created_at.astimezone(datetime.UTC).isoformat(timespec="microseconds")
    return text.replace("+00:00", "Z")


def ordered(files: Iterable[PackageFile]) -> Sequence[PackageFile]:
    """
    Put files in the order in which pages show them: by version, then by name.

    Args:
        files: by creation; of several with one name, which a group may have, the newest counts.
    """
    newest = {file.file_name: file for file in files}.values()
    ranks = _ranks(newest)
    return sorted(newest, key=lambda file: (ranks[file.canonical_version], file.file_name))


def shown_of_version(files: Iterable[PackageFile]) -> Sequence[PackageFile]:
    """Put the files of one version in that order; see ordered()."""
    newest = {file.file_name: file for file in files}
    return [newest[name] for name in sorted(newest)]


def versions_of(files: Iterable[PackageFile]) -> Mapping[str, str]:
    """
    List the versions of files in the order of the files.

    Returns:
        Each version's spelling, as its first file has it, by its canonical form.
    """
    spellings: dict[str, str] = {}
    for file in files:
        spellings.setdefault(file.canonical_version, file.version)
    return spellings


def _ranks(files: Iterable[PackageFile]) -> Mapping[str, int]:
    """Number the versions: reading and comparing them costs more than all else that is done with files."""
    # in the order of their creation, which is nearly theirs already: then sorting has little to compare
    versions = sorted(dict.fromkeys(file.canonical_version for file in files), key=parse_version)
    return {version: rank for rank, version in enumerate(versions)}
