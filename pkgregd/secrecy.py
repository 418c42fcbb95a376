"""
Takes secrets out of what is written down: a belt, for nothing should write them down in the first place.

It knows tokens of ours by their shape, and others by what stands before them: the name of a header, the scheme of a
credential, the parameter of a URL, a user's name in one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from twisted.logger import ILogObserver, LogEvent, LogPublisher, formatEvent
from twisted.python.failure import Failure
from zope.interface import implementer

REMOVED = "..."
MAX_DEPTH = 4
"""How deep the values of a log event are looked into; the text that is made of them is looked at as a whole."""

_HEADERS = "(?:proxy-)?authorization|(?:private|job|deploy)-token|x-nuget-apikey|(?:set-)?cookie"
_PARAMETERS = (
    "(?:private_|access_|job_|deploy_|refresh_|id_)?token|password|passwd|secret|secret_access_key|api_?key"
    "|x-amz-(?:signature|credential|security-token)"
)
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # the public id stays, by which a token that was shown in a wrong place can be revoked
    (re.compile(r"(pkgr(?:_|%5f)[a-z]{3}(?:_|%5f)[0-9a-z]{12}(?:_|%5f))[0-9a-z]+", re.ASCII | re.I), rf"\1{REMOVED}"),
    (
        re.compile(
            rf"\b({_HEADERS})((?:\\?['\"])?\s*[:=,]\s*(?:b?\\?['\"])?)"
            r"(?:(?:basic|bearer|token) )?[^\s'\"\\,;)}]+",
            re.I,
        ),
        rf"\1\2{REMOVED}",
    ),
    (re.compile(r"\b(basic|bearer) [0-9A-Za-z+/_=.~-]{16,}", re.I), rf"\1 {REMOVED}"),
    (re.compile(rf"(?<![a-z0-9_-])((?:{_PARAMETERS})=)[^\s&'\"#;,)}}]+", re.I), rf"\1{REMOVED}"),
    (re.compile(r"(://[^\s/:@'\"]{0,256}:)[^\s/@'\"]{1,1024}@"), rf"\1{REMOVED}@"),
)
_HINTS = ("pkgr", "token", "author", "cookie", "apikey", "basic ", "bearer ", "passw", "secret", "api_key", "amz-")
_URL_WITH_USER = re.compile(r"://[^\s/]*@")
"""A text without all of these has nothing to be taken out, as most have not. One expression takes ten times as long."""


def without_secrets(text: str) -> str:
    """Return a text with what looks like a secret replaced."""
    if not _may_hold_secret(text):
        return text
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def _may_hold_secret(text: str) -> bool:
    folded = text.casefold()
    return any(map(folded.__contains__, _HINTS)) or ("@" in text and _URL_WITH_USER.search(text) is not None)


class CleanFailure:
    """Stands for a Failure in a log event, with the texts that observers ask it for."""

    def __init__(self, failure: Failure) -> None:
        self.type, self.value = failure.type, failure.value
        self._failure = failure

    def getTraceback(self, *args: Any, **kwargs: Any) -> str:
        """Return what the failure returns, without secrets."""
        return without_secrets(self._failure.getTraceback(*args, **kwargs))

    def getErrorMessage(self) -> str:
        """Return what the failure returns, without secrets."""
        return without_secrets(self._failure.getErrorMessage())

    def __str__(self) -> str:
        return without_secrets(str(self._failure))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._failure, name)


@implementer(ILogObserver)
class SecretRemover:
    """An observer that changes each event before the observers behind it get it."""

    def __call__(self, event: LogEvent) -> None:
        """Take secrets out of an event, where it lies."""
        for name, value in event.items():
            cleaned = _cleaned(value, 0)
            if cleaned is not value:
                event[name] = cleaned
        text = formatEvent(event)
        if any(value == text for value in event.values() if isinstance(value, str)):
            return  # the lines of the access log, which are many, and have just been looked at
        cleaned_text = without_secrets(text)
        if cleaned_text != text:
            # something whose own words hold a secret, such as an exception
            event["log_format"], event["log_text"] = "{log_text}", cleaned_text
            event.pop("log_flattened", None)


def _cleaned(value: object, depth: int) -> object:
    """Return a value without secrets; the same object if there are none."""
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, bytes):
        text = value.decode("latin-1")
        cleaned = without_secrets(text)
        return value if cleaned == text else cleaned.encode("latin-1")
    if isinstance(value, Failure):
        return CleanFailure(value) if without_secrets(value.getTraceback()) != value.getTraceback() else value
    if depth >= MAX_DEPTH:
        return value
    if isinstance(value, Mapping):
        return _kept_or(value, {key: _cleaned(each, depth + 1) for key, each in value.items()}, value.values())
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return _kept_or(value, type(value)(_cleaned(each, depth + 1) for each in value), value)
    return value


def _kept_or(value: object, cleaned: Any, parts: Any) -> object:
    after = cleaned.values() if isinstance(cleaned, dict) else cleaned
    return value if all(old is new or old == new for old, new in zip(parts, after, strict=True)) else cleaned


def install(publisher: LogPublisher) -> Callable[[], None]:
    """
    Have events cleaned before every observer that is added from now on.

    Returns:
        Undoes it.
    """
    remover = SecretRemover()
    publisher.addObserver(remover)
    return lambda: publisher.removeObserver(remover)
