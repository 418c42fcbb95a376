"""
The provenance of a package: a signed statement of who built it from what, kept and told as it came.

Its shape is checked, and that it speaks of the very tarball that it came with. Whether signature and certificate are
good is for clients to find out, who know whom they trust.

Source: the bundles of Sigstore (application/vnd.dev.sigstore.bundle+json); DSSE; in-toto statements; the document
/-/npm/v1/attestations of npm's registry.
"""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import quote

from attrs import field, frozen

from pkgregd.errors import MalformedBody, MetadataMismatch
from pkgregd.formatkit.strictjson import read_strict_json
from pkgregd.formats.npm_names import canonical_name, canonical_version, file_name_of
from pkgregd.interfaces import ICall
from pkgregd.values import Digest, Reply

T = TypeVar("T")

DOCUMENT = "provenance"
"""Under which name it is kept beside the tarball."""

MAX_CHARACTERS = 256 << 10
MAX_DEPTH = 32

_WHAT = "provenance"
_BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle"
_PAYLOAD_TYPE = "application/vnd.in-toto+json"
_STATEMENT_TYPES = frozenset({"https://in-toto.io/Statement/v0.1", "https://in-toto.io/Statement/v1"})
_URI = re.compile(r"[a-z][a-z0-9+.-]*:[!-~]{1,300}", re.ASCII)


@frozen
class Provenance:
    """
    A bundle, and what its statement says.

    Attributes:
        text: the bundle.
        predicate_type: what kind of statement it is.
        sha512: of the tarball that it speaks of.
    """

    text: str = field(repr=False)
    predicate_type: str
    sha512: Digest

    @classmethod
    def read(cls, text: object, name: str, version: str) -> Provenance:
        """
        Check a bundle for a version.

        Raises:
            MalformedBody: not such a bundle.
            MetadataMismatch: it speaks of another package.
        """
        if not isinstance(text, str):
            raise MalformedBody(f"{_WHAT}: not a text")
        bundle = read_strict_json(text, _WHAT, max_characters=MAX_CHARACTERS, max_depth=MAX_DEPTH)
        if not _member(bundle, "mediaType", str).startswith(_BUNDLE_TYPE):
            raise MalformedBody(f"{_WHAT}: mediaType is not that of a Sigstore bundle")
        _member(bundle, "verificationMaterial", dict)
        envelope = _member(bundle, "dsseEnvelope", dict)
        signatures = _member(envelope, "signatures", list)
        if not signatures or not all(_member(signature, "sig", str) for signature in signatures):
            raise MalformedBody(f"{_WHAT}: there is no signature")
        if _member(envelope, "payloadType", str) != _PAYLOAD_TYPE:
            raise MalformedBody(f"{_WHAT}: payloadType is not {_PAYLOAD_TYPE}")
        return cls._of_statement(text, _decoded(_member(envelope, "payload", str)), name, version)

    @classmethod
    def _of_statement(cls, text: str, data: str, name: str, version: str) -> Provenance:
        statement = read_strict_json(data, _WHAT, max_characters=MAX_CHARACTERS, max_depth=MAX_DEPTH)
        if _member(statement, "_type", str) not in _STATEMENT_TYPES:
            raise MalformedBody(f"{_WHAT}: not an in-toto statement")
        predicate_type = _member(statement, "predicateType", str)
        if not _URI.fullmatch(predicate_type):
            raise MalformedBody(f"{_WHAT}: predicateType is not a URI")
        subjects = _member(statement, "subject", list)
        if len(subjects) != 1:
            raise MalformedBody(f"{_WHAT}: not about one subject")
        subject, promised = _member(subjects[0], "name", str), purl_of(name, version)
        if subject != promised:
            raise MetadataMismatch("subject", (_WHAT, subject), ("name and version", promised))
        digest = _member(_member(subjects[0], "digest", dict), "sha512", str)
        return cls(text, predicate_type, Digest("sha512", digest.lower()))

    @property
    def shown(self) -> Mapping[str, object]:
        """What a version tells of it beside its tarball."""
        return {"attestations": {"provenance": {"predicateType": self.predicate_type}}}


def purl_of(name: str, version: str) -> str:
    """Write name and version as the URL that statements name their subject by."""
    return f"pkg:npm/{name.replace('@', '%40', 1)}@{version}"


def attestations_url(base_url: str, name: str, version: str) -> str:
    """Tell where the attestations of a version are."""
    return f"{base_url}/-/npm/v1/attestations/{quote(name, safe='@')}@{version}"


def split_coordinates(text: str) -> tuple[str, str]:
    """Split `name@version`. Raises InvalidName, InvalidVersion."""
    name, _, version = text.rpartition("@")
    return canonical_name(name), canonical_version(version)


async def tell_attestations(call: ICall) -> Reply:
    """Tell what was attested of a version: its provenance."""
    name, version = split_coordinates(call.arguments["what"])
    file = await call.remote.find_file(name, version, file_name_of(name, version))
    bundle = await call.remote.find_document(file, DOCUMENT)
    shown = json.loads(file.file_metadata_json)["dist"]["attestations"]["provenance"]
    head = json.dumps(shown, separators=(",", ":"))[:-1]
    body = f'{{"attestations":[{head},"bundle":'.encode("ascii") + bundle + b"}]}"
    return Reply(
        200,
        body,
        "application/json",
        headers=(("Cache-Control", "no-cache"),),
        etag=f"{file.blob.sha256.hex}-attestations",
        last_modified=file.created_at,
    )


def _member(value: object, key: str, kind: type[T]) -> T:
    if not isinstance(value, dict) or not isinstance(value.get(key), kind):
        raise MalformedBody(f"{_WHAT}: {key} is missing, or of the wrong kind")
    member: T = value[key]
    return member


def _decoded(payload: str) -> str:
    try:
        return binascii.a2b_base64(payload.encode("ascii"), strict_mode=True).decode("utf-8")
    except ValueError:
        raise MalformedBody(f"{_WHAT}: the payload is not base64 of UTF-8") from None
