"""
Domain facts that end a request.

No status codes here: `pkgregd.http.refusals` holds the one table that turns a
type into a status. `str(error)` is a sentence fit for the person at the client, in
front of a log more often than not: what is wrong, a colon, what to do. It never
holds a secret.
"""

from __future__ import annotations

import math


class PkgregdError(Exception):
    """Anything pkgregd itself raises on purpose."""


# --- the request cannot be understood -------------------------------------------------


class InvalidRequest(PkgregdError):
    """Something in the request is malformed; the text says what."""


class InvalidDigest(InvalidRequest):
    """Not a digest we know."""

    def __init__(self, algorithm: str, hex_digits: str) -> None:
        shown = f"{algorithm[:32]}:{hex_digits[:128]}"
        super().__init__(f"not a digest: {shown!a}")


class InvalidName(InvalidRequest):
    """A package name outside the format's grammar."""


class NameSpelledOtherwise(InvalidName):
    """
    The name is there under another spelling, and clients would take both for one.

    Args:
        name: the spelling that is refused.
        taken: the one that is there.
    """

    def __init__(self, name: str, taken: str) -> None:
        super().__init__(
            f"the name {name!a} is another spelling of {taken!a}, which is taken: use that, or another name"
        )


class InvalidVersion(InvalidRequest):
    """A version outside the format's grammar."""


class InvalidFileName(InvalidRequest):
    """A file name outside the format's grammar."""


class MalformedBody(InvalidRequest):
    """A body that is not what its content type promises."""


class InvalidArchive(InvalidRequest):
    """A package archive that cannot be read, or breaks a rule for archives."""


class MetadataMismatch(InvalidRequest):
    """
    URL, form and archive disagree.

    Args:
        field: what they disagree about, e.g. `version`.
        promised: (where, value), e.g. ("form", "1.0").
        found: (where, value), e.g. ("archive", "2.0").
    """

    def __init__(self, field: str, promised: tuple[str, str], found: tuple[str, str]) -> None:
        super().__init__(
            f"{field} differs: {promised[0]} says {promised[1][:255]!r}, {found[0]} says {found[1][:255]!r}"
        )


class DigestMismatch(PkgregdError):
    """
    The bytes that arrived are not those that were promised.

    Args:
        found_hex: of what arrived; None if that is not for the caller to know.
        consequence: what became of it, or what to do.
    """

    def __init__(
        self, algorithm: str, promised_hex: str, found_hex: str | None, consequence: str = "send it again"
    ) -> None:
        found = "something else" if found_hex is None else found_hex
        super().__init__(f"{algorithm} differs: {promised_hex} was promised, {found} arrived; {consequence}")


# --- the caller may not -----------------------------------------------------------------


class AuthenticationRequired(PkgregdError):
    """Anonymous, and that is not enough here."""

    def __init__(self, message: str = "authentication is required: send a token, as /help/access tells") -> None:
        super().__init__(message)


class InvalidCredentials(AuthenticationRequired):
    """A credential was shown, and it is not good (unknown, expired, revoked, malformed)."""

    def __init__(
        self, message: str = "the credentials are not valid: send a token that is whole, not expired and not revoked"
    ) -> None:
        super().__init__(message)


class InvalidIdToken(PkgregdError):
    """The ID token of a CI system cannot be exchanged; the text says what is wrong with it, and repeats none of it."""


class SpentIdTokenShown(InvalidIdToken):
    """It was exchanged already."""

    def __init__(self) -> None:
        super().__init__("the ID token was exchanged already: each is good once, so let the CI make another")


class WrongPassword(PkgregdError):
    """What was shown in the body, to be exchanged for a token, is not good: no header would help."""

    def __init__(
        self, message: str = "the password is not a good personal access token: give one that has the scope api"
    ) -> None:
        super().__init__(message)


class PermissionDenied(PkgregdError):
    """
    In sight, without the right.

    Args:
        missing: which right is missing.
        remedy: what the caller can do about it.
    """

    def __init__(self, missing: str, remedy: str = "ask somebody who administers this") -> None:
        super().__init__(f"the permission {missing} is missing: {remedy}")


