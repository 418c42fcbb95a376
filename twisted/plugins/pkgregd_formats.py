"""The formats that come with pkgregd, one line each."""

from pkgregd.plugin import FormatPlugin

generic = FormatPlugin("generic", "pkgregd.formats.generic", "GenericFormat")
pypi = FormatPlugin("pypi", "pkgregd.formats.pypi", "PyPIFormat")
