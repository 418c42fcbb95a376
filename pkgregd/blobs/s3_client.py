"""Talking to an S3 service: deadlines, retries, and what its answers mean."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from typing import Any, TypeVar, cast

from attrs import frozen
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IAgent, IResponse

from pkgregd.blobs.s3_answers import (
    MAX_ANSWER_BYTES,
    Listed,
    Listing,
    completion,
    error_code,
    read_objects,
    read_uploads,
    read_xml,
    text_of,
)
from pkgregd.blobs.s3_bodies import NO_BODY, Body, Receiver, S3Trouble, bytes_body, collect
from pkgregd.blobs.s3_measured import MeasuredAgent
from pkgregd.blobs.s3_signing import Query, Signer
from pkgregd.clockwork import with_deadline
from pkgregd.errors import BlobMissing, Unavailable
from pkgregd.interfaces import IMeasures
from pkgregd.unmeasured import UNMEASURED
from pkgregd.values import ByteRange, Tally

T = TypeVar("T")
log = Logger()

PASSING_STATUSES = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
"""Of a service that may do it the next time; 409 is a write that met another one."""

PASSING_CODES = frozenset({"RequestTimeout", "SlowDown", "InternalError", "ServiceUnavailable"})

DROPPED_BYTES = 4096
"""Up to this a body that nobody wants is read, so that its connection can be used again."""

PAGE_ROWS = 200
"""What is asked for of a listing at once: the thousand that a service sends take 15 ms of the reactor to read."""

FIRST_PAUSE_SECONDS = 0.1
MAX_PAUSE_SECONDS = 5.0


@frozen
class Timeouts:
    """
    How long is waited for an S3 service.

    Attributes:
        answer_seconds: from the start of a request to the head of its answer, beside what its body takes.
        complete_seconds: the same of the request that puts the parts of an upload together.
        stall_seconds: between two pieces of an answer's body.
        least_bytes_per_second: what the bodies of requests are given time for.
        read_again_seconds, write_again_seconds: since the first try; after that nothing is tried again.
    """

    answer_seconds: float = 15.0
    complete_seconds: float = 120.0
    stall_seconds: float = 30.0
    least_bytes_per_second: int = 32 << 10
    read_again_seconds: float = 8.0
    write_again_seconds: float = 30.0


class _Refused(Exception):
    """The service answered, and trying again would not help."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code