class PackageProtected(PkgregdError):
    """
    A protection rule of the project keeps the packages of that name for others.

    Args:
        act: `push` or `delete`.
        who: may do it.
        pattern: of the rule.
    """

    def __init__(self, act: str, who: str, pattern: str) -> None:
        # GitLab's words first, which scripts look for
        words, verb = ("Package protected", "publish") if act == "push" else ("Package is deletion protected", "delete")
        super().__init__(f"{words}. In this project only {who} may {verb} {pattern}")


class RateLimited(PkgregdError):
    """
    Too many requests.

    Args:
        what: there is too much of, and perhaps what to do besides waiting.

    Attributes:
        retry_after_seconds: when the next one will be admitted.
    """

    def __init__(self, retry_after_seconds: float, what: str = "too many requests") -> None:
        super().__init__(f"{what}: {try_again(retry_after_seconds)}")
        self.retry_after_seconds = retry_after_seconds


# --- it is not there, or it is already there ---------------------------------------------


class NotFound(PkgregdError):
    """Not there, or not for this principal's eyes."""


class ProjectNotFound(NotFound):
    """No such project, or none this principal may see."""

    def __init__(self) -> None:
        super().__init__("project not found: look at its number or path, and whether the token may see it")


class GroupNotFound(NotFound):
    """No such group, or none this principal may see."""

    def __init__(self) -> None:
        super().__init__("group not found: look at its number or path, and whether the token may see it")


class PackageNotFound(NotFound):
    """No package of that name and version."""

    def __init__(self) -> None:
        super().__init__("package not found: look at its name and version, and whose packages the address names")


class FileNotFound(NotFound):
    """No file of that name in the package."""

    def __init__(self) -> None:
        super().__init__("file not found: look at its name and version, and whose packages the address names")


class SwitchedOff(NotFound):
    """
    A format, or all of them, is switched off in the project.

    Args:
        what: what is, as people call it.
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is switched off in this project; its maintainers can switch it on in its settings")


class AlreadyExists(PkgregdError):
    """A user, group, project or member of that name is there."""


class RuleRejected(PkgregdError):
    """A protection rule that a project cannot have; the text says why."""


class LastOwner(PkgregdError):
    """A group at the top would be left without an owner."""

    def __init__(self) -> None:
        super().__init__("this is the last owner of the group: make somebody else an owner first")


class LastAdministrator(PkgregdError):
    """There would be no administrator left."""

    def __init__(self) -> None:
        super().__init__("this is the last administrator: make somebody else one first")


class FileExists(AlreadyExists):
    """
    The file is there with other bytes, and the format or policy forbids replacing it.

    Attributes:
        file_name: which file.
    """

    def __init__(self, file_name: str) -> None:
        super().__init__(f"the file {file_name} has already been taken by other bytes: publish a new version")
        self.file_name = file_name


class FileWasDeleted(FileExists):
    """The file name was used and deleted, and never comes back with other bytes."""

    def __init__(self, file_name: str) -> None:
        super().__init__(file_name)
        self.args = (
            f"the file name {file_name} has already been taken by a deleted file and cannot be used again:"
            " publish a new version",
        )


class FileSpelledOtherwise(FileExists):
    """
    The file is there under another spelling of its name, and clients would take both for one.

    Args:
        taken: the spelling that is there.
    """

    def __init__(self, file_name: str, taken: str) -> None:
        super().__init__(file_name)
        self.args = (
            f"the file name {file_name} is another spelling of {taken}, which has already been taken: use another name",
        )


class PreconditionFailed(PkgregdError):
    """`If-Match`, `If-None-Match` or `If-Unmodified-Since` does not hold."""


# --- the body ------------------------------------------------------------------------------


class BodyTooLarge(PkgregdError):
    """
    More bytes than allowed.

    Args:
        limit_bytes: what is allowed.
        is_file: whether it is a file, whose limit is set; else a request that is no upload.
        remedy: what can be done, if not the usual.
    """

    def __init__(self, limit_bytes: int, *, is_file: bool = True, remedy: str = "") -> None:
        what, usual = ("file", "ask the operator to raise max_file_bytes") if is_file else ("request", "ask for less")
        super().__init__(f"the {what} is too large: the limit is {_size(limit_bytes)}; {remedy or usual}")
        self.limit_bytes = limit_bytes


class FileTooLarge(BodyTooLarge):
    """
    The file is above the limit of its format.

    Args:
        setting: what is to be raised.
    """

    def __init__(self, limit_bytes: int, setting: str) -> None:
        super().__init__(limit_bytes, remedy=f"ask an administrator to raise {setting} of the project")


class OversizeRefused(InvalidRequest):
    """The same, in GitLab's words, for scripts that look for them."""

    def __init__(self) -> None:
        super().__init__("File is too large")


