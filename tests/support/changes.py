"""Requests that change something, and what each of them has to tell the audit trail: those of the formats' clients."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

from attrs import field, frozen

from tests.formats import cargo_world, nuget_world, pypi_world
from tests.support.npm import make_document, make_package

PROJECT, GROUP = "/api/v4/projects/<scope:scope>", "/api/v4/groups/<scope:scope>"
PACKAGES = "/api/v4/projects/1/packages"
VERSION = "1.0.0"
CARGO, MAVEN, NPM, NUGET, PYPI = (f"{PROJECT}/packages/{name}" for name in ("cargo", "maven", "npm", "nuget", "pypi"))
PYPI_HEADERS = {"Content-Type": f"multipart/form-data; boundary={pypi_world.B}"}


@frozen
class Example:
    """
    A request that changes something.

    Attributes:
        fields: sent as JSON.
        body: what is sent instead.
        entries: how many entries come of it.
        status: None for any of success.
    """

    method: str
    rule: str
    path: str
    fields: object = None
    headers: dict[str, str] = field(factory=dict)
    body: bytes | None = None
    entries: int = 1
    status: int | None = None


def cargo_examples() -> Iterator[Example]:
    """A crate; yanks; and owners, which are nobody's to change."""
    base = f"{PACKAGES}/cargo/api/v1/crates"
    crates = f"{CARGO}/api/v1/crates"
    body = cargo_world.frame(cargo_world.metadata("fresh"), cargo_world.crate("fresh"))
    yield Example("PUT", f"{crates}/new", f"{base}/new", body=body)
    version = f"{crates}/<segment:name>/<segment:version>"
    yield Example("DELETE", f"{version}/yank", f"{base}/alpha/{VERSION}/yank")
    yield Example("PUT", f"{version}/unyank", f"{base}/alpha/{VERSION}/unyank")
    for method in ("PUT", "DELETE"):
        owners = f"{crates}/<segment:name>/owners"
        yield Example(method, owners, f"{base}/alpha/owners", {"users": ["root"]}, entries=0, status=400)


def maven_examples() -> Iterator[Example]:
    """Files, also again; checksums, of which a wrong one takes its file back; and metadata, which is made here."""
    folder = "com/acme/fresh/1.0"

    def put(name: str, body: bytes, entries: int = 1, status: int | None = None) -> Example:
        path = f"{PACKAGES}/maven/{folder}/{name}"
        return Example("PUT", f"{MAVEN}/<path:file>", path, body=body, entries=entries, status=status)

    yield put("fresh-1.0.jar", b"jar")
    yield put("fresh-1.0.jar", b"jar", 0)
    yield put("fresh-1.0.jar.sha1", hashlib.sha1(b"jar", usedforsecurity=False).hexdigest().encode(), 0)
    yield put("fresh-1.0-sources.jar", b"sources")
    yield put("fresh-1.0-sources.jar.sha1", b"0" * 40, 1, 409)
    yield put("maven-metadata.xml", b"<metadata/>", 0)


def npm_examples() -> Iterator[Example]:
    """Versions, a word of warning at two of them, which is told of each; tags; and what is taken away again."""
    base, name = f"{PACKAGES}/npm", "fresh"
    where = f"{NPM}/<path:where>"

    def document(version: str) -> object:
        manifest = {"name": name, "version": version}
        return make_document(manifest, make_package(manifest))

    yield Example("PUT", where, f"{base}/{name}", document("1.0.0"))
    yield Example("PUT", where, f"{base}/{name}", document("2.0.0"))
    warned = {"name": name, "versions": {version: {"deprecated": "old"} for version in ("1.0.0", "2.0.0")}}
    yield Example("PUT", where, f"{base}/{name}", {"_id": name, **warned}, entries=2)
    tag = f"{NPM}/-/package/<path:name>/dist-tags/<segment:tag>"
    yield Example("PUT", tag, f"{base}/-/package/{name}/dist-tags/next", "1.0.0")
    yield Example("DELETE", tag, f"{base}/-/package/{name}/dist-tags/next")
    yield Example("DELETE", where, f"{base}/{name}/-/{name}-1.0.0.tgz/-rev/1-x")


