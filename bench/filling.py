"""Fills the catalog of a daemon with very many packages: copies of two that were published, without their bytes."""

from __future__ import annotations

import hashlib
import itertools
import pathlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import define, field, frozen
from sqlalchemy import Connection, Engine, create_engine, func, insert, select, text

from pkgregd.auth.tokens import mint
from pkgregd.catalog.tables import (
    audit_entries,
    blobs,
    documents,
    index_changes,
    index_revisions,
    package_files,
    packages,
    paths,
    projects,
    tags,
    tokens,
    usages,
)
from pkgregd.values import TokenKind
from tests.support.catalogs import SQLITE_URL

SEED = "seed"
"""What the packages are called that are copied."""

VERSIONS = 10
"""Of each name."""

PROJECT_PACKAGES = 1000
"""In each of the projects beside the one that is measured."""

BATCH = 2000
"""Packages whose rows are written together."""

ORDER = (blobs, packages, package_files, documents, tags, index_changes, index_revisions, audit_entries)
"""The tables in which a package has rows, those that others refer to first."""

NUMBERED = (packages, package_files, audit_entries, projects, tokens)
"""The tables whose next row has to get another number than those that are written with theirs."""

Values = dict[str, Any]
Batch = dict[str, list[Values]]


@frozen
class Seed:
    """
    A package that was published, to be copied.

    Attributes:
        package, file, blob, entry: its rows.
        document_rows: of its first file.
        tag: None if it has none.
        search_text: what its name is found by.
        endings: what the names of its files end with behind the version; files but the first are made up.
    """

    package: Values
    file: Values
    blob: Values
    entry: Values
    document_rows: Sequence[Values]
    tag: str | None
    search_text: str
    endings: Sequence[str]


