"""Symbol packages and the symbol server, without HTTP."""

from __future__ import annotations

import hashlib
import json
import zipfile

from attrs import evolve

from pkgregd import errors
from pkgregd.formats.nuget_snupkg import MAX_SYMBOL_FILES, symbols_of
from pkgregd.testing.calls import WRITER, body_of, now
from pkgregd.values import NO_PRECONDITION, ByteRange, FileOrder, FormatLimits, Piece, Reply
from tests.formats.nuget_world import SIGNATURE, SYMBOLS, NuGetTestCase, nupkg, nuspec, pdb, snupkg
from tests.support.archives import make_zip

CHECKSUM = hashlib.sha256(pdb(bytes(20))).hexdigest()
OTHER_ID = b"\x01" * 20
OTHER_SIGNATURE = "01" * 16 + "f" * 8
RULE = "/symbolfiles/<segment:file>/<segment:signature>/<segment:same>"


class SymbolsTestCase(NuGetTestCase):
    """A world with a package that has no symbols yet."""

    def setUp(self) -> None:
        """Publish it."""
        super().setUp()
        self.publish("1.0.0")

    def ask(
        self,
        name: str = "Acme.Lib.pdb",
        signature: str = SIGNATURE,
        checksum: str | None = f"SHA256:{CHECKSUM}",
        path: str = "acme/one",
        same: str | None = None,
    ) -> Reply:
        """Ask for a PDB as a debugger does."""
        headers = {} if checksum is None else {"SymbolChecksum": checksum}
        return self.world.request(
            "GET", RULE, path=path, headers=headers, file=name, signature=signature, same=same or name
        )

    def files(self, version: str = "1.0.0") -> list[str]:
        """The names of the files of a version, as their management lists them."""
        file = now(self.world.remote().find_file("acme.lib", version, f"acme.lib.{version}.nupkg"))
        listed = self.world.catalog.list_package_files(file.package_id, FileOrder.ID, Piece(0, 999))
        return [file.file_name for file in now(listed).files]