class QuotaExceeded(PkgregdError):
    """
    The project has no room for the file; it is no use to try again before somebody has made some.

    Args:
        quota_bytes: of the project.
        room_bytes: what of it is neither used nor reserved for uploads that are on their way.
        needed_bytes: what the upload needs at least, as far as it is known.
    """

    def __init__(self, quota_bytes: int, room_bytes: int, needed_bytes: int) -> None:
        super().__init__(
            f"the project's quota of {quota_bytes} bytes has room for {room_bytes} more, and this needs {needed_bytes};"
            " delete packages, or have an administrator raise quota_bytes of the project"
        )


class BodyTooSlow(PkgregdError):
    """The body arrived below the minimum rate."""

    def __init__(self) -> None:
        super().__init__("the request body arrives too slowly: send it over a faster line")


class ClientGone(PkgregdError):
    """The client left before its body was complete: there is nobody to answer."""

    def __init__(self) -> None:
        super().__init__("the client closed the connection")


# --- we cannot, at the moment ------------------------------------------------------------------


class Unavailable(PkgregdError):
    """
    A dependency does not answer in time; trying again later may help.

    Attributes:
        retry_after_seconds: what to tell the client.
    """

    def __init__(self, message: str, retry_after_seconds: float = 2.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class OutcomeUnknown(Unavailable):
    """
    The database went away before it said whether it did what it was told: it has, or has not, or will in a moment.

    What the change would refer to has to stay where it is.
    """


class StorageFull(PkgregdError):
    """No space (or quota, or inodes) left for new blobs or rows."""

    def __init__(self) -> None:
        super().__init__("the server has no space left for this upload: ask the operator to make room")


class BlobMissing(PkgregdError):
    """The catalog knows the blob, the store does not: damage, not a client's mistake."""


class BlobDamaged(PkgregdError):
    """What is stored of a file is known not to be its bytes, so none of it is served."""

    def __init__(self, file_name: str) -> None:
        super().__init__(
            f"the bytes of {file_name} are damaged here: publish the same file again, which mends it, "
            "or ask the operator to run `pkgregd fsck`"
        )


# --- start-up and the operator's commands ------------------------------------------------------


class ConfigError(PkgregdError):
    """The configuration is wrong; the text names file, key and what would be right."""


class SchemaError(PkgregdError):
    """The catalog's schema is not the one this code works with; the text says what to do."""


# --- words --------------------------------------------------------------------------------------


def whole_seconds(seconds: float) -> int:
    """Round a time to wait up to what `Retry-After` can say."""
    return max(1, math.ceil(seconds))


def try_again(seconds: float) -> str:
    """Say what to do for who has to wait."""
    whole = whole_seconds(seconds)
    return "try again in 1 second" if whole == 1 else f"try again in {whole} seconds"


def _size(size_bytes: int) -> str:
    """Write a size exactly, and in a greater unit if it is a whole number of that."""
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size_bytes and size_bytes % factor == 0:
            return f"{size_bytes} bytes ({size_bytes // factor} {unit})"
    return f"{size_bytes} bytes"
