"""The formats that pkgregd brings along."""

from pkgregd.plugin import FormatPlugin

cargo = FormatPlugin("cargo", "pkgregd.formats.cargo", "CargoFormat")
generic = FormatPlugin("generic", "pkgregd.formats.generic", "GenericFormat")
maven = FormatPlugin("maven", "pkgregd.formats.maven", "MavenFormat")
nuget = FormatPlugin("nuget", "pkgregd.formats.nuget", "NuGetFormat")
npm = FormatPlugin("npm", "pkgregd.formats.npm", "NpmFormat")
pypi = FormatPlugin("pypi", "pkgregd.formats.pypi", "PyPIFormat")
