"""What the database is asked about people, places and tokens."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence

from zope.interface import Interface

from pkgregd.values import (
    OPERATOR,
    Level,
    MemberListing,
    MemberRecord,
    MintedToken,
    NewSignIn,
    NewToken,
    Origin,
    Owner,
    Piece,
    PlaceListing,
    PlaceQuery,
    PlaceRecord,
    Principal,
    Role,
    Scope,
    SignIn,
    SpentIdToken,
    Stretch,
    TokenListing,
    TokenOwner,
    TokenQuery,
    TokenRecord,
    UserListing,
    UserRecord,
    Visibility,
)

KEPT_JOB_SECONDS = 7 * 86_400
"""How long a job's token is listed after its end; the audit trail tells of it for longer."""


class IIdentityCatalog(Interface):
    """
    Users, groups, projects, members and tokens. One verb, one transaction, in which the audit trail is told who did it:
    who is not said to be somebody else is the operator.
    """

    async def add_user(name: str, *, is_admin: bool = False, principal: Principal = OPERATOR) -> int:
        """Return the new user's id. Raises AlreadyExists, InvalidName."""

    async def add_group(path: str, visibility: Visibility, principal: Principal = OPERATOR) -> int:
        """
        Add a group below its parent, which must exist.

        Args:
            path: full path such as `acme/tools`.

        Returns:
            The id.

        Raises:
            GroupNotFound: the parent is missing. AlreadyExists, InvalidName.
        """

    async def add_project(path: str, visibility: Visibility, principal: Principal = OPERATOR) -> int:
        """Return the new project's id. Raises GroupNotFound (its group), AlreadyExists, InvalidName."""

    async def set_member(user: str, path: str, role: Role, principal: Principal = OPERATOR) -> None:
        """
        Give a user a role in the group or project at path, replacing an earlier one.

        Raises:
            NotFound: no such user, group or project; the text says which.
        """

    async def list_owners(project_id: int | None, group_ids: Sequence[int]) -> tuple[Owner, ...]:
        """Users who are maintainers or more of the project or of one of the groups, by name, each once."""

    async def add_token(token: NewToken, principal: Principal = OPERATOR) -> int:
        """
        Return the new token's id.

        Args:
            principal: who asked for it. A personal token goes with the token that was shown to make it.

        Raises:
            NotFound: its user, project or group.
            InvalidCredentials: the token of who asked is not good any more.
        """

    async def add_job(token: NewToken, spent: SpentIdToken, asker: Principal) -> int:
        """
        Make a job token for an ID token, which is spent by it: both in one transaction, so that one of two wins.

        Args:
            asker: who showed it: nobody that is known, from somewhere.

        Returns:
            The job token's id.

        Raises:
            NotFound: its project. SpentIdTokenShown.
        """

    async def forget_ended(limit: int) -> int:
        """
        Forget ID tokens that are past being shown again, and jobs that ended KEPT_JOB_SECONDS ago.

        Args:
            limit: how many of each, at most.

        Returns:
            How many; 0 when there is none left.
        """

    async def note_uses(used_at: Mapping[int, datetime.datetime]) -> None:
        """
        Remember when tokens were last used, by their numbers.

        A time earlier than what is known changes nothing, nor does a token that is gone.
        """

    async def list_tokens() -> tuple[TokenRecord, ...]:
        """All tokens by id."""

    async def list_tokens_of(query: TokenQuery, piece: Piece) -> TokenListing:
        """A piece of somebody's tokens, in the order in which they were made."""

    async def find_token_of(owner: TokenOwner, token_id: int) -> TokenRecord | None:
        """Find one of somebody's tokens by its number, revoked or not."""

    async def revoke_token(public_id: str, principal: Principal = OPERATOR) -> bool:
        """
        Revoke any token, whosever it is, and those that were made by showing it; False if there is none of that id.

        Works from the next request on.
        """

    async def revoke_token_of(owner: TokenOwner, token_id: int, principal: Principal) -> bool:
        """
        Revoke one of somebody's tokens, and those that were made by showing it; False if there is none of that number.

        Works from the next request on.
        """

    async def rotate_token_of(
        owner: TokenOwner,
        token_id: int,
        minted: MintedToken,
        expires_at: datetime.datetime | None,
        principal: Principal,
    ) -> bool:
        """
        Revoke one of somebody's tokens, and store another that is the same but for its secret and its end.

        Those that were made by showing the old one are revoked: whoever knew it may have made them.

        Args:
            minted: of the new one.
            expires_at: of the new one.

        Returns:
            False if there is none of that number, or it is revoked or has expired already.

        Raises:
            InvalidCredentials: the token that the principal showed is not good any more.
        """


