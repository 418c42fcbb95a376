"""Who may import whom: the table of the layers, held against every import in the product."""

from __future__ import annotations

import ast
import pathlib
from collections.abc import Iterator, Mapping

from twisted.trial.unittest import SynchronousTestCase

PACKAGE = pathlib.Path(__file__).parents[1] / "pkgregd"

SEAMS = frozenset({"interfaces", "values", "errors", "clockwork", "secrecy", "unmeasured"})
ALL = frozenset({"*"})

ALLOWED: Mapping[str, frozenset[str]] = {
    "__init__": frozenset(),
    "errors": frozenset(),
    "values": frozenset({"errors", "interfaces"}),  # interfaces for the type checker alone
    "interfaces": frozenset({"values", "errors"}),
    "clockwork": frozenset(),
    "secrecy": frozenset(),
    "unmeasured": frozenset({"interfaces", "values"}),
    "config": frozenset({"values", "errors"}),
    "plugin": frozenset({"interfaces", "values", "errors"}),
    "inspector": frozenset({"errors"}),
    "formatkit": frozenset({"interfaces", "values", "errors"}),
    "formats": frozenset({"interfaces", "values", "errors", "formatkit"}),
    "registry": SEAMS | {"inspector"},
    "blobs": SEAMS,
    "catalog": SEAMS,
    "auth": SEAMS,
    "shared": SEAMS,
    "http": SEAMS,
    "manage": SEAMS,
    "web": SEAMS,
    "metrics": SEAMS,
    "testing": ALL,
    "tap": ALL,
    "service": ALL,
    "process": ALL,
    "supervisor": ALL,
    "worker": ALL,
    "crew": frozenset({"clockwork", "config", "errors", "listening", "metrics"}),
    "listening": frozenset({"errors", "http", "systemd"}),
    "systemd": frozenset(),
    "readiness": frozenset({"clockwork", "errors"}),
    "parts": ALL,
    "chores": ALL,
    "cli": ALL,
    "commands": ALL,
}
"""What of ours each part imports, beside itself."""

RESERVED: Mapping[str, frozenset[str]] = {
    "twisted.web": frozenset({"http", "testing", "blobs"}),  # blobs are a client of S3 services
    "treq": frozenset({"auth", "blobs"}),
    "botocore": frozenset({"blobs"}),
    "klein": frozenset({"http"}),
    "werkzeug": frozenset({"http"}),
    "sqlalchemy": frozenset({"catalog"}),
    "sqlite3": frozenset({"catalog"}),
    "alembic": frozenset({"catalog"}),
    "txpostgres": frozenset({"catalog"}),
    "psycopg2": frozenset({"catalog"}),
    "markdown_it": frozenset({"web"}),
    "prometheus_client": frozenset({"metrics"}),
}
"""Libraries that only some parts know."""


def part_of(module: str) -> str:
    """Return the part that a module of ours belongs to, e.g. `http` for `pkgregd.http.front`."""
    return module.split(".")[1] if "." in module else "__init__"


def imported(tree: ast.AST) -> Iterator[str]:
    """List the modules that a module imports anywhere in it; names of a package count as modules of it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def offences(part: str, tree: ast.AST) -> list[str]:
    """Return what a module of a part imports against the tables."""
    found = []
    for name in imported(tree):
        if name.split(".")[0] == "pkgregd":
            other = part_of(name)
            if other != part and not ALLOWED[part] & {other, "*"}:
                found.append(name)
        for library, parts in RESERVED.items():
            if (name == library or name.startswith(library + ".")) and part not in parts:
                found.append(name)
    return found


class ImportTableTests(SynchronousTestCase):
    """The product's imports."""

    def test_every_module_keeps_to_the_table(self) -> None:
        """No module imports what its part may not."""
        against = {}
        for file in sorted(PACKAGE.rglob("*.py")):
            relative = file.relative_to(PACKAGE)
            part = relative.parts[0].removesuffix(".py")
            self.assertIn(part, ALLOWED, f"{relative} belongs to no part of the table")
            if found := offences(part, ast.parse(file.read_text("utf-8"))):
                against[str(relative)] = found
        self.assertEqual(against, {})

    def test_the_table_bites(self) -> None:
        """Imports that are forbidden are seen, inside functions too."""
        tree = ast.parse("def f():\n    from pkgregd.catalog import open_catalog\nimport klein.app\n")
        self.assertEqual(sorted(offences("registry", tree)), ["klein.app", "pkgregd.catalog.open_catalog"])
        self.assertEqual(offences("registry", ast.parse("from pkgregd import values, clockwork")), [])
