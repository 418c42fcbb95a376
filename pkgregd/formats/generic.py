"""
Generic files: any bytes under a name, a version and a path.

GitLab's generic packages API (PUT and GET below `packages/generic/`), and beside it
deleting, conditions, ranges, promised digests and directory listings.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Sequence
from urllib.parse import quote

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
from pkgregd.formatkit.digests import precondition, promised_digests
from pkgregd.interfaces import ICall, IPackageFormat
from pkgregd.values import (
    Coordinates,
    FormatLimits,
    Level,
    OnDuplicate,
    PackageFile,
    PackageStatus,
    Permission,
    Publication,
    Refusal,
    Reply,
    Route,
    StreamBody,
)

GIB = 1 << 30
MAX_NAME_CHARACTERS = 255
MAX_PATH_CHARACTERS = 1024

_NAME = re.compile(r"[A-Za-z0-9._+-]+", re.ASCII)
_VERSION = re.compile(r"[A-Za-z0-9_+.-]+", re.ASCII)
_FILE = re.compile(r"[A-Za-z0-9._+~-]+", re.ASCII)

_EVERYWHERE = frozenset({Level.PROJECT, Level.GROUP})


def check_version(version: str) -> str:
    """Return a version that fits GitLab's grammar, or raise InvalidVersion."""
    if len(version) > MAX_NAME_CHARACTERS or not _VERSION.fullmatch(version) or ".." in version:
        raise InvalidVersion("a version is made of letters, digits and _ + . - without two dots in a row")
    return version


def check_path(path: str) -> str:
    """Return a file's path of plain segments, or raise InvalidFileName."""
    if len(path) > MAX_PATH_CHARACTERS or not all(_is_plain(segment) for segment in path.split("/")):
        raise InvalidFileName(
            "a file name is made of letters, digits and . _ + ~ - and neither begins nor ends with ~, "
            f"with directories before it, in at most {MAX_PATH_CHARACTERS} characters"
        )
    return path


def _is_plain(segment: str) -> bool:
    if len(segment) > MAX_NAME_CHARACTERS or segment in (".", "..") or not _FILE.fullmatch(segment):
        return False
    return not segment.startswith("~") and not segment.endswith("~")