class PushSymbolsTests(SymbolsTestCase):
    """Publishing symbols."""

    def test_there_at_once(self) -> None:
        """The package of symbols, and each PDB in it, under the name and signature that debuggers ask for."""
        other = pdb(OTHER_ID, b"other")
        data = snupkg(files={"lib/net6.0/Acme.Lib.pdb": pdb(), "lib/net6.0/Sub.PDB": other, "lib/x.xml": b"<doc/>"})
        self.assertEqual(self.push_symbols(data).status, 201)
        self.assertEqual(body_of(self.ask()), pdb())
        checksum = hashlib.sha256(pdb(bytes(20), b"other")).hexdigest()
        self.assertEqual(body_of(self.ask("sub.pdb", OTHER_SIGNATURE, f"SHA256:{checksum}")), other)
        self.assertEqual(self.download("acme.lib", "1.0.0", "acme.lib.1.0.0.snupkg"), data)
        self.assertEqual(self.download("Acme.Lib", "1.0", "Acme.Lib.1.0.snupkg"), data)
        self.assertTrue(self.world.is_clean())

    def test_stored_members(self) -> None:
        """A PDB that is not compressed is copied."""
        members = [("Acme.Lib.nuspec", nuspec(more=SYMBOLS)), ("Acme.Lib.pdb", pdb(body=b"x" * 300_000))]
        self.push_symbols(make_zip(members, zipfile.ZIP_STORED))
        checksum = hashlib.sha256(pdb(bytes(20), b"x" * 300_000)).hexdigest()
        self.assertEqual(body_of(self.ask(checksum=f"SHA256:{checksum}")), pdb(body=b"x" * 300_000))

    def test_the_package_stays_what_it_is(self) -> None:
        """Symbols are in no list of versions, registration or search."""
        before = self.registration(), self.versions(), self.search()
        self.push_symbols(snupkg())
        self.assertEqual((self.registration(), self.versions(), self.search()), before)
        package = self.download("acme.lib", "1.0.0", "acme.lib.1.0.0.nupkg")
        self.assertEqual(package, nupkg())

    def test_symbols_alone_are_no_package(self) -> None:
        """When the package itself is deleted, the name is gone for who resolves."""
        self.push_symbols(snupkg())
        file = now(self.world.remote().find_file("acme.lib", "1.0.0", "acme.lib.1.0.0.nupkg"))
        now(self.world.catalog.delete_file(file.id, WRITER, NO_PRECONDITION))
        self.assertRaises(errors.PackageNotFound, self.registration)
        self.assertRaises(errors.PackageNotFound, self.versions)
        self.assertEqual(self.search(), (0, []))
        self.assertEqual(self.get("/autocomplete", queries={"id": "acme.lib"})["data"], [])
        leaf = {"id": "acme.lib", "leaf": "1.0.0.json"}
        self.assertRaises(errors.FileNotFound, self.get, "/metadata/<segment:id>/<segment:leaf>", **leaf)
        self.assertEqual(body_of(self.ask()), pdb())
        self.publish("1.0.0")
        self.assertEqual((self.versions(), self.search()[0]), (["1.0.0"], 1))

    def test_without_the_package(self) -> None:
        """Symbols of nothing, or of another version, are refused, and leave nothing."""
        stored = set(self.world.blobs.contents)
        for data in (snupkg(version="2.0.0"), snupkg("Other.Lib")):
            self.assertRaises(errors.NotFound, self.push_symbols, data)
            self.assertEqual(set(self.world.blobs.contents), stored)

    def test_again(self) -> None:
        """A second push is a conflict, of the same bytes and of others; nothing is left of it."""
        self.push_symbols(snupkg())
        before = self.files(), set(self.world.blobs.contents)
        for data in (snupkg(), snupkg(files={"y.pdb": pdb(OTHER_ID)}), snupkg(version="1.0"), snupkg("ACME.lib")):
            self.assertRaises(errors.FileExists, self.push_symbols, data)
            self.assertEqual((self.files(), set(self.world.blobs.contents)), before)
        self.assertTrue(self.world.is_clean())

    def test_replaced(self) -> None:
        """Where versions may change, so may their symbols; those of what was built before stay."""
        self.world.limits = evolve(self.world.limits, duplicates_allowed=True)
        self.push_symbols(snupkg())
        self.assertEqual(self.push_symbols(snupkg()).status, 201)
        self.push_symbols(snupkg(files={"Acme.Lib.pdb": pdb(OTHER_ID)}))
        self.assertEqual(self.search(packageType="Dependency"), (1, [("Acme.Lib", "1.0.0")]))
        self.assertEqual(body_of(self.ask()), pdb())
        self.assertEqual(body_of(self.ask(signature=OTHER_SIGNATURE)), pdb(OTHER_ID))

    def test_the_same_pdb_twice(self) -> None:
        """In two folders it is one file; two different ones of one signature are refused."""
        twice = {f"lib/{folder}/Acme.Lib.pdb": pdb() for folder in ("net6.0", "net8.0")}
        differing = {**twice, "lib/net9.0/ACME.LIB.pdb": pdb(body=b"other")}
        self.assertRaises(errors.InvalidArchive, self.push_symbols, snupkg(files=differing))
        self.push_symbols(snupkg(files=twice))
        self.assertEqual(len(self.files()), 3)

    def test_pdb_of_two_versions(self) -> None:
        """A PDB that did not change between versions is found as long as one of them is there."""
        self.publish("2.0.0")
        for version in ("1.0.0", "2.0.0"):
            self.push_symbols(snupkg(version=version))
        file = now(self.world.catalog.find_by_key([1], "nuget", f"acme.lib.pdb/{SIGNATURE}/acme.lib.pdb"))
        assert file is not None
        now(self.world.catalog.delete_file(file.id, WRITER, NO_PRECONDITION))
        self.assertEqual(body_of(self.ask()), pdb())

    def test_no_pdb(self) -> None:
        """A package of symbols may have none."""
        self.assertEqual(self.push_symbols(snupkg(files={})).status, 201)

    def test_each_at_its_own_address(self) -> None:
        """A symbol package is no package, and a package no symbol package."""
        for refused in (
            lambda: self.push(snupkg(version="3.0.0")),
            lambda: self.push_symbols(nupkg()),
            lambda: self.push_symbols(snupkg(more="")),
        ):
            self.assertRaises(errors.InvalidRequest, refused)

    def test_bad_packages(self) -> None:
        """Whatever is no symbol package leaves nothing."""
        stored = set(self.world.blobs.contents)
        many = {f"{number}.pdb": pdb(number.to_bytes(20, "big")) for number in range(MAX_SYMBOL_FILES + 1)}
        for files in (
            {"lib/net6.0/Acme.Lib.dll": b"MZ"}, {"readme.txt": b"x"}, {"x": b""}, {"a.pdb/x": pdb()},
            {"a.pdb": b"no pdb"}, {"a.pdb": b""}, {"a.pdb": pdb()[:-40]},
            {"a.pdb": b"Microsoft C/C++ MSF 7.00\r\n\x1aDS" + bytes(100)}, many, {"a" * 201 + ".pdb": pdb()},
            {"a.pdb": pdb(), "b.pdb": b"MZ"}, {"../a.pdb": pdb()}, {"b.nuspec": nuspec(more=SYMBOLS)},
        ):  # fmt: skip
            self.assertRaises(errors.InvalidRequest, self.push_symbols, snupkg(files=files))
            self.assertEqual(set(self.world.blobs.contents), stored, files.keys())
        self.assertTrue(self.world.is_clean())
        self.assertEqual(self.files(), ["acme.lib.1.0.0.nupkg"])

    def test_limits(self) -> None:
        """A symbol package is as large as a package may be, and so is each PDB in it."""
        data = snupkg(files={"a.pdb": pdb(body=bytes(50_000))})
        self.assertLess(len(data), 2000)
        for limit_bytes in (100, 50_000):
            self.world.limits = FormatLimits(limit_bytes)
            self.assertRaises(errors.BodyTooLarge, self.push_symbols, data)
        self.assertTrue(self.world.is_clean())
        self.world.limits = FormatLimits(60_000)
        self.assertEqual(self.push_symbols(data).status, 201)