@define
class Filling:
    """
    Writes a catalog in bulk.

    Args:
        url: of the catalog.
        folder: where the daemon keeps it, if that is a file.
    """

    url: str
    folder: pathlib.Path
    _package: Iterator[int] = field(init=False)
    _file: Iterator[int] = field(init=False)
    _entry: Iterator[int] = field(init=False)

    def packages(self, seeds: Sequence[str], count: int, measured_id: int) -> None:
        """
        Copy packages: half of them to one project, as far as there are many, and the rest to others beside it.

        Args:
            seeds: formats of packages that are called SEED, of the one project; each gets as many copies.
            measured_id: number of the one project.
        """
        engine = self._engine()
        with engine.begin() as connection:
            _relax(connection)
            read = [_read_seed(connection, format) for format in seeds]
            self._package, self._file, self._entry = (
                itertools.count(connection.execute(select(func.max(table.c.id))).scalar_one() + 1)
                for table in (packages, package_files, audit_entries)
            )
        here = count if count <= PROJECT_PACKAGES else count // 2
        others = -(-(count - here) // PROJECT_PACKAGES)
        with engine.begin() as connection:
            _relax(connection)
            added = _add_projects(connection, others, seeds)
        places = [(measured_id, here), *((project_id, PROJECT_PACKAGES) for project_id in added)]
        for project_id, in_it in places:
            rows = (row for seed in read for row in self._rows(seed, project_id, in_it // len(read)))
            for batch in iter(lambda: list(itertools.islice(rows, BATCH)), []):  # noqa: B023 - used up within the turn
                with engine.begin() as connection:
                    _relax(connection)
                    _write(connection, batch)
            with engine.begin() as connection:
                _count_usage(connection, project_id)
        self._settle(engine)

    def tokens(self, count: int, user_id: int) -> list[str]:
        """Make personal tokens of a user; returns their secrets."""
        minted = [mint(TokenKind.PERSONAL) for _ in range(count)]
        engine = self._engine()
        with engine.begin() as connection:
            row = connection.execute(select(tokens).where(tokens.c.user_id == user_id)).mappings().first()
            assert row is not None
            first = connection.execute(select(func.max(tokens.c.id))).scalar_one() + 1
            rows = [
                {
                    **row,
                    "id": first + index,
                    "public_id": one.public_id,
                    "secret_sha256": one.secret_sha256,
                    "name": f"token {index}",
                }
                for index, one in enumerate(minted)
            ]
            connection.execute(insert(tokens), rows)
        self._settle(engine)
        return [one.secret for one in minted]

    def _engine(self) -> Engine:
        if self.url == SQLITE_URL:
            return create_engine(f"sqlite:///{self.folder / self.url.partition(':')[2]}")
        return create_engine(self.url.replace("postgresql:", "postgresql+psycopg2:", 1))

    def _rows(self, seed: Seed, project_id: int, count: int) -> Iterator[Batch]:
        """Make the rows of each package, those of its name with its last one."""
        for number in range(count):
            name, version = name_of(number // VERSIONS), f"1.{number % VERSIONS}.0"
            is_last = (number + 1) % VERSIONS == 0 or number + 1 == count
            yield self._copy(seed, project_id, name, version, is_last=is_last)

    def _copy(self, seed: Seed, project_id: int, name: str, version: str, *, is_last: bool) -> Batch:
        rows: Batch = defaultdict(list)
        package_id = next(self._package)
        key = {"project_id": project_id, "format": seed.package["format"], "canonical_name": name}
        canonical = version.removesuffix(".0") if key["format"] == "pypi" else version
        rows["packages"].append(
            {
                **seed.package,
                **key,
                "id": package_id,
                "name": name,
                "version": version,
                "canonical_version": canonical,
                "created_at": seed.package["created_at"] + package_id,
            }
        )
        for ending in seed.endings:
            self._copy_file(seed, rows, project_id, package_id, f"{name.replace('-', '_')}-{version}{ending}")
        revision = package_id  # grows, as a revision does
        rows["index_changes"].append({**key, "revision": revision, "canonical_version": canonical})
        if is_last:
            searched = seed.search_text.replace(SEED, name)
            state = {"revision": revision, "changed_at": seed.package["created_at"], "search_text": searched}
            rows["index_revisions"].append({**key, **state})
            if seed.tag is not None:
                rows["tags"].append({**key, "tag": seed.tag, "package_id": package_id})
        return rows

    def _copy_file(self, seed: Seed, rows: Batch, project_id: int, package_id: int, file_name: str) -> None:
        file_id = next(self._file)
        sha256 = hashlib.sha256(f"{project_id} {package_id} {file_name}".encode()).hexdigest()
        old = seed.file["sha256"]
        rows["blobs"].append(
            {
                **seed.blob,
                "sha256": sha256,
                "locator": f"sha256/{sha256[:2]}/{sha256[2:4]}/{sha256}",
                "digests_json": seed.blob["digests_json"].replace(old, sha256),
            }
        )
        made = {"id": file_id, "package_id": package_id, "file_name": file_name, "sha256": sha256}
        rows["package_files"].append({**seed.file, **made})
        rows["documents"] += [{**row, "file_id": file_id} for row in seed.document_rows]
        subject = f"{rows['packages'][0]['format']} {file_name}"
        rows["audit_entries"].append(
            {**seed.entry, "id": next(self._entry), "project_id": project_id, "subject": subject}
        )

    def _settle(self, engine: Engine) -> None:
        """Have PostgreSQL number what follows, and do at once what its autovacuum does a minute later."""
        if engine.dialect.name == "sqlite":
            return
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for table in NUMBERED:
                sequence = f"pg_get_serial_sequence('{table.name}', 'id')"
                connection.execute(text(f"SELECT setval({sequence}, max(id)) FROM {table.name}"))  # noqa: S608 - ours
            connection.execute(text("VACUUM ANALYZE"))
        engine.dispose()


def name_of(number: int) -> str:
    """Return the name of a copy; no other number's is a part of it."""
    return f"w{number:06x}-{SEED}"


def _relax(connection: Connection) -> None:
    """Have PostgreSQL wait for no disk; what is lost then fails the run."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL synchronous_commit = off"))


def _read_seed(connection: Connection, format: str) -> Seed:
    def one(statement: Any) -> Values:
        return dict(connection.execute(statement).mappings().one())

    package = one(select(packages).where(packages.c.format == format, packages.c.canonical_name == SEED))
    file = one(select(package_files).where(package_files.c.package_id == package["id"]))
    found_by = one(
        select(index_revisions).where(
            index_revisions.c.project_id == package["project_id"],
            index_revisions.c.format == format,
            index_revisions.c.canonical_name == SEED,
        )
    )
    read = connection.execute(select(documents).where(documents.c.file_id == file["id"])).mappings()
    return Seed(
        package=package,
        file=file,
        blob=one(select(blobs).where(blobs.c.sha256 == file["sha256"])),
        entry=one(select(audit_entries).where(audit_entries.c.subject.like(f"{format} {SEED} %"))),
        document_rows=[dict(row) for row in read],
        tag=connection.execute(select(tags.c.tag).where(tags.c.package_id == package["id"])).scalar(),
        search_text=found_by["search_text"],
        endings=("-py3-none-any.whl", "-py2-none-any.whl") if format == "pypi" else (".tgz",),
    )


def _add_projects(connection: Connection, count: int, formats: Sequence[str]) -> list[int]:
    row = dict(connection.execute(select(projects)).mappings().first() or {})
    first = connection.execute(select(func.max(projects.c.id))).scalar_one() + 1
    made = [
        {**row, "id": first + index, "path": f"acme/grown{index}", "path_key": f"acme/grown{index}"}
        for index in range(count)
    ]
    if made:
        state = {"canonical_name": "", "revision": 1, "changed_at": row["created_at"]}
        lists = [{**state, "project_id": each["id"], "format": format} for each in made for format in formats]
        connection.execute(insert(paths), [{"path_key": each["path_key"]} for each in made])
        connection.execute(insert(projects), made)
        connection.execute(insert(index_revisions), lists)
    return [each["id"] for each in made]


def _write(connection: Connection, batch: Sequence[Mapping[str, Sequence[Values]]]) -> None:
    for table in ORDER:
        if rows := [row for each in batch for row in each.get(table.name, ())]:
            connection.execute(insert(table), rows)


def _count_usage(connection: Connection, project_id: int) -> None:
    used = (
        select(func.coalesce(func.sum(blobs.c.size_bytes), 0))
        .select_from(package_files.join(packages).join(blobs))
        .where(packages.c.project_id == project_id)
        .scalar_subquery()
    )
    done = connection.execute(usages.update().where(usages.c.project_id == project_id).values(file_bytes=used))
    if not done.rowcount:
        connection.execute(insert(usages).values(project_id=project_id, file_bytes=used))
