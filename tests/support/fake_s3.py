"""An S3 service of the tests' own: a bucket in memory, and an agent that asks it at once."""

from __future__ import annotations

import datetime
import hashlib
import itertools
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone, ResponseFailed
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IClientRequest, IResponse
from zope.interface import implementer

CHUNK_BYTES = 64 << 10


@frozen
class Stored:
    """An object."""

    data: bytes
    at: datetime.datetime
    etag: str


@define
class Unfinished:
    """An upload in parts."""

    key: str
    at: datetime.datetime
    parts: dict[int, Stored] = field(factory=dict)


@frozen
class Answer:
    """What the bucket answers."""

    status: int
    headers: Mapping[str, str] = field(factory=dict)
    body: bytes = b""


def refusal(status: int, code: str) -> Answer:
    """Make an error as S3 words it."""
    return Answer(status, {"Content-Type": "application/xml"}, f"<Error><Code>{code}</Code></Error>".encode())


class Bucket:
    """
    As much of S3 as a store uses, and as strict about it.

    Attributes:
        objects, uploads: by key and by id.
        knows_conditions: whether If-None-Match is known.
        page: how many things are in one page of a listing, if no fewer are asked for.
    """

    def __init__(self) -> None:
        self.objects: dict[str, Stored] = {}
        self.uploads: dict[str, Unfinished] = {}
        self.knows_conditions = True
        self.page = 7
        self._numbers = itertools.count(1)

    def store(self, key: str, data: bytes) -> Stored:
        """Put an object there."""
        etag = f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
        self.objects[key] = stored = Stored(data, datetime.datetime.now(datetime.UTC), etag)
        return stored

    def answer(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Do what a request asks for."""
        parts = urlsplit(url)
        _, bucket, *rest = parts.path.split("/", 2)
        key, query = unquote(rest[0]) if rest else "", dict(parse_qsl(parts.query, keep_blank_values=True))
        if bucket != "bucket":
            return refusal(404, "NoSuchBucket")
        if "AWS4-HMAC-SHA256" not in headers.get("authorization", "") and "X-Amz-Signature" not in query:
            return refusal(403, "AccessDenied")
        if headers.get("x-amz-content-sha256", "") not in ("", hashlib.sha256(body).hexdigest()):
            return refusal(400, "XAmzContentSHA256Mismatch")
        if headers.get("if-none-match") and not self.knows_conditions:
            return refusal(501, "NotImplemented")
        if not key:
            return self._list_uploads(query) if "uploads" in query else self._list_objects(query)
        if "uploads" in query or "uploadId" in query:
            return self._in_parts(method, key, query, headers, body)
        return self._object(method, key, headers, body)

    def _object(self, method: str, key: str, headers: Mapping[str, str], body: bytes) -> Answer:
        found = self.objects.get(key)
        if method == "PUT":
            if headers.get("if-none-match") == "*" and found is not None:
                return refusal(412, "PreconditionFailed")
            return Answer(200, {"ETag": self.store(key, body).etag})
        if method == "DELETE":
            self.objects.pop(key, None)
            return Answer(204)
        if found is None:
            return refusal(404, "NoSuchKey")
        if headers.get("if-match", found.etag) != found.etag:
            return refusal(412, "PreconditionFailed")
        told = {"ETag": found.etag}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", headers.get("range", ""))
        if wanted is None:
            return Answer(200, told, found.data)
        start, stop = int(wanted[1]), min(int(wanted[2]) + 1, len(found.data))
        if start >= len(found.data):
            return refusal(416, "InvalidRange")
        told["Content-Range"] = f"bytes {start}-{stop - 1}/{len(found.data)}"
        return Answer(206, told, found.data[start:stop])

    def _in_parts(
        self, method: str, key: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes
    ) -> Answer:
        if "uploads" in query:
            upload_id = f"upload-{next(self._numbers)}"
            self.uploads[upload_id] = Unfinished(key, datetime.datetime.now(datetime.UTC))
            text = f"<InitiateMultipartUploadResult><UploadId>{upload_id}</UploadId></InitiateMultipartUploadResult>"
            return Answer(200, {}, text.encode())
        upload = self.uploads.get(query["uploadId"])
        if upload is None or upload.key != key:
            return refusal(404, "NoSuchUpload")
        if method == "DELETE":
            del self.uploads[query["uploadId"]]
            return Answer(204)
        if method == "PUT":
            etag = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
            upload.parts[int(query["partNumber"])] = Stored(body, datetime.datetime.now(datetime.UTC), etag)
            return Answer(200, {"ETag": etag})
        return self._complete(key, query["uploadId"], upload, headers, body)

    def _complete(
        self, key: str, upload_id: str, upload: Unfinished, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        named = [
            (int(part.findtext("PartNumber") or 0), part.findtext("ETag"))
            for part in ElementTree.fromstring(body).findall("Part")  # noqa: S314 - our own
        ]
        if named != [(number, upload.parts[number].etag) for number in sorted(upload.parts)]:
            return refusal(400, "InvalidPart")
        if any(len(upload.parts[number].data) < 5 << 20 for number, _ in named[:-1]):
            return refusal(400, "EntityTooSmall")
        if headers.get("if-none-match") == "*" and key in self.objects:
            return refusal(412, "PreconditionFailed")
        self.store(key, b"".join(upload.parts[number].data for number, _ in named))
        del self.uploads[upload_id]
        return Answer(200, {}, b"<CompleteMultipartUploadResult/>")

    def _list_objects(self, query: Mapping[str, str]) -> Answer:
        after = query.get("continuation-token", "")
        keys = sorted(key for key in self.objects if key.startswith(query.get("prefix", "")) and key > after)
        count = min(self.page, int(query.get("max-keys", "1000")))
        shown, rest = keys[:count], keys[count:]
        items = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>{self.objects[key].at.isoformat()}</LastModified>"
            f"<Size>{len(self.objects[key].data)}</Size></Contents>"
            for key in shown
        )
        further = f"<NextContinuationToken>{escape(shown[-1])}</NextContinuationToken>" if rest else ""
        text = f"<IsTruncated>{str(bool(rest)).lower()}</IsTruncated>{further}{items}"
        return Answer(200, {}, f'<L xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{text}</L>'.encode())

    def _list_uploads(self, query: Mapping[str, str]) -> Answer:
        found = [(u.key, i, u.at) for i, u in self.uploads.items() if u.key.startswith(query.get("prefix", ""))]
        items = "".join(
            f"<Upload><Key>{escape(key)}</Key><UploadId>{upload_id}</UploadId>"
            f"<Initiated>{at.isoformat()}</Initiated></Upload>"
            for key, upload_id, at in sorted(found)
        )
        return Answer(200, {}, f"<L><IsTruncated>false</IsTruncated>{items}</L>".encode())


@implementer(IClientRequest)
class _Request:
    """What a response is the response to."""

    def __init__(self, method: bytes, uri: bytes, headers: Headers) -> None:
        self.method, self.absoluteURI, self.headers = method, uri, headers


class _BodyTransport:
    """Delivers a body in pieces, as far as it is taken."""

    def __init__(self, protocol: Protocol, data: bytes, ends_well: bool) -> None:
        self._protocol, self._data, self._ends_well = protocol, data, ends_well
        self._is_paused = self._is_running = self._is_over = False

    def run(self) -> None:
        if self._is_running:
            return
        self._is_running = True
        while not self._is_paused and not self._is_over:
            if self._data:
                chunk, self._data = self._data[:CHUNK_BYTES], self._data[CHUNK_BYTES:]
                self._protocol.dataReceived(chunk)
            else:
                self._is_over = True
                reason = Failure(ResponseDone()) if self._ends_well else Failure(ResponseFailed([]))
                self._protocol.connectionLost(reason)
        self._is_running = False

    def pauseProducing(self) -> None:
        self._is_paused = True

    def resumeProducing(self) -> None:
        self._is_paused = False
        self.run()

    def stopProducing(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._protocol.connectionLost(Failure(ResponseFailed([])))


@implementer(IResponse)
class _Response:
    """What the agent answers."""

    version = (b"HTTP", 1, 1)
    phrase = b"-"
    previousResponse = None

    def __init__(self, request: _Request, answer: Answer, is_head: bool, cut: bool) -> None:
        self.request: Any = request
        self.code = answer.status
        self.headers = Headers({name: [value] for name, value in answer.headers.items()})
        self.length: Any = len(answer.body)
        self._data = b"" if is_head else answer.body
        self._cut = cut

    def deliverBody(self, protocol: Protocol) -> None:
        """See IResponse."""
        data = self._data[: len(self._data) // 2] if self._cut else self._data
        transport = _BodyTransport(protocol, data, not self._cut)
        protocol.makeConnection(transport)  # type: ignore[arg-type]
        transport.run()

    def setPreviousResponse(self, response: IResponse) -> None:
        """See IResponse."""


class _Collected:
    """What a body producer produces."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> None:
        self.data += data


Fault = Callable[[str, str], str | None]
"""Of a method and a URL: "gone", "503", "lost" (done, but the answer never comes), "torn" (half an answer), or "lie"
(200 with an error); None if nothing is wrong."""


@implementer(IAgent)
class FakeAgent:
    """
    Asks a bucket, at once.

    Attributes:
        asked: method and URL of all requests.
        fault: what is wrong with a request.
    """

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self.asked: list[tuple[str, str]] = []
        self.fault: Fault = lambda method, url: None

    def request(
        self, method: bytes, uri: bytes, headers: Headers | None = None, bodyProducer: IBodyProducer | None = None
    ) -> Deferred[IResponse]:
        """See IAgent."""
        assert headers is not None
        name, url = method.decode(), uri.decode()
        self.asked.append((name, url))
        fault = self.fault(name, url)
        if fault == "gone":
            return fail(ConnectionRefusedError())
        collected = _Collected()
        if bodyProducer is not None:
            producing: Any = bodyProducer.startProducing(collected)  # type: ignore[arg-type]
            assert producing.called
            assert len(collected.data) == bodyProducer.length
        plain = {key.decode().lower(): values[0].decode() for key, values in headers.getAllRawHeaders()}
        answer = refusal(503, "SlowDown")
        if fault == "lie":
            answer = Answer(200, {"ETag": '"x"'}, refusal(200, "InternalError").body)
        elif fault != "503":
            answer = self.bucket.answer(name, url, plain, bytes(collected.data))
        if fault == "lost":
            return fail(ResponseFailed([]))
        response = _Response(_Request(method, uri, headers), answer, name == "HEAD", fault == "torn")
        return succeed(response)
