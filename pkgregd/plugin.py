"""How formats are found: each is a FormatPlugin among twisted's plugins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from importlib.resources import files

from attrs import frozen
from twisted.plugin import IPlugin, getPlugins
from zope.interface import Attribute, Interface, implementer

from pkgregd.errors import ConfigError
from pkgregd.interfaces import IPackageFormat


class IFormatPlugin(Interface):
    """A format that is installed."""

    name: str = Attribute("the format's name")

    def make() -> IPackageFormat:
        """Import and make the format."""

    def read_manual() -> str:
        """
        Return the format's manual page, in Markdown.

        Raises:
            ConfigError: there is none.
        """


@implementer(IPlugin, IFormatPlugin)
@frozen
class FormatPlugin:
    """
    One installed format.

    Attributes:
        name: the format's name, which its configuration table has too.
        module: what to import.
        class_name: what to call in it, without arguments.
    """

    name: str
    module: str
    class_name: str

    def make(self) -> IPackageFormat:
        """See IFormatPlugin."""
        made: IPackageFormat = getattr(import_module(self.module), self.class_name)()
        return made

    def read_manual(self) -> str:
        """Read the page that lies beside the module and has its name."""
        package, _, module = self.module.rpartition(".")
        try:
            return files(package).joinpath(f"{module}.md").read_text("utf-8")
        except FileNotFoundError:
            raise ConfigError(f"the format {self.name} has no manual page: {module}.md beside its module") from None


def find_formats() -> Mapping[str, IPackageFormat]:
    """
    Find every installed format.

    Returns:
        Formats by name, in order of name.
    """
    found = _plugins()
    return {name: found[name].make() for name in sorted(found)}


def read_manuals(names: Iterable[str]) -> Mapping[str, str]:
    """
    Read the manual pages of installed formats.

    Args:
        names: of the formats.

    Returns:
        Markdown by the format's name, in the order of the names.

    Raises:
        ConfigError: a format has none.
    """
    found = _plugins()
    return {name: found[name].read_manual() for name in names}


def _plugins() -> Mapping[str, IFormatPlugin]:
    return {plugin.name: plugin for plugin in getPlugins(IFormatPlugin)}