def npm_removal(revision: Callable[[str], str]) -> Iterator[Example]:
    """
    All versions at once.

    Args:
        revision: tells that of a name.
    """
    yield Example("DELETE", f"{NPM}/<path:where>", f"{PACKAGES}/npm/fresh/-rev/{revision('fresh')}")


def nuget_examples() -> Iterator[Example]:
    """
    Packages and symbols, at every address that takes them; versions unlisted and listed again.

    A symbol package is two files, itself and the PDB in it, and each is told of.
    """
    base, count = f"{PACKAGES}/nuget", 0
    for slash in ("", "/"):
        for rest in ("", "/v2", "/v2/package"):
            count += 1
            body = nuget_world.form(nuget_world.nupkg(version=f"{count}.0.0"))
            yield Example(
                "PUT", f"{NUGET}{rest}{slash}", f"{base}{rest}{slash}", headers=nuget_world.FORM_HEADERS, body=body
            )
        body = nuget_world.form(nuget_world.snupkg(version=f"{count}.0.0"), file_name="package.snupkg")
        rule, path = f"{NUGET}/symbolpackage{slash}", f"{base}/symbolpackage{slash}"
        yield Example("PUT", rule, path, headers=nuget_world.FORM_HEADERS, body=body, entries=2)
    version = "<segment:id>/<segment:version>"
    for rest in ("", "v2/", "v2/package/"):
        yield Example("DELETE", f"{NUGET}/{rest}{version}", f"{base}/{rest}alpha/1.0")
        if not rest or rest == "v2/":
            yield Example("POST", f"{NUGET}/{version}", f"{base}/alpha/{VERSION}")


def pypi_examples() -> Iterator[Example]:
    """A wheel, with attestations and without; yanks."""
    base = f"{PACKAGES}/pypi"
    for slash, version in (("", "1.0"), ("/", "2.0")):
        file_name, data = pypi_world.wheel_name("fresh", version), pypi_world.wheel("fresh", version)
        fields = [("name", "fresh"), ("version", version)]
        if slash:
            fields.append(("attestations", pypi_world.attestations(file_name, data)))
        body = pypi_world.form(fields, file_name, data)
        yield Example("POST", f"{PYPI}{slash}", f"{base}{slash}", headers=PYPI_HEADERS, body=body)
    for method in ("PUT", "DELETE"):
        rule = f"{PYPI}/yank/<segment:name>/<segment:version>"
        yield Example(method, rule, f"{base}/yank/alpha/{VERSION}")


def generic_examples() -> Iterator[Example]:
    """A file."""
    file = f"{PROJECT}/packages/generic/<segment:name>/<segment:version>/<path:file>"
    for method in ("PUT", "DELETE"):
        body = b"x" if method == "PUT" else None
        yield Example(method, file, f"{PACKAGES}/generic/new/1.0/f.txt", body=body)


def format_examples() -> Iterator[Example]:
    """All of them but npm_removal()."""
    for examples in (
        generic_examples, cargo_examples, maven_examples, npm_examples, nuget_examples, pypi_examples,
    ):  # fmt: skip
        yield from examples()


def rule_examples() -> Iterator[Example]:
    """Protection rules."""
    rules = f"{PROJECT}/packages/protection/rules"
    path = f"{PACKAGES}/protection/rules"
    given = {"package_name_pattern": "x-*", "package_type": "pypi", "minimum_access_level_for_push": "maintainer"}
    yield Example("POST", rules, path, given)
    one = f"{rules}/<number:package_protection_rule_id>"
    yield Example("PATCH", one, f"{path}/1", {"minimum_access_level_for_delete": "owner"})
    yield Example("DELETE", one, f"{path}/1")
