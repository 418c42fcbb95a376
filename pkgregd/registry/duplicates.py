"""
Whether other bytes may take the place of a file.

The patterns of the configuration are shell patterns and the operator's own. The regular expressions come from the
settings of projects and groups: RE2 takes time in proportion to what it looks at, whatever the expression.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import lru_cache

import re2

from pkgregd.errors import InvalidRequest
from pkgregd.values import FormatLimits

MAX_REGEX_CHARACTERS = 255
MAX_REGEX_MEMORY_BYTES = 1 << 20
REMEMBERED_REGEXES = 32
"""Each may take up its memory."""


def may_replace(limits: FormatLimits, name: str, version: str, *, ignores_case: bool = False) -> bool:
    """
    Whether a file of this name and version may be replaced; an exception means the opposite of the rule.

    Args:
        ignores_case: whether exceptions hold for names and versions in letters of any case.
    """
    patterns = limits.duplicate_exceptions
    if ignores_case:
        name, version, patterns = name.lower(), version.lower(), tuple(pattern.lower() for pattern in patterns)
    is_exception = any(fnmatchcase(name, pattern) or fnmatchcase(version, pattern) for pattern in patterns)
    if limits.duplicate_exception_regex:
        regex = _compiled(limits.duplicate_exception_regex, ignores_case=ignores_case)
        is_exception = is_exception or bool(regex.fullmatch(name) or regex.fullmatch(version))
    return limits.duplicates_allowed is not is_exception


def check_regex(text: str) -> None:
    """
    Pass if that is a regular expression that may_replace() takes.

    Raises:
        InvalidRequest.
    """
    if len(text) > MAX_REGEX_CHARACTERS:
        raise InvalidRequest(f"the regular expression is longer than {MAX_REGEX_CHARACTERS} characters")
    try:
        for ignores_case in (False, True):
            _compiled(text, ignores_case=ignores_case)
    except re2.error as error:
        reason = error.args[0] if error.args else "it cannot be read"
        reason = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise InvalidRequest(f"not a regular expression that RE2 takes: {reason[:200]}") from None


@lru_cache(maxsize=REMEMBERED_REGEXES)
def _compiled(text: str, *, ignores_case: bool) -> re2._Regexp:
    options = re2.Options()
    options.case_sensitive = not ignores_case
    options.max_mem = MAX_REGEX_MEMORY_BYTES
    options.log_errors = False
    return re2.compile(text, options)
