"""
The configuration: TOML text to one frozen Config, or a ConfigError that says what to write instead.

Every key is a field below, with its default and its check beside it. Nothing is
guessed: an unknown key is an error, and so is a number written as text.
Relative paths are relative to the folder of the file.
"""

from __future__ import annotations

import difflib
import pathlib
import re
import tomllib
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import TypeVar

from attrs import evolve, field, fields, frozen

from pkgregd.errors import ConfigError
from pkgregd.values import FormatLimits, Rate, RateLimitRule

T = TypeVar("T")

MIB = 1024 * 1024
MAX_BYTES = 2**63 - 1
MAX_SECONDS = 7 * 86_400.0
MAX_SECRET_FILE_BYTES = 4096
MAX_KEPT_BUILDS = 100

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_FORMAT_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}", re.ASCII)
_ENDPOINT = re.compile(r"[a-z][a-z0-9]*:.+", re.ASCII)
_ENDPOINT_PATHS = frozenset({"address", "certKey", "dhParameters", "extraCertChain", "privateKey"})
_RATE = re.compile(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,5})?([smh])", re.ASCII)
_RATE_UNITS = {"s": 1, "m": 60, "h": 3600}
_RATE_PREFIX = re.compile(r"/[A-Za-z0-9/:._~-]{0,255}", re.ASCII)
_URL = re.compile(
    r"https?://(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])"
    r"(?::([1-9][0-9]{0,4}))?(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/?",
    re.ASCII,
)


@frozen
class Place:
    """
    Where in which file a value stands.

    Attributes:
        file: name of the file, for people.
        folder: what relative paths start from.
        key: dotted, empty for the whole file.
    """

    file: str
    folder: pathlib.Path
    key: str = ""

    def child(self, name: str) -> Place:
        """Return the place of a key of this table."""
        shown = name if _BARE_KEY.fullmatch(name) else repr(name[:64])
        return evolve(self, key=f"{self.key}.{shown}" if self.key else shown)

    def item(self, number: int) -> Place:
        """Return the place of an element of this array, counted from 1."""
        return evolve(self, key=f"{self.key}[{number}]")

    def wrong(self, text: str) -> ConfigError:
        """Make the error for what stands here."""
        return ConfigError(f"{self.file}: {self.key}: {text}" if self.key else f"{self.file}: {text}")

    def must_be(self, expected: str, value: object) -> ConfigError:
        """Make the error for a value of the wrong type or range. Texts are not repeated: they may be secrets."""
        return self.wrong(f"must be {expected}, not {_describe(value)}")

    def unknown(self, what: str, name: str, known: Collection[str]) -> ConfigError:
        """Make the error for a name in this table that nobody knows."""
        nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
        hint = f"; did you mean {self.child(nearest[0]).key}?" if nearest else ""
        return self.child(name).wrong(f"unknown {what}{hint}")


Check = Callable[[object, Place], T]


def _describe(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value) if isinstance(value, float) or abs(value) <= MAX_BYTES else "such a number"
    if isinstance(value, str):
        return "this text"
    if isinstance(value, list):
        return "an array"
    return "a table" if isinstance(value, dict) else "a date or time"


def _key(default: T, check: Check[T], *, repr: bool = True) -> T:
    made: T = field(default=default, metadata={"check": check}, repr=repr)
    return made


def _flag(value: object, place: Place) -> bool:
    if not isinstance(value, bool):
        raise place.must_be("true or false", value)
    return value


def _text(value: object, place: Place) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise place.must_be("a printable text in quotes", value)
    return value


def _texts(value: object, place: Place) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise place.must_be("an array of texts", value)
    return tuple(_text(item, place.item(number)) for number, item in enumerate(value, 1))


def _integer(least: int, greatest: int) -> Check[int]:
    def check(value: object, place: Place) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= greatest:
            raise place.must_be(f"a whole number from {least} to {greatest}", value)
        return value

    return check


def _number(least: float, greatest: float) -> Check[float]:
    def check(value: object, place: Place) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= greatest:
            raise place.must_be(f"a number from {least:g} to {greatest:g}", value)
        return float(value)

    return check


_seconds = _number(0.01, MAX_SECONDS)


def _optional(check: Check[T]) -> Check[T | None]:
    # None is only ever the default: TOML has no null.
    return check


