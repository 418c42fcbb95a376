"""
The configuration: TOML text to one frozen Config, or a ConfigError that says what to write instead.

Every key is a field of a section, with its default and its check beside it. Nothing is
guessed: an unknown key is an error, and so is a number written as text.
Relative paths are relative to the folder of the file.
"""

from __future__ import annotations

import pathlib
import tomllib
from collections.abc import Collection, Mapping
from functools import partial

from attrs import field, frozen

from pkgregd.config.checks import anchor_endpoint, checked, rate_limit_rules
from pkgregd.config.oidc import oidc_issuers
from pkgregd.config.places import Place
from pkgregd.config.sections import (
    AuditConfig,
    AuthConfig,
    BlobsConfig,
    CatalogConfig,
    FormatConfig,
    HttpConfig,
    InspectionConfig,
    MetricsConfig,
    PackagesConfig,
    RateLimitingConfig,
    ScrubConfig,
    TasksConfig,
    blobs_section,
    format_sections,
    http_section,
    known_keys,
    make_section,
    option,
)
from pkgregd.errors import ConfigError
from pkgregd.values import OidcIssuer, RateLimitRule

__all__ = [
    "AuditConfig",
    "AuthConfig",
    "BlobsConfig",
    "CatalogConfig",
    "Config",
    "FormatConfig",
    "HttpConfig",
    "InspectionConfig",
    "MetricsConfig",
    "PackagesConfig",
    "RateLimitingConfig",
    "ScrubConfig",
    "TasksConfig",
    "anchor_endpoint",
    "known_keys",
    "load",
    "parse",
]


@frozen
class Config:
    """
    The whole configuration.

    Attributes:
        file: name of the file it came from, for people.
        folder: the folder of that file, absolute; relative paths start here.
        http, catalog, blobs, auth, inspection, packages, audit, metrics, tasks, scrub,
            rate_limiting: see their classes.
        formats: by name; a format that is not there is enabled with its own limits.
        rate_limits: each prefix once for a class of routes, in the order of the file.
        oidc: each issuer once.
        text: of the file, as it was read.
    """

    file: str
    folder: pathlib.Path
    http: HttpConfig = field(factory=HttpConfig, metadata={"check": http_section})
    catalog: CatalogConfig = field(factory=CatalogConfig, metadata={"check": partial(make_section, CatalogConfig)})
    blobs: BlobsConfig = field(factory=BlobsConfig, metadata={"check": blobs_section})
    auth: AuthConfig = field(factory=AuthConfig, metadata={"check": partial(make_section, AuthConfig)})
    inspection: InspectionConfig = field(
        factory=InspectionConfig, metadata={"check": partial(make_section, InspectionConfig)}
    )
    packages: PackagesConfig = field(factory=PackagesConfig, metadata={"check": partial(make_section, PackagesConfig)})
    audit: AuditConfig = field(factory=AuditConfig, metadata={"check": partial(make_section, AuditConfig)})
    metrics: MetricsConfig = field(factory=MetricsConfig, metadata={"check": partial(make_section, MetricsConfig)})
    tasks: TasksConfig = field(factory=TasksConfig, metadata={"check": partial(make_section, TasksConfig)})
    scrub: ScrubConfig = field(factory=ScrubConfig, metadata={"check": partial(make_section, ScrubConfig)})
    formats: Mapping[str, FormatConfig] = option({}, format_sections)
    rate_limiting: RateLimitingConfig = field(
        factory=RateLimitingConfig, metadata={"check": partial(make_section, RateLimitingConfig)}
    )
    rate_limits: tuple[RateLimitRule, ...] = option((), rate_limit_rules)
    oidc: tuple[OidcIssuer, ...] = option((), oidc_issuers)
    text: str = field(default="", repr=False, eq=False)

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
    config = Config(file, place.folder, text=text, **checked(known_keys(Config), table, place))  # type: ignore[arg-type]  # each was made by its check
    if config.blobs.accel_redirect and not config.http.trusted_proxies:
        raise place.child("http").child("trusted_proxies").wrong("must name the nginx that blobs.accel_redirect is for")
    return config
