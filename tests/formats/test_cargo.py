"""Publishing crates, without HTTP."""

from __future__ import annotations

import json
import struct

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pkgregd import errors
from pkgregd.formats.cargo import CargoFormat
from pkgregd.formats.cargo_frame import FRAME_OVERHEAD_BYTES, MAX_JSON_BYTES, read_frame
from pkgregd.formats.cargo_metadata import CrateMetadata
from pkgregd.testing.calls import FakeBody, RecordingSink, body_of, cut, now
from pkgregd.testing.format_contract import FormatContract
from pkgregd.values import NO_PRECONDITION, FormatLimits, Refusal
from tests.formats.cargo_world import NEW, CargoTestCase, crate, frame, metadata

LIMIT_BYTES = 1000


class CargoContractTests(FormatContract, SynchronousTestCase):
    """The Cargo format is a format."""

    good_names = {"demo": "demo", "Demo-Crate_x": "demo_crate_x", "a": "a", "x" * 64: "x" * 64, "A1": "a1"}

    def make_format(self) -> CargoFormat:
        """Make the Cargo format."""
        return CargoFormat()

    def test_errors_as_cargo_reads_them(self) -> None:
        """Whatever is refused, the reason is where cargo looks for it."""
        reply = CargoFormat().render_error(Refusal(403, "permission_denied", "the permission x is missing", "r"))
        assert reply is not None
        self.assertEqual(json.loads(body_of(reply))["errors"], [{"detail": "the permission x is missing"}])


class FrameTests(SynchronousTestCase):
    """The body of a publish request."""

    def read(self, body: bytes, *cuts: int, limit_bytes: int = LIMIT_BYTES) -> tuple[bytes, bytes]:
        """Read a body; returns both parts."""
        sink = RecordingSink()
        data = now(read_frame(FakeBody(cut(body, *cuts)), sink, limit_bytes))
        self.assertIsNone(sink.producer)
        return data, b"".join(sink.pieces)

    @given(
        st.binary(min_size=1, max_size=300),
        st.binary(min_size=1, max_size=300),
        st.lists(st.integers(0, 700), max_size=20),
    )
    def test_any_cut(self, text: bytes, data: bytes, cuts: list[int]) -> None:
        """However the body is cut, the parts are the same."""
        self.assertEqual(self.read(frame(text, data), *cuts), (text, data))

    @given(st.lists(st.integers(0, 700), max_size=8), st.integers(0, 21))
    def test_any_end(self, cuts: list[int], end: int) -> None:
        """A body that ends too early is refused, wherever that is."""
        body = frame(b'{"a": 1}', b"crate")
        self.assertEqual(len(body), 21)
        if end < len(body):
            self.assertRaises(errors.MalformedBody, self.read, body[:end], *cuts)
        for extra in (b"x", bytes(4), body):
            self.assertRaises(errors.MalformedBody, self.read, body + extra, *cuts)

    @given(st.binary(max_size=64), st.lists(st.integers(0, 64), max_size=8))
    def test_any_bytes(self, body: bytes, cuts: list[int]) -> None:
        """Whatever comes is either read or refused, in the same way however it is cut."""

        def outcome(*places: int) -> object:
            try:
                return self.read(body, *places)
            except (errors.MalformedBody, errors.BodyTooLarge) as error:
                return type(error)

        self.assertEqual(outcome(*cuts), outcome())

    def test_lengths(self) -> None:
        """Lengths are believed only within the limits, and refused before the bytes come."""
        big = struct.pack("<I", 0xFFFFFFFF)
        self.assertRaises(errors.MalformedBody, self.read, big)
        self.assertRaises(errors.MalformedBody, self.read, struct.pack("<I", MAX_JSON_BYTES + 1))
        self.assertRaises(errors.MalformedBody, self.read, bytes(4))
        self.assertRaises(errors.MalformedBody, self.read, frame(b"{}", b""))
        self.assertRaises(errors.BodyTooLarge, self.read, frame(b"{}", b"")[:-4] + big)
        self.assertRaises(errors.BodyTooLarge, self.read, frame(b"{}", bytes(LIMIT_BYTES + 1)))
        self.assertEqual(self.read(frame(b"{}", bytes(LIMIT_BYTES)))[1], bytes(LIMIT_BYTES))
        self.assertEqual(len(self.read(frame(b" " * MAX_JSON_BYTES, b"x"))[0]), MAX_JSON_BYTES)
        self.assertEqual(FRAME_OVERHEAD_BYTES, MAX_JSON_BYTES + 8)

    def test_back_pressure(self) -> None:
        """A sink that pauses pauses the body, and one that gives up ends it with its own error."""
        body = FakeBody(cut(frame(b"{}", bytes(100)), 40, 60))
        paused: list[int] = []

        def pause(sink: RecordingSink) -> None:
            if not paused:
                assert sink.producer is not None
                paused.append(1)
                sink.producer.pauseProducing()
                sink.producer.resumeProducing()

        now(read_frame(body, RecordingSink(pause), LIMIT_BYTES))
        self.assertEqual(body.calls, ["pause", "resume"])

        def stop(sink: RecordingSink) -> None:
            if sink.producer is not None:
                sink.producer.stopProducing()
                sink.producer = None

        full = RecordingSink(stop)
        full.commit_error = errors.StorageFull()
        self.assertRaises(errors.StorageFull, now, read_frame(FakeBody([frame(b"{}", b"x" * 9)]), full, LIMIT_BYTES))


