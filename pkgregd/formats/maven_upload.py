"""
Publishing: a PUT for each file of a version, and for what Maven and Gradle send beside them.

A checksum is compared with the file that it is about, and not kept: it is told from the file ever after. One that does
not fit takes the file back, as its publisher takes such a refusal for a warning and goes on. Metadata is compared with
its path, and not kept: it is made from what is published.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial

from attrs import evolve

from pkgregd.errors import DigestMismatch, FileExists, InvalidArchive, InvalidRequest, PkgregdError
from pkgregd.formatkit.lookout import Lookout
from pkgregd.formats.maven_announcements import keep_announcement
from pkgregd.formats.maven_downloads import read_prefixes
from pkgregd.formats.maven_jar import DESCRIPTOR, MAX_JAR_BYTES, file_metadata, inspect_jar
from pkgregd.formats.maven_metadata import MAX_METADATA_BYTES, compare_metadata
from pkgregd.formats.maven_paths import METADATA, FilePath, artifact_of, check_name, parse_file, split_checksum
from pkgregd.formats.maven_plugins import compare_prefixes
from pkgregd.formats.maven_pom import Pom, inspect_pom, pom_of
from pkgregd.formats.maven_versions import is_snapshot
from pkgregd.interfaces import ICall, IDraft
from pkgregd.values import (
    HEX_LENGTHS,
    BlobInfo,
    Coordinates,
    OnDuplicate,
    Permission,
    ProtectedAct,
    Publication,
    Published,
    Reply,
)

FORMAT = "maven"

DIGESTS = ("md5", "sha1", "sha512")
"""What clients promise and ask for beside sha256."""

MAX_CHECKSUM_BYTES = 1024
"""Of a file with a checksum: some have the file's name in them, too."""


_WITHDRAWN = "the file was taken back: send it again"
_STAYS = "the file stays as it is"


async def check_upload(call: ICall) -> None:
    """Refuse what the path gives away."""
    _, _, file_name = call.arguments["file"].rpartition("/")
    if split_checksum(file_name)[0] == METADATA:
        _coordinates_of_metadata(call.arguments["file"])
    else:
        place = parse_file(call.arguments["file"])
        await call.remote.demand_unprotected(place.name, ProtectedAct.PUSH)


async def upload(call: ICall) -> Reply:
    """Take a file, a checksum or metadata."""
    path = call.arguments["file"]
    folder, _, file_name = path.rpartition("/")
    base, algorithm = split_checksum(file_name)
    if algorithm is not None:
        return await _take_checksum(call, f"{folder}/{base}", algorithm)
    if base == METADATA:
        return await _take_metadata(call, path)
    return await _store(call, parse_file(path))


# ------------------------------------------------------------------------- files


async def _store(call: ICall, place: FilePath) -> Reply:
    async with call.remote.start_publish() as draft:
        sink = await draft.open_sink(DIGESTS)
        lookout = Lookout(sink, DESCRIPTOR.encode("ascii"))
        is_jar = place.is_jar and (call.body.declared_bytes or 0) <= MAX_JAR_BYTES
        await call.body.push_to(lookout if is_jar else sink)
        blob = await sink.commit()
        pom = await _read_pom(draft, blob, place) if place.is_pom else None
        about_file = await _read_jar(draft, blob, place) if lookout.is_found else "{}"
        published = await _publish(
            call,
            draft,
            place,
            Publication(
                coordinates=Coordinates(
                    format=FORMAT,
                    project_id=call.scope.id,
                    name=place.name,
                    canonical_name=place.name,
                    version=place.version,
                    canonical_version=place.version,
                    file_name=place.file_name,
                ),
                blob=blob,
                package_metadata_json="{}" if pom is None else pom.metadata.to_json(),
                file_metadata_json=about_file,
                summary="" if pom is None else pom.summary,
                awaits_checksum=True,
            ),
        )
    if published.created:
        return Reply(201, b'{"message": "201 Created"}', "application/json")
    return Reply(200, b'{"message": "200 OK - the same file was there already"}', "application/json")


async def _read_pom(draft: IDraft, blob: BlobInfo, place: FilePath) -> Pom:
    coordinates = {"group_id": place.group_id, "artifact_id": place.artifact_id, "version": place.version}
    return pom_of(await draft.inspect(blob, inspect_pom, **coordinates))


async def _read_jar(draft: IDraft, blob: BlobInfo, place: FilePath) -> str:
    """Return what is kept of a jar: the prefix of a plugin. A jar that breaks its reader is kept like any other."""
    try:
        answer = await draft.inspect(blob, inspect_jar, group_id=place.group_id, artifact_id=place.artifact_id)
        return file_metadata(answer)
    except InvalidArchive:
        return "{}"


