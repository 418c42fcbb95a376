"""The account of a version, as package.json gives it and as it is published: what is kept of it and shown."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping

from attrs import field, frozen

from pkgregd.errors import InvalidRequest
from pkgregd.formatkit.strictjson import read_strict
from pkgregd.formats.npm_names import canonical_name, cleaned_version

MAX_KEPT_BYTES = 128 << 10
"""Of the account of one version, as JSON: it travels with every listing of the versions."""

SHORT_FIELDS = (
    "name", "version", "deprecated", "dependencies", "optionalDependencies", "devDependencies", "bundleDependencies",
    "bundledDependencies", "peerDependencies", "peerDependenciesMeta", "acceptDependencies", "bin", "directories",
    "engines", "os", "cpu", "libc", "funding", "_hasShrinkwrap", "hasInstallScript", "dist",
)  # fmt: skip
"""What the abbreviated document shows of a version."""

_SCRIPT_FLAG = "hasInstallScript"

_DROPPED = frozenset({"readme", "readmeFilename", "_attachments", "deprecated", _SCRIPT_FLAG, "dist", "_resolved"})
"""What is made here, or is of no use to anybody."""

_INSTALL_SCRIPTS = ("preinstall", "install", "postinstall")
_MAPS = ("dependencies", "optionalDependencies", "devDependencies", "peerDependencies", "scripts")


@frozen
class Manifest:
    """
    A package.json, or what is sent of it.

    Attributes:
        name, version: checked; the version in its canonical form.
        fields: all of it.
    """

    name: str
    version: str
    fields: Mapping[str, object] = field(repr=False)

    @classmethod
    def parse(cls, data: bytes, what: str) -> Manifest:
        """Read one as JSON. Raises InvalidRequest and its kin."""
        return cls.of(read_strict(data, what), what)

    @classmethod
    def of(cls, value: object, what: str) -> Manifest:
        """
        Take a value that was JSON.

        Raises:
            InvalidRequest: it has no name and version, or a field of a wrong kind.
        """
        if not isinstance(value, dict):
            raise InvalidRequest(f"{what} is not an object")
        name, version = value.get("name"), value.get("version")
        if not isinstance(name, str) or not isinstance(version, str):
            raise InvalidRequest(f"{what} has no name and version")
        made = cls(canonical_name(name), cleaned_version(version), value)
        for key in _MAPS:
            made.texts(key)
        made.programs()
        return made

    def texts(self, key: str) -> Mapping[str, str]:
        """Return a field that maps texts to texts. Raises InvalidRequest if it does not."""
        value = self.fields.get(key) or {}
        if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
            raise InvalidRequest(f"the field {key} is not an object of texts")
        return value

    def needed(self) -> Mapping[str, str]:
        """Return what is installed with it: an optional dependency takes the place of another of the same name."""
        return {**self.texts("dependencies"), **self.texts("optionalDependencies")}

    def bundled(self) -> frozenset[str]:
        """Return what is packed with it."""
        value = self.fields.get("bundleDependencies") or self.fields.get("bundledDependencies")
        if value is True:
            return frozenset(self.texts("dependencies"))
        return (
            frozenset(name for name in value if isinstance(name, str))
            if isinstance(value, list | dict)
            else frozenset()
        )

    def programs(self) -> Mapping[str, str]:
        """Return the programs, by name, as npm normalises them."""
        value = self.fields.get("bin") or {}
        if isinstance(value, str):
            value = {self.name: value}
        if not isinstance(value, dict) or not all(isinstance(path, str) for path in value.values()):
            raise InvalidRequest("the field bin is neither a path nor an object of paths")
        made = {posixpath.basename(_relative(name)): _relative(path) for name, path in value.items()}
        return {name: path for name, path in made.items() if name and path}

    @property
    def program_folder(self) -> str | None:
        """The folder of which every file is a program; None if the programs are named, or there are none."""
        directories = self.fields.get("directories")
        folder = directories.get("bin") if isinstance(directories, dict) else None
        return _relative(folder) if isinstance(folder, str) and not self.fields.get("bin") else None

    def install_scripts(self) -> Mapping[str, str]:
        """Return the scripts that installing it runs."""
        scripts = self.texts("scripts")
        return {name: scripts[name] for name in _INSTALL_SCRIPTS if scripts.get(name)}

    @property
    def summary(self) -> str:
        """Return what it is found by beside its name."""
        words = self.fields.get("keywords")
        description = self.fields.get("description")
        texts = [description, *(words if isinstance(words, list) else [words])]
        return " ".join(" ".join(text.split()) for text in texts if isinstance(text, str))

    def needed_fields(self) -> Mapping[str, object]:
        """Return what kept() and a comparison need; the rest may be long."""
        return {key: value for key, value in self.fields.items() if key not in _DROPPED or key == _SCRIPT_FLAG}

    def kept(self, *, has_install_script: bool, dist: Mapping[str, object]) -> str:
        """
        Write what is kept, for the catalog.

        Args:
            dist: what is told of the tarball beside its digests and where it is.

        Raises:
            InvalidRequest: it is too long.
        """
        fields = {key: value for key, value in self.fields.items() if key not in _DROPPED}
        fields |= {"name": self.name, "version": self.version}
        if has_install_script:
            fields[_SCRIPT_FLAG] = True
        fields["dist"] = dict(dist)
        text = json.dumps(fields, separators=(",", ":"))
        if len(text) > MAX_KEPT_BYTES:
            raise InvalidRequest(f"the version's account of itself is longer than {MAX_KEPT_BYTES} bytes")
        return text


def _relative(path: str) -> str:
    """Write a path in the package as npm does, whatever is written: it never leads out of it."""
    return posixpath.normpath("/" + path.replace("\\", "/").replace(":", "/")).lstrip("/")