class S3Client:
    """
    The requests that a store makes, each with its retries.

    Every method raises Unavailable once the service has not done it in time, or refuses.

    Args:
        agent: carries the requests.
        measures: told of each try.
    """

    def __init__(
        self, clock: IReactorTime, agent: IAgent, signer: Signer, timeouts: Timeouts, measures: IMeasures = UNMEASURED
    ) -> None:
        self.timeouts = timeouts
        self.signer = signer
        self.clock = clock
        self._http = HTTPClient(MeasuredAgent(agent, clock, measures))
        self._measures = measures
        self._is_conditional = True

    # ------------------------------------------------------------------ objects

    async def put(self, key: str, body: Body) -> None:
        """Store an object whose key nobody else has."""

        async def attempt() -> None:
            try:
                await self._ask("PUT", key, headers=self._condition(), body=body)
            except _Refused as refusal:
                if not await self._is_done_after_all(refusal, key, body.size_bytes):
                    raise

        await self._persist("takes a file", attempt, self.timeouts.write_again_seconds)

    async def head(self, key: str) -> tuple[int, str] | None:
        """Return length and ETag of an object, None if it is not there."""

        async def attempt() -> tuple[int, str] | None:
            return await self._head(key)

        return await self._persist("tells of a file", attempt, self.timeouts.read_again_seconds)

    async def read(self, key: str, span: ByteRange) -> tuple[int, bytes]:
        """
        Return the length of an object and a small piece of it.

        Raises:
            BlobMissing: it is not there, or does not reach so far.
        """

        async def attempt() -> tuple[int, bytes]:
            total_bytes, response = await self._get(key, span, "")
            data = await collect(self.clock, response, span.size_bytes, self.timeouts.stall_seconds)
            if len(data) != span.size_bytes:
                raise S3Trouble("a piece is shorter than it says")
            return total_bytes, data

        return await self._persist("sends a file", attempt, self.timeouts.read_again_seconds)

    async def open(self, key: str, span: ByteRange, etag: str) -> IResponse:
        """
        Begin to read a piece of an object; the caller takes the body.

        Args:
            etag: what it must still have.

        Raises:
            BlobMissing: see read().
        """

        async def attempt() -> IResponse:
            _, response = await self._get(key, span, etag)
            return response

        return await self._persist("sends a file", attempt, self.timeouts.read_again_seconds)

    async def delete(self, key: str) -> None:
        """Remove an object; one that is not there is fine."""

        async def attempt() -> None:
            try:
                await self._ask("DELETE", key)
            except _Refused as refusal:
                if refusal.status != 404:
                    raise

        await self._persist("removes a file", attempt, self.timeouts.write_again_seconds)

    async def list_objects(self, folder: str) -> AsyncIterator[Listed]:
        """Go through the objects whose keys begin so; keys come without the prefix."""
        prefix = self.signer.place.prefix + folder
        query = [("list-type", "2"), ("max-keys", str(PAGE_ROWS)), ("prefix", prefix)]
        async for each in self._pages(query, (), read_objects):
            yield each

    # ------------------------------------------------------------------ uploads in parts

    async def create_upload(self, key: str, doubt: Callable[[], None]) -> str:
        """
        Begin an upload; return its id.

        Args:
            doubt: told of every try of which nobody knows whether it began one.
        """

        async def attempt() -> str:
            try:
                _, answer = await self._ask("POST", key, [("uploads", "")])
                return text_of(read_xml(answer), "UploadId")
            except (S3Trouble, CancelledError):
                doubt()
                raise

        return await self._persist("begins an upload", attempt, self.timeouts.write_again_seconds)

    async def put_part(self, key: str, upload_id: str, number: int, body: Body) -> str:
        """Send one part; return its ETag."""

        async def attempt() -> str:
            query = [("partNumber", str(number)), ("uploadId", upload_id)]
            headers, _ = await self._ask("PUT", key, query, body=body)
            etag = headers.get("etag")
            if not etag:
                raise S3Trouble("the answer has no ETag")
            return etag

        return await self._persist("takes a part", attempt, self.timeouts.write_again_seconds)

    async def complete_upload(self, key: str, upload_id: str, etags: Mapping[int, str], size_bytes: int) -> None:
        """Make one object of the parts. It has the right length, or it is an error."""
        data = completion(etags)
        body = bytes_body([data], hashlib.sha256(data).hexdigest())

        async def attempt() -> None:
            headers = {**self._condition(), "Content-Type": "application/xml"}
            try:
                _, answer = await self._ask("POST", key, [("uploadId", upload_id)], headers=headers, body=body)
                if read_xml(answer).tag == "Error":  # under a status that was sent before it was known
                    raise S3Trouble(f"the upload cannot be completed: {error_code(answer)}")
            except _Refused as refusal:
                if not await self._is_done_after_all(refusal, key, size_bytes):
                    raise
            found = await self._head(key)
            if found is None or found[0] != size_bytes:
                raise S3Trouble("the completed upload has another length")

        await self._persist("completes an upload", attempt, self.timeouts.write_again_seconds)

    async def abort_upload(self, key: str, upload_id: str) -> None:
        """Throw an upload and its parts away; one that is not there is fine."""

        async def attempt() -> None:
            try:
                await self._ask("DELETE", key, [("uploadId", upload_id)])
            except _Refused as refusal:
                if refusal.status != 404:
                    raise

        await self._persist("throws an upload away", attempt, self.timeouts.write_again_seconds)

    async def list_uploads(self, folder: str) -> AsyncIterator[Listed]:
        """Go through the unfinished uploads of keys that begin so; keys come without the prefix."""
        prefix = self.signer.place.prefix + folder
        base = [("uploads", ""), ("max-uploads", str(PAGE_ROWS)), ("prefix", prefix)]
        async for each in self._pages(base, base, read_uploads):
            yield each

    # ------------------------------------------------------------------ health

    async def probe(self, key: str) -> None:
        """Write an empty object once. Raises Unavailable at the first trouble."""
        await self._persist("takes a file", lambda: self._ask("PUT", key), 0.0)

    # ------------------------------------------------------------------ how it is done

    def _condition(self) -> dict[str, str]:
        return {"If-None-Match": "*"} if self._is_conditional else {}

    async def _is_done_after_all(self, refusal: _Refused, key: str, size_bytes: int) -> bool:
        """Whether a refused write had been done by a try before it, whose answer was lost."""
        if refusal.status == 501 and self._is_conditional:
            self._is_conditional = False
            raise S3Trouble("the service knows no conditions")
        if refusal.status not in (404, 412):
            return False
        found = await self._head(key)
        return found is not None and found[0] == size_bytes

    async def _head(self, key: str) -> tuple[int, str] | None:
        # Twisted keeps the length in the answer to a HEAD to itself; a GET of one byte tells it as well
        try:
            response = await self._request("GET", key, (), {"Range": "bytes=0-0"}, NO_BODY)
        except _Refused as refusal:
            if refusal.status == 404:
                return None
            if refusal.status == 416:  # there is no first byte
                return 0, ""
            raise
        self._drop(response)
        total = _total(response)
        if total is None:
            raise S3Trouble("the answer has no length")
        return total, _plain(response).get("etag", "")

    def _drop(self, response: IResponse) -> None:
        """Let go of an answer whose body nobody wants."""
        receiver = Receiver(self.clock, lambda data: None, self.timeouts.stall_seconds)
        receiver.ended.addErrback(lambda _: None)
        response.deliverBody(receiver)
        if response.length is UNKNOWN_LENGTH or response.length > DROPPED_BYTES:
            receiver.stop()

    async def _get(self, key: str, span: ByteRange, etag: str) -> tuple[int, IResponse]:
        headers = {"Range": f"bytes={span.start}-{span.stop - 1}"}
        if etag:
            headers["If-Match"] = etag
        try:
            response = await self._request("GET", key, (), headers, NO_BODY)
        except _Refused as refusal:
            if refusal.status in (404, 412, 416):
                raise BlobMissing(f"the blob store does not have what was asked for: {refusal}") from None
            raise
        total = _total(response)
        # without a range it is all the same if all of it was asked for
        if total is not None and total >= span.stop and (response.code == 206 or span == ByteRange(0, total)):
            return total, response
        self._drop(response)
        if total is not None and total < span.stop:
            raise BlobMissing(f"the blob store has {total} bytes of what should have at least {span.stop}")
        raise S3Trouble("the answer is not the piece that was asked for")

    async def _pages(self, query: Query, base: Query, read: Callable[[bytes], Listing]) -> AsyncIterator[Listed]:
        first = list(query)
        asked: list[tuple[str, str]] | None = first
        prefix_length = len(self.signer.place.prefix)
        while asked is not None:
            listing = await self._page(asked, read)
            for each in listing.found:
                yield Listed(each.key[prefix_length:], each.at, each.size_bytes, each.upload_id)
            asked = None if listing.further is None else [*first, *listing.further]

    async def _page(self, query: Query, read: Callable[[bytes], Listing]) -> Listing:
        async def attempt() -> Listing:
            _, answer = await self._ask("GET", None, query)
            return read(answer)

        return await self._persist("lists its files", attempt, self.timeouts.write_again_seconds)

    async def _ask(
        self,
        method: str,
        key: str | None,
        query: Query = (),
        *,
        headers: Mapping[str, str] | None = None,
        body: Body = NO_BODY,
    ) -> tuple[dict[str, str], bytes]:
        """Return headers (names in lower case) and body of an answer that is a success."""
        response = await self._request(method, key, query, headers or {}, body)
        answer = b""
        if method != "HEAD":
            answer = await collect(self.clock, response, MAX_ANSWER_BYTES, self.timeouts.stall_seconds)
        return _plain(response), answer

    async def _request(
        self, method: str, key: str | None, query: Query, headers: Mapping[str, str], body: Body
    ) -> IResponse:
        """
        Make one try.

        Raises:
            S3Trouble, _Refused.
        """
        url = self.signer.place.url(key, query)
        signed = self.signer.sign(method, url, headers, body.sha256_hex)
        seconds = (
            self.timeouts.complete_seconds if body.size_bytes and method == "POST" else self.timeouts.answer_seconds
        )
        seconds += body.size_bytes / self.timeouts.least_bytes_per_second
        asking = self._send(method, url, signed, body)
        try:
            response = await with_deadline(self.clock, seconds, asking, lambda: S3Trouble("no answer in time"))
        except (S3Trouble, CancelledError):
            raise
        except Exception as error:  # whatever an agent, its endpoints and TLS come up with
            if any(reason.check(CancelledError) for reason in getattr(error, "reasons", ())):
                raise CancelledError from None  # it was we who wanted no more of it
            raise S3Trouble(f"no answer: {type(error).__name__}: {_reasons(error)}") from None
        if response.code < 300:
            return response
        answer = b""
        if method != "HEAD":
            answer = await collect(self.clock, response, MAX_ANSWER_BYTES, self.timeouts.stall_seconds)
        code = error_code(answer)
        if response.code in PASSING_STATUSES or code in PASSING_CODES:
            raise S3Trouble(f"{response.code} {code}")
        raise _Refused(response.code, code)

    def _send(self, method: str, url: str, headers: Mapping[str, str], body: Body) -> Deferred[IResponse]:
        # a PUT without a body says so, too: some services want the length
        producer = body.produce() if body.size_bytes or method in ("PUT", "POST") else None
        asking: Deferred[IResponse] = self._http.request(
            method,
            url,
            headers=Headers({name: [value] for name, value in headers.items()}),
            data=producer,
            allow_redirects=False,
            unbuffered=True,
            reactor=cast(Any, self.clock),
        ).addCallback(lambda response: response.original)
        return asking

    async def _persist(
        self, what: str, attempt: Callable[[], Coroutine[Deferred[Any], Any, T]], again_seconds: float
    ) -> T:
        """Try until it is done or the time is over; pauses grow, and differ by chance."""
        give_up_at = self.clock.seconds() + again_seconds
        longest_pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                return await attempt()
            except S3Trouble as trouble:
                pause = random.uniform(longest_pause / 2, longest_pause)  # noqa: S311 - only to spread the load
                if self.clock.seconds() + pause > give_up_at:
                    log.error(
                        "S3 neither {what} nor says why not: {trouble}",
                        what=what, trouble=str(trouble), event="s3.unavailable",
                    )  # fmt: skip
                    raise Unavailable("the blob store does not answer as it should") from None
            except _Refused as refusal:
                log.error(
                    "S3 refuses: {refusal}; it never {what} so", what=what, refusal=str(refusal), event="s3.refused"
                )
                raise Unavailable(
                    "the blob store refuses what it is asked for; the operator finds why in the log"
                ) from None
            self._measures.count(Tally.S3_RETRIES)
            await deferLater(self.clock, pause)
            longest_pause = min(MAX_PAUSE_SECONDS, longest_pause * 2)


def _total(response: IResponse) -> int | None:
    """Return the length of the object that an answer is about, None if it does not tell."""
    found = _plain(response)
    if response.code == 206:
        total = found.get("content-range", "").rpartition("/")[2]
    else:
        total = found.get("content-length", "")
    return int(total) if re.fullmatch(r"[0-9]{1,18}", total, re.ASCII) else None


def _plain(response: IResponse) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, values in response.headers.getAllRawHeaders():
        found[name.decode("latin-1").lower()] = values[0].decode("latin-1")
    if response.length is not None and isinstance(response.length, int):
        found["content-length"] = str(response.length)
    return found


def _reasons(error: Exception) -> str:
    """Say what is inside of an agent's error."""
    reasons = getattr(error, "reasons", None) or []
    return "; ".join(str(reason.getErrorMessage()) for reason in reasons)[:500] or str(error)[:500]
