"""
The text of a token: how it is made, and how a mistyped one is told from a real one.

    pkgr_dpl_4fT0aZ9bQx1K_<43 letters of secret><6 letters of checksum>
    |    |   |
    |    |   public id: may be logged, listed, and revoked by
    |    kind: for people and for secret scanners; the catalog decides what a token is
    prefix

Everything is `[A-Za-z0-9_]`, so a token goes unquoted into a URL, a shell, a
.netrc file and an HTTP header. All tokens are equally long. The checksum is the
CRC-32 of all that stands before it: a typing mistake, or a token that was cut
when it was copied, is refused without asking the database.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
import zlib
from collections.abc import Mapping

from pkgregd.errors import InvalidCredentials
from pkgregd.values import MintedToken, TokenKind

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
KIND_WORDS: Mapping[TokenKind, str] = {
    TokenKind.PERSONAL: "usr",
    TokenKind.PROJECT: "prj",
    TokenKind.GROUP: "grp",
    TokenKind.DEPLOY: "dpl",
    TokenKind.JOB: "job",
}
PUBLIC_ID_LETTERS = 12
SECRET_LETTERS = 43  # 256 bits: past guessing, so a plain SHA-256 is enough to store it by
CHECKSUM_LETTERS = 6  # the least that hold 32 bits
TOKEN_LETTERS = len("pkgr_usr_") + PUBLIC_ID_LETTERS + len("_") + SECRET_LETTERS + CHECKSUM_LETTERS

_TOKEN = re.compile(
    rf"pkgr_(?:{'|'.join(KIND_WORDS.values())})"
    rf"_([0-9A-Za-z]{{{PUBLIC_ID_LETTERS}}})"
    rf"_[0-9A-Za-z]{{{SECRET_LETTERS + CHECKSUM_LETTERS}}}",
    re.ASCII,
)
_PUBLIC_ID = re.compile(rf"[0-9A-Za-z]{{{PUBLIC_ID_LETTERS}}}", re.ASCII)


def mint(kind: TokenKind) -> MintedToken:
    """Make a token from the system's randomness."""
    public_id = _random_letters(PUBLIC_ID_LETTERS)
    body = f"pkgr_{KIND_WORDS[kind]}_{public_id}_{_random_letters(SECRET_LETTERS)}"
    secret = body + checksum(body)
    return MintedToken(secret, public_id, secret_sha256(secret))


def parse(text: str) -> str:
    """
    Check the shape and the checksum of a token.

    Args:
        text: what a client showed, of any length and content.

    Returns:
        The public id to look the token up by. Only the stored digest can tell whether the token is good.

    Raises:
        InvalidCredentials: this was never a token of ours.
    """
    if len(text) != TOKEN_LETTERS:
        raise InvalidCredentials()
    match = _TOKEN.fullmatch(text)
    if match is None or checksum(text[:-CHECKSUM_LETTERS]) != text[-CHECKSUM_LETTERS:]:
        raise InvalidCredentials()
    return match[1]


def is_public_id(text: str) -> bool:
    """Whether a text has the shape of a public id."""
    return _PUBLIC_ID.fullmatch(text) is not None


def secret_sha256(text: str) -> str:
    """Return the hex digest that a whole token, one that parse() took, is stored by."""
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def checksum(body: str) -> str:
    """Return the CRC-32 of an ASCII text as six letters of base 62, the most significant first."""
    rest = zlib.crc32(body.encode("ascii"))
    letters = ""
    for _ in range(CHECKSUM_LETTERS):
        rest, digit = divmod(rest, len(BASE62))
        letters = BASE62[digit] + letters
    return letters


def _random_letters(count: int) -> str:
    return "".join(secrets.choice(BASE62) for _ in range(count))
