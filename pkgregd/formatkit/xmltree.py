"""
Reading XML from strangers: a tree of elements, within limits, without document types and what they bring.

Source: XML 1.0, read by expat. A document type is refused as a whole, and with it entities of its own, external ones
and default attributes; namespaces are taken off the names, unless they are not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.parsers import expat

from attrs import define, field, frozen

from pkgregd.errors import InvalidRequest


@frozen
class XmlLimits:
    """
    What a document may have.

    Attributes:
        max_elements: in all.
        max_depth: of one in another.
        max_text_characters: of the text directly in one element.
        max_attributes: of one element.
    """

    max_elements: int = 100_000
    max_depth: int = 64
    max_text_characters: int = 64 << 10
    max_attributes: int = 64


DEFAULT_LIMITS = XmlLimits()


@define
class Element:
    """
    An element.

    Attributes:
        name: without its namespace.
        attributes: by their names without namespaces.
        children: in order.
    """

    name: str
    attributes: dict[str, str] = field(factory=dict)
    children: list[Element] = field(factory=list)
    _pieces: list[str] = field(factory=list)
    _characters: int = 0

    @property
    def text(self) -> str:
        """The text directly in it, without white space at its ends."""
        return "".join(self._pieces).strip()

    def each(self, name: str) -> Iterator[Element]:
        """Its children of one name."""
        return (child for child in self.children if child.name == name)

    def first(self, *path: str) -> Element | None:
        """The first one at a path below it."""
        element: Element | None = self
        for name in path:
            element = next(element.each(name), None) if element is not None else None
        return element

    def first_text(self, *path: str) -> str | None:
        """The text of the first one at a path below it; None where there is none, or no text in it."""
        element = self.first(*path)
        return None if element is None else element.text or None

    def add_text(self, text: str, most_characters: int) -> None:
        """Take text that stands in it."""
        self._characters += len(text)
        if self._characters > most_characters:
            raise InvalidRequest(f"the text of <{self.name[:64]}> is longer than {most_characters} characters")
        self._pieces.append(text)


def read_xml(data: bytes, what: str, limits: XmlLimits = DEFAULT_LIMITS, *, checks_namespaces: bool = True) -> Element:
    """
    Read a document.

    Args:
        data: whole; whoever calls limits its size.
        what: names the document in messages, e.g. `POM`.
        checks_namespaces: refuse prefixes that nothing declares, and take namespaces off the names. Without it names
            stay as they are written, which is what readers see that know no namespaces.

    Raises:
        InvalidRequest: not well-formed, beyond a limit, or with a document type.
    """
    builder = _Builder(what, limits)
    parser = expat.ParserCreate(namespace_separator=" ") if checks_namespaces else expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.text
    parser.StartDoctypeDeclHandler = builder.refuse_doctype
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise InvalidRequest(f"the {what} is not well-formed XML: {error}") from None
    except (LookupError, ValueError) as error:  # an encoding that is unknown, or that the bytes do not fit
        raise InvalidRequest(f"the {what} cannot be decoded: {error}") from None
    assert builder.root is not None, "a well-formed document has one element"
    return builder.root


class _Builder:
    """Builds the tree as the parser goes."""

    def __init__(self, what: str, limits: XmlLimits) -> None:
        self.root: Element | None = None
        self._what = what
        self._limits = limits
        self._open: list[Element] = []
        self._count = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Open an element."""
        limits = self._limits
        self._count += 1
        if self._count > limits.max_elements:
            raise InvalidRequest(f"the {self._what} has more than {limits.max_elements} elements")
        if len(self._open) >= limits.max_depth:
            raise InvalidRequest(f"the {self._what} has elements more than {limits.max_depth} deep")
        if len(attributes) > limits.max_attributes:
            raise InvalidRequest(f"an element of the {self._what} has more than {limits.max_attributes} attributes")
        if sum(map(len, attributes.values())) > limits.max_text_characters:
            raise InvalidRequest(f"the attributes of an element of the {self._what} are too long")
        element = Element(
            name.rpartition(" ")[2], {each.rpartition(" ")[2]: value for each, value in attributes.items()}
        )
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)

    def end(self, name: str) -> None:
        """Close it."""
        self._open.pop()

    def text(self, text: str) -> None:
        """Take text of the element that is open."""
        self._open[-1].add_text(text, self._limits.max_text_characters)

    def refuse_doctype(self, *_: object) -> None:
        """Refuse a document type."""
        raise InvalidRequest(f"the {self._what} has a document type, which is not allowed")
