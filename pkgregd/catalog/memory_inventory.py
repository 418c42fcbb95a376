"""Listings as the catalog in memory makes them: from all that there is, sorted and cut. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pkgregd.values import (
    FileListing,
    FileOrder,
    FileRecord,
    PackageFile,
    PackageListing,
    PackageOrder,
    PackageQuery,
    PackageRecord,
    Piece,
    Stretch,
)

_PACKAGE_KEYS: Mapping[PackageOrder, Callable[[PackageRecord], Any]] = {
    PackageOrder.CREATED_AT: lambda package: package.created_at,
    PackageOrder.NAME: lambda package: package.name,
    PackageOrder.VERSION: lambda package: package.version,
    PackageOrder.TYPE: lambda package: package.format,
    PackageOrder.PROJECT_PATH: lambda package: package.project_path,
}

_FILE_KEYS: Mapping[FileOrder, Callable[[FileRecord], Any]] = {
    FileOrder.ID: lambda file: file.id,
    FileOrder.CREATED_AT: lambda file: file.created_at,
    FileOrder.FILE_NAME: lambda file: file.file_name,
}


def _meant(packages: Iterable[PackageRecord], query: PackageQuery) -> list[PackageRecord]:
    return [
        package
        for package in packages
        if package.status is query.status
        and query.format in (None, package.format)
        and query.version in (None, package.version)
        and (query.name_part is None or query.name_part.lower() in package.name.lower())
    ]


def list_packages(packages: Iterable[PackageRecord], query: PackageQuery, piece: Piece) -> PackageListing:
    """List those of some packages that a query means; see IInventoryCatalog."""
    found = _meant(packages, query)
    key = _PACKAGE_KEYS[query.order]
    found.sort(key=lambda package: (key(package), package.id), reverse=query.is_descending)
    return PackageListing(tuple(found[piece.offset : piece.offset + piece.limit]), len(found))


def list_packages_onward(
    packages: Iterable[PackageRecord], query: PackageQuery, stretch: Stretch
) -> tuple[PackageRecord, ...]:
    """Go on in those of some packages that a query means; see IInventoryCatalog."""
    found = [package for package in _meant(packages, query) if is_within(package.id, stretch)]
    found.sort(key=lambda package: package.id, reverse=query.is_descending)
    return tuple(found[: stretch.limit])


def is_within(number: int, stretch: Stretch) -> bool:
    """Whether a stretch goes over a number."""
    return stretch.above < number and (stretch.below is None or number < stretch.below)


def list_files(files: Iterable[FileRecord], order: FileOrder, piece: Piece, *, is_descending: bool) -> FileListing:
    """List some files; see IInventoryCatalog."""
    key = _FILE_KEYS[order]
    found = sorted(files, key=lambda file: (key(file), file.id), reverse=is_descending)
    return FileListing(tuple(found[piece.offset : piece.offset + piece.limit]), len(found))


def file_record(file: PackageFile) -> FileRecord:
    """Leave out of a file what only its format needs."""
    return FileRecord(
        id=file.id,
        package_id=file.package_id,
        file_name=file.file_name,
        size_bytes=file.blob.size_bytes,
        digests=file.blob.digests,
        created_at=file.created_at,
    )
