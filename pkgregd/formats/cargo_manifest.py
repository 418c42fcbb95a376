"""
What is read of a crate before it is published: inspect_crate() runs in the inspector, a process of its own.

A crate is a tar.gz with one folder NAME-VERSION, made of files and folders alone. What counts is its Cargo.toml, which
cargo has brought to its plain form when it packed the crate.

Source: the Cargo book, "The Manifest Format" and "Specifying Dependencies"; `cargo package`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from typing import IO, Any

from pkgregd.errors import InvalidArchive, InvalidRequest, MetadataMismatch
from pkgregd.formatkit.tars import TarReader
from pkgregd.formatkit.tree import Kind, Tree
from pkgregd.formatkit.zips import looks_like_zip

MAX_MANIFEST_BYTES = 1 << 20

_MANIFEST = "Cargo.toml"
_ONE_SPELLING = frozenset({"cargo.toml", "cargo.lock", "build.rs"})
"""What cargo looks for in a crate, in lower case."""

_SECTIONS: Mapping[str, tuple[str, str]] = {
    "normal": ("dependencies", "dependencies"),
    "dev": ("dev-dependencies", "dev_dependencies"),
    "build": ("build-dependencies", "build_dependencies"),
}
"""Tables of dependencies by kind, each with the spelling that it once had."""

_LOCAL = frozenset({"git", "path", "registry", "workspace"})
"""What cargo takes off a dependency, or replaces, when it packs a crate."""


def inspect_crate(file: IO[bytes], *, name: str, version: str) -> dict[str, Any]:
    """
    Read the manifest of a crate.

    Args:
        name, version: as the publish request says, checked.

    Returns:
        `record`: what record_of() takes. A dependency's `registry` is that of Cargo.toml: null means cargo's default.

    Raises:
        InvalidArchive.
        MetadataMismatch: the folder is named after another package or version.
    """
    manifest = _parse(_read_manifest(file, f"{name}-{version}"))
    try:
        return {"record": _record(manifest)}
    except InvalidRequest as error:
        raise InvalidArchive(f"{_MANIFEST}: {error}") from None


def _read_manifest(file: IO[bytes], folder: str) -> bytes:
    """Walk the whole archive; returns the bytes of the manifest."""
    file.seek(0)
    reader, tree = TarReader(file), Tree()
    manifest: bytes | None = None
    for member in reader.members():
        if not member.path:
            raise InvalidArchive("the crate has an entry without a name")
        if member.kind not in (Kind.FILE, Kind.DIRECTORY):
            raise InvalidArchive(f"{member.path[:255]!a} is a {member.kind.value}: a crate has files and folders only")
        top = member.path.partition("/")[0]
        if top != folder:
            raise MetadataMismatch("top folder", ("publish request", folder), ("crate", top))
        tree.add(member.path, member.kind)
        if member.kind is Kind.FILE and member.path == f"{folder}/{_MANIFEST}":
            manifest = reader.read_data(MAX_MANIFEST_BYTES)
    if manifest is None:
        raise InvalidArchive(f"the crate has no file {_MANIFEST}")
    tree.demand_one_spelling(folder, _ONE_SPELLING)
    if tree.kind(f"{folder}/.cargo-ok") is not None:
        raise InvalidArchive("the crate has a file .cargo-ok, with which cargo marks what it has unpacked itself")
    if looks_like_zip(file):
        raise InvalidArchive("the file is a crate and a zip file at once")
    return manifest


def _parse(data: bytes) -> Mapping[str, Any]:
    try:
        return tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError:
        raise InvalidArchive(f"{_MANIFEST} is not UTF-8") from None
    except (ValueError, RecursionError):
        raise InvalidArchive(f"{_MANIFEST} is not valid TOML") from None


def _record(manifest: Mapping[str, Any]) -> dict[str, Any]:
    package = _table(manifest, "package")
    return {
        "name": package.get("name"),
        "vers": package.get("version"),
        "deps": list(_dependencies(manifest)),
        "features": _table(manifest, "features"),
        "links": package.get("links"),
        "rust_version": package.get("rust-version"),
    }


def _dependencies(manifest: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield from _dependencies_for(manifest, None)
    targets = _table(manifest, "target")
    for target in targets:
        yield from _dependencies_for(_table(targets, target), target)


def _dependencies_for(tables: Mapping[str, Any], target: str | None) -> Iterator[dict[str, Any]]:
    for kind, (section, once) in _SECTIONS.items():
        if section != once and section in tables and once in tables:
            raise InvalidRequest(f"there are {section} and {once}")
        listed = _table(tables, section if section in tables else once)
        for name, value in listed.items():
            wanted = {"version": value} if isinstance(value, str) else value
            if not isinstance(wanted, dict):
                raise InvalidRequest(f"the dependency {name[:255]!a} is neither a version nor a table")
            if kind == "dev" and "version" not in wanted:
                continue  # only there for the crate's own tests: cargo does not tell of it
            yield _dependency(name, wanted, kind, target)


def _dependency(name: str, wanted: Mapping[str, Any], kind: str, target: str | None) -> dict[str, Any]:
    """Say of a dependency what a publish request says."""
    for key in _LOCAL.intersection(wanted):
        raise InvalidRequest(f"the dependency {name[:255]!a} has {key}, which means nothing outside its workspace")
    return {
        "name": wanted.get("package", name),
        "explicit_name_in_toml": name,
        "version_req": wanted.get("version"),
        "features": wanted.get("features"),
        "optional": wanted.get("optional"),
        "default_features": wanted.get("default-features", wanted.get("default_features")),
        "target": target,
        "kind": kind,
        "registry": wanted.get("registry-index"),
        "artifact": wanted.get("artifact"),
    }


def _table(tables: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = tables.get(key, {})
    if not isinstance(found, dict):
        raise InvalidRequest(f"{key[:255]!a} is not a table")
    return found
