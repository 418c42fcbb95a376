"""Rules that keep the packages of some names for some people."""

from __future__ import annotations

import enum
from collections.abc import Iterable

from attrs import frozen

from pkgregd.errors import PackageProtected
from pkgregd.values.access import Principal, Role, Scope, TokenKind

MAX_PATTERN_CHARACTERS = 255
ANYTHING = "*"
"""Stands in a pattern for any letters, or none."""


class ProtectedAct(enum.Enum):
    """
    What is done to the packages of a name.

    Members:
        PUSH: whatever changes what is served under it: publishing, replacing, tagging, yanking, describing.
        DELETE: whatever takes something away for good, or is called a deletion by the client.
    """

    PUSH = "push"
    DELETE = "delete"


class ProtectionLevel(enum.IntEnum):
    """Who may do it all the same; a greater level includes the lesser. GitLab's numbers."""

    MAINTAINER = Role.MAINTAINER.value
    OWNER = Role.OWNER.value
    ADMIN = 60


_WHO = {
    ProtectionLevel.MAINTAINER: "maintainers and above",
    ProtectionLevel.OWNER: "owners and above",
    ProtectionLevel.ADMIN: "administrators",
}


@frozen
class RuleTerms:
    """
    What a rule says.

    Attributes:
        format: whose packages it is about.
        pattern: of their names, as it was written; `*` stands for any letters.
        canonical_pattern: what canonical names are compared with.
        push_level, delete_level: who may; None if the rule says nothing about it.
    """

    format: str
    pattern: str
    canonical_pattern: str
    push_level: ProtectionLevel | None
    delete_level: ProtectionLevel | None

    def level(self, act: ProtectedAct) -> ProtectionLevel | None:
        """Who may do something; None if the rule says nothing about it."""
        return self.push_level if act is ProtectedAct.PUSH else self.delete_level


@frozen
class ProtectionRule:
    """A rule of a project."""

    id: int
    project_id: int
    terms: RuleTerms


@frozen
class RuleListing:
    """A piece of a listing of rules, and how long the whole is."""

    rules: tuple[ProtectionRule, ...]
    total: int


def fits(pattern: str, name: str) -> bool:
    """
    Whether all of a name fits a pattern. Takes no longer than both are long.

    Each part between two stars is looked for once, behind where the one before it was first found: if the parts fit
    anywhere, they fit there.
    """
    first, *rest = pattern.split(ANYTHING)
    if not rest:
        return name == pattern
    *middle, last = rest
    if len(name) < len(first) + len(last) or not (name.startswith(first) and name.endswith(last)):
        return False
    at, end = len(first), len(name) - len(last)
    for part in middle:
        found = name.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def demanded(rules: Iterable[RuleTerms], canonical_name: str, act: ProtectedAct) -> RuleTerms | None:
    """Choose the rule of a format that asks for most before something is done to a name; None if there is none."""
    asking = [
        (level, rule)
        for rule in rules
        if (level := rule.level(act)) is not None and fits(rule.canonical_pattern, canonical_name)
    ]
    return max(asking, key=lambda each: each[0])[1] if asking else None


def held_level(principal: Principal, scope: Scope | None, *, is_admin: bool) -> int:
    """
    Say how far a principal reaches at a project, as a ProtectionLevel or less.

    Deploy and job tokens reach none: they stand for no person with a role.

    Args:
        scope: the project as the principal meets it; None if it is gone.
        is_admin: whether the principal's user administers the instance now.
    """
    if scope is None:
        return 0
    if principal.token_kind is TokenKind.PERSONAL:
        return ProtectionLevel.ADMIN if is_admin else scope.role or 0
    is_bound_here = (
        principal.project_id == scope.id
        if principal.token_kind is TokenKind.PROJECT
        else principal.token_kind is TokenKind.GROUP and principal.group_id in scope.group_ids
    )
    return (principal.role or 0) if is_bound_here else 0


def refuse_below(rule: RuleTerms, act: ProtectedAct, held: int) -> None:
    """
    Pass if somebody reaches what a rule asks for.

    Raises:
        PackageProtected.
    """
    level = rule.level(act)
    if level is not None and held < level:
        raise PackageProtected(act.value, _WHO[level], rule.pattern)
