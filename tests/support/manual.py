"""The blocks of code of a page of the manual, and whether each is something that a test runs or reads."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator, Mapping

from attrs import frozen
from markdown_it import MarkdownIt

from pkgregd.config import parse
from pkgregd.errors import ConfigError, InvalidRequest
from pkgregd.formatkit.xmltree import read_xml

SHELL = "sh"


@frozen
class Block:
    """
    A block of code.

    Attributes:
        language: what stands behind the opening fence; empty if nothing does, and for an indented block.
        text: the code, each line with its end.
        line: of the page, from 1, where the block begins.
    """

    language: str
    text: str
    line: int


def blocks(text: str) -> Iterator[Block]:
    """List the blocks of code of a Markdown text in order, indented ones and those within lists too."""
    for token in MarkdownIt("commonmark").parse(text):
        if token.type in ("fence", "code_block"):
            yield Block(token.info.strip(), token.content, (token.map or [0])[0] + 1)


def shell_of(text: str) -> str:
    """Return the shell of a page as one script: a later block may use what an earlier one set."""
    return "\n".join(block.text for block in blocks(text) if block.language == SHELL)


def objection(block: Block, exempt: Mapping[str, str]) -> str | None:
    """
    Tell what is wrong with a block, if anything is.

    Shell is what the tests of the pages run, TOML is a configuration of ours, JSON and XML are whole. A block of
    anything else holds exempt commands alone.

    Args:
        exempt: why nobody runs a command, by its line without the comment.
    """
    if block.language == SHELL:
        return None
    if block.language == "toml":
        try:
            parse(block.text, pathlib.Path("/"))
        except ConfigError as error:
            return f"is no configuration: {error}"
        return None
    if block.language == "xml":
        try:
            read_xml(block.text.encode(), "block")
        except InvalidRequest as error:
            return f"is no XML: {error}"
        return None
    if block.language == "json":
        try:
            json.loads(block.text)
        except ValueError as error:
            return f"is no JSON: {error}"
        return None
    unknown = [command for command in commands_of(block) if command not in exempt]
    return f"is run by no test, and not exempt: {unknown}" if unknown else None


def commands_of(block: Block) -> list[str]:
    """Return the lines of a block without empty ones and comments."""
    lines = (line.partition("  #")[0].strip() for line in block.text.splitlines())
    return [line for line in lines if line]
