"""What a client's own metadata names, which is kept of versions that have nothing else to say that they are whole."""

from __future__ import annotations

from attrs import evolve, frozen

from pkgregd.errors import FileNotFound, InvalidRequest, PackageNotFound, Unavailable
from pkgregd.formatkit.xmltree import Element
from pkgregd.formats.maven_paths import Build, check_version
from pkgregd.formats.maven_pom import PackageMetadata
from pkgregd.formats.maven_versions import is_snapshot
from pkgregd.formats.maven_whole import announcement_of, artifacts_of
from pkgregd.interfaces import IRemote

MAX_ATTEMPTS = 5
"""How often others may come first."""


@frozen
class Announcement:
    """
    A version that a client's metadata names as deployed.

    Attributes:
        name: of the package.
        version: of it.
        build: of a snapshot; None for a release and for files that only say SNAPSHOT.
    """

    name: str
    version: str
    build: Build | None = None

    @property
    def pom_name(self) -> str:
        """The name of the POM that it may have."""
        version = self.version
        if self.build is not None:
            version = f"{version.removesuffix('SNAPSHOT')}{announcement_of(version, self.build)}"
        return f"{self.name.rpartition('/')[2]}-{version}.pom"


def announcements_in(root: Element, name: str, version: str | None) -> tuple[Announcement, ...]:
    """
    Find what metadata says was deployed last.

    Args:
        root: of metadata that is about this name.
        version: the snapshot that it is about; None for that of the name, whose last version or newest release it is.
    """
    if version is not None:
        return (Announcement(name, version, _build_in(root)),)
    versioning = root.first("versioning")
    if versioning is None:
        return ()
    listed = versioning.first("versions")
    last = [each.text for each in listed.each("version")][-1:] if listed is not None else []
    named = [*last, versioning.first_text("release"), versioning.first_text("latest")]
    return tuple(Announcement(name, each) for each in dict.fromkeys(filter(None, named)) if _is_release(each))


def _build_in(root: Element) -> Build | None:
    timestamp = root.first_text("versioning", "snapshot", "timestamp")
    number = root.first_text("versioning", "snapshot", "buildNumber")
    if timestamp is None or number is None or not number.isdecimal() or len(number) > 9:
        return None
    return Build(timestamp[:64], int(number))


def _is_release(version: str) -> bool:
    try:
        check_version(version)
    except InvalidRequest:
        return False
    return not is_snapshot(version)


async def keep_announcement(remote: IRemote, announcement: Announcement) -> None:
    """
    Keep that a client named a version, unless its POM says so anyway, or it has no files.

    Raises:
        Unavailable: others always came first.
    """
    name, version = announcement.name, announcement.version
    try:
        await remote.find_file(name, version, announcement.pom_name)
    except FileNotFound:
        pass
    else:
        return
    text = announcement_of(version, announcement.build)
    for _ in range(MAX_ATTEMPTS):
        files = await remote.list_files(name, version)
        if all(artifact.build != announcement.build for artifact, _ in artifacts_of(name, version, files)):
            return
        known = files[0].package_metadata_json
        metadata = evolve(PackageMetadata.from_json(known), announced=text)
        try:
            if metadata == PackageMetadata.from_json(known) or await remote.replace_metadata(
                name, version, known, metadata.to_json()
            ):
                return
        except PackageNotFound:
            return
    raise Unavailable("many publish this version at once")
