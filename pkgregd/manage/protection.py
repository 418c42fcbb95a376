"""
Rules that keep the packages of some names for some people.

Compatible with GitLab's protected packages; beyond it: every format has its rules.

Source: GitLab's documentation, `api/project_packages_protection_rules.md`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import evolve
from zope.interface import implementer

from pkgregd.errors import InvalidRequest, NotFound, RuleRejected, Unavailable
from pkgregd.interfaces import IAuthorisedCall, IPackageFormat, IProtectionCatalog, IRouteTable
from pkgregd.manage.answers import GONE, PROTECTION_RULE, listed, made
from pkgregd.manage.bodies import Body, Field, one_of, text
from pkgregd.manage.pagination import PAGING, page_headers, read_page
from pkgregd.manage.shapes import json_reply
from pkgregd.values import (
    MAX_PATTERN_CHARACTERS,
    Answer,
    Operation,
    Permission,
    ProtectionLevel,
    ProtectionRule,
    Refusal,
    Reply,
    Route,
    RuleTerms,
)

PATTERN, TYPE = "package_name_pattern", "package_type"
PUSH, DELETE = "minimum_access_level_for_push", "minimum_access_level_for_delete"
MAX_TRIES = 3
"""How often a change is made again of a rule that somebody else changes meanwhile."""

LIST = Operation("list_protection_rules", listed(PROTECTION_RULE, "The rules"), PAGING)
ADD = Operation("add_protection_rule", made(PROTECTION_RULE, "The rule"), refusals=(422,))
CHANGE = Operation("change_protection_rule", (Answer(200, "The rule", PROTECTION_RULE),), refusals=(422,))
REMOVE = Operation("remove_protection_rule", GONE)

_RULES = "/packages/protection/rules"
_RULE = _RULES + "/<number:package_protection_rule_id>"


@implementer(IRouteTable)
class ProtectionManagement:
    """
    See IRouteTable.

    Args:
        catalog: keeps the rules.
        formats: that are served: each brings patterns to the form in which its names are compared.
    """

    name = "manage_protection"
    challenge: str | None = None

    def __init__(self, catalog: IProtectionCatalog, formats: Iterable[IPackageFormat]) -> None:
        self._catalog = catalog
        self._formats = {made.name: made for made in formats}
        fields: Mapping[str, Field[Any]] = {
            PATTERN: PATTERN_FIELD,
            TYPE: one_of({name: name for name in sorted(self._formats)}),
            PUSH: _level(ProtectionLevel),
            DELETE: _level((ProtectionLevel.OWNER, ProtectionLevel.ADMIN)),
        }
        example = {PATTERN: "acme-*", TYPE: min(self._formats), PUSH: "maintainer"}
        self._new = Body(fields, (PATTERN, TYPE), nullable=(PUSH, DELETE), example=example)
        self._changed = Body(fields, nullable=(PUSH, DELETE), example={DELETE: "owner"})

    def routes(self) -> Sequence[Route]:
        """See IRouteTable."""
        administer = Permission.ADMINISTER
        return (
            Route(("GET",), _RULES, administer, self.list_rules, operation=LIST),
            Route(("POST",), _RULES, administer, self.add, operation=evolve(ADD, body=self._new.described)),
            Route(("PATCH",), _RULE, administer, self.change, operation=evolve(CHANGE, body=self._changed.described)),
            Route(("DELETE",), _RULE, administer, self.remove, operation=REMOVE),
        )

    def render_error(self, refusal: Refusal) -> Reply | None:
        """Leave it to the common JSON, which is GitLab's."""
        return None

    async def list_rules(self, call: IAuthorisedCall) -> Reply:
        """List the rules of a project."""
        page = read_page(call)
        listing = await self._catalog.list_rules(call.scope.id, page.piece)
        headers = page_headers(call, call.base_url + _RULES, LIST.parameters, page, listing.total)
        return json_reply([_fields(rule) for rule in listing.rules], headers)

    async def add(self, call: IAuthorisedCall) -> Reply:
        """Add a rule."""
        given = await self._new.read(call)
        terms = self._terms(given)
        if terms.push_level is None and terms.delete_level is None:
            raise InvalidRequest(f"{PUSH}, {DELETE} are missing: give at least one of them")
        return _reply(await self._catalog.add_rule(call.scope.id, terms, call.principal), 201)

    async def change(self, call: IAuthorisedCall) -> Reply:
        """Change what is given of a rule; a level that is null or empty goes."""
        given = await self._changed.read(call)
        for _ in range(MAX_TRIES):
            known = await self._catalog.find_rule(call.scope.id, call.arguments["package_protection_rule_id"])
            if known is None:
                raise _NoRule
            terms = self._terms({**_said(known.terms), **given})
            if terms.push_level is None and terms.delete_level is None:
                raise RuleRejected(f"a rule needs at least one of {PUSH} and {DELETE}: delete it to have none")
            if await self._catalog.change_rule(known, terms, call.principal):
                return _reply(ProtectionRule(known.id, known.project_id, terms), 200)
        raise Unavailable("the rule is being changed by others")

    async def remove(self, call: IAuthorisedCall) -> Reply:
        """Remove a rule."""
        rule_id = call.arguments["package_protection_rule_id"]
        if not await self._catalog.remove_rule(call.scope.id, rule_id, call.principal):
            raise _NoRule
        return Reply(204)

    def _terms(self, given: Mapping[str, Any]) -> RuleTerms:
        """
        Put together what a rule says.

        Raises:
            InvalidName: no name of the format fits the pattern.
            RuleRejected: the format of a rule is not served any more.
        """
        format, pattern = given[TYPE], given[PATTERN]
        if format not in self._formats:
            raise RuleRejected(f"{format} packages are not served here any more: the rule can only be deleted")
        canonical = self._formats[format].canonical_pattern(pattern)
        return RuleTerms(format, pattern, canonical, given.get(PUSH), given.get(DELETE))