async def _publish(call: ICall, draft: IDraft, place: FilePath, publication: Publication) -> Published:
    """
    Publish, replacing what may be replaced.

    A snapshot's file that does not tell its build is made to be replaced. That takes away what others published: so,
    unless the configuration lets whoever publishes do it, it asks for the right to destroy. Whether something is there
    to be replaced, the transaction decides.

    Raises:
        PermissionDenied: it is, and the right is missing. FileExists, FileWasDeleted: nobody may replace it.
    """
    is_lasting = not is_snapshot(place.version) or _tells_build(place)
    may_publisher = call.remote.duplicate_rule(place.name, place.version) and not _tells_build(place)
    may_caller = not is_lasting and _permits(call, Permission.DESTROY_PACKAGE)
    publication = evolve(
        publication,
        on_duplicate=OnDuplicate.REPLACE if may_publisher or may_caller else OnDuplicate.REFUSE,
        respects_tombstones=is_lasting and not may_publisher,
    )
    try:
        return await draft.publish(publication)
    except FileExists:
        if not is_lasting:
            call.demand(Permission.DESTROY_PACKAGE)
        raise


def _tells_build(place: FilePath) -> bool:
    """Whether the name of a snapshot's file tells which build it is of."""
    artifact = artifact_of(place)
    return artifact is not None and artifact.build is not None


def _permits(call: ICall, permission: Permission) -> bool:
    try:
        call.demand(permission)
    except PkgregdError:
        return False
    return True


# --------------------------------------------------------------------- checksums


async def _take_checksum(call: ICall, path: str, algorithm: str) -> Reply:
    """
    Compare a checksum with what is there, and take that back if they differ and it came from the caller just now.

    Raises:
        DigestMismatch: they differ. FileNotFound: there is no file that it could be about.
    """
    promised = _checksum_in(await call.body.read_all(MAX_CHECKSUM_BYTES), algorithm)
    if path.rpartition("/")[2] == METADATA:
        return Reply(200, b'{"message": "200 OK - it is made from what is published"}', "application/json")
    place = parse_file(path)
    file = await call.remote.find_file(place.name, place.version, place.file_name)
    found = file.blob.digests.get(algorithm)
    if found is not None and found != promised:
        is_withdrawn = await call.remote.withdraw_file(file)
        told = found if _permits(call, Permission.READ_PACKAGE) else None
        raise DigestMismatch(algorithm, promised, told, _WITHDRAWN if is_withdrawn else _STAYS)
    if found is not None:
        await call.remote.confirm_file(file)
    if algorithm == "sha1":
        return Reply(204)
    return Reply(200, b'{"message": "200 OK - it is right"}', "application/json")


def _checksum_in(data: bytes, algorithm: str) -> str:
    """
    Find the digits in what is sent as a checksum.

    Raises:
        InvalidRequest: there are none of that length.
    """
    text = data.decode("latin-1")
    found = re.search(rf"(?<![0-9A-Za-z])[0-9A-Fa-f]{{{HEX_LENGTHS[algorithm]}}}(?![0-9A-Za-z])", text)
    if found is None:
        raise InvalidRequest(f"there is no {algorithm} in this checksum")
    return found.group().lower()


# ---------------------------------------------------------------------- metadata


async def _take_metadata(call: ICall, path: str) -> Reply:
    expected = _coordinates_of_metadata(path)
    data = await call.body.read_all(MAX_METADATA_BYTES)
    told = await call.remote.compute(partial(compare_metadata, data, expected))
    if told.prefixes:
        prefixes = await read_prefixes(call.remote, path.rpartition("/")[0])
        await call.remote.compute(partial(compare_prefixes, told.prefixes, prefixes))
    for announcement in told.deployed:
        await keep_announcement(call.remote, announcement)
    return Reply(200, b'{"message": "200 OK - it is made from what is published"}', "application/json")


def _coordinates_of_metadata(path: str) -> Mapping[str, str]:
    """
    Say what metadata at a path has to be about: a snapshot; or an artifact, or a group that has no more to tell.

    Raises:
        InvalidName and its kin: the path cannot be.
    """
    parts = path.split("/")[:-1]
    if len(parts) > 2 and is_snapshot(parts[-1]):
        place = parse_file(path)
        return {"groupId": place.group_id, "artifactId": place.artifact_id, "version": place.version}
    if len(parts) < 2:
        # of a group of one word
        check_name("/".join([*parts, "x"]))
        return {}
    check_name("/".join(parts))
    return {"artifactId": parts[-1], "groupId": ".".join(parts[:-1])}
