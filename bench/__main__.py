"""
Measures pkgregd next to nginx and prints the tables; bench/results.json holds every number.

    python -m bench

BENCH_MIB (1024) is the size of a great body, BENCH_REPETITIONS (5) how often each is
measured, BENCH_REQUESTS (5000) how many small requests make one measurement.
"""

from __future__ import annotations

import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import attrs

from bench.meter import Meter, Sample, spread, warm_pages
from bench.servers import Nginx
from tests.support.daemon import Daemon
from tests.support.packages import make_great_wheel, upload_form
from tests.support.rawhttp import RawConnection, repeated

MIB = 1 << 20
BODY_BYTES = int(os.environ.get("BENCH_MIB", "1024")) * MIB
REPETITIONS = int(os.environ.get("BENCH_REPETITIONS", "5"))
REQUESTS = int(os.environ.get("BENCH_REQUESTS", "5000"))
SMALL_BYTES = 10 << 10
RESULTS = pathlib.Path(__file__).parent / "results.json"

PUT, FORM, GET, SMALL = "pkgregd PUT", "pkgregd form", "pkgregd GET", "pkgregd small GET"
NGINX_PUT, NGINX_GET, NGINX_SMALL = "nginx PUT", "nginx GET", "nginx small GET"
OPENSSL, COREUTILS = "sha256 (OpenSSL)", "sha256sum"

HASHERS: Mapping[str, Sequence[str]] = {
    # as fast as the processor can: Debian's sha256sum does without its SHA instructions
    OPENSSL: (sys.executable, "-c", "import hashlib, sys; hashlib.file_digest(open(sys.argv[1], 'rb'), 'sha256')"),
    COREUTILS: ("sha256sum",),
}

GIBIBYTE = 1024 * MIB / BODY_BYTES
THOUSAND = 1000 / REQUESTS
COLUMNS: Mapping[str, tuple[str, float]] = {
    PUT: ("1 GiB", GIBIBYTE),
    FORM: ("1 GiB", GIBIBYTE),
    NGINX_PUT: ("1 GiB", GIBIBYTE),
    OPENSSL: ("1 GiB", GIBIBYTE),
    COREUTILS: ("1 GiB", GIBIBYTE),
    GET: ("1 GiB", GIBIBYTE),
    NGINX_GET: ("1 GiB", GIBIBYTE),
    SMALL: ("1000 requests", THOUSAND),
    NGINX_SMALL: ("1000 requests", THOUSAND),
}
"""What is measured, the unit it is told in, and the factor from a measurement to that."""

Samples = dict[str, list[Sample]]


def send(
    port: int, method: str, path: str, headers: Mapping[str, str], pieces: Iterable[bytes | memoryview] = ()
) -> None:
    """Send one request on a connection of its own; anything but a good answer ends the benchmark."""
    with RawConnection(port, timeout_seconds=600) as connection:
        answer = connection.request(method, path, headers, pieces, keep=False)
    if answer.status not in (200, 201, 204):
        raise SystemExit(f"{method} {path}: {answer.status}")


def send_many(port: int, path: str, headers: Mapping[str, str]) -> None:
    """Send REQUESTS small requests, one after the other on one connection."""
    with RawConnection(port) as connection:
        for _ in range(REQUESTS):
            if connection.request("GET", path, headers).status != 200:
                raise SystemExit(f"{path} is not served")


def body(mark: str) -> Iterator[bytes | memoryview]:
    """Make BODY_BYTES that are unlike those of another mark."""
    head = mark.encode()
    yield head
    yield from repeated(BODY_BYTES - len(head))