@implementer(IPackageFormat)
class GenericFormat:
    """See IPackageFormat."""

    name = "generic"
    title = "Generic"
    default_limits = FormatLimits(max_file_bytes=5 * GIB)
    challenge = 'Basic realm="pkgregd"'

    def canonical_name(self, name: str) -> str:
        """Check a name; it is compared as written."""
        if len(name) > MAX_NAME_CHARACTERS or not _NAME.fullmatch(name) or name in (".", ".."):
            raise InvalidName("a package name is made of letters, digits and . _ + -")
        return name

    def routes(self) -> Sequence[Route]:
        """See IPackageFormat."""
        file = "/<segment:name>/<segment:version>/<path:file>"
        read = Permission.READ_PACKAGE
        return (
            Route(("PUT",), file, Permission.CREATE_PACKAGE, self._upload, check=self._check_upload),
            Route(("GET",), file, read, self._download, _EVERYWHERE),
            Route(("DELETE",), file, Permission.DESTROY_PACKAGE, self._delete),
            Route(("GET",), "/<segment:name>/", read, self._list_versions, _EVERYWHERE),
            Route(("GET",), "/<segment:name>/<segment:version>/", read, self._list_directory, _EVERYWHERE),
            Route(
                ("GET",), "/<segment:name>/<segment:version>/<path:directory>/", read, self._list_directory, _EVERYWHERE
            ),
        )

    def render_error(self, refusal: Refusal) -> Reply | None:
        """Say GitLab's words for a duplicate; the common JSON is right for the rest."""
        if refusal.code != "file_exists":
            return None
        fields = {
            "message": f"400 Bad request - Duplicate package is not allowed: {refusal.message}",
            "error": refusal.code,
            "request_id": refusal.request_id,
        }
        return Reply(400, json.dumps(fields).encode(), "application/json")

    # ------------------------------------------------------------------ publish and delete

    def _coordinates(self, call: ICall) -> Coordinates:
        name = self.canonical_name(call.arguments["name"])
        version = check_version(call.arguments["version"])
        path = check_path(call.arguments["file"])
        return Coordinates(self.name, call.scope.id, name, name, version, version, path)

    async def _check_upload(self, call: ICall) -> None:
        """Refuse by URL and headers, before any byte is read."""
        where = self._coordinates(call)
        promised = {digest.algorithm: digest for digest in promised_digests(call.header)}
        precondition(call.header)
        _status(call)
        _wants_file_json(call)
        if call.remote.duplicate_rule(where.name, where.version):
            return
        try:
            found = await call.remote.find_file(where.canonical_name, where.canonical_version, where.file_name)
        except FileNotFound:
            return
        if promised.get("sha256") != found.blob.sha256:
            raise FileExists(where.file_name)

    async def _upload(self, call: ICall) -> Reply:
        where = self._coordinates(call)
        promised = promised_digests(call.header)
        async with call.remote.start_publish() as draft:
            sink = await draft.open_sink([digest.algorithm for digest in promised])
            await call.body.push_to(sink)
            blob = await sink.commit(promised)
            may_replace = call.remote.duplicate_rule(where.name, where.version)
            published = await draft.publish(
                Publication(
                    where,
                    blob,
                    status=_status(call),
                    on_duplicate=OnDuplicate.REPLACE if may_replace else OnDuplicate.REFUSE,
                    precondition=precondition(call.header),
                )
            )
        if _wants_file_json(call):
            return _json(_file_json(call, published.file), etag=published.file.blob.sha256.hex)
        return Reply(201, b'{"message":"201 Created"}', "application/json", etag=published.file.blob.sha256.hex)

    async def _delete(self, call: ICall) -> Reply:
        where = self._coordinates(call)
        wanted = precondition(call.header)
        found = await call.remote.find_file(where.canonical_name, where.canonical_version, where.file_name)
        await call.remote.delete_file(found, wanted)
        return Reply(204)

    # ------------------------------------------------------------------ read

    async def _download(self, call: ICall) -> Reply:
        where = self._coordinates(call)
        file = await call.remote.find_file(where.canonical_name, where.canonical_version, where.file_name)
        return Reply(
            200,
            StreamBody(file.blob.size_bytes, lambda piece: call.remote.open_file(file, piece)),
            "application/octet-stream",
            headers=(("X-Checksum-SHA256", file.blob.sha256.hex),),
            etag=file.blob.sha256.hex,
            last_modified=file.created_at,
            download_name=file.file_name.rpartition("/")[2],
        )

    async def _list_versions(self, call: ICall) -> Reply:
        name = self.canonical_name(call.arguments["name"])
        files = await call.remote.list_files(name)
        if not files:
            raise PackageNotFound
        versions: dict[str, list[PackageFile]] = {}
        for file in files:
            versions.setdefault(file.version, []).append(file)
        listed = [
            {
                "version": version,
                "files": len(found),
                "size": sum(file.blob.size_bytes for file in found),
                "created_at": _time(min(file.created_at for file in found)),
            }
            for version, found in versions.items()
        ]
        return _json({"name": name, "versions": listed})

    async def _list_directory(self, call: ICall) -> Reply:
        name = self.canonical_name(call.arguments["name"])
        version = check_version(call.arguments["version"])
        directory = call.arguments.get("directory", "")
        prefix = f"{check_path(directory)}/" if directory else ""
        found = await call.remote.list_files(name, version)
        newest = {file.file_name: file for file in found if file.file_name.startswith(prefix)}
        if not newest:
            raise PackageNotFound
        directories = set()
        files = []
        for path in sorted(newest):
            rest = path.removeprefix(prefix)
            if "/" in rest:
                directories.add(rest.partition("/")[0])
            else:
                files.append(_entry(rest, newest[path]))
        return _json(
            {
                "name": name,
                "version": version,
                "path": directory,
                "directories": sorted(directories),
                "files": files,
            }
        )


def _entry(name: str, file: PackageFile) -> dict[str, object]:
    return {
        "file_name": name,
        "size": file.blob.size_bytes,
        "file_sha256": file.blob.sha256.hex,
        "created_at": _time(file.created_at),
    }


def _file_json(call: ICall, file: PackageFile) -> dict[str, object]:
    """Describe a file as GitLab's `select=package_file` does, with what was not computed as null."""
    digests = file.blob.digests
    created_at = _time(file.created_at)
    url = "/".join(quote(part, safe="") for part in (file.name, file.version, *file.file_name.split("/")))
    return {
        "id": file.id,
        "package_id": file.package_id,
        "created_at": created_at,
        "updated_at": created_at,
        "size": file.blob.size_bytes,
        "file_store": 1,
        "file_md5": digests.get("md5"),
        "file_sha1": digests.get("sha1"),
        "file_sha256": file.blob.sha256.hex,
        "file_name": file.file_name.replace("/", "%2F"),
        "file": {"url": f"{call.base_url}/{url}"},
    }


def _status(call: ICall) -> PackageStatus | None:
    text = call.query("status")
    if text is None:
        return None
    try:
        return PackageStatus(text)
    except ValueError:
        raise InvalidRequest("status is default or hidden") from None


def _wants_file_json(call: ICall) -> bool:
    text = call.query("select")
    if text not in (None, "package_file"):
        raise InvalidRequest("select is package_file")
    return text is not None


def _time(moment: datetime.datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _json(fields: object, etag: str | None = None) -> Reply:
    return Reply(200, json.dumps(fields).encode(), "application/json", etag=etag)
