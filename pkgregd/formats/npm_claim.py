"""
What a client sends: the account of a version and, beside its tarball, what is said of that; or versions to deprecate.

Both are the document of a name. The one that deprecates has all versions in it, as they were told: of each of them
but the first only the deprecation is kept while it arrives.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping, Sequence

from attrs import evolve, field, frozen

from pkgregd.errors import InvalidRequest, MalformedBody, MetadataMismatch
from pkgregd.formatkit.jsonstream import StreamedDocument
from pkgregd.formatkit.names import has_control
from pkgregd.formats.npm_inspection import MAX_COUNT
from pkgregd.formats.npm_manifest import Manifest
from pkgregd.formats.npm_names import canonical_version, check_tag, file_name_of
from pkgregd.formats.npm_provenance import Provenance
from pkgregd.formats.npm_readme import Readme
from pkgregd.values import HEX_LENGTHS, Digest

MAX_TAGS = 16
MAX_REASON_CHARACTERS = 1000
DIGESTS = ("sha1", "sha512")

_ATTACHMENTS = "_attachments"
_BUNDLE = ".sigstore"
_MEMBERS = frozenset({"_id", "name", "versions", "dist-tags", "readme", "readmeFilename", _ATTACHMENTS})


@frozen
class Claim:
    """
    What a document with a tarball says, checked by itself and against the path.

    Attributes:
        manifest: the account of the version, as far as it is kept.
        promised: digests of the tarball.
        tags: what will point at the version.
        provenance: what came beside the tarball, about that.
        readme: for people; None if there is none.
    """

    manifest: Manifest
    promised: Sequence[Digest] = field(repr=False)
    tags: tuple[str, ...]
    provenance: Provenance | None = field(repr=False)
    readme: Readme | None = field(repr=False)


@frozen
class Deprecations:
    """
    What a document without a tarball says.

    Attributes:
        reasons: by version why it is deprecated; None where it is not, any more.
    """

    reasons: Mapping[str, str | None] = field(repr=False)


class NeededMembers:
    """Tells the members of one document that are needed, as IsKept has it."""

    def __init__(self) -> None:
        self._versions = 0

    def __call__(self, path: Sequence[str]) -> bool:
        """Whether the member behind these keys is needed."""
        if len(path) == 1:
            return path[0] in _MEMBERS
        if path[0] != "versions":
            return True
        if len(path) == 2:
            self._versions += 1
        return self._versions <= 1 or len(path) != 3 or path[2] == "deprecated"


def is_tarball(path: Sequence[str]) -> bool:
    """Whether the tarball is behind these keys."""
    return len(path) == 3 and path[0] == _ATTACHMENTS and path[2] == "data" and not path[1].endswith(_BUNDLE)


def understand(document: StreamedDocument, name: str) -> Claim | Deprecations:
    """
    Read a document. Blocks for its size.

    Args:
        name: of the path.

    Raises:
        InvalidRequest: MetadataMismatch among others.
    """
    fields = document.read()
    if not isinstance(fields, dict):
        raise MalformedBody("the document is not an object")
    for key in ("name", "_id"):
        said = fields.get(key, name)
        if said != name:
            raise MetadataMismatch("name", ("path", name), ("document", str(said)))
    return _deprecations(fields) if document.file_path is None else _claim(document, fields, name)


def _part(fields: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = fields.get(key) or {}
    if not isinstance(value, dict):
        raise MalformedBody(f"{key} is not an object")
    return value


def _deprecations(fields: Mapping[str, object]) -> Deprecations:
    """A version of which nothing is said keeps what it has."""
    reasons: dict[str, str | None] = {}
    for key, value in _part(fields, "versions").items():
        reason = value.get("deprecated") if isinstance(value, dict) else None
        if reason is None:
            continue
        if not isinstance(reason, str) or len(reason) > MAX_REASON_CHARACTERS or has_control(reason):
            raise InvalidRequest(f"a deprecation is a plain text of at most {MAX_REASON_CHARACTERS} characters")
        reasons[canonical_version(key)] = reason or None
    if not reasons:
        raise InvalidRequest("the document has neither a tarball nor a version that is deprecated")
    return Deprecations(reasons)


def _claim(document: StreamedDocument, fields: Mapping[str, object], name: str) -> Claim:
    versions = _part(fields, "versions")
    if len(versions) != 1:
        raise MalformedBody(f"a tarball comes with one version, not with {len(versions)}")
    ((key, value),) = versions.items()
    manifest = Manifest.of(value, "the version in the document")
    if manifest.name != name:
        raise MetadataMismatch("name", ("path", name), ("version in the document", manifest.name))
    if canonical_version(key) != manifest.version:
        raise MetadataMismatch("version", ("document", key), ("version in the document", manifest.version))
    provenance = _check_attachments(document, _part(fields, _ATTACHMENTS), manifest)
    promised = _promised(_part(manifest.fields, "dist"))
    if provenance is not None:
        promised.append(provenance.sha512)
    longest = {"fileCount": MAX_COUNT, "unpackedSize": MAX_COUNT, **({} if provenance is None else provenance.shown)}
    manifest.kept(has_install_script=True, dist=longest)
    return Claim(
        manifest=evolve(manifest, fields=manifest.needed_fields()),
        promised=promised,
        tags=_tags(_part(fields, "dist-tags"), manifest.version),
        provenance=provenance,
        readme=Readme.of(manifest.fields) or Readme.of(fields),
    )


def _check_attachments(
    document: StreamedDocument, attachments: Mapping[str, object], manifest: Manifest
) -> Provenance | None:
    """Pass if tarball and bundle are named after the version, and speak of it; returns what the bundle says."""
    assert document.file_path is not None
    key = document.file_path[1]
    file_name = file_name_of(manifest.name, manifest.version)
    scope = manifest.name.rpartition("/")[0]
    if key not in (file_name, f"{scope}/{file_name}"):
        raise MetadataMismatch("file name", ("attachment", key), ("name and version", file_name))
    length = _part(attachments, key).get("length", document.file_bytes)
    if isinstance(length, bool) or length != document.file_bytes:
        raise MetadataMismatch("length", ("document", str(length)), ("attachment", str(document.file_bytes)))
    others = attachments.keys() - {key}
    if not others:
        return None
    if len(others) > 1 or not all(other.endswith(_BUNDLE) for other in others):
        raise MalformedBody("beside the tarball one attachment can come: its provenance")
    return Provenance.read(_part(attachments, others.pop()).get("data"), manifest.name, manifest.version)


def _promised(dist: Mapping[str, object]) -> list[Digest]:
    """Read the digests; of other algorithms than we compute there may be some in `integrity`."""
    shasum, integrity = dist.get("shasum"), dist.get("integrity")
    found: list[Digest] = []
    if shasum is not None:
        found.append(Digest("sha1", str(shasum).lower()))
    if integrity is not None:
        if not isinstance(integrity, str) or len(integrity) > 2048:
            raise MalformedBody("dist.integrity is not a text of digests")
        for item in integrity.split():
            algorithm, _, text = item.partition("?")[0].partition("-")
            if algorithm in ("sha256", *DIGESTS):
                found.append(_digest(algorithm, text))
    return found


def _digest(algorithm: str, text: str) -> Digest:
    try:
        raw = binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except ValueError:
        raise MalformedBody("dist.integrity is not valid base64") from None
    if 2 * len(raw) != HEX_LENGTHS[algorithm]:
        raise MalformedBody(f"dist.integrity has a {algorithm} of a wrong length")
    return Digest(algorithm, raw.hex())


def _tags(tags: Mapping[str, object], version: str) -> tuple[str, ...]:
    if len(tags) > MAX_TAGS:
        raise MalformedBody(f"a version comes with at most {MAX_TAGS} tags")
    for tag, said in tags.items():
        check_tag(tag)
        if not isinstance(said, str) or canonical_version(said) != version:
            raise MetadataMismatch(f"version of the tag {tag}", ("document", str(said)), ("version", version))
    return tuple(tags)
