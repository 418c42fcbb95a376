"""`check`, `migrate`, `sweep`, `tidy`."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import attrs

from pkgregd.commands.instance import Instance, Outcome
from pkgregd.config import Config, FormatConfig
from pkgregd.errors import ConfigError, PkgregdError
from pkgregd.values import AuditAction, Told

if TYPE_CHECKING:
    from pkgregd.interfaces import IPackageFormat
    from pkgregd.registry.tidy import TidyReport

T = TypeVar("T")


async def check(instance: Instance, arguments: Namespace) -> Outcome:
    """Find out whether the daemon would start and be ready; answers a line for each part."""
    parts: Mapping[str, Callable[[], Awaitable[None]]] = {
        "endpoints": lambda: check_endpoints(instance.config),
        "formats": lambda: check_formats(instance.config),
        "catalog": lambda: instance.catalog.check(),
        "blobs": lambda: instance.blobs.check(),
    }
    reasons: dict[str, str | None] = {}
    for name, part in parts.items():
        try:
            await part()
        except PkgregdError as error:
            reasons[name] = str(error)
        else:
            reasons[name] = None
    failed = {name: reason for name, reason in reasons.items() if reason is not None}
    return Outcome(
        "\n".join(f"{name}: {reason or 'ok'}" for name, reason in reasons.items()),
        {"is_ok": not failed, "parts": [{"name": name, "reason": reason} for name, reason in reasons.items()]},
        is_refused=bool(failed),
    )


async def check_endpoints(config: Config) -> None:
    """
    Read every endpoint description, and the certificates that it names.

    Raises:
        ConfigError.
    """
    from twisted.internet import reactor
    from twisted.internet.endpoints import serverFromString

    for number, description in enumerate(config.http.listen, 1):
        try:
            serverFromString(reactor, description)
        except Exception as error:  # an endpoint is a plug-in, and its parser raises what it likes
            reason = str(error) or type(error).__name__
            raise ConfigError(f"{config.file}: http.listen[{number}]: {description}: {reason}") from None


async def check_formats(config: Config) -> None:
    """
    Check that there is a format for every table of the configuration, and a manual page for every enabled format.

    Raises:
        ConfigError.
    """
    from pkgregd.plugin import read_manuals
    from pkgregd.web.manual import manual

    formats = read_formats(config)
    if not formats:
        raise ConfigError(
            "no format is installed: run twist or twistd once with the right to write to its plug-in cache"
        )
    manual(read_manuals(name for name in formats if config.formats.get(name, FormatConfig()).enabled))


def read_formats(config: Config) -> Mapping[str, IPackageFormat]:
    """
    Find the formats, by name.

    Raises:
        ConfigError: the configuration is not about these.
    """
    from pkgregd.interfaces import IBuildFormat
    from pkgregd.plugin import find_formats

    formats = find_formats()
    config.require_formats(formats)
    config.require_builds([name for name, made in formats.items() if IBuildFormat.providedBy(made)])
    return formats


async def migrate(instance: Instance, arguments: Namespace) -> Outcome:
    """Bring the schema of the catalog up to date; answers its revision."""
    from pkgregd.catalog import migrate as apply_migrations  # brings in the migrations

    revision = apply_migrations(instance.config.catalog.url, instance.config.folder)
    return Outcome(revision, {"revision": revision})


async def sweep(instance: Instance, arguments: Namespace) -> Outcome:
    """Remove blobs that no package has referred to for a while; answers what was removed."""
    from pkgregd.registry.copies import is_unpublished
    from pkgregd.registry.sweep import sweep as run_sweep

    if not arguments.dry_run:
        detail = {"grace_seconds": arguments.grace.total_seconds()}
        await instance.catalog.tell(instance.operator, Told(AuditAction.SWEEP, "blobs", detail=detail))
    report = await run_sweep(
        instance.catalog, instance.blobs, grace=arguments.grace, now=instance.clock(), dry_run=arguments.dry_run
    )
    if arguments.dry_run:
        report.leftovers = len(await instance.blobs.list_leftovers())
    else:
        report.leftovers = await instance.blobs.recover(partial(is_unpublished, instance.catalog))
    data = attrs.asdict(report)
    text = "\n".join(f"{name}: {value}" for name, value in data.items())
    return Outcome(text, data, is_refused=report.failed > 0)


async def tidy(instance: Instance, arguments: Namespace) -> Outcome:
    """Remove builds that newer ones have taken the place of; answers what was removed."""
    from pkgregd.registry.tidy import Tidying, rules_of

    formats, sections = read_formats(instance.config), instance.config.formats
    enabled = [made for name, made in formats.items() if sections.get(name, FormatConfig()).enabled]
    limits = {made.name: sections.get(made.name, FormatConfig()).limits(made.default_limits) for made in enabled}
    rules = rules_of(enabled, limits)
    tidying = Tidying(
        instance.catalog, rules, _run_here, lambda event: None, instance.clock, principal=instance.operator
    )
    report = await tidying.go_on(dry_run=arguments.dry_run)
    notes = () if rules else ("keep_builds is not set for any format: all builds are kept",)
    return Outcome(_tidied(report), attrs.asdict(report), notes)


async def _run_here(job: Callable[[], T]) -> T:
    return job()


def _tidied(report: TidyReport) -> str:
    """Tell what was removed: a line for each package, and the sums."""
    lines = [
        f"{package.project} {package.format} {package.name} {package.version}: {' '.join(package.builds)}"
        for package in report.named
    ]
    sums = {name: value for name, value in attrs.asdict(report).items() if name != "named"}
    return "\n".join([*lines, *(f"{name}: {value}" for name, value in sums.items())])
