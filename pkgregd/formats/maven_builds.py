"""Builds of a snapshot: which of them newer ones have taken the place of."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from attrs import define, field

from pkgregd.formats.maven_metadata import age_of, is_aside
from pkgregd.formats.maven_paths import Build, FilePath, artifact_of
from pkgregd.values import FileRecord, SupersededBuild


@define
class _Files:
    """
    The files of one build.

    Attributes:
        is_current: whether the metadata of the snapshot names it for some kind of file.
    """

    files: list[FileRecord] = field(factory=list)
    is_current: bool = False

    @property
    def changed_at(self) -> datetime.datetime:
        """When its last file came."""
        return max(file.created_at for file in self.files)


def superseded_builds(
    name: str, version: str, files: Sequence[FileRecord], keep_builds: int, settled_before: datetime.datetime
) -> Sequence[SupersededBuild]:
    """
    Choose the builds of a snapshot that may go; see IBuildFormat.

    A build stays as long as the metadata names it as the newest that has some kind of file: of builds that bring the
    natives of one platform each, none takes another's place. A file that does not tell its build is left alone.
    """
    builds = _builds(name, version, files)
    settled = sorted((build for build in builds if builds[build].changed_at < settled_before), key=age_of)
    return [
        SupersededBuild(f"{build.timestamp}-{build.number}", tuple(builds[build].files))
        for build in settled[:-keep_builds]
        if not builds[build].is_current
    ]


def _builds(name: str, version: str, files: Sequence[FileRecord]) -> dict[Build, _Files]:
    builds: dict[Build, _Files] = {}
    newest: dict[tuple[str, str], Build] = {}
    for file in files:
        artifact = artifact_of(FilePath(name, version, file.file_name))
        if artifact is None or artifact.build is None:
            continue
        builds.setdefault(artifact.build, _Files()).files.append(file)
        kind = (artifact.classifier, artifact.extension)
        if not is_aside(artifact):
            newest[kind] = max(artifact.build, newest.get(kind, artifact.build), key=age_of)
    for build in newest.values():
        builds[build].is_current = True
    return builds
