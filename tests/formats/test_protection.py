"""Protection rules as each format's clients meet them, without HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial

from attrs import define, evolve, frozen
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.errors import PackageProtected
from pkgregd.formats.cargo import CargoFormat
from pkgregd.formats.generic import GenericFormat
from pkgregd.formats.maven import MavenFormat
from pkgregd.formats.npm import NpmFormat
from pkgregd.formats.nuget import NuGetFormat
from pkgregd.formats.pypi import PyPIFormat
from pkgregd.http.refusals import common_reply, refuse
from pkgregd.interfaces import ICall, IPackageFormat
from pkgregd.testing.calls import WRITER, FormatWorld, now
from pkgregd.values import ANONYMOUS, Level, ProtectedAct, ProtectionLevel, Reply, Route, RuleTerms
from tests.formats import cargo_world, nuget_world, pypi_world
from tests.support.npm import make_document, make_package

PUSH, DELETE = ProtectedAct

DEVELOPER = evolve(WRITER, user_id=99, token_id=7)
"""Who may whatever routes ask for, and reaches no level of a rule."""


@define
class RacedWorld(FormatWorld):
    """
    A world in which something happens between the check of a route and its handler.

    Attributes:
        then: what happens.
    """

    then: Callable[[], None] = lambda: None

    def route(self, method: str, rule: str, level: Level = Level.PROJECT) -> Route:
        """See FormatWorld."""
        found = super().route(method, rule, level)

        async def check(call: ICall) -> None:
            if found.check is not None:
                await found.check(call)
            self.then()

        return evolve(found, check=check)


@frozen
class Way:
    """
    A way to change packages of a name.

    Attributes:
        act: what it is to rules.
        go: does it.
        is_early: whether it is refused before the body is touched.
    """

    act: ProtectedAct
    go: Callable[[FormatWorld], Reply]
    is_early: bool = True


@frozen
class Format:
    """
    A format, and what is done to a package of a name.

    Attributes:
        pattern: of a rule, in another spelling than the name's if the format knows any.
        publish: publishes version 1, which all others change.
    """

    make: Callable[[], IPackageFormat]
    pattern: str
    publish: Way
    others: Mapping[str, Way]


def ask(method: str, rule: str, *pieces: bytes, headers: Mapping[str, str] | None = None, **arguments: str) -> Way:
    """A way of one request that pushes."""
    return Way(PUSH, lambda world: world.request(method, rule, *pieces, headers=headers, **arguments))


def _generic() -> Format:
    rule, where = "/<segment:name>/<segment:version>/<path:file>", {"name": "acme-tool", "version": "1", "file": "a"}
    return Format(
        GenericFormat,
        "acme-*",
        ask("PUT", rule, b"x", **where),
        {"replace": ask("PUT", rule, b"y", **where), "delete": evolve(ask("DELETE", rule, **where), act=DELETE)},
    )


def _npm() -> Format:
    where, tag = "/<path:where>", "/-/package/<path:name>/dist-tags/<segment:tag>"
    manifest = {"name": "@acme/lib", "version": "1.0.0"}
    document = make_document(manifest, make_package(manifest))
    told = {"_id": "@acme/lib", "name": "@acme/lib", "versions": {"1.0.0": {"deprecated": "bad"}}}

    def unpublish(world: FormatWorld, what: str) -> Reply:
        got = world.request("GET", where, where="@acme/lib")
        revision = json.loads(pypi_world.body_of(got))["_rev"]
        return world.request("DELETE", where, where=f"@acme/lib/{what}-rev/{revision}")

    return Format(
        NpmFormat,
        "@ACME/*",
        ask("PUT", where, json.dumps(document).encode(), where="@acme/lib"),
        {
            "tag": ask("PUT", tag, b'"1.0.0"', name="@acme/lib", tag="beta"),
            "move latest": ask("PUT", tag, b'"1.0.0"', name="@acme/lib", tag="latest"),
            "untag": ask("DELETE", tag, name="@acme/lib", tag="latest"),
            "deprecate": ask("PUT", where, json.dumps(told).encode(), where="@acme/lib"),
            "unpublish a version": Way(DELETE, partial(unpublish, what="-/lib-1.0.0.tgz/")),
            "unpublish": Way(DELETE, partial(unpublish, what="")),
        },
    )


def _pypi() -> Format:
    fields = (("name", "Acme.Core"), ("version", "1.0"))

    def wheel(source: bytes, tag: str = "py3-none-any") -> bytes:
        data = pypi_world.wheel("acme_core", "1.0", source, tag=tag)
        return pypi_world.form(fields, f"acme_core-1.0-{tag}.whl", data)

    headers = {"Content-Type": f"multipart/form-data; boundary={pypi_world.B}"}
    other = wheel(b"x = 1\n", "py2-none-any")
    yank = "/yank/<segment:name>/<segment:version>"
    return Format(
        PyPIFormat,
        "ACME_-*",
        evolve(ask("POST", "", wheel(b"x = 1\n"), headers=headers), is_early=False),
        {
            "another file": evolve(ask("POST", "/", other, headers=headers), is_early=False),
            "the same file": evolve(ask("POST", "", wheel(b"x = 1\n"), headers=headers), is_early=False),
            "yank": evolve(ask("PUT", yank, name="acme.core", version="1.0"), is_early=False),
        },
    )


def _cargo() -> Format:
    def crate(version: str) -> Way:
        body = cargo_world.frame(cargo_world.metadata("acme-x", version), cargo_world.crate("acme-x", version))
        return evolve(ask("PUT", cargo_world.NEW, body), is_early=False)

    return Format(
        CargoFormat,
        "Acme_*",
        crate("1.0.0"),
        {
            "publish": crate("2.0.0"),
            "yank": ask("DELETE", f"{cargo_world.VERSION}/yank", name="acme-x", version="1.0.0"),
        },
    )


def _nuget() -> Format:
    def package(version: str) -> Way:
        body = nuget_world.form(nuget_world.nupkg("Acme.Lib", version))
        return evolve(ask("PUT", "/", body, headers=nuget_world.FORM_HEADERS), is_early=False)

    version = "/<segment:id>/<segment:version>"
    return Format(
        NuGetFormat,
        "ACME.*",
        package("1.0.0"),
        {
            "push": package("2.0.0"),
            "relist": ask("POST", version, id="acme.lib", version="1.0.0"),
            "delete": evolve(ask("DELETE", version, id="acme.lib", version="1.0.0"), act=DELETE),
            "delete by v2": evolve(ask("DELETE", f"/v2{version}", id="acme.lib", version="1.0.0"), act=DELETE),
        },
    )


def _maven() -> Format:
    def file(name: str, version: str = "1.0") -> Way:
        return ask("PUT", "/<path:file>", b"x", file=f"com/acme/lib/{version}/lib-{version}{name}")

    return Format(
        MavenFormat,
        "com/acme/*",
        file(".jar"),
        {
            "another file": file("-sources.jar"),
            "checksum": file(".jar.sha1"),
            "snapshot": file(".jar", "2.0-SNAPSHOT"),
        },
    )


FORMATS = (_generic, _npm, _pypi, _cargo, _nuget, _maven)


class ProtectionTests(SynchronousTestCase):
    """Every way of every format."""

    def world(self, made: Format) -> FormatWorld:
        """A world in which the writer is a developer, who may whatever routes ask for."""
        return FormatWorld(made.make(), principal=DEVELOPER)

    def protect(self, world: FormatWorld, pattern: str, act: ProtectedAct) -> None:
        """Add a rule that only owners reach."""
        levels = {PUSH: None, DELETE: None, act: ProtectionLevel.OWNER}
        canonical = world.format.canonical_pattern(pattern)
        terms = RuleTerms(world.format.name, pattern, canonical, levels[PUSH], levels[DELETE])
        now(world.catalog.add_rule(1, terms, ANONYMOUS))

    def state(self, world: FormatWorld) -> object:
        """All that a change could leave."""
        remote = world.remote()
        return dict(world.blobs.contents), world.is_clean(), now(remote.list_names()), now(remote.index_state())

    def test_every_way_is_refused(self) -> None:
        """By a rule on what it is, changing nothing; before the body where the path tells the name."""
        for make in FORMATS:
            made = make()
            for label, way in (("publish", made.publish), *made.others.items()):
                world = self.world(made)
                if way is not made.publish:
                    made.publish.go(world)
                self.protect(world, made.pattern, way.act)
                before = self.state(world)
                error = self.assertRaises(PackageProtected, way.go, world)
                self.assertIn(f"owners and above may {'publish' if way.act is PUSH else 'delete'}", str(error))
                self.assertEqual(self.state(world), before, (world.format.name, label))
                self.assertEqual(world.last_body.was_touched and way.is_early, False, (world.format.name, label))
                self.check_words(world.format, error, made.pattern)

    def check_words(self, format: IPackageFormat, error: PackageProtected, pattern: str) -> None:
        """The format's own error has GitLab's words and the pattern in it, and is a 403."""
        refusal = refuse(error, "r", None)
        reply = format.render_error(refusal) or common_reply(refusal)
        assert isinstance(reply.body, bytes)
        self.assertEqual(reply.status, 403)
        self.assertIn("rotected. In this project only owners and above", reply.body.decode())
        self.assertIn(json.dumps(pattern)[1:-1], reply.body.decode())

    def test_a_rule_that_is_made_while_the_body_comes_counts(self) -> None:
        """What passed at its headers is refused when it is complete, and leaves nothing."""
        for make in FORMATS:
            made = make()
            world = RacedWorld(made.make(), principal=DEVELOPER)
            world.then = partial(self.protect, world, made.pattern, PUSH)
            before = self.state(world)
            self.assertRaises(PackageProtected, made.publish.go, world)
            self.assertEqual(self.state(world), before, world.format.name)

    def test_nothing_else_is_refused(self) -> None:
        """Rules on the other act, on other names and of other projects keep nobody from anything."""
        for make in FORMATS:
            made = make()
            for label, way in (("publish", made.publish), *made.others.items()):
                world = self.world(made)
                if way is not made.publish:
                    made.publish.go(world)
                self.protect(world, made.pattern, PUSH if way.act is DELETE else DELETE)
                self.protect(world, f"{made.pattern}*zzz", way.act)
                if label in ("checksum", "untag"):
                    continue  # what they are about is refused for reasons of its own
                way.go(world)
