"""Answers as tables for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def columns(names: Sequence[str], rows: Sequence[Mapping[str, object]]) -> str:
    """
    Lay rows out for a terminal; every row in one line, whatever is in it.

    Args:
        names: what is shown of each row, in this order; the first line.
    """
    table = [tuple(names), *(tuple(_cell(row[name]) for name in names) for row in rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(names))]
    padded = (" ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) for line in table)
    return "\n".join(line.rstrip() for line in padded)


def _cell(value: object) -> str:
    text = ",".join(value) if isinstance(value, list) else str("-" if value is None else value)
    return (text or "-") if text.isprintable() else ascii(text)
