"""
Generic files: any file, under a name, a version and a path.

Compatible with GitLab's generic packages; beyond it: promised digests, preconditions, deletion,
listings and reading through a group.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from urllib.parse import quote

from attrs import frozen
from zope.interface import implementer

from pkgregd.errors import (
    FileExists,
    FileNotFound,
    InvalidFileName,
    InvalidName,
    InvalidRequest,
    InvalidVersion,
    PackageNotFound,
)
from pkgregd.formatkit.headers import promised_digests, write_precondition
from pkgregd.formatkit.names import check, check_pattern
from pkgregd.formatkit.refusals import bad_request
from pkgregd.interfaces import ICall, IReplacingFormat
from pkgregd.values import (
    Coordinates,
    Digest,
    FileLookup,
    FormatLimits,
    Level,
    OnDuplicate,
    PackageFile,
    PackageStatus,
    Permission,
    Precondition,
    ProtectedAct,
    Publication,
    Refusal,
    Reply,
    Route,
    StreamBody,
)

MAX_CHARACTERS = 255
"""Of a name, of a version, and of one segment of a path."""

MAX_PATH_CHARACTERS = 1024

_NAME = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._+-]+", re.ASCII)
_LETTER = re.compile(r"[A-Za-z0-9._+-]", re.ASCII)
_VERSION = re.compile(r"(?!\.$)(?!.*\.\.)[\w+.-]+", re.ASCII)
_FILE_SEGMENT = re.compile(r"(?!\.{1,2}$)(?!~)[A-Za-z0-9._+~-]+(?<!~)", re.ASCII)

_FILE = "/<segment:name>/<segment:version>/<path:file>"
_READ_LEVELS = frozenset({Level.PROJECT, Level.GROUP})


@frozen
class _Place:
    """Name, version and path of a file, as its URL says and checked."""

    name: str
    version: str
    path: str


@frozen
class _Upload:
    """All that URL and headers say about an upload."""

    place: _Place
    status: PackageStatus | None
    answers_file: bool
    promised: Sequence[Digest]
    precondition: Precondition
    on_duplicate: OnDuplicate


@implementer(IReplacingFormat)
class GenericFormat:
    """See IPackageFormat."""

    name = "generic"
    title = "Generic"
    default_limits = FormatLimits(max_file_bytes=5 << 30)
    challenge: str | None = 'Basic realm="pkgregd"'

    def canonical_name(self, name: str) -> str:
        """Check a name; names are compared as they are written."""
        return check(name, _NAME, MAX_CHARACTERS, InvalidName, "package name")

    def canonical_pattern(self, pattern: str) -> str:
        """See IPackageFormat."""
        return check_pattern(pattern, _LETTER, "letters, digits, '.', '_', '+' and '-'")

    def routes(self) -> Sequence[Route]:
        """See IPackageFormat."""
        read, create, destroy = Permission.READ_PACKAGE, Permission.CREATE_PACKAGE, Permission.DESTROY_PACKAGE
        return (
            Route(("PUT",), _FILE, create, self.upload, check=self.check_upload),
            Route(("GET",), _FILE, read, self.download, _READ_LEVELS, foresee=self._lookup),
            Route(("DELETE",), _FILE, destroy, self.delete),
            Route(("GET",), "/<segment:name>/", read, self.list_versions, _READ_LEVELS),
            Route(("GET",), "/<segment:name>/<segment:version>/", read, self.list_directory, _READ_LEVELS),
            Route(("GET",), "/<segment:name>/<segment:version>/<path:dir>/", read, self.list_directory, _READ_LEVELS),
        )

    def render_error(self, refusal: Refusal) -> Reply | None:
        """Refuse a duplicate in GitLab's words."""
        if refusal.code == "file_exists":
            return bad_request(refusal, "Duplicate package is not allowed")
        return None

    # ------------------------------------------------------------------ publishing

    async def check_upload(self, call: ICall) -> None:
        """Refuse what URL and headers give away."""
        upload = self._upload(call)
        place, precondition = upload.place, upload.precondition
        await call.remote.demand_unprotected(place.name, ProtectedAct.PUSH)
        if upload.on_duplicate is OnDuplicate.REPLACE and precondition == Precondition():
            return
        try:
            found = await call.remote.find_file(place.name, place.version, place.path)
        except FileNotFound:
            precondition.demand(None, place.path)
            return
        sha256 = found.blob.sha256
        precondition.demand(sha256.hex, place.path)
        if upload.on_duplicate is OnDuplicate.REFUSE and sha256 not in upload.promised:
            # equal bytes would succeed: a client that repeats an upload can say that they are
            raise FileExists(place.path)

    async def upload(self, call: ICall) -> Reply:
        """Store the body as a file."""
        upload = self._upload(call)
        place = upload.place
        async with call.remote.start_publish() as draft:
            sink = await draft.open_sink(digest.algorithm for digest in upload.promised)
            await call.body.push_to(sink)
            blob = await sink.commit(upload.promised)
            published = await draft.publish(
                Publication(
                    coordinates=Coordinates(
                        format=self.name,
                        project_id=call.scope.id,
                        name=place.name,
                        canonical_name=place.name,
                        version=place.version,
                        canonical_version=place.version,
                        file_name=place.path,
                    ),
                    blob=blob,
                    status=upload.status,
                    on_duplicate=upload.on_duplicate,
                    precondition=upload.precondition,
                )
            )
        etag = published.file.blob.sha256.hex
        if upload.answers_file:
            return _json(_package_file(published.file, call.base_url), 200, etag)
        return _json({"message": "201 Created"}, 201, etag)

    def _upload(self, call: ICall) -> _Upload:
        """
        Read URL, query and headers of an upload.

        Raises:
            InvalidRequest.
        """
        place = self._place(call.arguments)
        status, select = call.query("status"), call.query("select")
        if status not in (None, "default", "hidden"):
            raise InvalidRequest("status can be default or hidden")
        if select not in (None, "package_file"):
            raise InvalidRequest("select can only be package_file")
        if (call.header("Content-Encoding") or "identity").strip().lower() != "identity":
            raise InvalidRequest("the body is stored as it is sent: Content-Encoding is not supported")
        replaces = call.remote.duplicate_rule(place.name, place.version)
        return _Upload(
            place=place,
            status=None if status is None else PackageStatus(status),
            answers_file=select is not None,
            promised=promised_digests(call.header),
            precondition=write_precondition(call.header),
            on_duplicate=OnDuplicate.REPLACE if replaces else OnDuplicate.REFUSE,
        )

    def _place(self, arguments: Mapping[str, str]) -> _Place:
        return _Place(self.canonical_name(arguments["name"]), _version(arguments["version"]), _path(arguments["file"]))

    # ------------------------------------------------------------------ one file

    async def download(self, call: ICall) -> Reply:
        """Send a file."""
        file = await self._find(call)
        sha256 = file.blob.sha256.hex
        return Reply(
            body=StreamBody.of(file, call.remote.open_file),
            content_type="application/octet-stream",
            headers=(("X-Checksum-SHA256", sha256),),
            etag=sha256,
            last_modified=file.created_at,
            download_name=file.file_name.rpartition("/")[2],
        )

    async def delete(self, call: ICall) -> Reply:
        """Delete a file."""
        precondition = write_precondition(call.header)
        await call.remote.delete_file(await self._find(call), precondition)
        return Reply(204)

    async def _find(self, call: ICall) -> PackageFile:
        lookup = self._lookup(call.arguments)
        return await call.remote.find_file(lookup.canonical_name, lookup.canonical_version, lookup.file_name)

    def _lookup(self, arguments: Mapping[str, str]) -> FileLookup:
        place = self._place(arguments)
        return FileLookup(place.name, place.version, place.path)

    # ------------------------------------------------------------------ listings

    async def list_versions(self, call: ICall) -> Reply:
        """List the versions of a name, oldest first; hidden ones are left out."""
        name = self.canonical_name(call.arguments["name"])
        files = await call.remote.list_files(name)
        if not files:
            raise PackageNotFound
        return _listing(await call.remote.compute(partial(_versions, name, files)))

    async def list_directory(self, call: ICall) -> Reply:
        """List what lies directly in a directory of a version."""
        name, version = self.canonical_name(call.arguments["name"]), _version(call.arguments["version"])
        path = call.arguments.get("dir", "")
        if path:
            _path(path)
        files = await call.remote.list_files(name, version, listed_only=False)
        return _listing(await call.remote.compute(partial(_directory, name, version, path, files)))


