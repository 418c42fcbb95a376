"""Writes a Reply: validators, ranges, safe headers, and large bodies through a producer."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from email.utils import formatdate
from urllib.parse import quote

from attrs import evolve
from twisted.logger import Logger

from pkgregd.errors import BlobDamaged, ClientGone, PkgregdError
from pkgregd.http.accel import HEADER, path_for_proxy
from pkgregd.http.conditions import accepts_gzip, choose_range, http_date, is_precondition_met, is_unmodified
from pkgregd.http.flow import send_flow
from pkgregd.http.ratelimits import limit_headers
from pkgregd.http.redirects import may_follow
from pkgregd.http.request import FrontRequest, ReplyConsumer
from pkgregd.interfaces import IBlobSource
from pkgregd.values import ByteRange, FlowBody, PageBody, Reply, StreamBody, Verdict

log = Logger()

_UNSAFE_IN_HEADER = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_UNSAFE_IN_FILE_NAME = re.compile(r"[\x00-\x1f\x7f-\x9f/\\\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
_UNSAFE_IN_STATUS_LINE = re.compile(r"[^ -~]")
_PLAIN_FILE_NAME = re.compile(r"[A-Za-z0-9._+~!@#$&^()\[\]{} -]+")

MAX_EXPLANATION_CHARACTERS = 250
"""Of an explanation in the status line; proxies bound its length."""

Headers = list[tuple[str, str]]


def attachment(file_name: str) -> str:
    """
    Write a Content-Disposition that makes browsers save, whatever the name.

    Source: RFC 6266, with the extended form of RFC 8187.
    """
    safe = _UNSAFE_IN_FILE_NAME.sub("_", file_name)
    if _PLAIN_FILE_NAME.fullmatch(safe):
        return f'attachment; filename="{safe}"'
    plain = re.sub(r"[^A-Za-z0-9._+~-]", "_", safe)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(safe, safe='')}"


def header_pairs(headers: Headers) -> list[tuple[bytes, bytes]]:
    """
    Encode headers.

    Raises:
        ValueError: a value could end its header.
    """
    if _UNSAFE_IN_HEADER.search("".join([value for _, value in headers])):  # one search is cheaper than one for each
        raise ValueError("control character in a header value")
    return [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers]


def explanation_bytes(explanation: str | None) -> bytes:
    """
    Encode what a status line says behind its standard phrase.

    It stands there, besides the body, because hatch, flit and twine show people nothing else.

    Args:
        explanation: any text; what is not printable ASCII is replaced, what is too long is cut.
    """
    return _UNSAFE_IN_STATUS_LINE.sub("?", (explanation or "")[:MAX_EXPLANATION_CHARACTERS]).encode("ascii")


async def send(request: FrontRequest, reply: Reply, verdict: Verdict | None = None) -> None:
    """
    Answer a request, and tell its client what the rate limits say; it is finished by who calls.

    Conditions and ranges apply to GET and HEAD of a reply with status 200 only.
    """
    takes_gzip = False
    if isinstance(reply.body, PageBody) and accepts_gzip(_text(request, b"accept-encoding")):
        takes_gzip = True
        reply = evolve(reply, etag=f"{reply.etag}-gzip")
    headers = _common_headers(request, reply, verdict)
    if isinstance(reply.body, FlowBody):
        await _send_flow(request, reply.status, headers, reply.body)
        return
    if reply.status == 200 and request.method in (b"GET", b"HEAD"):
        await _send_representation(request, reply, headers, takes_gzip=takes_gzip)
    elif isinstance(reply.body, StreamBody):
        await _send_stream(request, reply.status, headers, reply.body, None)
    elif isinstance(reply.body, PageBody):
        await _send_page(request, reply.status, headers, reply.body, takes_gzip=takes_gzip)
    else:
        _send_bytes(request, reply.status, headers, reply.body, reply.explanation)


def send_at_once(request: FrontRequest, reply: Reply, verdict: Verdict | None) -> None:
    """Answer with a refusal whose body is in hand; else as send()."""
    assert isinstance(reply.body, bytes), "refusals are short"
    _send_bytes(request, reply.status, _common_headers(request, reply, verdict), reply.body, reply.explanation)


def _common_headers(request: FrontRequest, reply: Reply, verdict: Verdict | None) -> Headers:
    headers = [("Date", _now()), ("X-Request-Id", request.request_id), ("X-Content-Type-Options", "nosniff")]
    if reply.etag is not None:
        headers.append(("ETag", f'"{reply.etag}"'))
    if reply.last_modified is not None:
        headers.append(("Last-Modified", http_date(reply.last_modified)))
    if reply.content_type is not None:
        headers.append(("Content-Type", reply.content_type))
    if reply.download_name is not None:
        headers.append(("Content-Disposition", attachment(reply.download_name)))
        headers.append(("Content-Security-Policy", "sandbox; default-src 'none'"))
    if verdict is not None:
        headers.extend(limit_headers(verdict))
    headers.extend(_varied(reply.headers) if isinstance(reply.body, PageBody) else reply.headers)
    return headers


def _varied(headers: Iterable[tuple[str, str]]) -> Headers:
    """Say that the encoding is chosen too."""
    chosen_by = [value for name, value in headers if name == "Vary"]
    return [*(pair for pair in headers if pair[0] != "Vary"), ("Vary", ", ".join([*chosen_by, "Accept-Encoding"]))]


async def _send_representation(request: FrontRequest, reply: Reply, headers: Headers, *, takes_gzip: bool) -> None:
    if isinstance(reply.body, PageBody) and "*" in (_text(request, b"if-match"), _text(request, b"if-none-match")):
        await reply.body.render()  # the condition asks whether there is anything at all: this raises if there is not
    if not is_precondition_met(
        reply.etag, reply.last_modified, _text(request, b"if-match"), _text(request, b"if-unmodified-since")
    ):
        _send_bytes(request, 412, headers, b"")
        return
    body = reply.body
    # of a page a date tells too little: it may change twice in a second, and by what its reader may see
    since = None if isinstance(body, PageBody) else _text(request, b"if-modified-since")
    if is_unmodified(reply.etag, reply.last_modified, _text(request, b"if-none-match"), since):
        _begin(request, 304, headers)
        return
    if isinstance(body, PageBody):
        await _send_page(request, 200, headers, body, takes_gzip=takes_gzip)
        return
    if isinstance(body, bytes):
        _send_bytes(request, 200, headers, body)
        return
    assert isinstance(body, StreamBody), "what comes piece by piece is sent otherwise"
    headers.append(("Accept-Ranges", "bytes"))
    piece = choose_range(
        _text(request, b"range"), _text(request, b"if-range"), body.size_bytes, reply.etag, reply.last_modified
    )
    if piece is False:
        headers.append(("Content-Range", f"bytes */{body.size_bytes}"))
        _send_bytes(request, 416, headers, b"")
    elif isinstance(piece, ByteRange):
        headers.append(("Content-Range", f"bytes {piece.start}-{piece.stop - 1}/{body.size_bytes}"))
        await _send_stream(request, 206, headers, body, piece)
    else:
        await _send_stream(request, 200, headers, body, None)


async def _send_page(request: FrontRequest, status: int, headers: Headers, body: PageBody, *, takes_gzip: bool) -> None:
    page = await body.render()
    if takes_gzip and page.gzip is not None:
        headers.append(("Content-Encoding", "gzip"))
        _send_bytes(request, status, headers, page.gzip)
    else:
        _send_bytes(request, status, headers, page.body)


def _send_bytes(
    request: FrontRequest, status: int, headers: Headers, body: bytes, explanation: str | None = None
) -> None:
    if status != 204:
        headers.append(("Content-Length", str(len(body))))
    _begin(request, status, headers, b"" if request.method == b"HEAD" else body, explanation)


async def _send_stream(
    request: FrontRequest, status: int, headers: Headers, body: StreamBody, piece: ByteRange | None
) -> None:
    size_bytes = body.size_bytes if piece is None else piece.size_bytes
    headers.append(("Content-Length", str(size_bytes)))
    if request.method == b"HEAD":
        if body.damaged is not None:
            raise BlobDamaged(body.damaged)
        _begin(request, status, headers)
        return
    source = await body.open(piece)
    try:
        if request.is_gone:
            return
        url = source.redirect_url(_header(headers, "Content-Type"), _header(headers, "Content-Disposition"))
        if url is not None and may_follow(request, url):
            _send_elsewhere(request, url)
            return
        path = path_for_proxy(request, source, piece) if status in (200, 206) else None
        if path is not None:
            _send_to_proxy(request, headers, path)
            return
        _begin(request, status, headers)
        await _push(request, source)
    finally:
        await source.close()


def _send_elsewhere(request: FrontRequest, url: str) -> None:
    """Answer with a link that is good for a while, and that nobody may keep."""
    headers = [("Date", _now()), ("X-Request-Id", request.request_id), ("Location", url)]
    _send_bytes(request, 307, [*headers, ("Cache-Control", "private, no-store")], b"")


def _send_to_proxy(request: FrontRequest, headers: Headers, path: str) -> None:
    """Have the proxy send a file of which it finds out length and range itself."""
    of_the_file = ("Content-Length", "Content-Range")
    kept = [pair for pair in headers if pair[0] not in of_the_file]
    request.log_fields["handed_over"] = True
    _send_bytes(request, 200, [*kept, (HEADER, path)], b"")


def _header(headers: Headers, name: str) -> str:
    return next((value for key, value in headers if key == name), "")


async def _send_flow(request: FrontRequest, status: int, headers: Headers, body: FlowBody) -> None:
    """Send what comes piece by piece; it has no validators, and nothing of it can be asked for."""
    if request.head.is_http_1_0:
        request.close_after_reply()
    else:
        headers.append(("Transfer-Encoding", "chunked"))
    _begin(request, status, headers)
    if request.method != b"HEAD":
        await send_flow(request, body.pieces)


async def _push(request: FrontRequest, source: IBlobSource) -> None:
    factory = request.channel.factory
    factory.downloads += 1
    try:
        await source.push_to(ReplyConsumer(request))
    except ClientGone:
        if not request.is_gone:  # the kernel knew it before the reactor
            request.channel.abort()
    except PkgregdError:
        # the head is out: only a cut connection tells the client that the body is torn
        log.failure("reply cut short, request {request_id}", request_id=request.request_id, event="reply.cut")
        if not request.is_gone:
            request.channel.abort()
    finally:
        factory.downloads -= 1


def _begin(
    request: FrontRequest, status: int, headers: Headers, body: bytes = b"", explanation: str | None = None
) -> None:
    """Send status and headers, and a body in hand."""
    if not request.is_gone:
        request.begin(status, header_pairs(headers), body, explanation_bytes(explanation))


def _text(request: FrontRequest, name: bytes) -> str | None:
    value = request.header(name)
    return None if value is None else value.decode("latin-1")


_date = (0, "")


def _now() -> str:
    """Write the present HTTP date, made once per second."""
    global _date
    second = int(time.time())
    if _date[0] != second:
        _date = (second, formatdate(second, usegmt=True))
    return _date[1]