class Bench:
    """The measurements, each of which adds one sample."""

    def __init__(self, daemon: Daemon, nginx: Nginx | None) -> None:
        self.samples: Samples = {}
        self._daemon = daemon
        self._nginx = nginx
        self._token = {"PRIVATE-TOKEN": daemon.world.writer}
        self._generic = daemon.packages_path("generic", daemon.world.private_id)
        self._pypi = daemon.packages_path("pypi", daemon.world.private_id)

    def prepare(self) -> None:
        """Upload what small requests fetch, and let everything be imported and opened."""
        small = os.urandom(SMALL_BYTES)
        length = {"Content-Length": str(SMALL_BYTES)}
        send(self._daemon.port, "PUT", f"{self._generic}/bench/1.0/small.bin", {**self._token, **length}, [small])
        if self._nginx:
            send(self._nginx.port, "PUT", "/small.bin", length, [small])

    def repeat(self, number: int) -> None:
        """Measure everything once; servers take turns, so that a change of the machine meets all of them."""
        self._great_file(number)
        self._great_form(number)
        if self._nginx:
            self._nginx_file(number, self._nginx)
        path = f"{self._generic}/bench/1.0/small.bin"
        self._measure(SMALL, self._pid, 0, lambda: send_many(self._daemon.port, path, self._token))
        if self._nginx:
            port = self._nginx.port
            self._measure(NGINX_SMALL, self._nginx.pid, 0, lambda: send_many(port, "/small.bin", {}))

    @property
    def _pid(self) -> int:
        return self._daemon.process.pid

    def _measure(self, what: str, pid: int, warm_bytes: int, action: Callable[[], object]) -> None:
        if warm_bytes:
            warm_pages(warm_bytes * 23 // 10 + 256 * MIB, self._daemon.folder)
        sample = Meter(pid).measure(action)
        self.samples.setdefault(what, []).append(sample)
        print(f"  {what}: {sample.cpu_seconds:.2f} CPU-s, {sample.wall_seconds:.2f} s", file=sys.stderr)

    def _great_file(self, number: int) -> None:
        path = f"{self._generic}/bench/1.0/great-{number}.bin"
        headers = {**self._token, "Content-Length": str(BODY_BYTES)}
        pieces = list(body(path))
        self._measure(PUT, self._pid, BODY_BYTES, lambda: send(self._daemon.port, "PUT", path, headers, pieces))
        self._measure(GET, self._pid, 0, lambda: send(self._daemon.port, "GET", path, self._token))
        self._drop_great_blobs()

    def _great_form(self, number: int) -> None:
        wheel = make_great_wheel("bench", f"1.{number}", BODY_BYTES)
        form = upload_form(wheel.name, wheel.version, wheel.file_name, wheel.sha256, wheel.pieces)
        headers = {**self._token, **form.headers}
        self._measure(FORM, self._pid, BODY_BYTES, lambda: send(self._daemon.port, "POST", self._pypi, headers, form))
        self._drop_great_blobs()

    def _nginx_file(self, number: int, nginx: Nginx) -> None:
        path = f"/great-{number}.bin"
        headers = {"Content-Length": str(BODY_BYTES)}
        pieces = list(body(path))
        self._measure(NGINX_PUT, nginx.pid, BODY_BYTES, lambda: send(nginx.port, "PUT", path, headers, pieces))
        self._measure(NGINX_GET, nginx.pid, 0, lambda: send(nginx.port, "GET", path, {}))
        file = nginx.folder / "files" / path[1:]
        for what, command in HASHERS.items():
            self._hash(what, command, file)
        file.unlink()

    def _hash(self, what: str, command: Sequence[str], file: pathlib.Path) -> None:
        """Measure a program that hashes a file which is in memory."""
        before, started_at = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run([*command, file], stdout=subprocess.DEVNULL, check=True)
        after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - started_at
        sample = Sample(after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime, wall)
        self.samples.setdefault(what, []).append(sample)

    def _drop_great_blobs(self) -> None:
        """Make room on the disk behind the daemon's back."""
        for file in (self._daemon.folder / "blobs" / "sha256").glob("*/*/*"):
            if file.stat().st_size > SMALL_BYTES:
                file.unlink()


def table(samples: Samples) -> str:
    """Write the measurements as a Markdown table."""
    lines = ["| what | unit | CPU-s, median | min to max | wall s, median | peak MiB |", "|---|---|---|---|---|---|"]
    for what, (unit, factor) in COLUMNS.items():
        if what not in samples:
            continue
        cpu = spread([sample.cpu_seconds * factor for sample in samples[what]])
        wall = spread([sample.wall_seconds * factor for sample in samples[what]])[0]
        peak = max(sample.peak_bytes for sample in samples[what]) / MIB
        shown = f"{peak:.0f}" if peak else "-"
        lines.append(f"| {what} | {unit} | {cpu[0]:.2f} | {cpu[1]:.2f} to {cpu[2]:.2f} | {wall:.2f} | {shown} |")
    return "\n".join(lines)


def ratios(samples: Samples) -> str:
    """Write how pkgregd compares with what the same work costs nginx and a hasher in the same repetition."""
    lines = ["| ratio of CPU-s | median | min to max |", "|---|---|---|"]
    for above, below in (
        (PUT, (NGINX_PUT, OPENSSL)),
        (PUT, (NGINX_PUT, COREUTILS)),
        (FORM, (NGINX_PUT, OPENSSL)),
        (FORM, (NGINX_PUT, COREUTILS)),
        (GET, (NGINX_GET,)),
        (SMALL, (NGINX_SMALL,)),
    ):
        if not all(samples.get(name) for name in (above, *below)):
            continue
        values = [
            sample.cpu_seconds / max(sum(samples[name][number].cpu_seconds for name in below), 0.01)
            for number, sample in enumerate(samples[above])
        ]
        median, least, greatest = spread(values)
        lines.append(f"| {above} / ({' + '.join(below)}) | {median:.2f} | {least:.2f} to {greatest:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Run it all."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=os.environ.get("BENCH_FOLDER")) as folder:
        os.chdir(folder)  # where daemons make their folders
        limit = f"max_file_bytes = {BODY_BYTES * 2}"
        daemon = Daemon(f"[formats.generic]\n{limit}\n[formats.pypi]\n{limit}\n")
        nginx = Nginx(pathlib.Path(folder) / "nginx") if Nginx.program() else None
        try:
            daemon.start()
            if nginx:
                nginx.start()
            bench = Bench(daemon, nginx)
            bench.prepare()
            for number in range(REPETITIONS):
                print(f"repetition {number + 1} of {REPETITIONS}", file=sys.stderr)
                bench.repeat(number)
        finally:
            if nginx:
                nginx.stop()
            daemon.close()
            os.chdir(RESULTS.parent)
    RESULTS.write_text(
        json.dumps(
            {what: [attrs.asdict(sample) for sample in found] for what, found in bench.samples.items()}, indent=2
        )
    )
    print(table(bench.samples))
    print()
    if nginx:
        print(ratios(bench.samples))
    else:
        print("nginx is not installed (package nginx-light): there is nothing to compare with")


if __name__ == "__main__":
    main()
