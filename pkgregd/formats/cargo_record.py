"""
What the index says of a version: read from the JSON of a publish request, and from Cargo.toml put into the same shape.

No text gets from here into the index that has not been checked, and what means the same is the same.

Source: the Cargo book, "Web API", Publish, and "Index Format".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from attrs import frozen

from pkgregd.errors import InvalidRequest
from pkgregd.formatkit.names import check, is_printable
from pkgregd.formats.cargo_names import canonical_name, canonical_version, demand_free
from pkgregd.formats.cargo_requirements import normal_requirement, normal_target

KINDS = ("normal", "dev", "build")
MAX_DEPENDENCIES = 2000
MAX_FEATURES = 5000
MAX_FEATURE_VALUES = 50_000
MAX_FEATURE_CHARACTERS = 256
MAX_URL_CHARACTERS = 2000
MAX_LINKS_CHARACTERS = 256

_FEATURE = re.compile(r"\w[\w+.-]*")
_FEATURE_VALUE = re.compile(r"(?:dep:)?\w[\w+.-]*|\w[\w-]*\??/\w[\w+.-]*")
_URL = re.compile(r"(?:[a-z]+\+)?[a-z]+://[!#-;=?-\[\]_a-z~]+", re.ASCII | re.IGNORECASE)
_RUST_VERSION = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6}){0,2}", re.ASCII)
_LINKS = re.compile(r"[!-~]+", re.ASCII)


@frozen(order=True)
class Dependency:
    """
    One dependency.

    Attributes:
        kind: one of KINDS.
        target: the platform it is for, or empty.
        name: as the crate's code calls it.
        package: the crate's own name.
        requirement: of its version.
        registry: URL of the index it comes from; empty for the registry that is meant when none is named.
        features: wanted ones, sorted.
        is_optional, has_default_features: see the Cargo book.
    """

    kind: str
    target: str
    name: str
    package: str
    requirement: str
    registry: str
    features: tuple[str, ...]
    is_optional: bool
    has_default_features: bool


@frozen
class CrateRecord:
    """
    What resolvers see of one version.

    Attributes:
        name, version: as published.
        dependencies: sorted.
        features: sorted values by name.
        links: the native library it links, or None.
        rust_version: the oldest compiler it takes, or None.
    """

    name: str
    version: str
    dependencies: tuple[Dependency, ...]
    features: Mapping[str, tuple[str, ...]]
    links: str | None
    rust_version: str | None


def record_of(fields: Mapping[str, object]) -> CrateRecord:
    """
    Read a publish request; members that resolvers do not need are not looked at.

    Raises:
        InvalidRequest: something is missing or malformed; the text says what.
    """
    name, version = _text(fields, "name"), _text(fields, "vers")
    demand_free(name)
    canonical_version(version)
    links, rust_version = _optional_text(fields, "links"), _optional_text(fields, "rust_version")
    if links is not None:
        check(links, _LINKS, MAX_LINKS_CHARACTERS, InvalidRequest, "name of a linked library")
    if rust_version is not None:
        check(rust_version, _RUST_VERSION, 32, InvalidRequest, "rust-version")
    return CrateRecord(
        name, version, _dependencies(fields.get("deps")), _features(fields.get("features")), links, rust_version
    )


def _dependencies(listed: object) -> tuple[Dependency, ...]:
    found = [] if listed is None else listed
    if not isinstance(found, list) or len(found) > MAX_DEPENDENCIES:
        raise InvalidRequest(f"deps is a list of at most {MAX_DEPENDENCIES} dependencies")
    dependencies = sorted(_dependency(fields) for fields in found)
    names = [(each.kind, each.target, each.name) for each in dependencies]
    if len(set(names)) != len(names):
        raise InvalidRequest("a dependency is there twice")
    return tuple(dependencies)


def _dependency(fields: object) -> Dependency:
    if not isinstance(fields, dict):
        raise InvalidRequest("a dependency is an object")
    package = _text(fields, "name")
    name = _optional_text(fields, "explicit_name_in_toml") or package
    for each in (package, name):
        canonical_name(each.lstrip("_") or each)  # cargo lets names begin with an underscore
        if len(each) > 64:
            raise InvalidRequest(f"the name of a dependency is too long: {each[:80]!a}")
    if fields.get("artifact") is not None:
        raise InvalidRequest(f"the dependency {name!a} is on an artifact, which is unstable and not taken here")
    kind = _optional_text(fields, "kind") or "normal"
    if kind not in KINDS:
        raise InvalidRequest(f"the dependency {name!a} is of no known kind: {kind[:64]!a}")
    target, registry = _optional_text(fields, "target"), _optional_text(fields, "registry")
    if registry is not None:
        check(registry, _URL, MAX_URL_CHARACTERS, InvalidRequest, "address of a registry")
        _demand_address(registry)
    features = _texts(fields.get("features"), f"features of the dependency {name!a}")
    return Dependency(
        kind=kind,
        target="" if target is None else normal_target(target),
        name=name,
        package=package,
        requirement=normal_requirement(_text(fields, "version_req")),
        registry=registry or "",
        features=_checked(features, _FEATURE_VALUE),
        is_optional=_flag(fields, "optional", otherwise=False),
        has_default_features=_flag(fields, "default_features", otherwise=True),
    )


def _demand_address(registry: str) -> None:
    """Pass if the address can be taken apart, which brackets may prevent."""
    try:
        urlsplit(registry.removeprefix("sparse+"))
    except ValueError:
        raise InvalidRequest(f"not a valid address of a registry: {registry[:255]!a}") from None


def _features(listed: object) -> Mapping[str, tuple[str, ...]]:
    found = {} if listed is None else listed
    if not isinstance(found, dict) or len(found) > MAX_FEATURES:
        raise InvalidRequest(f"features is an object of at most {MAX_FEATURES} members")
    _checked(list(found), _FEATURE)
    features = {name: _checked(_texts(values, "features"), _FEATURE_VALUE) for name, values in sorted(found.items())}
    if sum(map(len, features.values())) > MAX_FEATURE_VALUES:
        raise InvalidRequest(f"the features enable more than {MAX_FEATURE_VALUES} others")
    return features


def _checked(features: Sequence[str], grammar: re.Pattern[str]) -> tuple[str, ...]:
    for each in features:
        if len(each) > MAX_FEATURE_CHARACTERS or not grammar.fullmatch(each) or not is_printable(each):
            raise InvalidRequest(f"not a valid feature: {each[:MAX_FEATURE_CHARACTERS]!a}")
    return tuple(sorted(set(features)))


def _texts(listed: object, what: str) -> Sequence[str]:
    found = [] if listed is None else listed
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise InvalidRequest(f"{what}: not a list of texts")
    return found


def _text(fields: Mapping[Any, object], key: str) -> str:
    value = _optional_text(fields, key)
    if value is None:
        raise InvalidRequest(f"{key} is missing")
    return value


def _optional_text(fields: Mapping[Any, object], key: str) -> str | None:
    value = fields.get(key)
    if value is not None and not isinstance(value, str):
        raise InvalidRequest(f"{key} is not a text")
    return value


def _flag(fields: Mapping[Any, object], key: str, *, otherwise: bool) -> bool:
    value = fields.get(key)
    if value is None:
        return otherwise
    if not isinstance(value, bool):
        raise InvalidRequest(f"{key} is neither true nor false")
    return value
