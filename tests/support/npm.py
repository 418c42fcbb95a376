"""npm packages as clients make and send them."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from typing import Any


def make_tarball(files: Mapping[str, bytes]) -> bytes:
    """Pack files by path."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path, data in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return gzip.compress(packed.getvalue(), mtime=0)


def make_package(manifest: Mapping[str, Any], code: bytes = b"module.exports = 42\n") -> bytes:
    """Pack a package of one module."""
    return make_tarball({"package/package.json": json.dumps(manifest).encode(), "package/index.js": code})


def make_document(manifest: Mapping[str, Any], tarball: bytes, tags: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Make what a client sends to publish a tarball."""
    name, version = manifest["name"], manifest["version"]
    digest = base64.b64encode(hashlib.sha512(tarball).digest()).decode()
    dist = {
        "integrity": f"sha512-{digest}",
        "shasum": hashlib.sha1(tarball, usedforsecurity=False).hexdigest(),
        "tarball": f"http://registry.example.com/{name}/-/{name}-{version}.tgz",
    }
    return {
        "_id": name,
        "name": name,
        "dist-tags": {"latest": version} if tags is None else dict(tags),
        "versions": {version: {**manifest, "_id": f"{name}@{version}", "readme": "# It", "dist": dist}},
        "access": None,
        "_attachments": {
            f"{name}-{version}.tgz": {
                "content_type": "application/octet-stream",
                "data": base64.b64encode(tarball).decode(),
                "length": len(tarball),
            }
        },
    }


def make_provenance(name: str, version: str, tarball: bytes, **fields: Any) -> dict[str, Any]:
    """Make a bundle with a statement about a tarball; nobody has signed it."""
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {
                "name": f"pkg:npm/{name.replace('@', '%40')}@{version}",
                "digest": {"sha512": hashlib.sha512(tarball).hexdigest()},
            }
        ],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {"buildDefinition": {}},
        **fields,
    }
    return {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"certificate": {"rawBytes": "AA=="}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(json.dumps(statement).encode()).decode(),
            "payloadType": "application/vnd.in-toto+json",
            "signatures": [{"sig": "AA==", "keyid": ""}],
        },
    }


def with_provenance(document: dict[str, Any], bundle: object) -> dict[str, Any]:
    """Put a bundle into a document, as clients do."""
    ((version, _),) = document["versions"].items()
    text = bundle if isinstance(bundle, str) else json.dumps(bundle)
    attachment = {"content_type": "application/json", "data": text, "length": len(text)}
    attachments = {**document["_attachments"], f"{document['name']}-{version}.sigstore": attachment}
    return {**document, "_attachments": attachments}
