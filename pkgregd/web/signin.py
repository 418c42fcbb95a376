"""The page on which a person signs in a client that waits for it, e.g. `npm login`."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from http import HTTPStatus
from urllib.parse import parse_qs

from zope.interface import implementer

from pkgregd.errors import InvalidRequest, WrongPassword
from pkgregd.interfaces import IAuthorisedCall, IRouteTable
from pkgregd.values import AccountPermission, Answer, BodyContent, Level, Operation, Refusal, Reply, Route, SignIn

PATH = "/-/sign-in"
"""Below it, by its public id, is the page of each client that waits."""

MAX_FORM_BYTES = 8192
STYLE = "../../help/style.css"
HTML = "text/html; charset=utf-8"
HEADERS = (
    (
        "Content-Security-Policy",
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),
)

_PAGE = (Answer(200, "A page for a browser", media_type="text/html"),)
_FORM = BodyContent(
    {
        "application/x-www-form-urlencoded": {
            "type": "object",
            "properties": {"token": {"type": "string", "format": "password"}},
            "required": ["token"],
        }
    },
    is_required=True,
)
SHOW = Operation("show_sign_in", _PAGE)
APPROVE = Operation("approve_sign_in", _PAGE, body=_FORM, refusals=(403,))


@implementer(IRouteTable)
class SignInPages:
    """See IRouteTable: one page, and what its form sends."""

    name = "sign_in"
    challenge: str | None = None

    def routes(self) -> Sequence[Route]:
        """See IRouteTable."""
        path, levels = f"{PATH}/<segment:public_id>", frozenset({Level.INSTANCE})
        return (
            Route(("GET",), path, AccountPermission.SIGN_IN, show, levels, operation=SHOW),
            Route(("POST",), path, AccountPermission.SIGN_IN, approve, levels, operation=APPROVE),
        )

    def render_error(self, refusal: Refusal) -> Reply:
        """Say it on a page."""
        title = HTTPStatus(refusal.status).phrase
        return _page(refusal.status, title, f"<p>{_sentence(refusal.message)}</p>")


async def show(call: IAuthorisedCall) -> Reply:
    """Show who waits, and ask for a token."""
    waiting = await call.account.find_sign_in(call.arguments["public_id"])
    if waiting.is_approved:
        return _page(200, "Signed in", "<p>This was done already. You can close this page.</p>")
    return _page(200, "Sign in a client", _form(waiting))


async def approve(call: IAuthorisedCall) -> Reply:
    """Take the token, and say yes for its user."""
    public_id = call.arguments["public_id"]
    waiting = await call.account.find_sign_in(public_id)
    secret = _field(await call.body.read_all(MAX_FORM_BYTES), "token")
    try:
        name = await call.account.approve_sign_in(public_id, secret)
    except WrongPassword as error:
        return _page(403, "Sign in a client", f"<p><strong>{_sentence(str(error))}</strong></p>\n{_form(waiting)}")
    text = f"<p>The client is signed in as <strong>{escape(name)}</strong>. You can close this page.</p>"
    return _page(200, "Signed in", text)


def _form(waiting: SignIn) -> str:
    return f"""<p>A client at <strong>{escape(waiting.address)}</strong> that calls itself
<strong>{escape(waiting.client or "nothing")}</strong> began to sign in at {waiting.created_at:%H:%M} UTC.
If that is not you, close this page.</p>
<p>To go on, show a personal access token of yours. The client gets a token of its own, which may do the same as this
one, and which you can revoke.</p>
<form method="post">
<p><label for="token">Personal access token</label><br>
<input id="token" name="token" type="password" autocomplete="off" required size="72"></p>
<p><button type="submit">Sign in</button></p>
</form>
"""


def _field(form: bytes, name: str) -> str:
    """Read the one field of a form. Raises InvalidRequest."""
    try:
        fields = parse_qs(
            form.decode("ascii"), strict_parsing=True, encoding="utf-8", errors="strict", max_num_fields=4
        )
    except ValueError:
        raise InvalidRequest("the form cannot be read") from None
    values = fields.get(name, [])
    if len(values) != 1:
        raise InvalidRequest(f"the form has one {name}")
    return values[0]


def _sentence(message: str) -> str:
    return escape(f"{message[:1].upper()}{message[1:]}.")


def _page(status: int, title: str, html: str) -> Reply:
    text = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)} - pkgregd</title>
<link rel="stylesheet" href="{STYLE}">
</head>
<body>
<main id="content">
<h1>{escape(title)}</h1>
{html}</main>
</body>
</html>
"""
    return Reply(status, text.encode(), HTML, HEADERS)
