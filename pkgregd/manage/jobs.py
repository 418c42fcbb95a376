"""
Jobs: what the token of one tells of it, and their end.

Source: GitLab's documentation, `api/jobs.md` ("Get job token's job").
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence

from zope.interface import implementer

from pkgregd.interfaces import IAuthorisedCall, IRouteTable, ITokenDesk
from pkgregd.manage.answers import GONE, JOB, listed, shown
from pkgregd.manage.pagination import PAGING, page_headers, read_page
from pkgregd.manage.parameters import choice, described
from pkgregd.manage.shapes import json_reply, time_text
from pkgregd.values import (
    AccountPermission,
    JobOrigin,
    Level,
    Operation,
    Permission,
    Refusal,
    Reply,
    Route,
    TokenKind,
    TokenOwner,
    TokenQuery,
    TokenRecord,
)

INSTANCE = frozenset({Level.INSTANCE})
PROJECT = frozenset({Level.PROJECT})
STATES: Mapping[str, bool | None] = {"active": True, "inactive": False}
STATE = choice("state", STATES, None, "Only those that go on, or only those that have ended")
LIST_PARAMETERS = described(STATE) + PAGING

SHOW = Operation("show_job", shown(JOB, "The job"), refusals=(404,))
END = Operation("end_job", GONE, refusals=(404,))
LIST = Operation("list_jobs", listed(JOB, "The jobs"), LIST_PARAMETERS)
END_OTHER = Operation("end_job_of_project", GONE)


@implementer(IRouteTable)
class JobManagement:
    """
    See IRouteTable.

    Args:
        desk: keeps tokens.
        clock: tells the time, aware.
    """

    name = "manage_jobs"
    challenge: str | None = None

    def __init__(self, desk: ITokenDesk, clock: Callable[[], datetime.datetime]) -> None:
        self._desk = desk
        self._clock = clock

    def routes(self) -> Sequence[Route]:
        """See IRouteTable."""
        own, path = AccountPermission.READ_JOB, "/job_tokens"
        return (
            Route(("GET",), "/api/v4/job", own, self.show, INSTANCE, operation=SHOW),
            Route(("DELETE",), "/api/v4/job", own, self.end, INSTANCE, operation=END),
            Route(("GET",), path, Permission.ADMINISTER, self.list_jobs, PROJECT, operation=LIST),
            Route(
                ("DELETE",),
                f"{path}/<number:token_id>",
                Permission.ADMINISTER,
                self.end_other,
                PROJECT,
                operation=END_OTHER,
            ),
        )

    def render_error(self, refusal: Refusal) -> Reply | None:
        """Leave it to the common JSON, which is GitLab's."""
        return None

    async def show(self, call: IAuthorisedCall) -> Reply:
        """Show the job whose token the request shows."""
        return json_reply(job_fields(await self._desk.find_token(*_shown(call)), self._clock()))

    async def end(self, call: IAuthorisedCall) -> Reply:
        """End the job whose token the request shows."""
        await self._desk.revoke(*_shown(call), call.principal)
        return Reply(204)

    async def list_jobs(self, call: IAuthorisedCall) -> Reply:
        """List the jobs that have, or had, a token of the project."""
        page = read_page(call)
        owner = TokenOwner(TokenKind.JOB, project_id=call.scope.id)
        is_active = STATE.read(call)
        listing = await self._desk.list_tokens(TokenQuery(owner, is_active), page.piece)
        headers = page_headers(call, call.base_url + "/job_tokens", LIST_PARAMETERS, page, listing.total)
        now = self._clock()
        return json_reply([job_fields(record, now) for record in listing.tokens], headers)

    async def end_other(self, call: IAuthorisedCall) -> Reply:
        """End a job of the project."""
        owner = TokenOwner(TokenKind.JOB, project_id=call.scope.id)
        await self._desk.revoke(owner, call.arguments["token_id"], call.principal)
        return Reply(204)


def _shown(call: IAuthorisedCall) -> tuple[TokenOwner, int]:
    bearer = call.principal
    assert bearer.token_id is not None, "the caller is known"
    return TokenOwner(TokenKind.JOB, project_id=bearer.project_id), bearer.token_id


def job_fields(record: TokenRecord, now: datetime.datetime) -> Mapping[str, object]:
    """Show a job, in GitLab's fields and with what its CI said; what GitLab has beside these is not known here."""
    origin = record.origin or JobOrigin("")
    has_expired = record.expires_at is not None and record.expires_at <= now
    ended_at = record.revoked_at or (record.expires_at if has_expired else None)
    bearer = record.principal
    return {
        "id": bearer.token_id,
        "name": record.name,
        "status": "running" if ended_at is None else "success",
        "stage": None,
        "ref": origin.ref or None,
        "tag": origin.ref.startswith("refs/tags/"),
        "created_at": time_text(record.created_at),
        "started_at": time_text(record.created_at),
        "finished_at": None if ended_at is None else time_text(ended_at),
        "expires_at": None if record.expires_at is None else time_text(record.expires_at),
        "last_used_at": None if record.last_used_at is None else time_text(record.last_used_at),
        "user": None,
        "project": {"id": bearer.project_id, "path_with_namespace": bearer.project_path},
        "pipeline": {"id": origin.run_id or None, "project_id": bearer.project_id, "ref": origin.ref or None},
        "origin": {
            "issuer": origin.issuer or None,
            "subject": origin.subject or None,
            "repository": origin.repository or None,
            "ref": origin.ref or None,
            "run_id": origin.run_id or None,
        },
        "web_url": None,
    }