class PublishTests(CargoTestCase):
    """What is taken, and what is not."""

    def test_published(self) -> None:
        """A crate is kept as it came, and its record has what the index and searches show."""
        data = crate()
        reply = self.put(frame(metadata(), data), cuts=(1, 7, 300))
        self.assertEqual(reply.status, 200)
        empty = {"invalid_categories": [], "invalid_badges": [], "other": []}
        self.assertEqual(json.loads(body_of(reply)), {"warnings": empty})
        found = now(self.world.remote().find_file("demo", "1.0.0", "demo-1.0.0.crate"))
        self.assertEqual(self.world.blobs.contents[found.blob.sha256][0], data)
        self.assertEqual(CrateMetadata.from_json(found.file_metadata_json).description, "A demo")
        self.assertTrue(self.world.is_clean())

    def test_a_version_is_there_once(self) -> None:
        """The same bytes, others, and other build metadata are refused in cargo's words, yanked or not."""
        self.publish()
        state = now(self.world.remote().index_state("demo")).token
        for version, source in (("1.0.0", b"// 1\n"), ("1.0.0", b"// 2\n"), ("1.0.0+x", b"// 2\n")):
            body = frame(metadata(version=version), crate(version=version, source=source))
            why = self.assert_refused(errors.AlreadyExists, body)
            self.assertEqual(why, f"crate version `{version}` is already uploaded")
        self.assertEqual(now(self.world.remote().index_state("demo")).token, state)
        now(self.world.remote().yank("demo", "1.0.0", ""))
        self.assert_refused(errors.AlreadyExists, frame(metadata(), crate(source=b"// 2\n")))

    def test_deleted_versions(self) -> None:
        """The number of a deleted version takes the same crate again, and no other under any spelling."""
        self.publish("demo-crate", "1.0.0+a")
        remote = self.world.remote()
        file = now(remote.find_file("demo_crate", "1.0.0", "demo-crate-1.0.0.crate"))
        now(remote.delete_file(file, NO_PRECONDITION))
        for name, version in (("demo-crate", "1.0.0+a"), ("demo-crate", "1.0.0"), ("Demo_Crate", "1.0.0")):
            body = frame(metadata(name, version), crate(name, version, source=b"// 2\n"))
            self.assert_refused(errors.AlreadyExists, body)
        self.publish("demo-crate", "1.0.0+a")

    def test_spellings(self) -> None:
        """A name is kept as it was first spelt; others that cargo takes for it are refused, naming both."""
        self.publish("demo-crate")
        for other in ("demo_crate", "Demo-Crate", "DEMO_CRATE"):
            why = self.assert_refused(errors.InvalidName, frame(metadata(other, "2.0.0"), crate(other, "2.0.0")))
            self.assertIn(f"'{other}' is another spelling of 'demo-crate'", why)
        self.publish("demo-crate", "2.0.0")
        self.publish("demo", "2.0.0")
        self.publish("demo_crate", "1.0.0", path="acme/two")

    def test_size(self) -> None:
        """A crate above the limit is refused by its length, before it comes."""
        self.world.limits = FormatLimits(max_file_bytes=50)
        self.assert_refused(errors.BodyTooLarge, frame(metadata(), crate()))

    def test_only_at_projects(self) -> None:
        """A group takes no crate."""
        self.assertRaises(AssertionError, self.world.request, "PUT", NEW, path="acme")

    def test_old_cargo(self) -> None:
        """Members that are missing are none; the rust-version, which old ones do not send, is read of the crate."""
        body = frame({"name": "demo", "vers": "1.0.0"}, crate(more='rust-version = "1.56"\n'))
        self.assertEqual(self.put(body).status, 200)
        self.assertEqual(self.index()[0]["rust_version"], "1.56")

    def test_talkative_metadata(self) -> None:
        """A description in many lines becomes one; one that no terminal should see is left out."""
        for version, said, shown in (
            ("1.0.0", "a\n  b\tc", "a b c"), ("1.1.0", "x\x1b[2J", ""), ("1.2.0", "y" * 5000, "y" * 1000),
        ):  # fmt: skip
            self.publish(version=version, said={"description": said})
            found = now(self.world.remote().find_file("demo", version, f"demo-{version}.crate"))
            self.assertEqual(CrateMetadata.from_json(found.file_metadata_json).description, shown)
