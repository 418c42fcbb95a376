"""
Whether the account that a client sends of a package is that of its tarball.

Installers resolve by that account and run what is in the tarball: so both have to agree about everything that decides
about an installation. But clients do not send package.json as its author wrote it. What npm, pnpm, both kinds of yarn
and bun change on the way is known here, and nothing else may differ.

Source: the source of npm's package @npmcli/package-json, steps `fix` and `prepare`; normalizeManifest() of yarn 1.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Mapping

from pkgregd.errors import MetadataMismatch
from pkgregd.formatkit.strictjson import read_strict
from pkgregd.formats.npm_inspection import Inspection
from pkgregd.formats.npm_manifest import Manifest
from pkgregd.formats.npm_repositories import published_form

_WHAT = "package.json in the tarball"
_COMMENT = "//"
"""A key that is no name: authors write comments under it, which some clients leave out."""

_CONDITIONS = ("engines", "os", "cpu", "libc", "peerDependenciesMeta")
_BUILD = "node-gyp rebuild"
_PROGRAMS_FOLDER = re.compile(r"\A(?:\.[/\\])?node_modules[/\\].bin[/\\]")
_SEPARATORS = re.compile(r"[\s,]+", re.ASCII)
_NAME_END = re.compile(r":?[@\s><=]", re.ASCII)
_YARN_PROGRAM = re.compile(r"(?!\.{0,2}\Z)[a-z0-9._-]+", re.ASCII | re.IGNORECASE)


def compare(claimed: Manifest, found: Inspection) -> bool:
    """
    Pass if the tarball is what was promised. Blocks for the size of package.json.

    Returns:
        Whether installing it runs a script.

    Raises:
        InvalidRequest: MetadataMismatch among others.
    """
    inside = Manifest.of(_repaired(read_strict(found.manifest.removeprefix(b"\xef\xbb\xbf"), _WHAT)), _WHAT)
    for what in ("name", "version"):
        promised, packed = getattr(claimed, what), getattr(inside, what)
        if promised != packed:
            raise MetadataMismatch(what, ("document", promised), (_WHAT, packed))
    _compare_dependencies(claimed, inside)
    peers = "peerDependencies"
    _demand_same(peers, claimed.texts(peers), inside.texts(peers), lambda key, promised, packed: promised == packed)
    _compare_programs(claimed, inside)
    _compare_scripts(claimed, inside)
    _compare_conditions(claimed, inside)
    runs_script = bool(inside.install_scripts()) or (found.has_gyp and inside.fields.get("gypfile") is not False)
    said = claimed.fields.get("hasInstallScript")
    if said is not None and said is not runs_script:
        raise MetadataMismatch("hasInstallScript", ("document", str(said)), ("tarball", str(runs_script)))
    return runs_script


def _compare_dependencies(claimed: Manifest, inside: Manifest) -> None:
    bundled = inside.bundled()

    def is_same(key: str, promised: str | None, packed: str | None) -> bool:
        if promised is None or packed is None:
            # npm adds what is bundled to the dependencies
            return packed is None and promised == "*" and key in bundled
        return promised == packed or published_form(packed) in (promised, published_form(promised))

    _demand_same("dependencies", claimed.needed(), inside.needed(), is_same)


def _compare_programs(claimed: Manifest, inside: Manifest) -> None:
    promised, packed = claimed.programs(), inside.programs()
    folder = inside.program_folder
    if folder is not None:
        # clients look what is in the folder, if they care for it
        packed = {name: path for name, path in promised.items() if _is_in(folder, name, path)}
    written = inside.fields.get("bin")
    pairs = written.items() if isinstance(written, dict) else ()
    left_out = {posixpath.basename(name) for name, path in pairs if not _yarn_takes(name, path)}

    def is_same(key: str, promised: str | None, packed: str | None) -> bool:
        return promised == packed or (promised is None and key in left_out)

    _demand_same("bin", promised, packed, is_same)


def _compare_scripts(claimed: Manifest, inside: Manifest) -> None:
    """Those that an installation runs. npm adds one, where there is something to be built."""

    def is_same(key: str, promised: str | None, packed: str | None) -> bool:
        if packed is None:
            return promised is None or (key == "install" and promised == _BUILD)
        return promised in (packed, _PROGRAMS_FOLDER.sub("", packed))

    _demand_same("scripts", claimed.install_scripts(), inside.install_scripts(), is_same)


def _compare_conditions(claimed: Manifest, inside: Manifest) -> None:
    """On what machines it is installed, and which peers it does without."""
    for key in _CONDITIONS:
        promised, packed = claimed.fields.get(key) or None, inside.fields.get(key) or None
        if promised != packed and not (key == "engines" and isinstance(packed, list)):  # which yarn 1 rewrites
            raise MetadataMismatch(key, ("document", json.dumps(promised)), (_WHAT, json.dumps(packed)))


def _is_in(folder: str, name: str, path: str) -> bool:
    return path.startswith(f"{folder}/") and posixpath.basename(path) == name


def _yarn_takes(name: str, path: str) -> bool:
    """Whether yarn 1 publishes a program of that name and path; it leaves the others out."""
    return _YARN_PROGRAM.fullmatch(name) is not None and not posixpath.normpath(path).startswith(("/", ".."))


def _demand_same(
    what: str,
    promised: Mapping[str, str],
    packed: Mapping[str, str],
    is_same: Callable[[str, str | None, str | None], bool],
) -> None:
    keys = sorted(
        key
        for key in (promised.keys() | packed.keys()) - {_COMMENT}
        if not is_same(key, promised.get(key), packed.get(key))
    )
    if keys:
        first, second = (", ".join(f"{key} {side[key]}" for key in keys if key in side) for side in (promised, packed))
        raise MetadataMismatch(what, ("document", first), (_WHAT, second))


# ------------------------------------------------ what npm repairs before anything else


def _repaired(value: object) -> object:
    """Bring fields of package.json that authors get wrong to the form that npm gives them."""
    if not isinstance(value, dict):
        return value
    fields = dict(value)
    if isinstance(fields.get("name"), str):
        fields["name"] = fields["name"].strip()
    for key in ("dependencies", "devDependencies", "optionalDependencies"):
        if isinstance(fields.get(key), str | list):
            fields[key] = _listed(fields[key])
    for key in ("dependencies", "devDependencies", "scripts"):
        if isinstance(fields.get(key), dict):
            fields[key] = {name: text for name, text in fields[key].items() if isinstance(text, str)}
        elif key in fields:
            del fields[key]
    programs = fields.get("bin")
    if isinstance(programs, list):
        programs = {posixpath.basename(path): path for path in programs if isinstance(path, str)}
    if isinstance(programs, dict):
        fields["bin"] = {name: path for name, path in programs.items() if isinstance(path, str)}
    elif not isinstance(programs, str):
        fields.pop("bin", None)
    return fields


def _listed(wanted: str | list[object]) -> dict[str, str]:
    """Read dependencies that are a list, `name@range` each, or a text of them."""
    items = _SEPARATORS.split(wanted.strip()) if isinstance(wanted, str) else wanted
    found = {}
    for item in items:
        if isinstance(item, str):
            name = _NAME_END.split(item.strip(), maxsplit=1)[0]
            found[name] = item.strip()[len(name) :].removeprefix("@").strip()
    return found
