"""Documents of npm that are not what they say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.support.npm import make_document, make_package, make_tarball


def hostile_documents() -> Mapping[str, object]:
    """Make documents with one thing wrong in each."""
    manifest: dict[str, Any] = {"name": "@acme/lib", "version": "1.0.0"}
    package = json.dumps(manifest).encode()
    found: dict[str, object] = {"nothing": b"", "a list": [], "no json": b"{", "a text": "x", "empty": {}}

    def add(label: str, tarball: bytes = b"", sent: Mapping[str, Any] = {}, **fields: Any) -> None:
        document = make_document({**manifest, **sent}, tarball or make_package(manifest))
        found[label] = {**document, **fields}

    for key, value in {
        "name": "@acme/other", "version": "2.0.0", "dependencies": {"evil": "1"}, "optionalDependencies": {"e": "1"},
        "peerDependencies": {"evil": "1"}, "bin": {"sh": "x.js"}, "hasInstallScript": True, "scripts": ["x"],
        "description": "x" * 200_000,
    }.items():  # fmt: skip
        add(f"other {key}", sent={key: value})
    for key, value in {
        "name": "@acme/other", "_id": "x", "versions": {}, "dist-tags": {"1.0.0": "1.0.0"}, "_attachments": [],
    }.items():  # fmt: skip
        add(f"document with {key}", **{key: value})
    add("tag of another version", **{"dist-tags": {"latest": "2.0.0"}})
    add("too many tags", **{"dist-tags": {f"t{number}": "1.0.0" for number in range(17)}})
    add("versions that are a list", versions=[])
    add("two versions", versions={"1.0.0": manifest, "2.0.0": manifest})
    good = make_document(manifest, make_package(manifest))
    (sent,) = good["_attachments"].values()
    for label, attachments in {
        "another name": {"@acme/lib-2.0.0.tgz": sent},
        "wrong length": {"@acme/lib-1.0.0.tgz": {**sent, "length": 1}},
        "length that is none": {"@acme/lib-1.0.0.tgz": {**sent, "length": "1"}},
        "bad base64": {"@acme/lib-1.0.0.tgz": {**sent, "data": sent["data"] + "="}},
        "number for data": {"@acme/lib-1.0.0.tgz": {"data": 1}},
        "two tarballs": {"@acme/lib-1.0.0.tgz": sent, "@acme/lib-2.0.0.tgz": sent},
        "something beside it": {"@acme/lib-1.0.0.tgz": sent, "x": {"length": 1}},
        "empty bundle": {"@acme/lib-1.0.0.tgz": sent, "x.sigstore": {"data": ""}},
        "long bundle": {"@acme/lib-1.0.0.tgz": sent, "x.sigstore": {"data": "x" * 300_000}},
    }.items():
        found[label] = {**good, "_attachments": attachments}
    for key, value in {"shasum": "x", "integrity": "sha512-x", "integrity ": 1}.items():
        document = make_document(manifest, make_package(manifest))
        document["versions"]["1.0.0"]["dist"][key.strip()] = value
        found[f"bad {key}"] = document
    for label, files in {
        "no package.json": {"package/x": b""},
        "package.json at the top": {"package.json": package},
        "two of them": {"a/package.json": package, "b/package.json": package},
        "two spellings": {"a/package.json": package, "a/Package.json": package},
        "upwards": {"package/package.json": package, "package/../../x": b""},
        "absolute": {"package/package.json": package, "/etc/x": b""},
        "no JSON": {"package/package.json": b"{"},
        "key twice": {"package/package.json": package[:-1] + b',"name":"@acme/lib"}'},
        "a list": {"package/package.json": b"[]"},
        "without a name": {"package/package.json": b"{}"},
        "deep": {"package/package.json": b"[" * 100_000},
        "large": {"package/package.json": b" " * (256 << 10) + package},
        "other name": {"package/package.json": b'{"name":"other","version":"1.0.0"}'},
        "peers that are none": {"package/package.json": package[:-1] + b',"peerDependencies":{"a":1}}'},
    }.items():
        add(f"tarball with {label}", make_tarball(files))
    add("no tarball", b"nonsense")
    add("half a tarball", make_package(manifest)[:-9])
    return found
