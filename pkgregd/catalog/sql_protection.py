"""Protection rules of the catalog over a database: a part of SqlCatalog."""

from __future__ import annotations

from zope.interface import implementer

from pkgregd.catalog import protection
from pkgregd.catalog.sql_trail import Database
from pkgregd.interfaces import IProtectionCatalog
from pkgregd.values import Piece, Principal, ProtectedAct, ProtectionRule, RuleListing, RuleTerms


@implementer(IProtectionCatalog)
class SqlProtection:
    """
    See IProtectionCatalog.

    Args:
        database: runs the verbs.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def demand_unprotected(
        self, project_id: int, format: str, canonical_name: str, act: ProtectedAct, principal: Principal
    ) -> None:
        """See IProtectionCatalog."""
        await self._database.read_at_once(
            protection.demand_unprotected, project_id, format, canonical_name, act, principal
        )

    async def list_rules(self, project_id: int, piece: Piece) -> RuleListing:
        """See IProtectionCatalog."""
        return await self._database.read(protection.list_rules, project_id, piece)

    async def find_rule(self, project_id: int, rule_id: int) -> ProtectionRule | None:
        """See IProtectionCatalog."""
        return await self._database.read(protection.find_rule, project_id, rule_id)

    async def add_rule(self, project_id: int, terms: RuleTerms, principal: Principal) -> ProtectionRule:
        """See IProtectionCatalog."""
        return await self._database.write(protection.add_rule, project_id, terms, principal)

    async def change_rule(self, known: ProtectionRule, terms: RuleTerms, principal: Principal) -> bool:
        """See IProtectionCatalog."""
        return await self._database.write(protection.change_rule, known, terms, principal)

    async def remove_rule(self, project_id: int, rule_id: int, principal: Principal) -> bool:
        """See IProtectionCatalog."""
        return await self._database.write(protection.remove_rule, project_id, rule_id, principal)
