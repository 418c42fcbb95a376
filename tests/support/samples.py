"""The sample configurations of etc/, as they are and with the places of a test."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping

from tests.support.tls import Certificates

FOLDER = pathlib.Path(__file__).parents[2] / "etc"


def sample(name: str, changes: Mapping[str, str]) -> str:
    """
    Return a sample with words replaced.

    Raises:
        AssertionError: it has one of them no longer.
    """
    text = (FOLDER / name).read_text()
    for before, after in changes.items():
        if before not in text:
            raise AssertionError(f"etc/{name} has no {before!r}")
        text = text.replace(before, after)
    return text


def lay_certificates(folder: pathlib.Path, certificates: Certificates) -> None:
    """Put certificate and key where the samples look for them, below the folder of the configuration."""
    chain, key = certificates.chain.read_bytes(), certificates.key.read_bytes()
    (folder / "packages.pem").write_bytes(chain + key)
    (folder / "pkgregd").mkdir()
    (folder / "pkgregd" / "chain.pem").write_bytes(chain)
    (folder / "pkgregd" / "key.pem").write_bytes(key)