def _version(text: str) -> str:
    return check(text, _VERSION, MAX_CHARACTERS, InvalidVersion, "version")


def _path(text: str) -> str:
    if len(text) > MAX_PATH_CHARACTERS:
        raise InvalidFileName(f"the path is longer than {MAX_PATH_CHARACTERS} characters")
    for segment in text.split("/"):
        check(segment, _FILE_SEGMENT, MAX_CHARACTERS, InvalidFileName, "file name")
    return text


def _versions(name: str, files: Sequence[PackageFile]) -> bytes:
    """Write the list of versions."""
    versions = [{"version": version, "url": quote(version) + "/"} for version in {file.version: 0 for file in files}]
    return json.dumps({"name": name, "versions": versions}).encode()


def _directory(name: str, version: str, path: str, files: Sequence[PackageFile]) -> bytes:
    """
    Write what lies in a directory.

    Raises:
        PackageNotFound: nothing does.
    """
    prefix = f"{path}/" if path else ""
    # of one path in several projects of a group the newest counts, as in downloads
    below = {file.file_name.removeprefix(prefix): file for file in files if file.file_name.startswith(prefix)}
    if not below:
        raise PackageNotFound
    return json.dumps(
        {
            "name": name,
            "version": version,
            "path": path,
            "directories": _directories(below),
            "files": [_entry(rest, below[rest]) for rest in sorted(below) if "/" not in rest],
        }
    ).encode()


