"""Symbols: pushed by nuget.exe, and asked for as a debugger does by what a real binary says of its PDB."""

from __future__ import annotations

import hashlib
import pathlib
import shutil
import struct
import uuid

from tests.clients.nuget_case import NuGetTestCase
from tests.support.clients import OverHttps

CECIL = "Mono.Cecil/0.1*/Mono.Cecil.dll"
"""Of Mono itself: what is older writes no portable PDB."""

SOURCE = "public class Lib { public static int Answer() { return 42; } }"
WRITER = """
using Mono.Cecil; using Mono.Cecil.Cil;
public class Writer { public static void Main(string[] paths) {
    var symbols = new WriterParameters { WriteSymbols = true, SymbolWriterProvider = new PortablePdbWriterProvider() };
    ModuleDefinition.ReadModule(paths[0]).Write(paths[1], symbols);
} }
"""


def guid_of(assembly: bytes) -> str:
    """Return the GUID of the PDB that an assembly was written with, as debuggers put it into an address."""
    at = assembly.index(b"RSDS")
    guid, age = struct.unpack_from("<16sL", assembly, at + 4)
    assert age == 1
    return uuid.UUID(bytes_le=guid).hex.upper() + "FFFFFFFF"


class SymbolTests(NuGetTestCase):
    """Over HTTP."""

    def build(self) -> tuple[pathlib.Path, pathlib.Path]:
        """Compile a library, and have another program than ours write its portable PDB."""
        (self.folder / "lib.cs").write_text(SOURCE)
        (self.folder / "writer.cs").write_text(WRITER)
        compiler = self.find("mcs")
        self.assert_works(self.run_program(compiler, "-target:library", "-out:bare.dll", "lib.cs"))
        cecil = next(pathlib.Path("/usr/lib/mono/gac").glob(CECIL))
        self.assert_works(self.run_program(compiler, f"-r:{cecil}", "-out:writer.exe", "writer.cs"))
        shutil.copy(cecil, self.folder)
        (self.folder / "bin").mkdir()
        self.assert_works(self.run_client("writer.exe", "bare.dll", "bin/Lib.dll"))
        return self.folder / "bin" / "Lib.dll", self.folder / "bin" / "Lib.pdb"

    def pack_with_symbols(self, name: str, version: str = "1.0.0") -> pathlib.Path:
        """Have nuget pack a package, and one of its symbols beside it; returns the package."""
        name = self.package(name)
        (self.folder / "symbols.nuspec").write_text(
            f"<package><metadata><id>{name}</id><version>{version}</version><authors>Ann</authors><description>Does"
            ' things</description></metadata><files><file src="bin/Lib.*" target="lib/net45" /></files></package>'
        )
        out = ("-OutputDirectory", str(self.folder))
        self.assert_works(self.nuget("pack", "symbols.nuspec", "-Symbols", "-SymbolPackageFormat", "snupkg", *out))
        self.assertTrue((self.folder / f"{name}.{version}.snupkg").exists())
        return self.folder / f"{name}.{version}.nupkg"

    def fetch(self, signature: str, checksum: str, token: str | None = None) -> tuple[int, bytes]:
        """Ask for the PDB as a debugger does."""
        path = self.daemon.packages_path("nuget", self.daemon.world.private_id)
        headers = {"PRIVATE-TOKEN": token or self.daemon.world.reader, "SymbolChecksum": f"SHA256:{checksum}"}
        status, _, body = self.daemon.get(f"{path}/symbolfiles/Lib.pdb/{signature}/Lib.pdb", headers)
        return status, body

    def test_pushed_beside_the_package(self) -> None:
        """`nuget push` of a package pushes its symbols too, and a debugger that has the binary finds its PDB."""
        library, symbols = self.build()
        self.write_config()
        output = self.assert_works(self.push(self.pack_with_symbols("Lib")))
        self.assertIn(".snupkg", output)
        data, signature = symbols.read_bytes(), guid_of(library.read_bytes())
        pdb_id = uuid.UUID(hex=signature[:32]).bytes_le
        at = data.index(pdb_id)
        checksum = hashlib.sha256(data[:at] + bytes(20) + data[at + 20 :]).hexdigest()
        self.assertEqual(self.fetch(signature, checksum), (200, data))
        self.assertEqual(self.fetch(signature.lower(), checksum.upper()), (200, data))
        self.assertEqual(self.fetch(signature, "0" * 64)[0], 404)
        self.assert_works(self.install("Lib"))

    def test_pushed_alone_and_again(self) -> None:
        """Symbols may follow later; a second time they are refused, or passed over by who says so."""
        self.build()
        self.write_config()
        package = self.pack_with_symbols("Lib")
        symbols = package.with_suffix(".snupkg")
        self.assert_fails(self.push(symbols), "404")
        self.assert_works(self.push(package, "-NoSymbols"))
        self.assert_works(self.push(symbols))
        self.assert_fails(self.push(symbols), "409")
        self.assert_works(self.push(symbols, "-SkipDuplicate"))
        self.assert_works(self.push(package, "-SkipDuplicate"))

    def test_refused(self) -> None:
        """A package of symbols with something else in it is refused, and the client says why."""
        self.write_config()
        package = self.pack("Lib", "1.0.0")
        self.assert_works(self.push(package))
        package.rename(package.with_suffix(".snupkg"))
        self.assert_fails(self.push(package.with_suffix(".snupkg")), "400")


class SymbolHttpsTests(OverHttps, SymbolTests):
    """Over HTTPS."""
