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
        kinds: which files it has, by classifier and extension; without those that are about others.
        is_current: whether the metadata of the snapshot may name it for some kind of file.
    """

    files: list[FileRecord] = field(factory=list)
    kinds: set[tuple[str, str]] = field(factory=set)
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
    natives of one platform each, none takes another's place. Metadata passes over builds without a POM, but not over
    those that their client named: so the newest and the newest with a POM stay, both. A file that does not tell its
    build is left alone.
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
    for file in files:
        artifact = artifact_of(FilePath(name, version, file.file_name))
        if artifact is None or artifact.build is None:
            continue
        found = builds.setdefault(artifact.build, _Files())
        found.files.append(file)
        if not is_aside(artifact):
            found.kinds.add((artifact.classifier, artifact.extension))
    described = {build: found for build, found in builds.items() if ("", "pom") in found.kinds}
    for some in (builds, described):
        newest = {kind: build for build in sorted(some, key=age_of) for kind in some[build].kinds}
        for build in newest.values():
            builds[build].is_current = True
    return builds