class IDirectoryCatalog(Interface):
    """Who and what there is, as those who administer it see it; every change tells in the audit trail who made it."""

    async def list_users(text: str | None, name: str | None, piece: Piece) -> UserListing:
        """
        A piece of the users, by number.

        Args:
            text: a part of the name, whatever the case of its letters; None for any.
            name: the whole name, whatever the case; None for any.
        """

    async def list_users_onward(
        text: str | None, name: str | None, stretch: Stretch, *, is_descending: bool = False
    ) -> tuple[UserRecord, ...]:
        """List users by number; see list_users(). One query, no counting."""

    async def find_user(user_id: int) -> UserRecord | None:
        """Find a user by number."""

    async def change_user(user_id: int, is_admin: bool, principal: Principal) -> bool:
        """Make a user an administrator, or a common user; False if there is none. Raises LastAdministrator."""

    async def remove_user(user_id: int, principal: Principal) -> bool:
        """
        Remove a user with tokens and memberships; False if there is none. What was published stays.

        Raises:
            LastAdministrator. LastOwner: of a group at the top.
        """

    async def list_places(level: Level, viewer: Principal, query: PlaceQuery, piece: Piece) -> PlaceListing:
        """A piece of the projects, or of the groups, that a principal sees."""

    async def list_places_onward(
        level: Level, viewer: Principal, query: PlaceQuery, stretch: Stretch
    ) -> tuple[PlaceRecord, ...]:
        """List what list_places() lists, in its order; by path upwards alone. One query, no counting."""

    async def find_place(level: Level, place_id: int) -> PlaceRecord | None:
        """Find a project or group by number."""

    async def change_place(level: Level, place_id: int, visibility: Visibility, principal: Principal) -> bool:
        """Change the visibility of a project or group; False if there is none of that number."""

    async def remove_place(level: Level, place_id: int, principal: Principal) -> bool:
        """
        Remove a project or group with all that lies in it: packages, tokens, memberships, projects and groups below.

        Returns:
            False if there is none of that number.
        """

    async def list_members(scope: Scope, text: str | None, piece: Piece, *, is_inherited: bool) -> MemberListing:
        """
        A piece of the members of a project or group, by the number of the user.

        Args:
            text: a part of the user's name, whatever the case of its letters; None for any.
            is_inherited: whether those of the groups above count.
        """

    async def find_member(scope: Scope, user_id: int, *, is_inherited: bool) -> MemberRecord | None:
        """Find a member by the number of the user."""

    async def set_member_role(scope: Scope, user_id: int, role: Role, principal: Principal, *, is_new: bool) -> bool:
        """
        Make a user a member of a project or group, or change the role of one.

        Args:
            is_new: the user must not be a member of it yet; else must be one.

        Returns:
            False if there is no such user, place or member.

        Raises:
            AlreadyExists: a member already. LastOwner.
        """

    async def remove_member(scope: Scope, user_id: int, principal: Principal) -> bool:
        """Remove a member; False if there is none. Raises LastOwner."""


class ISignInCatalog(Interface):
    """Requests of clients to be signed in."""

    async def add_sign_in(sign_in: NewSignIn, max_per_address: int) -> bool:
        """Store a request, and forget those that have expired; False if as many of its address wait already."""

    async def find_sign_in(public_id: str) -> SignIn | None:
        """Find one that has not expired."""

    async def approve_sign_in(public_id: str, principal: Principal, token_expires_at: datetime.datetime) -> bool:
        """
        Say yes to a request, as a user.

        Args:
            principal: shown by a personal token: the client's will be of the same user and scopes, and there will be
                none if this one has been revoked when the client comes back.
            token_expires_at: when the client's token will expire.

        Returns:
            False if there is none, or somebody has said yes.
        """

    async def take_sign_in(
        poll_sha256: str, public_id: str, secret_sha256: str, name: str, origin: Origin | None = None
    ) -> bool | None:
        """
        Store a token for a client that was signed in, and forget the request.

        Args:
            poll_sha256: see NewSignIn.
            public_id, secret_sha256, name: of the token; see NewToken.
            origin: of the client, for the audit trail.

        Returns:
            True if it is stored, False if nobody has said yes yet, None if there is no such request.
        """
