"""Protection rules: statements, then verbs, the first of which is what every verb that writes packages calls."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import bindparam, delete, func, literal_column, select, update

from pkgregd.catalog import told
from pkgregd.catalog.audit import add_audit_entry
from pkgregd.catalog.directory import find_user
from pkgregd.catalog.identity import find_scope
from pkgregd.catalog.rules import MAX_ID
from pkgregd.catalog.statement import Row, Statement, Transaction, insert
from pkgregd.catalog.tables import projects, protection_rules
from pkgregd.errors import ProjectNotFound, RuleRejected
from pkgregd.interfaces import MAX_RULES
from pkgregd.values import (
    AuditAction,
    Level,
    Piece,
    Principal,
    ProtectedAct,
    ProtectionLevel,
    ProtectionRule,
    RuleListing,
    RuleTerms,
    demanded,
    held_level,
    refuse_below,
)

# =================================================================== statements

_rules = select(
    protection_rules.c.format,
    protection_rules.c.pattern,
    protection_rules.c.canonical_pattern,
    protection_rules.c.push_level,
    protection_rules.c.delete_level,
    protection_rules.c.id,
    protection_rules.c.project_id,
)
_of_project = protection_rules.c.project_id == bindparam("project_id")
_is_rule = protection_rules.c.id == bindparam("rule_id")

RULES_OF_FORMAT = Statement(_rules.where(_of_project, protection_rules.c.format == bindparam("format")))

# FOR UPDATE: whoever is publishing there has done it, or will see the rule; and rules are counted one after the other
HOLD_PROJECT = Statement(select(projects.c.id).where(projects.c.id == bindparam("project_id")).with_for_update())

COUNT_RULES = Statement(select(func.count()).select_from(protection_rules).where(_of_project))

LIST_RULES = Statement(
    _rules.where(_of_project)
    .order_by(protection_rules.c.id)
    .limit(bindparam("row_limit"))
    .offset(bindparam("row_offset"))
)

FIND_RULE = Statement(_rules.where(_is_rule, _of_project))

FIND_SAME_RULE = Statement(
    _rules.where(
        _of_project,
        protection_rules.c.format == bindparam("format"),
        protection_rules.c.canonical_pattern == bindparam("canonical_pattern"),
    )
)

ADD_RULE = Statement(
    insert(protection_rules)
    .values(
        project_id=bindparam("project_id"),
        format=bindparam("format"),
        pattern=bindparam("pattern"),
        canonical_pattern=bindparam("canonical_pattern"),
        push_level=bindparam("push_level"),
        delete_level=bindparam("delete_level"),
        created_at=bindparam("now"),
    )
    .on_conflict_do_nothing()
)

CHANGE_RULE = Statement(
    update(protection_rules)
    .where(
        _is_rule,
        ~select(literal_column("1"))
        .select_from(_other := protection_rules.alias("other_rule"))
        .where(
            _other.c.project_id == protection_rules.c.project_id,
            _other.c.format == bindparam("new_format"),
            _other.c.canonical_pattern == bindparam("new_canonical_pattern"),
            _other.c.id != protection_rules.c.id,
        )
        .exists(),
    )
    .values(
        format=bindparam("new_format"),
        pattern=bindparam("new_pattern"),
        canonical_pattern=bindparam("new_canonical_pattern"),
        push_level=bindparam("new_push_level"),
        delete_level=bindparam("new_delete_level"),
    )
)

REMOVE_RULE = Statement(delete(protection_rules).where(_is_rule, _of_project))

# ====================================================================== obeying


async def demand_unprotected(
    tx: Transaction, project_id: int, format: str, canonical_name: str, act: ProtectedAct, principal: Principal
) -> None:
    """See IProtectionCatalog. Where a project has no rule for the format this is one search in an index."""
    rows = await tx.fetch_all(RULES_OF_FORMAT, project_id=project_id, format=format)
    rule = demanded(map(_terms, rows), canonical_name, act) if rows else None
    if rule is None:
        return
    user = None if principal.user_id is None else await find_user(tx, principal.user_id)
    scope = await find_scope(tx, Level.PROJECT, project_id, principal.user_id)
    refuse_below(rule, act, held_level(principal, scope, is_admin=user is not None and user.is_admin))


# ==================================================================== tending


async def list_rules(tx: Transaction, project_id: int, piece: Piece) -> RuleListing:
    """See IProtectionCatalog."""
    counted = await tx.fetch_one(COUNT_RULES, project_id=project_id)
    assert counted is not None
    rows = await tx.fetch_all(LIST_RULES, project_id=project_id, row_limit=piece.limit, row_offset=piece.offset)
    return RuleListing(tuple(map(_rule, rows)), counted[0])


async def find_rule(tx: Transaction, project_id: int, rule_id: int) -> ProtectionRule | None:
    """See IProtectionCatalog."""
    row = await tx.fetch_one(FIND_RULE, project_id=project_id, rule_id=rule_id) if 0 < rule_id <= MAX_ID else None
    return None if row is None else _rule(row)


async def add_rule(tx: Transaction, project_id: int, terms: RuleTerms, principal: Principal) -> ProtectionRule:
    """See IProtectionCatalog."""
    if await tx.fetch_one(HOLD_PROJECT, project_id=project_id) is None:
        raise ProjectNotFound
    counted = await tx.fetch_one(COUNT_RULES, project_id=project_id)
    assert counted is not None
    if counted[0] >= MAX_RULES:
        raise RuleRejected(f"a project has at most {MAX_RULES} protection rules: remove one first")
    if not await tx.execute(ADD_RULE, project_id=project_id, now=tx.now, **_columns(terms)):
        raise _taken(terms)
    row = await tx.fetch_one(
        FIND_SAME_RULE, project_id=project_id, format=terms.format, canonical_pattern=terms.canonical_pattern
    )
    assert row is not None
    rule = _rule(row)
    await add_audit_entry(tx, principal, told.of_rule(AuditAction.ADD_PROTECTION_RULE, rule))
    return rule


async def change_rule(tx: Transaction, known: ProtectionRule, terms: RuleTerms, principal: Principal) -> bool:
    """See IProtectionCatalog."""
    await tx.fetch_one(HOLD_PROJECT, project_id=known.project_id)
    if await find_rule(tx, known.project_id, known.id) != known:
        return False
    if terms == known.terms:
        return True
    new = {f"new_{name}": value for name, value in _columns(terms).items()}
    if not await tx.execute(CHANGE_RULE, rule_id=known.id, **new):
        raise _taken(terms)
    changed = ProtectionRule(known.id, known.project_id, terms)
    await add_audit_entry(tx, principal, told.of_rule(AuditAction.CHANGE_PROTECTION_RULE, changed, known.terms))
    return True


async def remove_rule(tx: Transaction, project_id: int, rule_id: int, principal: Principal) -> bool:
    """See IProtectionCatalog."""
    await tx.fetch_one(HOLD_PROJECT, project_id=project_id)
    rule = await find_rule(tx, project_id, rule_id)
    if rule is None:
        return False
    await tx.execute(REMOVE_RULE, project_id=project_id, rule_id=rule_id)
    await add_audit_entry(tx, principal, told.of_rule(AuditAction.REMOVE_PROTECTION_RULE, rule))
    return True


def _taken(terms: RuleTerms) -> RuleRejected:
    return RuleRejected(f"package_name_pattern has already been taken: there is a {terms.format} rule for these names")


def _columns(terms: RuleTerms) -> Mapping[str, object]:
    return {
        "format": terms.format,
        "pattern": terms.pattern,
        "canonical_pattern": terms.canonical_pattern,
        "push_level": None if terms.push_level is None else terms.push_level.value,
        "delete_level": None if terms.delete_level is None else terms.delete_level.value,
    }


def _terms(row: Row) -> RuleTerms:
    format, pattern, canonical_pattern, push_level, delete_level, *_ = row
    return RuleTerms(format, pattern, canonical_pattern, _level(push_level), _level(delete_level))


def _level(number: int | None) -> ProtectionLevel | None:
    return None if number is None else ProtectionLevel(number)


def _rule(row: Row) -> ProtectionRule:
    return ProtectionRule(row[5], row[6], _terms(row))
