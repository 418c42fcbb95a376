"""Protection rules, in the catalog in memory."""

from __future__ import annotations

from collections.abc import Callable

from pkgregd.catalog import told
from pkgregd.catalog.memory_directory import MemoryDirectory
from pkgregd.errors import ProjectNotFound, RuleRejected
from pkgregd.interfaces import MAX_RULES
from pkgregd.values import (
    AuditAction,
    Level,
    Piece,
    Principal,
    ProtectedAct,
    ProtectionRule,
    RuleListing,
    RuleTerms,
    demanded,
    held_level,
    refuse_below,
)


class MemoryProtection(MemoryDirectory):
    """See IProtectionCatalog."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        super().__init__(seconds)
        self._rules: dict[int, ProtectionRule] = {}

    def _rules_of(self, project_id: int) -> list[ProtectionRule]:
        return [rule for rule in self._rules.values() if rule.project_id == project_id]

    def _demand_unprotected(
        self, project_id: int, format: str, canonical_name: str, act: ProtectedAct, principal: Principal
    ) -> None:
        terms = (rule.terms for rule in self._rules_of(project_id) if rule.terms.format == format)
        rule = demanded(terms, canonical_name, act)
        if rule is None:
            return
        place = self._place_by_id(Level.PROJECT, project_id)
        user = None if principal.user_id is None else self._user_by_id(principal.user_id)
        scope = None if place is None else self._scope(place, principal.user_id)
        refuse_below(rule, act, held_level(principal, scope, is_admin=user is not None and user.is_admin))

    async def demand_unprotected(
        self, project_id: int, format: str, canonical_name: str, act: ProtectedAct, principal: Principal
    ) -> None:
        """See IProtectionCatalog."""
        self._demand_unprotected(project_id, format, canonical_name, act, principal)

    async def list_rules(self, project_id: int, piece: Piece) -> RuleListing:
        """See IProtectionCatalog."""
        found = self._rules_of(project_id)
        return RuleListing(tuple(found[piece.offset : piece.offset + piece.limit]), len(found))

    async def find_rule(self, project_id: int, rule_id: int) -> ProtectionRule | None:
        """See IProtectionCatalog."""
        return next((rule for rule in self._rules_of(project_id) if rule.id == rule_id), None)

    async def add_rule(self, project_id: int, terms: RuleTerms, principal: Principal) -> ProtectionRule:
        """See IProtectionCatalog."""
        if self._place_by_id(Level.PROJECT, project_id) is None:
            raise ProjectNotFound
        if len(self._rules_of(project_id)) >= MAX_RULES:
            raise RuleRejected(f"a project has at most {MAX_RULES} protection rules: remove one first")
        rule = ProtectionRule(self._next_id("rule"), project_id, terms)
        self._demand_only(rule)
        self._rules[rule.id] = rule
        self._tell(principal, told.of_rule(AuditAction.ADD_PROTECTION_RULE, rule))
        return rule

    async def change_rule(self, known: ProtectionRule, terms: RuleTerms, principal: Principal) -> bool:
        """See IProtectionCatalog."""
        if self._rules.get(known.id) != known:
            return False
        changed = ProtectionRule(known.id, known.project_id, terms)
        self._demand_only(changed)
        self._rules[known.id] = changed
        if changed != known:
            self._tell(principal, told.of_rule(AuditAction.CHANGE_PROTECTION_RULE, changed, known.terms))
        return True

    def _demand_only(self, rule: ProtectionRule) -> None:
        named = (rule.terms.format, rule.terms.canonical_pattern)
        for other in self._rules_of(rule.project_id):
            if other.id != rule.id and (other.terms.format, other.terms.canonical_pattern) == named:
                raise RuleRejected(
                    f"package_name_pattern has already been taken: there is a {rule.terms.format} rule for these names"
                )

    async def remove_rule(self, project_id: int, rule_id: int, principal: Principal) -> bool:
        """See IProtectionCatalog."""
        rule = await self.find_rule(project_id, rule_id)
        if rule is None:
            return False
        del self._rules[rule_id]
        self._tell(principal, told.of_rule(AuditAction.REMOVE_PROTECTION_RULE, rule))
        return True
