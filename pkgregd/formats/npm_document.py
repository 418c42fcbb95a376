"""
The documents that clients resolve by: all versions of a name, in full or abbreviated, and one version.

Source: the package metadata of npm's registry API, full and abbreviated.
"""

from __future__ import annotations

import base64
import datetime
import enum
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from attrs import frozen

from pkgregd.formats.npm_manifest import SHORT_FIELDS
from pkgregd.formats.npm_names import file_name_of, is_prerelease, version_key
from pkgregd.formats.npm_provenance import attestations_url
from pkgregd.formats.npm_readme import Readme
from pkgregd.values import IndexState, Owner, PackageFile, PageLayout, PageSection

REVISION = 4
"""Goes up when the same rows come to look differently: it is part of every ETag."""

LATEST = "latest"


class Representation(enum.Enum):
    """The forms of a document, by media type."""

    FULL = "application/json"
    SHORT = "application/vnd.npm.install-v1+json"


def choose_representation(accept: str | None) -> Representation:
    """Choose by the header Accept: what has the greater weight; whoever asks for neither gets everything."""
    weights = {Representation.FULL: 0.0, Representation.SHORT: 0.0}
    for item in (accept or "").lower().split(","):
        media_type, *parameters = (part.strip() for part in item.split(";"))
        for representation in weights:
            if media_type == representation.value:
                weights[representation] = _weight(parameters)
    return max(Representation, key=lambda representation: weights[representation])


def _weight(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            digits = value.strip()
            return float(digits) if digits[:1] in ("0", "1") and digits.replace(".", "", 1).isdecimal() else 0.0
    return 1.0


def version_fields(file: PackageFile, base_url: str) -> dict[str, object]:
    """Tell everything about one version."""
    fields: dict[str, Any] = json.loads(file.file_metadata_json)
    digests = file.blob.digests
    kept: dict[str, Any] = fields.pop("dist", {})
    where = f"{base_url}/{file.name}/-/{quote(file_name_of(file.name, file.version))}"
    fields["_id"] = f"{file.name}@{file.version}"
    # of bytes that were lost, and what was known of them with them, there is but the digest that names them
    algorithm = "sha512" if "sha512" in digests else "sha256"
    digest = digests.get(algorithm, file.blob.sha256.hex)
    dist: dict[str, object] = {"integrity": f"{algorithm}-{base64.b64encode(bytes.fromhex(digest)).decode()}"}
    if "sha1" in digests:
        dist["shasum"] = digests["sha1"]
    dist["tarball"] = where
    dist |= kept
    if "attestations" in kept:
        dist["attestations"] = {"url": attestations_url(base_url, file.name, file.version), **kept["attestations"]}
    fields["dist"] = dist
    if file.yanked_reason:
        fields["deprecated"] = file.yanked_reason
    return fields


@frozen
class About:
    """
    What a whole document tells of a name beside its versions.

    Attributes:
        owners: who decides about it.
        created_at: when its first version came.
        readme: of the version that the tag `latest` names; None if there is none.
    """

    owners: Sequence[Owner] = ()
    created_at: datetime.datetime | None = None
    readme: Readme | None = None


NOTHING = About()


def layout(
    name: str,
    base_url: str,
    representation: Representation,
    state: IndexState,
    tags: Mapping[str, str],
    about: About = NOTHING,
) -> PageLayout:
    """Lay out the document of a name."""
    maintainers = [{"name": owner.name, "email": ""} for owner in about.owners]

    def version(files: Sequence[PackageFile]) -> bytes:
        file = files[-1]  # of several projects' the newest
        fields = version_fields(file, base_url)
        if representation is Representation.SHORT:
            fields = {key: fields[key] for key in SHORT_FIELDS if key in fields}
        return _member(file.version, fields)

    def time(files: Sequence[PackageFile]) -> bytes:
        return _member(files[-1].version, moment(files[-1].created_at))

    def tags_of(versions: Sequence[str]) -> bytes:
        return b'},"dist-tags":' + _json(dist_tags(versions, tags))

    head = {"name": name} if representation is Representation.SHORT else {"_id": name, "name": name}
    changed = moment(state.changed_at)
    if representation is Representation.SHORT:
        sections = (PageSection(_open(head, "versions"), b",", version),)
        return PageLayout(sections, b',"modified":' + _json(changed) + b"}", version_key, tags_of)
    times = _member("created", moment(about.created_at)) + b"," + _member("modified", changed)
    return PageLayout(
        (
            PageSection(_open(head | {"_rev": revision(state), "maintainers": maintainers}, "versions"), b",", version),
            PageSection(b'},"time":{' + times + b",", b",", time),
        ),
        b"," + _json(about.readme.shown)[1:] if about.readme else b"}",
        version_key,
        tags_of,
    )


def tags_layout(tags: Mapping[str, str]) -> PageLayout:
    """Lay out the tags of a name by themselves."""

    def tags_of(versions: Sequence[str]) -> bytes:
        return _json(dist_tags(versions, tags))

    return PageLayout((PageSection(b"", b"", lambda files: b""),), b"", version_key, tags_of)


def dist_tags(versions: Sequence[str], tags: Mapping[str, str]) -> Mapping[str, str]:
    """
    Tell the tags; whoever set no `latest` gets the greatest version, before a pre-release one that is none.

    Args:
        versions: in their order.
    """
    released = (version for version in reversed(versions) if not is_prerelease(version))
    return {LATEST: next(released, versions[-1]), **tags}


def revision(state: IndexState) -> str:
    """Name a state of a document, as clients send it back when they change it."""
    return f"1-{hashlib.sha256(state.token.encode()).hexdigest()[:32]}"


def moment(at: datetime.datetime | None) -> str:
    """Write a time as JavaScript does."""
    at = at or datetime.datetime.fromtimestamp(0, datetime.UTC)
    return at.astimezone(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _open(head: Mapping[str, object], key: str) -> bytes:
    return _json(head)[:-1] + b"," + _json(key) + b":{"


def _member(key: str, value: object) -> bytes:
    return _json(key) + b":" + _json(value)


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")
