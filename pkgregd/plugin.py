"""How formats are found: each is a FormatPlugin among twisted's plugins."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from attrs import frozen
from twisted.plugin import IPlugin, getPlugins
from zope.interface import Attribute, Interface, implementer

from pkgregd.interfaces import IPackageFormat


class IFormatPlugin(Interface):
    """A format that is installed."""

    name: str = Attribute("the format's name")

    def make() -> IPackageFormat:
        """Import and make the format."""


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


def find_formats() -> Mapping[str, IPackageFormat]:
    """
    Find every installed format.

    Returns:
        Formats by name, in order of name.
    """
    found = {plugin.name: plugin for plugin in getPlugins(IFormatPlugin)}
    return {name: found[name].make() for name in sorted(found)}