class _NoRule(NotFound):
    """No such rule in the project."""

    def __init__(self) -> None:
        super().__init__("package protection rule not found")


def _pattern(name: str, value: object) -> str:
    pattern = text(name, value)
    if len(pattern) > MAX_PATTERN_CHARACTERS or not pattern.isascii():
        raise InvalidRequest(f"{name} is not valid: at most {MAX_PATTERN_CHARACTERS} letters of ASCII")
    return pattern


PATTERN_FIELD = Field(
    _pattern, {"type": "string", "minLength": 1, "maxLength": MAX_PATTERN_CHARACTERS, "pattern": "^[ -~]*$"}
)
"""A pattern for names, whatever the format's letters are."""


def _level(levels: Iterable[ProtectionLevel]) -> Field[ProtectionLevel | None]:
    """Declare one of some levels; an empty one stands for none."""
    names = {level.name.lower(): level for level in levels}
    choose = one_of(names)

    def read(name: str, value: object) -> ProtectionLevel | None:
        return None if value == "" else choose(name, value)

    return Field(read, {"type": "string", "enum": [*names, ""]})


def _said(terms: RuleTerms) -> Mapping[str, object]:
    return {PATTERN: terms.pattern, TYPE: terms.format, PUSH: terms.push_level, DELETE: terms.delete_level}


def _fields(rule: ProtectionRule) -> Mapping[str, object]:
    """Show a rule."""
    levels = {PUSH: rule.terms.push_level, DELETE: rule.terms.delete_level}
    return {
        "id": rule.id,
        "project_id": rule.project_id,
        PATTERN: rule.terms.pattern,
        TYPE: rule.terms.format,
        **{name: None if level is None else level.name.lower() for name, level in levels.items()},
    }


def _reply(rule: ProtectionRule, status: int) -> Reply:
    body = json.dumps(_fields(rule)).encode()
    return Reply(status, body, "application/json", (("Cache-Control", "no-store"),))
