"""Metadata out of wheels and source distributions, good and hostile."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import struct
import tarfile
import zipfile
from collections.abc import Callable
from typing import IO
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.errors import InvalidArchive, InvalidRequest, MetadataMismatch
from pkgregd.formatkit import archives, gunzip, tars, zips
from pkgregd.formatkit.archives import Sdist, Wheel, read_sdist, read_wheel
from tests.support.archives import (
    FOLDER,
    GOOD_MEMBER,
    INFO,
    TAR_END,
    gz,
    header,
    link,
    make_zip,
    member,
    record,
    squeezed_tar,
    tar_gz,
    wheel_files,
)  # fmt: skip

WHEEL = make_zip(wheel_files())


class ArchiveTestCase(SynchronousTestCase):
    """Reading bytes as an archive."""

    reader: Callable[[IO[bytes]], Wheel | Sdist]

    def read(self, data: bytes) -> tuple[bytes, str]:
        """Read an archive."""
        found = type(self).reader(io.BytesIO(data))
        return found.metadata, found.folder

    def assert_refused(self, data: bytes, text: str = "") -> None:
        """Fail unless it is an invalid archive for that reason."""
        error = self.assertRaises(InvalidArchive, self.read, data)
        self.assertIn(text, str(error))


class WheelTests(ArchiveTestCase):
    """read_wheel()."""

    reader = staticmethod(read_wheel)

    def patched(self, offset: int, data: bytes, of: bytes = WHEEL) -> bytes:
        """Overwrite bytes of an archive."""
        return of[:offset] + data + of[offset + len(data) :]

    def entry_of(self, name: str, of: bytes = WHEEL) -> int:
        """Find a member's entry in the directory."""
        return of.rindex(name.encode()) - 46

    def local_of(self, name: str, of: bytes = WHEEL) -> int:
        """Find a member's local header."""
        return of.index(name.encode()) - 30

    def test_good(self) -> None:
        """Stored, deflated, with zip64 and with a comment, METADATA comes out."""
        for data in (WHEEL, make_zip(wheel_files(), zipfile.ZIP_STORED), make_zip(wheel_files(), comment=b"hello")):
            self.assertEqual(self.read(data), (INFO, FOLDER))

    def test_zip64(self) -> None:
        """Wide local headers and a wide end are understood."""
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in wheel_files():
                with archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as member:
                    member.write(data)
        self.assertEqual(self.read(made.getvalue()), (INFO, FOLDER))
        with mock.patch.object(zipfile, "ZIP_FILECOUNT_LIMIT", 1):
            wide = make_zip(wheel_files())
        self.assertIn(b"PK\x06\x06", wide)
        self.assertEqual(self.read(wide), (INFO, FOLDER))
        at = wide.index(b"PK\x06\x06")
        self.assert_refused(self.patched(at + 4, b"\x2d", wide), "zip64")
        self.assert_refused(self.patched(at + 16, b"\x01", wide), "contradict")
        self.assert_refused(self.patched(at + 48, b"\x00\x00", wide), "contradict")

    def test_unseekable_writer(self) -> None:
        """Sizes behind the data, as a writer into a pipe leaves them, are taken from the directory."""

        class Pipe(io.BytesIO):
            def seekable(self) -> bool:
                return False

            def tell(self) -> int:
                raise OSError

        made = Pipe()
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in wheel_files():
                archive.writestr(name, data)
        self.assertEqual(self.read(made.getvalue()), (INFO, FOLDER))

    def test_not_one_dist_info(self) -> None:
        """None, two, or one without what installers need."""
        self.assert_refused(make_zip([("demo.py", b"")]), "has 0")
        self.assert_refused(make_zip([*wheel_files(), ("evil-1.0.dist-info/METADATA", b"")]), "has 2")
        self.assert_refused(make_zip([*wheel_files(), ("DEMO-1.0.DIST-INFO/x", b"")]), "has 2")
        self.assert_refused(make_zip([("x/demo-1.0.dist-info/METADATA", INFO)]), "has 0")
        for number, needed in enumerate(("METADATA", "WHEEL", "RECORD"), 1):
            members = wheel_files()
            del members[number]
            self.assert_refused(make_zip(members), needed)

    def test_framing(self) -> None:
        """Something before, between or behind, or two ends."""
        self.assert_refused(b"", "not a zip")
        self.assert_refused(b"#!/bin/sh\n" + WHEEL)
        self.assert_refused(WHEEL + b"x", "behind the end")
        self.assert_refused(WHEEL[:-1])
        self.assert_refused(make_zip(wheel_files(), comment=WHEEL[-22:]))
        end = WHEEL.rindex(b"PK\x05\x06")
        self.assert_refused(WHEEL[:end] + b"gap" + WHEEL[end:], "not where it should be")
        self.assert_refused(self.patched(end + 4, b"\x01"), "disks")
        self.assert_refused(self.patched(end + 10, b"\x03"), "disks")
        self.assert_refused(self.patched(end + 8, b"\x03\x00\x03"), "another size")
        self.assert_refused(self.patched(end + 8, b"\x05\x00\x05"), "cut short")
        gz = gzip.compress(WHEEL)
        self.assert_refused(gz)

    def test_two_members_of_one_name(self) -> None:
        """A name that comes twice could be either."""
        self.assert_refused(make_zip([*wheel_files(), (f"{FOLDER}/METADATA", b"Name: evil\n")]), "two members")

    def test_forbidden_names(self) -> None:
        """Names that would leave the folder, or are no plain text."""
        for name in ("../evil", "/etc/passwd", "a/../../b", "a\\b", "a\nb", "a\x1b[2J", "a\u202eb", "a" * 1025):
            self.assert_refused(make_zip([*wheel_files(), (name, b"")]))

    def test_contradictions(self) -> None:
        """The local header and the directory say the same of METADATA."""
        name = f"{FOLDER}/METADATA"
        local, entry = self.local_of(name), self.entry_of(name)
        self.assert_refused(self.patched(local + 30, b"D"), "contradicts")
        self.assert_refused(self.patched(local + 8, b"\x00"), "contradicts")
        self.assert_refused(self.patched(local + 14, b"\x00\x00\x00\x00"), "contradicts")
        self.assert_refused(self.patched(local + 22, b"\x01"), "contradicts")
        self.assert_refused(self.patched(local, b"PK\x01\x02"), "points at no member")
        self.assert_refused(self.patched(entry + 42, b"\xff\xff\xff\x00"), "overlap")
        self.assert_refused(self.patched(entry + 20, b"\xff\xff"), "contradicts")
        self.assert_refused(self.patched(entry + 34, b"\x01"), "another disk")
        self.assert_refused(self.patched(entry + 32, b"\x01"), "comment")

    def test_encrypted_and_exotic(self) -> None:
        """Encryption and other compressions of METADATA."""
        name = f"{FOLDER}/METADATA"
        data = self.patched(self.local_of(name) + 6, b"\x01", self.patched(self.entry_of(name) + 8, b"\x01"))
        self.assert_refused(data, "encrypted")
        for compression in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
            self.assert_refused(make_zip(wheel_files(), compression), "stored or deflated")

    def test_lying_sizes(self) -> None:
        """What really comes out is counted, and compared with what both headers say."""
        name = f"{FOLDER}/METADATA"
        for lie in (1, len(INFO) - 1, len(INFO) + 1, 10_000, 100_000_000):
            size = struct.pack("<L", lie)
            data = self.patched(self.local_of(name) + 22, size, self.patched(self.entry_of(name) + 24, size))
            self.assert_refused(data, "another size" if lie < 100_000 else "as large as it says")
        checksum = bytes(4)
        data = self.patched(self.local_of(name) + 14, checksum, self.patched(self.entry_of(name) + 16, checksum))
        self.assert_refused(data, "checksum")

    def test_bomb(self) -> None:
        """Metadata beyond its limit is refused by what is declared; the limit itself is fine."""
        limit = archives.MAX_METADATA_BYTES
        self.assertEqual(len(self.read(make_zip(wheel_files(bytes(limit))))[0]), limit)
        self.assert_refused(make_zip(wheel_files(bytes(limit + 1))), "larger than")

    def test_too_many_members(self) -> None:
        """The number of members has a limit, whatever they are."""
        members = ((f"f{number}", b"") for number in range(zips.MAX_MEMBERS + 1))
        self.assert_refused(make_zip(members, zipfile.ZIP_STORED), "more than")

    @given(st.data())
    def test_damage(self, data: st.DataObject) -> None:
        """A wheel with bytes changed, cut or added gives METADATA or is invalid; nothing else."""
        damaged = bytearray(WHEEL)
        for _ in range(data.draw(st.integers(1, 6))):
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
        stop = data.draw(st.integers(0, len(damaged)) | st.just(len(damaged)))
        with contextlib.suppress(InvalidArchive):
            self.read(bytes(damaged[:stop]))

    @given(st.binary(max_size=300))
    def test_noise(self, data: bytes) -> None:
        """Noise, also with a sound end, is invalid."""
        self.assert_refused(data)
        self.assert_refused(data + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(data), 0, 0))