class AskTests(SymbolsTestCase):
    """The symbol server."""

    def setUp(self) -> None:
        """Publish symbols."""
        super().setUp()
        self.push_symbols(snupkg())

    def test_spellings(self) -> None:
        """Names and signatures are compared without regard to case; of several checksums one has to be right."""
        for name, signature, checksum in (
            ("acme.lib.pdb", SIGNATURE.upper(), f"SHA256:{CHECKSUM.upper()}"),
            ("ACME.LIB.PDB", SIGNATURE, f"sha256:{CHECKSUM}"),
            ("Acme.Lib.pdb", SIGNATURE[:32].upper() + "FFFFFFFF", f"SHA256:{'0' * 64},SHA256:{CHECKSUM}"),
            ("Acme.Lib.pdb", SIGNATURE, f"SHA384:{'0' * 96};SHA256:{CHECKSUM}"),
        ):
            self.assertEqual(body_of(self.ask(name, signature, checksum)), pdb())

    def test_range(self) -> None:
        """A part of a file is sent like that of any other."""
        self.assertEqual(body_of(self.ask(), ByteRange(4, 10)), pdb()[4:10])
        self.assertEqual(self.ask().etag, hashlib.sha256(pdb()).hexdigest())

    def test_in_a_group(self) -> None:
        """A group has what its projects have."""
        self.assertEqual(body_of(self.ask(path="acme")), pdb())
        self.assertRaises(errors.FileNotFound, self.ask, path="acme/two")

    def test_checksum_is_needed(self) -> None:
        """Who names none is told how to; who names another gets nothing."""
        for checksum in (None, "", "SHA256:", "SHA256:x", f"SHA1:{'0' * 40}", f"SHA256:{CHECKSUM}0", "," * 9999):
            self.assertRaises(errors.InvalidRequest, self.ask, checksum=checksum)
        self.assertRaises(errors.FileNotFound, self.ask, checksum=f"SHA256:{'0' * 64}")

    def test_not_there(self) -> None:
        """Another name, signature or repetition finds nothing."""
        for arguments in (
            {"name": "other.pdb"}, {"signature": OTHER_SIGNATURE}, {"signature": SIGNATURE[:32] + "1"},
            {"signature": SIGNATURE[:32]}, {"signature": "x" * 1000}, {"same": "other.pdb"},
            {"name": "a" * 9999 + ".pdb"}, {"name": "acme.lib.1.0.0.snupkg"},
        ):  # fmt: skip
            self.assertRaises(errors.FileNotFound, self.ask, **arguments)

    def test_service_index(self) -> None:
        """It says where symbols are pushed to, at a project."""
        found = {entry["@type"]: entry["@id"] for entry in self.get("/index.json")["resources"]}
        self.assertTrue(found["SymbolPackagePublish/4.9.0"].endswith("/symbolpackage"))
        self.assertNotIn("SymbolPackagePublish/4.9.0", json.dumps(self.get("/index.json", "acme")))


class AnswerTests(NuGetTestCase):
    """What an inspector answers is believed nothing."""

    def test_bad_answers(self) -> None:
        """Each thing that cannot be is refused."""
        extent = {"label": "x", "start": 0, "method": 8, "crc32": 1, "compressed_bytes": 1, "size_bytes": 1}
        identity = {"signature": SIGNATURE, "checksum": "0" * 64, "sha256": "0" * 64}
        good = {"name": "x.pdb", "identity": identity, "extent": extent}
        self.assertEqual(len(symbols_of({"symbols": [good]})), 1)
        for listed in (
            None, {}, [1], [good, good], [good] * (MAX_SYMBOL_FILES + 1), [{}], [{**good, "identity": 1}],
            [{**good, "name": "x"}], [{**good, "name": "a/x.pdb"}], [{**good, "name": "X.pdb"}],
            [{**good, "name": "x\n.pdb"}], [{**good, "name": 1}],
            [{**good, "identity": {**identity, "signature": "x" * 40}}],
            [{**good, "identity": {**identity, "sha256": "x"}}], [{**good, "identity": {**identity, "checksum": 1}}],
            [{**good, "extent": 1}], [{**good, "extent": {**extent, "more": 1}}], [{**good, "extent": {}}],
            [{**good, "extent": {**extent, "start": -1}}], [{**good, "extent": {**extent, "start": 1.5}}],
            [{**good, "extent": {**extent, "size_bytes": 1 << 40}}], [{**good, "extent": {**extent, "label": 1}}],
        ):  # fmt: skip
            self.assertRaises(errors.InvalidArchive, symbols_of, {"symbols": listed})