def _url(value: object, place: Place) -> str:
    text = _text(value, place)
    match = _URL.fullmatch(text)
    if match is None or int(match[1] or 1) > 65_535:
        raise place.must_be(
            "http://HOST[:PORT][/PATH] or the same with https, without user name, query or fragment", value
        )
    return text.rstrip("/")


def _workers(value: object, place: Place) -> int:
    if _integer(1, 1024)(value, place) != 1:
        raise place.wrong("must be 1: this version runs one process only")
    return 1


def _listen(value: object, place: Place) -> tuple[str, ...]:
    endpoints = _texts(value, place)
    if not endpoints:
        raise place.wrong('must name at least one endpoint, such as "tcp:8080:interface=127.0.0.1"')
    for number, endpoint in enumerate(endpoints, 1):
        if not _ENDPOINT.fullmatch(endpoint):
            raise place.item(number).must_be("a Twisted endpoint such as tcp:8080:interface=127.0.0.1", endpoint)
    return tuple(anchor_endpoint(endpoint, place.folder) for endpoint in endpoints)


def anchor_endpoint(description: str, folder: pathlib.Path) -> str:
    r"""
    Make the relative paths in a Twisted endpoint description absolute.

    Args:
        description: arguments divided by `:`; a `\` takes the letter after it literally.
        folder: what relative paths start from, itself absolute.
    """

    def anchored(escaped_path: str) -> str:
        path = re.sub(r"\\(.)", r"\1", escaped_path)
        return re.sub(r"([\\:=])", r"\\\1", str(folder / path))

    pieces = re.findall(r"(?:^|:)((?:[^:\\]|\\.|\\$)*)", description)
    socket_at = pieces.index("unix") + 1 if "unix" in pieces[:2] else 0
    for number, piece in enumerate(pieces):
        name, _, value = piece.partition("=")
        if name in _ENDPOINT_PATHS:
            pieces[number] = f"{name}={anchored(value)}"
        elif number and number == socket_at and "=" not in re.sub(r"\\.", "", piece):
            pieces[number] = anchored(piece)
    return ":".join(pieces)


def _catalog_url(value: object, place: Place) -> str:
    text = _text(value, place)
    scheme, _, name = text.partition(":")
    if scheme.startswith("postgres"):
        raise place.wrong("postgresql is not supported by this version; use sqlite:FILE")
    if scheme != "sqlite" or not name or name.startswith((":", "//")):
        raise place.must_be("sqlite:FILE", value)
    return text


def _blobs_url(value: object, place: Place) -> str:
    text = _text(value, place)
    scheme, _, name = text.partition(":")
    if scheme == "s3":
        raise place.wrong("s3 is not supported by this version; use file:FOLDER")
    if scheme != "file" or not name or (name.startswith("//") and not name.startswith("///")):
        raise place.must_be("file:FOLDER", value)
    return text


def _url_or_empty(value: object, place: Place) -> str:
    return "" if value == "" else _url(value, place)


def _rate(value: object, place: Place) -> Rate:
    match = _RATE.fullmatch(_text(value, place))
    if match is None:
        raise place.must_be('a rate such as "1000/15s", "100/m" or "5000/1h"', value)
    return Rate(int(match[1]), int(match[2] or 1) * _RATE_UNITS[match[3]])


def _rate_limits(value: object, place: Place) -> tuple[RateLimitRule, ...]:
    if not isinstance(value, list):
        raise place.must_be("an array of tables, each headed [[rate_limits]]", value)
    checks: dict[str, Check[object]] = {"prefix": _text, "authenticated": _rate, "anonymous": _rate}
    rules: dict[str, RateLimitRule] = {}
    for number, table in enumerate(value, 1):
        here = place.item(number)
        values = _checked(checks, table, here)
        prefix = values.get("prefix")
        if not isinstance(prefix, str) or not _RATE_PREFIX.fullmatch(prefix):
            raise here.child("prefix").wrong('must be given and be a URL path such as "/api/v4/packages/"')
        if prefix in rules:
            raise here.child("prefix").wrong("has a rule already")
        rules[prefix] = RateLimitRule(**values)  # type: ignore[arg-type]  # each was made by its check
    return tuple(rules.values())


def _checked(checks: Mapping[str, Check[object]], table: object, place: Place) -> dict[str, object]:
    """Check a table key by key."""
    if not isinstance(table, dict):
        raise place.must_be("a table", table)
    for name in table:
        if name not in checks:
            raise place.unknown("key", name, checks)
    return {name: checks[name](value, place.child(name)) for name, value in table.items()}