# ---------------------------------------------------------------------- source distributions


class SdistTests(ArchiveTestCase):
    """read_sdist()."""

    reader = staticmethod(read_sdist)

    def assert_good(self, *blocks: bytes) -> None:
        """Fail unless PKG-INFO is found."""
        self.assertEqual(self.read(tar_gz(*blocks)), (INFO, "demo-1.0"))

    def test_written_by_tarfile(self) -> None:
        """All three formats of Python's tarfile, with long and foreign names before PKG-INFO."""
        for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
            made = io.BytesIO()
            with tarfile.open(fileobj=made, mode="w:gz", format=form) as archive:
                folder = tarfile.TarInfo("demo-1.0")
                folder.type = tarfile.DIRTYPE
                archive.addfile(folder)
                for name in (f"demo-1.0/{'d' * 90}/{'f' * 90}", "demo-1.0/ü" + "é" * 60, "demo-1.0/PKG-INFO"):
                    if not name.isascii() and form == tarfile.USTAR_FORMAT:
                        name = "demo-1.0/ü"
                    info = tarfile.TarInfo(name)
                    info.mtime = 1.5 if form == tarfile.PAX_FORMAT else 1
                    data = INFO if name.endswith("PKG-INFO") else b"x" * 5000
                    info.size = len(data)
                    archive.addfile(info, io.BytesIO(data))
            self.assertEqual(self.read(made.getvalue()), (INFO, "demo-1.0"))

    def test_zipped(self) -> None:
        """A zip file with one top directory works as well."""
        self.assertEqual(self.read(make_zip([("demo-1.0/PKG-INFO", INFO)])), (INFO, "demo-1.0"))
        self.assert_refused(make_zip([("demo-1.0/setup.py", INFO)]), "no file")
        self.assert_refused(make_zip([("demo-1.0/PKG-INFO", INFO), ("x/y", b"")]), "one top directory")

    def test_walks_to_the_end(self) -> None:
        """What lies behind PKG-INFO is looked at as well."""
        self.assert_good(GOOD_MEMBER, member(b"demo-1.0/x", b"x" * 5000))
        self.assert_refused(tar_gz(GOOD_MEMBER, b"garbage".ljust(512)), "type")
        self.assert_refused(tar_gz(GOOD_MEMBER, GOOD_MEMBER), "two members")
        self.assert_refused(tar_gz(GOOD_MEMBER, member(b"other/x")), "one top directory")

    def test_wheel_under_another_name(self) -> None:
        """An archive of another kind is not mistaken."""
        self.assert_refused(b"", "cut short")
        self.assert_refused(WHEEL)
        self.assert_refused(b"<html>", "gzip")
        self.assert_refused(gz(gz(GOOD_MEMBER)))

    def test_long_names(self) -> None:
        """GNU and pax names replace the header's; a name may be split by ustar's prefix."""
        self.assert_good(member(b"././@LongLink", b"demo-1.0/PKG-INFO\0", b"L"), member(b"demo-1.0/x", INFO))
        self.assert_good(member(b"x", record(b"path", b"demo-1.0/PKG-INFO"), b"x"), member(b"demo-1.0/x", INFO))
        self.assert_good(member(b"PKG-INFO", INFO, prefix=b"demo-1.0"))
        self.assert_good(member(b"././@LongLink", b"target\0", b"K"), member(b"demo-1.0/l", kind=b"2"), GOOD_MEMBER)
        self.assert_good(member(b"./", kind=b"5"), member(b"./demo-1.0/PKG-INFO", INFO))

    def test_two_long_names(self) -> None:
        """A member with two names could have either."""
        gnu = member(b"L", b"demo-1.0/PKG-INFO\0", b"L")
        pax = member(b"x", record(b"path", b"demo-1.0/other"), b"x")
        for blocks in ((gnu, pax), (pax, gnu), (gnu, gnu), (pax, pax)):
            self.assert_refused(gz(*blocks, GOOD_MEMBER), "two")

    def test_two_sizes(self) -> None:
        """A pax size that differs from the header's hides members from one kind of reader."""
        for size in (b"0", b"1000", b"-1", b"0%d" % len(INFO)):
            self.assert_refused(gz(member(b"x", record(b"size", size), b"x"), GOOD_MEMBER), "two sizes")
        self.assert_good(member(b"x", record(b"size", b"%d" % len(INFO)), b"x"), GOOD_MEMBER)

    def test_global_headers(self) -> None:
        """A comment, as git writes it, is fine; a name or size for all members is not."""
        self.assert_good(member(b"g", record(b"comment", b"c0ffee"), b"g"), GOOD_MEMBER)
        for key in (b"path", b"size", b"linkpath"):
            self.assert_refused(gz(member(b"g", record(key, b"1"), b"g"), GOOD_MEMBER), "global header")

    def test_malformed_pax(self) -> None:
        """Records with wrong lengths, without a key, twice the same, or of sparse files."""
        for records in (
            b"x", b"5 a=b\n", b"99 a=b\n", b"07 a=bc\n", b"6 a=bc", b"5 ab\n", b"0 \n", b"9" * 30 + b" a=b\n",
            record(b"a", b"b") * 2, record(b"GNU.sparse.major", b"1"),
        ):  # fmt: skip
            self.assert_refused(gz(member(b"x", records, b"x"), GOOD_MEMBER), "malformed pax")

    def test_other_types(self) -> None:
        """Devices, pipes, sparse files and unknown types are refused; links are passed over, without data."""
        for kind in (b"3", b"4", b"6", b"7", b"S", b"Z", b"D", b"V", b"\xff"):
            self.assert_refused(gz(member(b"demo-1.0/x", kind=kind), GOOD_MEMBER), "type")

    def test_links(self) -> None:
        """Links stay inside the top directory, whatever order they are unpacked in, and carry no data."""
        folder = member(b"demo-1.0/a/b/", kind=b"5")
        for good in (
            link(b"demo-1.0/l", b"PKG-INFO"), link(b"demo-1.0/a/b/l", b"../../PKG-INFO"), link(b"demo-1.0/l", b"."),
            link(b"demo-1.0/l", b"demo-1.0/PKG-INFO", b"1"), link(b"demo-1.0/l", b"./a//b/nowhere"),
        ):  # fmt: skip
            self.assert_good(folder, GOOD_MEMBER, good)
        for target in (b"..", b"../x", b"a/../../x", b"a/../../demo-1.0/x"):
            self.assert_refused(tar_gz(GOOD_MEMBER, link(b"demo-1.0/l", target)), "leads out")
        for target in (b"/etc/passwd", b"a\\b", b"C:x", b"", b"a\x1bb", b"\xff"):
            self.assert_refused(tar_gz(GOOD_MEMBER, link(b"demo-1.0/l", target)))
        for target in (b"demo-1.0/nowhere", b"../x", b"PKG-INFO", b"demo-1.0/a/b"):
            self.assert_refused(tar_gz(folder, GOOD_MEMBER, link(b"demo-1.0/l", target, b"1")), "leads to no file")
        two = link(b"demo-1.0/l", b"a/b"), link(b"demo-1.0/m", b"l/../../x")
        for blocks in (two, two[::-1]):
            self.assert_refused(tar_gz(GOOD_MEMBER, folder, *blocks), "through another")
        below = link(b"demo-1.0/l", b"a"), member(b"demo-1.0/l/x")
        self.assert_refused(tar_gz(GOOD_MEMBER, *below), "no directory")
        self.assert_refused(tar_gz(GOOD_MEMBER, *below[::-1]), "two members")
        for kind in (b"1", b"2"):
            self.assert_refused(tar_gz(member(b"demo-1.0/x", b"data", kind=kind), GOOD_MEMBER), "has data")
            self.assert_refused(tar_gz(link(b"demo-1.0/PKG-INFO", b"x", kind)))

    def test_files_and_directories(self) -> None:
        """A path is one of them; directories may come again, and as files with a slash in old tars."""
        self.assert_good(member(b"demo-1.0/a/", kind=b"5"), member(b"demo-1.0/a/", kind=b"\0"), GOOD_MEMBER)
        self.assert_refused(tar_gz(GOOD_MEMBER, member(b"demo-1.0/a"), member(b"demo-1.0/a/b")), "no directory")
        self.assert_refused(tar_gz(GOOD_MEMBER, member(b"demo-1.0/a/b"), member(b"demo-1.0/a")), "two members")
        self.assert_refused(tar_gz(GOOD_MEMBER, member(b"demo-1.0/a/", b"x")), "has data")
        self.assert_refused(tar_gz(GOOD_MEMBER, member(b"demo-1.0/Setup.py"), member(b"demo-1.0/setup.py")), "spelling")
        self.assert_refused(tar_gz(GOOD_MEMBER, member(b"demo-1.0/pkg-info")), "spelling")
        self.assert_good(GOOD_MEMBER, member(b"demo-1.0/README"), member(b"demo-1.0/readme"))

    def test_top_directory_is_the_package(self) -> None:
        """The top directory is named after the package, as old tools and new ones write it."""
        info = b"Metadata-Version: 2.1\nName: Demo.Pkg-x\nVersion: 1.0.0rc1\n"
        for top in (b"demo_pkg_x-1.0.0rc1", b"Demo.Pkg-x-1.0.0rc1", b"demo-pkg-x-1.0rc1", b"demo_pkg_x-1.0.0.RC1"):
            self.read(tar_gz(member(top + b"/PKG-INFO", info)))
        for top in (b"demo", b"demo_pkg_x-1.0", b"evil-1.0.0rc1", b"demo_pkg_x-", b"-", b"1" * 900):
            data = tar_gz(member(b"x", record(b"path", top + b"/PKG-INFO"), b"x"), member(b"x", info))
            self.assertIn("PKG-INFO", str(self.assertRaises(MetadataMismatch, self.read, data)))

    def test_forbidden_names(self) -> None:
        """Names that would leave the folder, or are no plain text."""
        for name in (b"demo-1.0/../x", b"/demo-1.0/x", b"demo-1.0\\x", b"demo-1.0/\x1b[2J", b"demo-1.0/\xff", b".."):
            self.assert_refused(gz(member(name), GOOD_MEMBER))

    def test_one_top_directory(self) -> None:
        """Everything lies in one directory."""
        self.assert_refused(tar_gz(member(b"other/x"), GOOD_MEMBER), "one top directory")
        self.assert_refused(tar_gz(member(b"PKG-INFO", INFO)), "one top directory")
        self.assert_refused(gz(member(b"demo-1.0/src/PKG-INFO", INFO), TAR_END), "no file PKG-INFO")

    def test_bad_headers(self) -> None:
        """Wrong checksums, and sizes that are not octal, negative or in base 256."""
        self.assert_refused(gz(GOOD_MEMBER[:10] + b"X" + GOOD_MEMBER[11:]), "checksum")
        for raw in (
            b"-0000000001\0",
            b"\x80" + bytes(10) + b"\x05",
            b"\xff" * 12,
            b"0x000000010\0",
            bytes(12),
            b"8" * 12,
        ):
            self.assert_refused(gz(header(b"demo-1.0/x", raw_size=raw), GOOD_MEMBER), "octal")

    def test_cut_short(self) -> None:
        """An archive that ends too early, in the tar or in the compression."""
        self.assert_refused(gz(member(b"demo-1.0/x")), "cut short")
        self.assert_refused(gz(GOOD_MEMBER[:540]), "cut short")
        self.assert_refused(gz(GOOD_MEMBER)[:-40])
        self.assert_refused(gz(member(b"L", b"demo-1.0/x\0", b"L"), TAR_END), "ends with an extension")
        self.assert_refused(gz(TAR_END), "one top directory")

    def test_ends(self) -> None:
        """Two empty blocks, zeros, and then nothing: readers differ about whatever else there is."""
        self.assert_good(GOOD_MEMBER, bytes(20 * 512))
        for blocks in ((), (bytes(512),), (bytes(512), GOOD_MEMBER), (bytes(512), b"x")):
            self.assert_refused(gz(GOOD_MEMBER, *blocks))
        for blocks in ((GOOD_MEMBER,), (b"x",), (bytes(9000), b"\x01")):
            self.assert_refused(gz(GOOD_MEMBER, TAR_END, *blocks), "behind the end of the tar")
        for garbage in (b"x", b"\0", gz(b""), tar_gz(GOOD_MEMBER), WHEEL):
            self.assert_refused(tar_gz(GOOD_MEMBER) + garbage, "behind the end of the gzip")
        self.assert_refused(gz(member(b"demo-1.0/x")) + tar_gz(GOOD_MEMBER), "cut short")
        for cut in (1, 4, 8, 9):
            self.assert_refused(tar_gz(GOOD_MEMBER)[:-cut], "cut short")
        good = bytearray(tar_gz(GOOD_MEMBER))
        good[-8] ^= 1
        self.assert_refused(bytes(good), "damaged")

    def test_header_bombs(self) -> None:
        """Extensions are refused by their declared size, before any of their bytes is kept."""
        for kind in (b"L", b"K", b"x", b"g"):
            self.assert_refused(gz(header(b"x", 200 << 20, kind), bytes(1 << 20)), "extension")

    def test_metadata_bomb(self) -> None:
        """PKG-INFO beyond its limit is refused by its declared size."""
        self.assert_refused(gz(header(b"demo-1.0/PKG-INFO", 1 << 30), bytes(1 << 20)), "larger than")

    def test_decompression_bomb(self) -> None:
        """Only so much is decompressed, and only so densely packed, in members or behind them."""
        self.assert_refused(gz(header(b"demo-1.0/x", gunzip.MAX_BYTES_OUT + 1)), "unpacks to more")
        self.assert_refused(squeezed_tar(b"demo-1.0/x", 128 << 20), "compressed more than")
        self.assert_refused(squeezed_tar(b"demo-1.0/x", 0, behind=GOOD_MEMBER + bytes(100 << 20)), "compressed more")

    def test_work_is_bounded(self) -> None:
        """Of a great bomb little more than the limits is ever decompressed."""
        data = gz(header(b"demo-1.0/x", 1 << 28), bytes(1 << 28))
        file = io.BytesIO(data)
        self.assertRaises(InvalidArchive, read_sdist, file)
        most_in = (gunzip.RATIO_COUNTS_FROM_BYTES // 500) + (64 << 10)
        self.assertLess(file.tell(), most_in)

    def test_too_many_members(self) -> None:
        """The number of headers has a limit."""
        block = header(b"demo-1.0/", kind=b"5")
        self.assert_refused(gz(block * (tars.MAX_MEMBERS + 1)), "more than")

    @given(st.data())
    def test_damage(self, data: st.DataObject) -> None:
        """A tar with bytes changed gives metadata or is invalid; nothing else."""
        good = bytearray(
            member(b"g", record(b"comment", b"x"), b"g")
            + member(b"x", record(b"path", b"demo-1.0/other") + record(b"mtime", b"1.5"), b"x")
            + member(b"demo-1.0/x", b"abc")
            + GOOD_MEMBER
            + TAR_END
        )
        for _ in range(data.draw(st.integers(1, 4))):
            good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
        with contextlib.suppress(InvalidRequest):
            self.read(gz(bytes(good)))

    @given(st.binary(max_size=200), st.integers(0, 400))
    def test_noise(self, noise: bytes, at: int) -> None:
        """Noise, and noise inside the compression, is invalid."""
        self.assert_refused(noise)
        data = tar_gz(os.urandom(512), GOOD_MEMBER)
        self.assert_refused(data[:at] + noise)
