"""The tables, in Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence

from attrs import frozen

from bench.journal import ANSWER, GIB, REQUEST, RUN, THOUSAND, Journal, Ratio, Row, Sample
from bench.settings import MIB


@frozen
class Column:
    """
    A column of a table.

    Attributes:
        title: what it says, with its unit.
        value: what it shows of a sample; None if there is nothing to show.
    """

    title: str
    value: Callable[[Sample], float | None]


def _cpu(factor: float) -> Callable[[Sample], float]:
    return lambda sample: sample.cpu_seconds / sample.units * factor


def _milliseconds(name: str) -> Callable[[Sample], float | None]:
    return lambda sample: getattr(sample, name) * 1000 or None


def _peak(sample: Sample) -> float | None:
    return sample.peak_bytes / MIB or None


def _whole(unit: str) -> Sequence[Column]:
    """Choose what is told of work that takes a while."""
    return (
        Column(f"CPU-s a {unit}", _cpu(1)),
        Column("of it system", lambda sample: sample.system_seconds / sample.units),
        Column(f"wall s a {unit}", lambda sample: sample.wall_seconds / sample.units),
        Column("peak MiB", _peak),
        Column("before MiB", lambda sample: sample.resident_bytes / MIB or None),
    )


COLUMNS: Mapping[str, Sequence[Column]] = {
    GIB: _whole(GIB),
    RUN: _whole(RUN),
    THOUSAND: (
        Column("CPU-s a 1000", _cpu(1)),
        Column("requests/s", lambda sample: sample.units * 1000 / sample.wall_seconds),
        Column("p50 ms", _milliseconds("median_seconds")),
        Column("p99 ms", _milliseconds("p99_seconds")),
        Column("peak MiB", _peak),
    ),
    REQUEST: (
        Column("CPU ms a request", _cpu(1000)),
        Column("p50 ms", _milliseconds("median_seconds")),
    ),
    ANSWER: (
        Column("answers/s", lambda sample: sample.units / sample.wall_seconds),
        Column("p50 ms", _milliseconds("median_seconds")),
        Column("p99 ms", _milliseconds("p99_seconds")),
    ),
}
"""What is told of each unit."""


def tables(journal: Journal, titles: Mapping[str, str]) -> Iterator[str]:
    """
    Write everything that was measured.

    Args:
        titles: headings of the parts.
    """
    for part, title in titles.items():
        rows = [row for row in journal.samples if row.part == part]
        if not rows:
            continue
        yield f"### {title}\n"
        for unit in COLUMNS:
            if chosen := [row for row in rows if row.unit == unit]:
                yield _table(journal, unit, chosen)
        yield from _ratios(journal, part)
    if journal.notes:
        yield "\n".join(f"* {note}" for note in journal.notes) + "\n"


def _table(journal: Journal, unit: str, rows: Sequence[Row]) -> str:
    columns = COLUMNS[unit]
    lines = [_line(["what", "server", *(column.title for column in columns)]), _rule(2 + len(columns))]
    for row in rows:
        samples = journal.samples[row]
        cells = [_cell([column.value(sample) for sample in samples]) for column in columns]
        lines.append(_line([row.work, row.server, *cells]))
    return "\n".join(lines) + "\n"


def _ratios(journal: Journal, part: str) -> Iterator[str]:
    ratios = [ratio for ratio in journal.ratios if ratio.above.part == part and journal.values(ratio)]
    if plain := [ratio for ratio in ratios if ratio.is_plain]:
        yield _matrix(journal, plain)
    lines = [_line([ratio.title, _cell(journal.values(ratio))]) for ratio in ratios if not ratio.is_plain]
    if lines:
        yield "\n".join([_line(["ratio within a repetition", "median (min to max)"]), _rule(2), *lines]) + "\n"


def _matrix(journal: Journal, ratios: Sequence[Ratio]) -> str:
    """Write one line for a work, and a column for each server that it is compared with."""
    others = list(dict.fromkeys(ratio.below[0].server for ratio in ratios))
    found = {(ratio.above.work, ratio.below[0].server): _cell(journal.values(ratio)) for ratio in ratios}
    head = f"CPU of {ratios[0].above.server} within a repetition"
    lines = [
        _line([work, *(found.get((work, other), "-") for other in others)])
        for work in dict.fromkeys(ratio.above.work for ratio in ratios)
    ]
    return "\n".join([_line([head, *(f"/ {other}" for other in others)]), _rule(1 + len(others)), *lines]) + "\n"


def _cell(values: Sequence[float | None]) -> str:
    shown = [value for value in values if value is not None]
    if not shown:
        return "-"
    median = _number(statistics.median(shown))
    return f"{median} ({_number(min(shown))} to {_number(max(shown))})" if len(shown) > 1 else median


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _rule(count: int) -> str:
    return "|" + "---|" * count