def _section(section: type[T], table: object, place: Place) -> T:
    """Make a section of its table; what is not there keeps its default."""
    return section(**_checked(known_keys(section), table, place))


def known_keys(section: type) -> dict[str, Check[object]]:
    """Return the check of every key of a section, by name."""
    return {key.name: key.metadata["check"] for key in fields(section) if "check" in key.metadata}


@frozen
class HttpConfig:
    """
    `[http]`.

    Attributes:
        listen: Twisted endpoint descriptions, paths in them absolute.
        external_url: how clients reach us, without a final slash.
        workers: number of processes.
        shutdown_grace_seconds: how long running requests may take to finish after SIGTERM.

    The others: see `pkgregd.http.settings.FrontSettings`.
    """

    listen: tuple[str, ...] = _key(("tcp:8080:interface=127.0.0.1",), _listen)
    external_url: str = _key("http://127.0.0.1:8080", _url)
    workers: int = _key(1, _workers)
    handshake_timeout_seconds: float = _key(10.0, _seconds)
    header_timeout_seconds: float = _key(15.0, _seconds)
    idle_timeout_seconds: float = _key(75.0, _seconds)
    body_min_bytes_per_second: int = _key(1024, _integer(1, 2**30))
    body_grace_seconds: float = _key(30.0, _seconds)
    max_body_seconds: float = _key(21_600.0, _seconds)
    write_stall_seconds: float = _key(60.0, _seconds)
    drain_max_bytes: int = _key(64 * MIB, _integer(0, MAX_BYTES))
    drain_seconds: float = _key(10.0, _seconds)
    max_connections: int = _key(10_000, _integer(1, 1_000_000))
    max_connections_per_address: int = _key(1_000, _integer(1, 1_000_000))
    shutdown_grace_seconds: float = _key(30.0, _number(0, 86_400))


@frozen
class CatalogConfig:
    """
    `[catalog]`.

    Attributes:
        url: `sqlite:FILE`.
        readers: threads that answer reads.
    """

    url: str = _key("sqlite:pkgregd.sqlite3", _catalog_url, repr=False)
    readers: int = _key(3, _integer(1, 64))


@frozen
class BlobsConfig:
    """
    `[blobs]`.

    Attributes:
        url: `file:FOLDER`.
        reserve_bytes: free space below which uploads are refused.
        threads: threads that write, hash and read files.
        endpoint_url, region, access_key_id, secret_access_key: of an S3 service; empty when not given.
        secret_access_key_file: where secret_access_key was read from; empty when not given.
        redirect_downloads: send clients to S3 instead of streaming through.
    """

    url: str = _key("file:blobs", _blobs_url)
    reserve_bytes: int = _key(256 * MIB, _integer(0, MAX_BYTES))
    threads: int = _key(16, _integer(1, 256))
    endpoint_url: str = _key("", _url_or_empty)
    region: str = _key("", _text)
    access_key_id: str = _key("", _text)
    secret_access_key: str = _key("", _text, repr=False)
    secret_access_key_file: str = _key("", _text)
    redirect_downloads: bool = _key(False, _flag)


@frozen
class InspectionConfig:
    """`[inspection]`; see `pkgregd.registry.inspector_process.InspectionLimits`."""

    processes: int = _key(2, _integer(1, 64))
    memory_bytes: int = _key(512 * MIB, _integer(64 * MIB, MAX_BYTES))
    cpu_seconds: int = _key(10, _integer(1, 3600))
    deadline_seconds: float = _key(30.0, _seconds)


@frozen
class FormatConfig:
    """
    `[formats.NAME]`. What is None is left to the format.

    Attributes:
        enabled: whether the format is served.
        max_file_bytes, duplicates_allowed, duplicate_exceptions, keep_builds: see FormatLimits.
    """

    enabled: bool = _key(True, _flag)
    max_file_bytes: int | None = _key(None, _optional(_integer(1, MAX_BYTES)))
    duplicates_allowed: bool | None = _key(None, _optional(_flag))
    duplicate_exceptions: tuple[str, ...] | None = _key(None, _optional(_texts))
    keep_builds: int | None = _key(None, _optional(_integer(1, MAX_KEPT_BUILDS)))

    def limits(self, default: FormatLimits) -> FormatLimits:
        """Return a format's own limits with ours over them."""

        def ours(value: T | None, theirs: T) -> T:
            return theirs if value is None else value

        return FormatLimits(
            max_file_bytes=ours(self.max_file_bytes, default.max_file_bytes),
            duplicates_allowed=ours(self.duplicates_allowed, default.duplicates_allowed),
            duplicate_exceptions=ours(self.duplicate_exceptions, default.duplicate_exceptions),
            keep_builds=ours(self.keep_builds, default.keep_builds),
        )


