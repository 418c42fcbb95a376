"""
Which clients are sent elsewhere for their bytes.

A client that follows may send its credential along: to a stranger, or to a service that refuses whoever
comes with two. So nobody is sent who is not known to follow, or whose credential would go too.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from pkgregd.http.request import FrontRequest

_FOLLOWING = re.compile(rb"(?:pip|uv|npm)/[0-9]")
"""How clients call themselves that follow, and take Authorization off for another host name."""

_SENT_ALONG = (b"private-token", b"job-token", b"deploy-token", b"x-nuget-apikey", b"cookie", b"proxy-authorization")
"""Credentials that clients know nothing of, and so send along."""


def may_follow(request: FrontRequest, url: str) -> bool:
    """Whether the client of a GET may be sent to a URL."""
    if request.method != b"GET" or not _FOLLOWING.match(request.header(b"user-agent") or b""):
        return False
    if any(request.header(name) is not None for name in _SENT_ALONG):
        return False
    if request.header(b"authorization") is None:
        return True
    ours = (request.header(b"host") or b"").decode("latin-1").lower()
    return _host(f"//{ours}") != _host(url)


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
