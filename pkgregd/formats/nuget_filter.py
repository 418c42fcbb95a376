"""
The part of OData's filter language that NuGet clients write.

Source: OData 2.0, "URI conventions", section 4.5; what nuget, Chocolatey and PowerShellGet send.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

from attrs import define, field, frozen

from pkgregd.errors import InvalidRequest

MAX_FILTER_CHARACTERS = 4096
MAX_DEPTH = 32

Value: TypeAlias = str | bool | None
Resolve: TypeAlias = Callable[[str], Value]
"""Gives the value of a property of a package."""

PROPERTIES = (
    "Id", "Version", "NormalizedVersion", "Title", "Description", "Summary", "Tags", "Authors", "IsPrerelease",
    "IsLatestVersion", "IsAbsoluteLatestVersion", "Listed",
)  # fmt: skip
TEXT_PROPERTIES = frozenset({"Title", "Description", "Summary", "Tags", "Authors"})
"""Those that are read out of what is kept of a nuspec."""

_TOKEN = re.compile(r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<word>[A-Za-z_][A-Za-z0-9_]{0,63})|(?P<sign>[(),]))", re.ASCII)
_LITERALS: Mapping[str, Value] = {"true": True, "false": False, "null": None}
_FUNCTIONS: Mapping[str, tuple[int, Callable[..., Value]]] = {
    "tolower": (1, lambda text: text.lower()),
    "toupper": (1, lambda text: text.upper()),
    "trim": (1, lambda text: text.strip()),
    # the part comes first
    "substringof": (2, lambda part, text: part.lower() in text.lower()),
    "startswith": (2, lambda text, part: text.lower().startswith(part.lower())),
    "endswith": (2, lambda text, part: text.lower().endswith(part.lower())),
}


@frozen
class Literal:
    """A value that is written out."""

    value: Value

    def evaluate(self, resolve: Resolve) -> Value:
        """Return it."""
        return self.value


@frozen
class Property:
    """A property of a package."""

    name: str

    def evaluate(self, resolve: Resolve) -> Value:
        """Look it up."""
        return resolve(self.name)


@frozen
class Function:
    """A function of texts; a missing text is an empty one."""

    name: str
    arguments: tuple[Expression, ...]

    def evaluate(self, resolve: Resolve) -> Value:
        """Call it."""
        _, function = _FUNCTIONS[self.name]
        return function(*(_text(each.evaluate(resolve)) for each in self.arguments))


@frozen
class Comparison:
    """Whether two values are equal, texts without regard to case; or whether they are not."""

    left: Expression
    right: Expression
    is_negated: bool

    def evaluate(self, resolve: Resolve) -> Value:
        """Compare."""
        left, right = (_folded(each.evaluate(resolve)) for each in (self.left, self.right))
        return (left == right) is not self.is_negated


@frozen
class Logic:
    """Several conditions: all have to hold, or one of them."""

    parts: tuple[Expression, ...]
    is_and: bool

    def evaluate(self, resolve: Resolve) -> Value:
        """Ask one after the other, until one decides."""
        held = (bool(part.evaluate(resolve)) for part in self.parts)
        return all(held) if self.is_and else any(held)


@frozen
class Not:
    """`not`."""

    inner: Expression

    def evaluate(self, resolve: Resolve) -> Value:
        """Turn it around."""
        return not self.inner.evaluate(resolve)


Expression: TypeAlias = Literal | Property | Function | Comparison | Logic | Not


def parse_filter(text: str) -> Expression:
    """
    Read a filter.

    Raises:
        InvalidRequest: it is none, or says what this registry does not know.
    """
    if len(text) > MAX_FILTER_CHARACTERS:
        raise InvalidRequest(f"the filter is longer than {MAX_FILTER_CHARACTERS} characters")
    return _Parser(_tokens(text)[::-1]).whole()


def id_of(expression: Expression) -> str | None:
    """Return the id that a package must have to pass, None if the filter does not say."""
    if isinstance(expression, Logic) and expression.is_and:
        return next((found for part in expression.parts if (found := id_of(part)) is not None), None)
    if not isinstance(expression, Comparison) or expression.is_negated:
        return None
    for one, other in ((expression.left, expression.right), (expression.right, expression.left)):
        if _is_id(one) and isinstance(other, Literal) and isinstance(other.value, str):
            return other.value
    return None


def properties_of(expression: Expression) -> frozenset[str]:
    """Return the names of all properties that a filter looks at."""
    match expression:
        case Property(name):
            return frozenset({name})
        case Function(_, parts) | Logic(parts):
            return frozenset().union(*map(properties_of, parts))
        case Comparison(left, right):
            return properties_of(left) | properties_of(right)
        case Not(inner):
            return properties_of(inner)
    return frozenset()


def _is_id(expression: Expression) -> bool:
    if isinstance(expression, Function) and expression.name in ("tolower", "toupper"):
        return _is_id(expression.arguments[0])
    return expression == Property("Id")


def read_text(literal: str) -> str:
    """Read a text in single quotes, or without any; two quotes in it are one."""
    if len(literal) >= 2 and literal[0] == literal[-1] == "'":
        return literal[1:-1].replace("''", "'")
    return literal


def _text(value: Value) -> str:
    return value if isinstance(value, str) else ""


def _folded(value: Value) -> Value:
    return value.lower() if isinstance(value, str) else value


def _tokens(text: str) -> list[str]:
    tokens: list[str] = []
    position, end = 0, len(text.rstrip())
    while position < end:
        found = _TOKEN.match(text, position)
        if found is None:
            raise InvalidRequest(f"the filter cannot be read from {text[position : position + 20]!a} on")
        tokens.append(found[0].strip() if found["text"] is None else found["text"])
        position = found.end()
    return tokens


@define
class _Parser:
    """
    Reads tokens by recursive descent, to a bounded depth.

    Args:
        rest: the tokens, the last one first.
    """

    _rest: list[str]
    _depth: int = field(default=0, init=False)

    def whole(self) -> Expression:
        expression = self._or()
        if self._rest:
            raise InvalidRequest(f"the filter goes on behind its end: {self._rest[-1]!a}")
        return expression

    def _peek(self) -> str:
        return self._rest[-1] if self._rest else ""

    def _take(self, *wanted: str) -> bool:
        if self._peek() not in wanted:
            return False
        self._rest.pop()
        return True

    def _demand(self, wanted: str) -> None:
        if not self._take(wanted):
            raise InvalidRequest(f"the filter has {self._peek()!a} where {wanted!a} has to be")

    def _or(self) -> Expression:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise InvalidRequest(f"the filter is nested deeper than {MAX_DEPTH}")
        parts = [self._and()]
        while self._take("or"):
            parts.append(self._and())
        self._depth -= 1
        return parts[0] if len(parts) == 1 else Logic(tuple(parts), is_and=False)

    def _and(self) -> Expression:
        parts = [self._comparison()]
        while self._take("and"):
            parts.append(self._comparison())
        return parts[0] if len(parts) == 1 else Logic(tuple(parts), is_and=True)

    def _comparison(self) -> Expression:
        if self._take("not"):
            self._depth += 1
            if self._depth > MAX_DEPTH:
                raise InvalidRequest(f"the filter is nested deeper than {MAX_DEPTH}")
            inner = self._comparison()
            self._depth -= 1
            return Not(inner)
        left = self._operand()
        for word, is_negated in (("eq", False), ("ne", True)):
            if self._take(word):
                return Comparison(left, self._operand(), is_negated)
        return left

    def _operand(self) -> Expression:
        if self._take("("):
            inner = self._or()
            self._demand(")")
            return inner
        token = self._rest.pop() if self._rest else ""
        if token.startswith("'"):
            return Literal(read_text(token))
        if token in _LITERALS:
            return Literal(_LITERALS[token])
        if self._peek() == "(" and token in _FUNCTIONS:
            return self._function(token)
        if token not in PROPERTIES:
            raise InvalidRequest(f"the filter has {token!a}, which is no property or function that is known here")
        return Property(token)

    def _function(self, name: str) -> Expression:
        self._demand("(")
        arguments = [self._or()]
        while self._take(","):
            arguments.append(self._or())
        self._demand(")")
        count, _ = _FUNCTIONS[name]
        if len(arguments) != count:
            raise InvalidRequest(f"the function {name} of the filter takes {count} arguments")
        return Function(name, tuple(arguments))
