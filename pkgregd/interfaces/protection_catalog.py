"""What the database is asked about protection rules."""

from __future__ import annotations

from zope.interface import Interface

from pkgregd.values import Piece, Principal, ProtectedAct, ProtectionRule, RuleListing, RuleTerms

MAX_RULES = 200
"""Of one project: each of them is looked at by whoever writes packages of its format."""


class IProtectionCatalog(Interface):
    """
    Rules that keep the packages of some names for some people. One verb, one transaction.

    Every verb that writes packages obeys them by the rules and roles that are there in its own transaction.
    """

    async def demand_unprotected(
        project_id: int, format: str, canonical_name: str, act: ProtectedAct, principal: Principal
    ) -> None:
        """
        Pass if no rule of now keeps somebody from doing something to the packages of a name. A few small queries.

        Whoever does it is asked again by the verb that does: this one is for refusing early.

        Raises:
            PackageProtected.
        """

    async def list_rules(project_id: int, piece: Piece) -> RuleListing:
        """Rules of a project, by their numbers."""

    async def find_rule(project_id: int, rule_id: int) -> ProtectionRule | None:
        """Find a rule of a project."""

    async def add_rule(project_id: int, terms: RuleTerms, principal: Principal) -> ProtectionRule:
        """
        Add a rule.

        Raises:
            RuleRejected: the project has one for the same names already, or MAX_RULES of them.
            ProjectNotFound.
        """

    async def change_rule(known: ProtectionRule, terms: RuleTerms, principal: Principal) -> bool:
        """
        Change a rule, if it is still as the caller knows it.

        Returns:
            False if it is not, or is gone.

        Raises:
            RuleRejected: there is another one for the same names.
        """

    async def remove_rule(project_id: int, rule_id: int, principal: Principal) -> bool:
        """Remove a rule of a project; False if there was none."""
