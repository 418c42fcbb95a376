"""One hop to the database for all that a request asks of it before its body is touched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import frozen
from zope.interface import implementer

from pkgregd.catalog import identity, package_reading, tokens
from pkgregd.catalog.statement import Transaction
from pkgregd.interfaces import IReads
from pkgregd.values import (
    Digest,
    FileLookup,
    Foresight,
    IndexLookup,
    IndexState,
    Level,
    PackageFile,
    Scope,
    TokenRecord,
)

if TYPE_CHECKING:
    from pkgregd.catalog.sql_trail import Database


@frozen
class Foreseen:
    """
    What one query found.

    Attributes:
        user_id: whose role the scope tells.
        scope_id: of the project that `answer` is about; None when nothing was looked up.
        answer: to the foreseen lookup.
    """

    token: TokenRecord | None
    user_id: int | None
    scope: Scope | None
    scope_id: int | None = None
    answer: IndexState | PackageFile | None = None


async def read_foreseen(tx: Transaction, public_id: str | None, foresight: Foresight) -> Foreseen:
    """Find a token, the scope as its owner meets it, and what is looked up there."""
    token = None if public_id is None else await tokens.find_token(tx, public_id)
    user_id = None if token is None else token.principal.user_id
    scope = await identity.find_scope(tx, foresight.level, foresight.ident, user_id)
    lookup = foresight.lookup
    if lookup is None or scope is None or scope.level is not Level.PROJECT:
        return Foreseen(token, user_id, scope)
    answer: IndexState | PackageFile | None
    if isinstance(lookup, IndexLookup):
        answer = await package_reading.index_state(tx, (scope.id,), foresight.format, lookup.canonical_name)
    else:
        answer = await package_reading.find_file(
            tx,
            (scope.id,),
            foresight.format,
            lookup.canonical_name,
            lookup.canonical_version,
            lookup.file_name,
            lookup.sha256,
        )
    return Foreseen(token, user_id, scope, scope.id, answer)


@implementer(IReads)
class ForeseenReads:
    """
    See IReads: the first question fetches the answers to all that are foreseen.

    What was looked up ahead is told once: who asks again wants to know what has become of it.

    Args:
        database: runs the verbs.
        foresight: of the request.
    """

    def __init__(self, database: Database, foresight: Foresight) -> None:
        self._database = database
        self._foresight = foresight
        self._seen: Foreseen | None = None
        self._is_told = False

    async def find_token(self, public_id: str) -> TokenRecord | None:
        """See IReads."""
        self._seen = await self._database.read_at_once(read_foreseen, public_id, self._foresight)
        return self._seen.token

    async def find_scope(self, level: Level, ident: int | str, user_id: int | None) -> Scope | None:
        """See IReads."""
        if level is Level.INSTANCE:
            return identity.INSTANCE  # known without a database, which may be away
        if (level, ident) != (self._foresight.level, self._foresight.ident):
            return await self._database.read(identity.find_scope, level, ident, user_id)
        if self._seen is None and user_id is None:
            self._seen = await self._database.read_at_once(read_foreseen, None, self._foresight)
        if self._seen is None or self._seen.user_id != user_id:
            return await self._database.read(identity.find_scope, level, ident, user_id)
        return self._seen.scope

    async def index_state(self, project_ids: Sequence[int], format: str, canonical_name: str | None) -> IndexState:
        """See IReads."""
        seen = self._take(project_ids, format, IndexLookup(canonical_name))
        if seen is not None:
            assert isinstance(seen.answer, IndexState)
            return seen.answer
        return await self._database.read(package_reading.index_state, project_ids, format, canonical_name)

    async def find_file(
        self,
        project_ids: Sequence[int],
        format: str,
        canonical_name: str,
        canonical_version: str | None,
        file_name: str,
        sha256: Digest | None = None,
    ) -> PackageFile | None:
        """See IReads."""
        seen = self._take(project_ids, format, FileLookup(canonical_name, canonical_version, file_name, sha256))
        if seen is not None:
            assert not isinstance(seen.answer, IndexState)
            return seen.answer
        return await self._database.read(
            package_reading.find_file, project_ids, format, canonical_name, canonical_version, file_name, sha256
        )

    def _take(self, project_ids: Sequence[int], format: str, lookup: IndexLookup | FileLookup) -> Foreseen | None:
        """Return what was seen if it answers this lookup and has not been told yet."""
        seen, asked = self._seen, (tuple(project_ids), format, lookup)
        if seen is None or self._is_told or asked != ((seen.scope_id,), self._foresight.format, self._foresight.lookup):
            return None
        self._is_told = True
        return seen
