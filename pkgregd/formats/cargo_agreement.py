"""
Whether the JSON of a publish request and the Cargo.toml in its crate are about the same.

Resolvers read the index, people and builds the crate: what differs between them hides something from one of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import unquote, urlsplit

from attrs import evolve

from pkgregd.errors import InvalidArchive, InvalidRequest, MetadataMismatch
from pkgregd.formats.cargo_record import CrateRecord, Dependency, record_of

_REQUEST, _CRATE = "publish request", "Cargo.toml"
_DEFAULT_REGISTRY = "the default registry"


def agreed(claim: CrateRecord, answer: Mapping[str, object], base_url: str) -> CrateRecord:
    """
    Compare a publish request with what inspect_crate() returned, and believe neither alone.

    Args:
        base_url: of this registry, as the client wrote it.

    Returns:
        What both say; the rust-version, which old cargos do not send, as Cargo.toml says.

    Raises:
        InvalidArchive: the answer is not what inspect_crate() returns.
        MetadataMismatch: they differ; the text names both sides.
    """
    found = _found(answer)
    if claim.name != found.name:
        raise MetadataMismatch("name", (_REQUEST, claim.name), (_CRATE, found.name))
    if claim.version != found.version:
        raise MetadataMismatch("version", (_REQUEST, claim.version), (_CRATE, found.version))
    if claim.links != found.links:
        raise MetadataMismatch("links", (_REQUEST, claim.links or ""), (_CRATE, found.links or ""))
    if claim.rust_version not in (None, found.rust_version):
        raise MetadataMismatch("rust-version", (_REQUEST, claim.rust_version or ""), (_CRATE, found.rust_version or ""))
    _demand_features(claim.features, found.features)
    _demand_dependencies(claim.dependencies, found.dependencies, _index_path(base_url))
    return evolve(claim, rust_version=found.rust_version)


def _found(answer: Mapping[str, object]) -> CrateRecord:
    fields = answer.get("record")
    if not isinstance(fields, dict):
        raise InvalidArchive("the crate cannot be read")
    try:
        return record_of(fields)
    except InvalidRequest as error:
        raise InvalidArchive(f"{_CRATE}: {error}") from None


def _demand_features(claimed: Mapping[str, Sequence[str]], found: Mapping[str, Sequence[str]]) -> None:
    for name in sorted({*claimed, *found}):
        if claimed.get(name) != found.get(name):
            raise MetadataMismatch(
                f"feature {name}", (_REQUEST, _shown(claimed.get(name))), (_CRATE, _shown(found.get(name)))
            )


def _shown(values: Sequence[str] | None) -> str:
    return "nothing" if values is None else f"[{', '.join(values)}]"


def _demand_dependencies(claimed: Sequence[Dependency], found: Sequence[Dependency], own_path: str) -> None:
    in_request, in_crate = ({(each.kind, each.target, each.name): each for each in some} for some in (claimed, found))
    for key in sorted({*in_request, *in_crate}):
        one, other = in_request.get(key), in_crate.get(key)
        kind, target, name = key
        what = f"{kind} dependency {name}" + (f" for {target[:255]}" if target else "")
        if one is None or other is None:
            raise MetadataMismatch(what, (_REQUEST, _present(one)), (_CRATE, _present(other)))
        if not _is_same_registry(one.registry, other.registry, own_path):
            raise MetadataMismatch(
                f"registry of the {what}",
                (_REQUEST, one.registry or "this registry"),
                (_CRATE, other.registry or _DEFAULT_REGISTRY),
            )
        if one != evolve(other, registry=one.registry):
            raise MetadataMismatch(what, (_REQUEST, _described(one)), (_CRATE, _described(other)))
    defaults = sorted({one.registry for key, one in in_request.items() if not in_crate[key].registry})
    if len(defaults) > 1:
        raise MetadataMismatch(_DEFAULT_REGISTRY, (_REQUEST, " and ".join(defaults)), (_CRATE, "one registry"))


def _present(dependency: Dependency | None) -> str:
    return "nothing" if dependency is None else _described(dependency)


def _described(each: Dependency) -> str:
    marks = [*([] if not each.is_optional else ["optional"]), *([] if each.has_default_features else ["no default"])]
    return " ".join([each.package, each.requirement, f"[{', '.join(each.features)}]", *marks])


def _is_same_registry(claimed: str, found: str, own_path: str) -> bool:
    """
    Whether a registry in the request is the one in Cargo.toml.

    The request leaves out this registry; Cargo.toml names this one too, and leaves out cargo's default one, which
    the request has to name. So this registry is known by its path: host and scheme may be another proxy's.
    """
    if not claimed:
        return bool(found) and _index_path(found) == own_path
    if not found:
        return _index_path(claimed) != own_path
    return claimed.rstrip("/") == found.rstrip("/")


def _index_path(url: str) -> str:
    return unquote(urlsplit(url.removeprefix("sparse+")).path).rstrip("/")
