"""SeaweedFS, as a real S3 service: one for a run, with a bucket of its own for everybody who asks."""

from __future__ import annotations

import atexit
import functools
import itertools
import os
import pathlib
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request

from pkgregd.blobs.s3_signing import EMPTY_SHA256, S3Keys, S3Place, Signer
from tests.support.daemon import clean_environment, free_ports, script, wait_until

START_SECONDS = 60.0
STOP_SECONDS = 60.0
KEYS = S3Keys("AKIATESTKEY00000001", "of-the-tests-and-nobody-else")
REGION = "us-east-1"

_numbers = itertools.count(1)


class SeaweedFS:
    """One server, running."""

    def __init__(self) -> None:
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="seaweedfs-", dir=os.getcwd()))
        self._start()

    def _start(self) -> None:
        master, filer, volume, self.port = free_ports(4)
        self.url = f"http://127.0.0.1:{self.port}"
        ports = {"master.port": master, "filer.port": filer, "volume.port": volume, "s3.port": self.port}
        others = {"ip": "127.0.0.1", "ip.bind": "127.0.0.1", "webdav": "false", "admin.ui": "false"}
        unused = {"s3.port.iceberg": "0", "s3.port.lance": "0"}
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        flags = [f"-{name}={value}" for name, value in {"dir": data, **ports, **others, **unused}.items()]
        keys = {"AWS_ACCESS_KEY_ID": KEYS.access_key_id, "AWS_SECRET_ACCESS_KEY": KEYS.secret_access_key}
        with (self.folder / "weed.log").open("ab") as log:
            self._process = subprocess.Popen(
                [script("weed"), "mini", *flags],
                cwd=self.folder,
                env=clean_environment(self.folder, keys),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            wait_until(lambda: self._makes("ready"), "SeaweedFS", START_SECONDS)
        except TimeoutError:
            self.close()
            raise

    def _makes(self, bucket: str) -> bool:
        place = S3Place(self.url, bucket, "", REGION)
        signed = Signer(place, KEYS).sign("PUT", place.url(None), {}, EMPTY_SHA256)
        request = urllib.request.Request(place.url(None), method="PUT", headers=signed)  # noqa: S310 - our own server
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except urllib.error.HTTPError as error:
            return error.code == 409  # it is there already
        except OSError:
            return False

    def new_place(self, prefix: str = "some/prefix/") -> S3Place:
        """Make a bucket."""
        bucket = f"bucket-{os.getpid()}-{next(_numbers)}"
        wait_until(lambda: self._makes(bucket), "a bucket")
        return S3Place(self.url, bucket, prefix, REGION)

    def close(self) -> None:
        """Stop it and remove its folder."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


@functools.cache
def shared_seaweedfs() -> SeaweedFS:
    """Return the one of this run; it ends with the run."""
    server = SeaweedFS()
    atexit.register(server.close)
    return server


@functools.cache
def _daemons_place() -> S3Place:
    """Make the bucket of all daemons: the server has volumes for some hundred buckets, and no more."""
    return shared_seaweedfs().new_place("")


def s3_blobs() -> str:
    """Return the keys of a `[blobs]` section for a prefix of its own."""
    place = _daemons_place()
    return (
        f'url = "s3://{place.bucket}/daemon-{next(_numbers)}"\n'
        f'endpoint_url = "{place.endpoint_url}"\nregion = "{place.region}"\n'
        f'access_key_id = "{KEYS.access_key_id}"\nsecret_access_key = "{KEYS.secret_access_key}"'
    )
