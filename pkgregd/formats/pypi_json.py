"""
The JSON API: everything about a name, or about one version of it, in one document.

Source: the JSON API of the Python package index, as its clients use it.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Mapping, Sequence

from attrs import frozen

from pkgregd.errors import PackageNotFound
from pkgregd.formats.pypi_files import METADATA_DOCUMENT, FileMetadata, file_path, ordered, upload_time, versions_of
from pkgregd.formats.pypi_metadata import MetadataFields, describe, read_fields
from pkgregd.formats.pypi_names import WHEEL, FileName, parse_version
from pkgregd.values import PackageFile

REVISION = 1
"""Goes up when the same rows come to look differently: it is part of every ETag."""


@frozen
class ProjectDocument:
    """
    What one document is about.

    Attributes:
        name, version: canonical; without a version the newest one that resolvers would take.
        base_url: where the format is.
        changed_at: of the name's index.
    """

    name: str
    version: str | None
    base_url: str
    changed_at: datetime.datetime | None

    def choose(self, files: Iterable[PackageFile]) -> tuple[PackageFile, str] | None:
        """
        Choose the file whose metadata speaks for the version: a wheel if there is one.

        Raises:
            PackageNotFound: there is no such version.
        """
        shown = self._files_of_version(ordered(files))
        described = [file for file in shown if FileMetadata.from_json(file.file_metadata_json).metadata_sha256]
        described.sort(key=lambda file: FileMetadata.from_json(file.file_metadata_json).filetype != WHEEL)
        return (described[0], METADATA_DOCUMENT) if described else None

    def render(self, files: Iterable[PackageFile], metadata: bytes | None) -> bytes:
        """Write the document; `metadata` is what choose() asked for."""
        everything = ordered(files)
        shown = self._files_of_version(everything)
        fields = read_fields(metadata) if metadata is not None else MetadataFields({})
        document: dict[str, object] = {
            "info": self._info(shown, fields),
            "last_serial": 0 if self.changed_at is None else int(self.changed_at.timestamp() * 1_000_000),
        }
        if self.version is None:
            releases: dict[str, list[object]] = {spelling: [] for spelling in versions_of(everything).values()}
            spellings = versions_of(everything)
            for file in everything:
                releases[spellings[file.canonical_version]].append(self._file(file))
            document["releases"] = releases
        document["urls"] = [self._file(file) for file in shown]
        document["vulnerabilities"] = []
        return json.dumps(document, separators=(",", ":")).encode("ascii")

    def _files_of_version(self, shown: Sequence[PackageFile]) -> Sequence[PackageFile]:
        version = self.version or _current_version(shown)
        found = [file for file in shown if file.canonical_version == version]
        if not found:
            raise PackageNotFound
        return found

    def _info(self, shown: Sequence[PackageFile], fields: MetadataFields) -> Mapping[str, object]:
        first = shown[0]
        page = f"{self.base_url}/simple/{self.name}/"
        kept = (FileMetadata.from_json(file.file_metadata_json).requires_python for file in shown)
        info = describe(fields)
        return {
            **info,
            "downloads": {"last_day": -1, "last_month": -1, "last_week": -1},
            "name": first.name,
            "package_url": page,
            "project_url": page,
            "release_url": f"{self.base_url}/pypi/{self.name}/{first.version}/json",
            "requires_python": info["requires_python"] or next((text for text in kept if text), None),
            "version": first.version,
            "yanked": all(file.yanked_reason is not None for file in shown),
            "yanked_reason": first.yanked_reason or None,
        }

    def _file(self, file: PackageFile) -> Mapping[str, object]:
        digests = {algorithm: file.blob.digests[algorithm] for algorithm in sorted(file.blob.digests)}
        digests["sha256"] = file.blob.sha256.hex
        kept = FileMetadata.from_json(file.file_metadata_json)
        uploaded_at = upload_time(file)
        return {
            "comment_text": "",
            "digests": digests,
            "downloads": -1,
            "filename": file.file_name,
            "has_sig": False,
            "md5_digest": digests.get("md5"),
            "packagetype": kept.filetype,
            "python_version": FileName(file.file_name, kept.filetype).python_tag,
            "requires_python": kept.requires_python,
            "size": file.blob.size_bytes,
            "upload_time": uploaded_at.partition(".")[0],
            "upload_time_iso_8601": uploaded_at,
            "url": f"{self.base_url}/{file_path(file)}",
            "yanked": file.yanked_reason is not None,
            "yanked_reason": file.yanked_reason or None,
        }


def _current_version(shown: Sequence[PackageFile]) -> str | None:
    """
    Return the version that speaks for the name.

    That is the greatest one that is neither yanked nor a pre-release; where there is none the greatest that is
    not yanked, or at last the greatest.
    """
    offered = [file.canonical_version for file in shown if file.yanked_reason is None]
    for version in dict.fromkeys(reversed(offered)):
        if not parse_version(version).is_prerelease:
            return version
    return next(reversed(offered or [file.canonical_version for file in shown]), None)
