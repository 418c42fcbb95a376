"""
Which versions, and which builds of a snapshot, are whole: what metadata tells of.

Files come one by one. Metadata that named a version with its first one would lead builds to a jar whose POM is not
there yet: Gradle takes that for a package without dependencies. So a version counts with its descriptor, which is its
POM, or what Ivy and Gradle's plugin for it write. Some are deployed without any: such a version counts when the
metadata that its client sends names it, which comes after all files.
"""

from __future__ import annotations

from collections.abc import Sequence

from pkgregd.formats.maven_paths import ASIDE, Artifact, Build, FilePath, artifact_of
from pkgregd.formats.maven_pom import PackageMetadata
from pkgregd.values import PackageFile


def artifacts_of(name: str, version: str, files: Sequence[PackageFile]) -> list[tuple[Artifact, PackageFile]]:
    """Find the files of a version that are named as Maven does, and about no other file."""
    found = ((artifact_of(FilePath(name, version, file.file_name)), file) for file in files)
    return [(each, file) for each, file in found if each is not None and not each.extension.endswith(ASIDE)]


def whole_artifacts(name: str, version: str, files: Sequence[PackageFile]) -> list[tuple[Artifact, PackageFile]]:
    """
    Find the artifacts of a version that metadata tells of.

    Args:
        files: of the version.

    Returns:
        Those of builds that are whole; a release, and files that only say SNAPSHOT, are one build. Nothing if none is.
    """
    found = artifacts_of(name, version, files)
    described: set[Build | None] = {
        artifact.build for artifact, _ in found if (artifact.classifier, artifact.extension) == ("", "pom")
    }
    if any(file.file_name == f"ivy-{version}.xml" for file in files):
        described.add(None)
    announced = {PackageMetadata.from_json(text).announced for text in {file.package_metadata_json for file in files}}
    return [
        (artifact, file)
        for artifact, file in found
        if artifact.build in described or announcement_of(version, artifact.build) in announced
    ]


def is_whole(name: str, files: Sequence[PackageFile]) -> bool:
    """Whether metadata tells of a version with these files, of which there is at least one."""
    return bool(whole_artifacts(name, files[0].version, files))


def announcement_of(version: str, build: Build | None) -> str:
    """Write what is kept of a version, or build of one, that a client's own metadata named."""
    return version if build is None else f"{build.timestamp}-{build.number}"
