"""nuget.exe, which runs on Mono."""

from __future__ import annotations

import http.client
import pathlib

from tests.support.archives import make_zip
from tests.support.clients import programs
from tests.support.daemon import Daemon


def nuget_exe() -> pathlib.Path:
    """Return its path; `make` has installed it."""
    return programs("nuget").parent / "node_modules" / "nuget-exe" / "nuget-5.8.0.exe"


def write_nuget(folder: pathlib.Path) -> None:
    """Write a program `nuget`, as people have it, into a folder."""
    program = folder / "nuget"
    program.write_text(f'#!/bin/sh\nexec mono {nuget_exe()} "$@"\n')
    program.chmod(0o755)


def push_package(
    daemon: Daemon, project: str, token: str, name: str, version: str, more: str = "", payload: bytes = b"42"
) -> int:
    """Push a package of one file without a client, which is faster; returns the status."""
    nuspec = (
        f'<?xml version="1.0"?><package><metadata><id>{name}</id><version>{version}</version><authors>Ann</authors>'
        f"<description>Does things</description>{more}</metadata></package>"
    )
    data = make_zip([(f"{name}.nuspec", nuspec.encode()), ("content/answer.txt", payload)])
    head = b'--b\r\nContent-Disposition: form-data; name="package"; filename="package.nupkg"\r\n\r\n'
    headers = {"PRIVATE-TOKEN": token, "Content-Type": "multipart/form-data; boundary=b"}
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=30)
    try:
        connection.request("PUT", daemon.packages_path("nuget", project), head + data + b"\r\n--b--\r\n", headers)
        return connection.getresponse().status
    finally:
        connection.close()