def _directories(paths: Iterable[str]) -> list[Mapping[str, object]]:
    names = sorted({path.partition("/")[0] for path in paths if "/" in path})
    return [{"name": name, "url": quote(name) + "/"} for name in names]


def _entry(path: str, file: PackageFile) -> Mapping[str, object]:
    return {
        "file_name": path,
        "size": file.blob.size_bytes,
        "sha256": file.blob.sha256.hex,
        "created_at": _time(file.created_at),
        "url": quote(path),
    }


def _package_file(file: PackageFile, base_url: str) -> Mapping[str, object]:
    """Show a file as GitLab does, where a path is one name with encoded slashes."""
    digests = file.blob.digests
    path = "/".join(quote(part) for part in (file.name, file.version, file.file_name))
    return {
        "id": file.id,
        "package_id": file.package_id,
        "created_at": _time(file.created_at),
        "updated_at": _time(file.created_at),
        "size": file.blob.size_bytes,
        "file_store": 1,
        "file_name": quote(file.file_name, safe="+~"),
        "file_sha256": file.blob.sha256.hex,
        "file_sha1": digests.get("sha1"),
        "file_md5": digests.get("md5"),
        "file": {"url": f"{base_url}/{path}"},
    }


def _time(moment: datetime.datetime) -> str:
    return moment.astimezone(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _json(fields: Mapping[str, object], status: int, etag: str) -> Reply:
    return Reply(status, json.dumps(fields).encode(), "application/json", etag=etag)


def _listing(body: bytes) -> Reply:
    return Reply(
        body=body,
        content_type="application/json",
        headers=(("Cache-Control", "no-cache"),),
        etag=hashlib.sha256(body).hexdigest()[:32],
    )
