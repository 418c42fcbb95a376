"""Errors in the words of GitLab's API, which scripts look for."""

from __future__ import annotations

import json

from pkgregd.values import Refusal, Reply


def bad_request(refusal: Refusal, reason: str) -> Reply:
    """
    Answer 400 whatever the refusal's own status is, as GitLab does where others would say 409.

    Args:
        reason: GitLab's text.
    """
    fields = {
        "message": f"400 Bad request - {reason}",
        "error": refusal.code,
        "detail": refusal.message,
        "request_id": refusal.request_id,
    }
    return Reply(400, json.dumps(fields).encode(), "application/json")
