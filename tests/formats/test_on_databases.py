"""What is true of the formats over a catalog in memory is true of them over both databases."""

from __future__ import annotations

from tests.formats import (
    test_cargo,
    test_cargo_hostile,
    test_cargo_index,
    test_generic,
    test_maven,
    test_npm,
    test_nuget,
    test_nuget_hostile,
    test_nuget_symbols,
    test_nuget_v2,
    test_protection,
    test_pypi,
    test_pypi_attestations,
    test_pypi_downloads,
    test_pypi_hostile,
    test_pypi_index,
    test_pypi_json,
    test_pypi_yank,
)
from tests.support.catalogs import ENGINES
from tests.support.databases import on_databases

WORLDS = (
    test_cargo,
    test_cargo_hostile,
    test_cargo_index,
    test_generic,
    test_maven,
    test_npm,
    test_nuget,
    test_nuget_hostile,
    test_nuget_symbols,
    test_nuget_v2,
    test_protection,
    test_pypi,
    test_pypi_attestations,
    test_pypi_downloads,
    test_pypi_hostile,
    test_pypi_index,
    test_pypi_json,
    test_pypi_yank,
)
"""Modules whose tests ask a catalog; the others are about words, records and archives."""

globals().update(on_databases(__name__, WORLDS, ENGINES))
