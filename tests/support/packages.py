"""Python packages made on the fly: small ones as bytes, great ones as streams, and the form that uploads them."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence

from attrs import field, frozen

from tests.support.rawhttp import BUFFER, repeated

BOUNDARY = "pkgregd-tests-7f3a1c"
WHEEL_TEXT = "Wheel-Version: 1.0\nGenerator: pkgregd-tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"

TALKATIVE_METADATA = (
    "Author-email: Ödön Ärger <oedoen@example.com>\n"
    "License: MIT\n"
    "Keywords: one,two\n"
    "Classifier: Programming Language :: Python :: 3\n"
    "Classifier: Private :: Do Not Upload\n"
    "Project-URL: Home, https://example.com/?a=1&b=2\n"
    "Requires-Python: >=3.9\n"
    'Requires-Dist: nobody-has-this (<3,>=2.1); python_version < "3"\n'
    'Requires-Dist: nor-this[more]>=1; extra == "all"\n'
    "Provides-Extra: all\n"
    "Description-Content-Type: text/markdown\n"
    "\n"
    "# Größe\n\nThe text — of *several* lines.\n"
)
"""Lines for METADATA that make the form of whoever uploads it a long one."""

TALKATIVE_PROJECT = """\
description = "made by a test"
readme = {text = "# Größe\\n\\nThe text — of *several* lines.\\n", content-type = "text/markdown"}
requires-python = ">=3.9"
authors = [{name = "Ödön Ärger", email = "oedoen@example.com"}]
keywords = ["one", "two"]
classifiers = ["Programming Language :: Python :: 3", "Private :: Do Not Upload"]
dependencies = ["nobody-has-this >=2.1, <3 ; python_version < '3'"]
optional-dependencies = {all = ["nor-this[more] >=1"]}
urls = {Home = "https://example.com/?a=1&b=2"}
"""
"""The same for the `[project]` of what a client builds."""


def metadata_text(name: str, version: str, extra: str = "") -> str:
    """Make the core metadata of a package."""
    return f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: made by a test\n{extra}\n"


def wheel_name(name: str, version: str) -> str:
    """Return the file name of a pure wheel."""
    return f"{name.replace('-', '_')}-{version}-py3-none-any.whl"


def make_wheel(name: str, version: str, payload: bytes = b"answer = 42\n", metadata: str = "") -> bytes:
    """Make a wheel with one module of that source; metadata are further lines of METADATA, each with its end."""
    segments = _Segments()
    _write_wheel(segments, name, version, [payload], metadata, is_great=False)
    return b"".join(segments.pieces())


def make_sdist(name: str, version: str, payload: bytes = b"answer = 42\n") -> tuple[str, bytes]:
    """Make a source distribution that any pip can build, always the same; returns its file name and bytes."""
    module = name.replace("-", "_")
    stem = f"{module}-{version}"
    setup = f"from setuptools import setup\nsetup(name={name!r}, version={version!r}, py_modules=[{module!r}])\n"
    files = {
        "PKG-INFO": metadata_text(name, version).encode(),
        "pyproject.toml": b'[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n',
        "setup.py": setup.encode(),
        f"{module}.py": payload,
    }
    made = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=made, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for path, data in files.items():
            member = tarfile.TarInfo(f"{stem}/{path}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return f"{stem}.tar.gz", made.getvalue()


class _Segments:
    """A writable, seekable file that keeps what is written by reference, so that a great one costs nothing."""

    def __init__(self) -> None:
        self._segments: dict[int, bytes | memoryview] = {}
        self._position = 0

    def write(self, data: bytes | memoryview) -> int:
        self._segments[self._position] = data
        self._position += len(data)
        return len(data)

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        assert whence == 0
        self._position = offset
        return offset

    def seekable(self) -> bool:
        return True

    def flush(self) -> None:
        pass

    def pieces(self) -> list[bytes | memoryview]:
        """Everything in order; a segment that was written again has kept its length."""
        return [self._segments[offset] for offset in sorted(self._segments)]


def _write_wheel(
    file: _Segments,
    name: str,
    version: str,
    payload: Iterable[bytes | memoryview],
    metadata: str = "",
    *,
    is_great: bool,
) -> None:
    stem = f"{name.replace('-', '_')}-{version}"
    module = f"{name.replace('-', '_')}.py"
    records = []
    members: Sequence[tuple[str, Iterable[bytes | memoryview]]] = (
        (module, payload),
        (f"{stem}.dist-info/METADATA", [metadata_text(name, version, metadata).encode()]),
        (f"{stem}.dist-info/WHEEL", [WHEEL_TEXT.encode()]),
    )
    with zipfile.ZipFile(file, "w") as archive:  # type: ignore[call-overload] # all that it uses is there
        for path, pieces in members:
            digest, size = hashlib.sha256(), 0
            with archive.open(zipfile.ZipInfo(path), "w", force_zip64=is_great) as member:
                for piece in pieces:
                    member.write(piece)
                    digest.update(piece)
                    size += len(piece)
            text = base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()
            records.append(f"{path},sha256={text},{size}\n")
        records.append(f"{stem}.dist-info/RECORD,,\n")
        archive.writestr(zipfile.ZipInfo(f"{stem}.dist-info/RECORD"), "".join(records))


@frozen
class GreatWheel:
    """
    A wheel of any size in the memory of a small one.

    Attributes:
        pieces: its bytes in order.
        size_bytes, sha256: of all of them.
    """

    name: str
    version: str
    pieces: Sequence[bytes | memoryview] = field(repr=False)
    size_bytes: int
    sha256: str

    @property
    def file_name(self) -> str:
        """Return the file's name."""
        return wheel_name(self.name, self.version)


def make_great_wheel(name: str, version: str, payload_bytes: int, buffer: bytes = BUFFER) -> GreatWheel:
    """Make a wheel whose one module is that many bytes of a repeated buffer."""
    segments = _Segments()
    _write_wheel(segments, name, version, repeated(payload_bytes, buffer), is_great=payload_bytes >= 1 << 31)
    pieces = segments.pieces()
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return GreatWheel(name, version, pieces, sum(map(len, pieces)), digest.hexdigest())


@frozen
class Form:
    """A multipart body: its headers, and its pieces."""

    headers: Mapping[str, str]
    pieces: Sequence[bytes | memoryview] = field(repr=False)

    def __iter__(self) -> Iterator[bytes | memoryview]:
        return iter(self.pieces)


def upload_form(name: str, version: str, file_name: str, sha256: str, pieces: Sequence[bytes | memoryview]) -> Form:
    """Make the form in which twine uploads a file."""
    is_wheel = file_name.endswith(".whl")
    fields = {
        ":action": "file_upload",
        "protocol_version": "1",
        "metadata_version": "2.1",
        "name": name,
        "version": version,
        "filetype": "bdist_wheel" if is_wheel else "sdist",
        "pyversion": "py3" if is_wheel else "source",
        "sha256_digest": sha256,
    }
    head = "".join(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
        for key, value in fields.items()
    )
    head += (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="content"; filename="{file_name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    body = [head.encode(), *pieces, f"\r\n--{BOUNDARY}--\r\n".encode()]
    headers = {
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
        "Content-Length": str(sum(map(len, body))),
    }
    return Form(headers, body)


def small_form(name: str, version: str, wheel: bytes) -> Form:
    """Make the form of a wheel in hand."""
    return upload_form(name, version, wheel_name(name, version), hashlib.sha256(wheel).hexdigest(), [wheel])