def _blobs(table: object, place: Place) -> BlobsConfig:
    blobs = _section(BlobsConfig, table, place)
    if not blobs.secret_access_key_file:
        return blobs
    here = place.child("secret_access_key_file")
    if blobs.secret_access_key:
        raise here.wrong("cannot be given together with secret_access_key")
    return evolve(blobs, secret_access_key=_read_secret(place.folder / blobs.secret_access_key_file, here))


def _read_secret(path: pathlib.Path, place: Place) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MAX_SECRET_FILE_BYTES + 1)
    except OSError as error:
        raise place.wrong(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise place.wrong(f"{path} is not UTF-8 text") from None
    secret = text.strip()
    if not secret or len(text) > MAX_SECRET_FILE_BYTES or not secret.isprintable():
        raise place.wrong(f"{path} must hold one line, the secret, of at most {MAX_SECRET_FILE_BYTES} letters")
    return secret


def _formats(table: object, place: Place) -> Mapping[str, FormatConfig]:
    if not isinstance(table, dict):
        raise place.must_be("tables headed [formats.NAME]", table)
    for name in table:
        if not _FORMAT_NAME.fullmatch(name):
            raise place.child(name).wrong("is not the name of a format")
    return {name: _section(FormatConfig, section, place.child(name)) for name, section in table.items()}


@frozen
class Config:
    """
    The whole configuration.

    Attributes:
        file: name of the file it came from, for people.
        folder: the folder of that file, absolute; relative paths start here.
        http, catalog, blobs, inspection: see their classes.
        formats: by name; a format that is not there is enabled with its own limits.
        rate_limits: each prefix once, in the order of the file.
    """

    file: str
    folder: pathlib.Path
    http: HttpConfig = field(factory=HttpConfig, metadata={"check": partial(_section, HttpConfig)})
    catalog: CatalogConfig = field(factory=CatalogConfig, metadata={"check": partial(_section, CatalogConfig)})
    blobs: BlobsConfig = field(factory=BlobsConfig, metadata={"check": _blobs})
    inspection: InspectionConfig = field(
        factory=InspectionConfig, metadata={"check": partial(_section, InspectionConfig)}
    )
    formats: Mapping[str, FormatConfig] = _key({}, _formats)
    rate_limits: tuple[RateLimitRule, ...] = _key((), _rate_limits)

    def require_formats(self, known: Collection[str]) -> None:
        """
        Check that every configured format is one that is installed.

        Raises:
            ConfigError: names the nearest one that is.
        """
        for name in self.formats:
            if name not in known:
                raise Place(self.file, self.folder, "formats").unknown("format", name, known)

    def require_builds(self, known: Collection[str]) -> None:
        """
        Check that builds are kept only of formats that have some.

        Args:
            known: names of those.

        Raises:
            ConfigError.
        """
        for name, section in self.formats.items():
            if section.keep_builds is not None and name not in known:
                raise Place(self.file, self.folder, f"formats.{name}.keep_builds").wrong(
                    f"only these formats have builds: {', '.join(sorted(known)) or 'none'}"
                )


def load(path: str | pathlib.Path) -> Config:
    """
    Read a configuration file.

    Raises:
        ConfigError: it cannot be read, or is wrong; the text names file, key and what would be right.
    """
    file = pathlib.Path(path).absolute()
    try:
        text = file.read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8 text") from None
    return parse(text, file.parent, str(path))


def parse(text: str, folder: pathlib.Path, file: str = "pkgregd.toml") -> Config:
    """
    Check the text of a configuration file.

    Args:
        folder: what relative paths start from.
        file: its name, for the texts of errors.

    Raises:
        ConfigError: see load().
    """
    place = Place(file, folder.absolute())
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise place.wrong(f"is not TOML: {error}") from None
    return Config(file, place.folder, **_checked(known_keys(Config), table, place))  # type: ignore[arg-type]  # each was made by its check
