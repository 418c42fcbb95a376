"""Packages and files as JSON, in GitLab's fields. What GitLab has and we have not is empty or null."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Mapping

from pkgregd.values import FileRecord, PackageRecord, Reply


def json_reply(fields: object, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    """Make a reply that a client may keep, asking each time whether it still holds, headers included."""
    body = json.dumps(fields).encode()
    state = json.dumps(headers).encode() + body
    return Reply(
        body=body,
        content_type="application/json",
        headers=(*headers, ("Cache-Control", "private, no-cache")),
        etag=hashlib.sha256(state).hexdigest()[:32],
    )


def package_fields(package: PackageRecord, api_url: str) -> Mapping[str, object]:
    """
    Show a package.

    Args:
        api_url: absolute, up to `/api/v4`.
    """
    fields: dict[str, object] = {
        "id": package.id,
        "name": package.name,
        "version": package.version,
        "package_type": package.format,
        "status": package.status.value,
        "_links": {
            "web_path": None,
            "delete_api_path": f"{api_url}/projects/{package.project_id}/packages/{package.id}",
        },
        "created_at": time_text(package.created_at),
        "last_downloaded_at": None,
        "creator_id": None,
        "tags": [],
        "pipelines": [],
        "versions": [],
    }
    if package.yanked_reason is not None:
        fields["yanked_reason"] = package.yanked_reason
    return fields


def group_package_fields(package: PackageRecord, api_url: str) -> Mapping[str, object]:
    """Show a package among those of other projects."""
    return {
        **package_fields(package, api_url),
        "project_id": package.project_id,
        "project_path": package.project_path,
    }


def file_fields(file: FileRecord) -> Mapping[str, object]:
    """Show a file of a package; a digest that its format does not need is null."""
    return {
        "id": file.id,
        "package_id": file.package_id,
        "created_at": time_text(file.created_at),
        "file_name": file.file_name,
        "size": file.size_bytes,
        "file_md5": file.digests.get("md5"),
        "file_sha1": file.digests.get("sha1"),
        "file_sha256": file.digests["sha256"],
        "pipelines": [],
    }


def time_text(moment: datetime.datetime) -> str:
    """Write a time in UTC with milliseconds."""
    return moment.astimezone(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
