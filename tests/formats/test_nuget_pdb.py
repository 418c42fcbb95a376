"""Portable PDBs: what identifies them, however they come and whatever is wrong with them."""

from __future__ import annotations

import hashlib
import struct
import uuid

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.errors import InvalidArchive
from pkgregd.formats.nuget_pdb import HEAD_BYTES, identify_pdb
from pkgregd.testing.calls import cut
from tests.formats.nuget_world import PDB_ID, SIGNATURE, pdb

ROOT_BYTES = 32
"""Of what pdb() writes, up to the first header of a stream."""


class PdbTests(SynchronousTestCase):
    """identify_pdb()."""

    def refusal(self, data: bytes) -> str:
        """The text of an InvalidArchive."""
        return str(self.assertRaises(InvalidArchive, identify_pdb, [data], "'x.pdb'"))

    def test_signature(self) -> None:
        """The GUID as debuggers write it: three of its parts are little-endian."""
        self.assertEqual(identify_pdb([pdb()], "x").signature, SIGNATURE)

    def test_checksum(self) -> None:
        """It leaves the id out of account; the other digest does not."""
        one, other = (identify_pdb([pdb(pdb_id, b"body")], "x") for pdb_id in (PDB_ID, bytes(20)))
        self.assertEqual(one.checksum, other.checksum)
        self.assertEqual(other.checksum, other.sha256)
        self.assertEqual(one.sha256, hashlib.sha256(pdb(PDB_ID, b"body")).hexdigest())

    @given(
        st.binary(min_size=20, max_size=20),
        st.binary(max_size=50),
        st.integers(1, 6),
        st.lists(st.integers(0, 10_000), max_size=8),
        st.booleans(),
    )
    def test_any_cuts(self, pdb_id: bytes, body: bytes, streams: int, cuts: list[int], is_great: bool) -> None:
        """Any way of cutting a file gives the same, which is what its parts say."""
        data = pdb(pdb_id, body + bytes(3 * HEAD_BYTES if is_great else 0), streams=streams)
        found = identify_pdb(cut(data, *cuts), "x")
        self.assertEqual(found.signature, uuid.UUID(bytes_le=pdb_id[:16]).hex + "ffffffff")
        self.assertEqual(found.sha256, hashlib.sha256(data).hexdigest())
        blanked = data.replace(pdb_id + bytes(12), bytes(32), 1) if any(pdb_id) else data
        self.assertEqual(found.checksum, hashlib.sha256(blanked).hexdigest())

    @given(st.binary(max_size=200), st.lists(st.tuples(st.integers(0, 120), st.integers(0, 255)), max_size=6))
    def test_anything_else(self, noise: bytes, changes: list[tuple[int, int]]) -> None:
        """Noise, and a file with some bytes changed, is identified or refused; nothing else happens."""
        data = bytearray(pdb())
        for at, value in changes:
            data[at] = value
        for each in (noise, b"BSJB" + noise, bytes(data), bytes(data) + noise):
            try:
                identify_pdb([each], "x")
            except InvalidArchive as error:
                self.assertTrue(str(error).isprintable())

    def test_id_across_the_head(self) -> None:
        """The stream may lie anywhere behind the headers, also behind what is read at first."""
        data = bytearray(pdb(streams=1))
        data[ROOT_BYTES : ROOT_BYTES + 4] = struct.pack("<L", HEAD_BYTES - 7)
        data = data.ljust(HEAD_BYTES - 7, b"\0") + PDB_ID + bytes(12)
        for cuts in ((), (HEAD_BYTES,), tuple(range(0, len(data), 100)), (HEAD_BYTES - 3, HEAD_BYTES + 2)):
            self.assertEqual(identify_pdb(cut(bytes(data), *cuts), "x").signature, SIGNATURE)
        self.assertIn("cut short", self.refusal(bytes(data[:-1])))

    def test_windows_pdb(self) -> None:
        """Its builder is told what to do."""
        self.assertIn("portable", self.refusal(b"Microsoft C/C++ MSF 7.00\r\n\x1aDS\0\0\0" + bytes(1000)))

    def test_bad(self) -> None:
        """Each thing that can be wrong is refused for what it is."""
        good = pdb()

        def changed(at: int, form: str, value: int) -> bytes:
            data = bytearray(good)
            struct.pack_into(form, data, at, value)
            return bytes(data)

        for data, word in (
            (b"", "begin"), (b"MZ" + good, "begin"), (good[:15], "begin"), (good[:30], "cut short"),
            (changed(12, "<L", 260), "version"), (changed(12, "<L", 13), "version"),
            (changed(12, "<L", 0xFFFFFFFF), "version"), (changed(30, "<H", 33), "streams"),
            (changed(30, "<H", 0), "0 streams"), (changed(30, "<H", 2), "0 streams"),
            (pdb(streams=4).replace(b"#Blob\0\0\0", b"#Pdb\0\0\0\0", 1), "2 streams"),
            (good[:ROOT_BYTES] + struct.pack("<2L", 0, 0) + b"#" * 40, "does not end"),
            (good[:ROOT_BYTES] + struct.pack("<2L", 0, 0) + b"#", "does not end"),
            (good[:-30], "cut short"), (good[:-1], "cut short"),
        ):  # fmt: skip
            self.assertIn(word, self.refusal(data), data)

    def test_id_that_is_not_behind_the_headers(self) -> None:
        """It cannot lie in them, or be shorter than it is."""
        at = ROOT_BYTES
        for offset, size_bytes in ((0, 32), (ROOT_BYTES, 32), (60, 19)):
            data = bytearray(pdb(streams=1))
            struct.pack_into("<2L", data, at, offset, size_bytes)
            self.assertIn("#Pdb", self.refusal(bytes(data)))
