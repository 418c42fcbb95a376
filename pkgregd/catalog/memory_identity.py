"""Users, groups, projects, members and tokens, as the catalog in memory keeps them."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Sequence

from attrs import define, evolve, field

from pkgregd.catalog import told
from pkgregd.catalog.memory_signins import Approval, MemorySignIns
from pkgregd.catalog.memory_trail import MemoryTrail
from pkgregd.catalog.rules import (
    can_be_path,
    check_group_path,
    check_project_path,
    check_token_owner,
    check_user_name,
    from_microseconds,
    is_number,
    key_of,
    split_path,
)
from pkgregd.errors import AlreadyExists, GroupNotFound, InvalidCredentials, NotFound
from pkgregd.values import (
    OPERATOR,
    AuditAction,
    Level,
    MintedToken,
    NewSignIn,
    NewToken,
    Origin,
    Owner,
    Piece,
    Principal,
    Role,
    Scope,
    SignIn,
    TokenKind,
    TokenListing,
    TokenOwner,
    TokenQuery,
    TokenRecord,
    Visibility,
)


@define
class User:
    """Somebody."""

    id: int
    name: str
    is_admin: bool
    created_at: datetime.datetime


@define
class Place:
    """A group or a project."""

    level: Level
    id: int
    path: str
    visibility: Visibility
    created_at: datetime.datetime
    group_ids: tuple[int, ...]
    roles: dict[int, Role] = field(factory=dict)


class MemoryIdentity(MemoryTrail):
    """
    See IIdentityCatalog and ISignInCatalog.

    Args:
        seconds: the clock, since 1970.

    Attributes:
        sign_ins: clients that wait.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        super().__init__(seconds)
        self._last_ids: dict[str, int] = {}
        self._users: dict[str, User] = {}
        self._places: dict[str, Place] = {}
        self._tokens: dict[str, TokenRecord] = {}
        self.sign_ins = MemorySignIns()

    def _next_id(self, what: str) -> int:
        self._last_ids[what] = self._last_ids.get(what, 0) + 1
        return self._last_ids[what]

    async def add_user(self, name: str, *, is_admin: bool = False, principal: Principal = OPERATOR) -> int:
        """See IIdentityCatalog."""
        check_user_name(name)
        if key_of(name) in self._users:
            raise AlreadyExists(f"a user named {name} exists already")
        user = User(self._next_id("user"), name, is_admin, from_microseconds(self._now()))
        self._users[key_of(name)] = user
        self._tell(principal, told.of_user(AuditAction.ADD_USER, user.id, name, is_admin=is_admin))
        return user.id

    async def add_group(self, path: str, visibility: Visibility, principal: Principal = OPERATOR) -> int:
        """See IIdentityCatalog."""
        check_group_path(path)
        group_id = self._add_place(Level.GROUP, path, visibility, principal)
        if principal.user_id is not None and "/" not in path:
            self._places[key_of(path)].roles[principal.user_id] = Role.OWNER
        return group_id

    async def add_project(self, path: str, visibility: Visibility, principal: Principal = OPERATOR) -> int:
        """See IIdentityCatalog."""
        check_project_path(path)
        return self._add_place(Level.PROJECT, path, visibility, principal)

    def _add_place(self, level: Level, path: str, visibility: Visibility, principal: Principal) -> int:
        parent_path, name = split_path(path)
        group_ids: tuple[int, ...] = ()
        if parent_path:
            parent = self._places.get(key_of(parent_path))
            if parent is None or parent.level is not Level.GROUP:
                raise GroupNotFound
            group_ids = parent.group_ids
            path = f"{parent.path}/{name}"
        if key_of(path) in self._places:
            raise AlreadyExists(f"a group or project at {path} exists already")
        place_id = self._next_id(level.value)
        if level is Level.GROUP:
            group_ids = (place_id, *group_ids)
        self._places[key_of(path)] = Place(level, place_id, path, visibility, from_microseconds(self._now()), group_ids)
        self._tell(principal, told.of_new_place(level, place_id, path, visibility))
        return place_id

    def _user(self, name: str) -> User:
        user = self._users.get(key_of(name))
        if user is None:
            raise NotFound(f"there is no user named {name}")
        return user

    def _place_by_id(self, level: Level, place_id: int) -> Place | None:
        return next((place for place in self._at(level) if place.id == place_id), None)

    def _path_at(self, level: Level, place_id: int | None) -> str:
        place = None if place_id is None else self._place_by_id(level, place_id)
        return "" if place is None else place.path

    def _at(self, level: Level) -> Iterator[Place]:
        return (place for place in self._places.values() if place.level is level)

    async def set_member(self, user: str, path: str, role: Role, principal: Principal = OPERATOR) -> None:
        """See IIdentityCatalog."""
        user_id = self._user(user).id
        place = self._places.get(key_of(path))
        if place is None:
            raise NotFound(f"there is no group or project at {path}")
        place.roles[user_id] = role
        where = (place.level, place.id, place.path)
        self._tell(principal, told.of_member(AuditAction.SET_MEMBER, *where, user, role=role.name.lower()))

    def _owner_id(self, level: Level, ident: str | None) -> int | None:
        if ident is None:
            return None
        place = self._place_by_id(level, int(ident)) if is_number(ident) else self._places.get(key_of(ident))
        if place is None or place.level is not level:
            raise NotFound(f"there is no {level.value} {ident}")
        return place.id

    async def list_owners(self, project_id: int | None, group_ids: Sequence[int]) -> tuple[Owner, ...]:
        """See IIdentityCatalog."""
        places = [group for group in self._at(Level.GROUP) if group.id in group_ids]
        places += [project for project in self._at(Level.PROJECT) if project.id == project_id]
        return tuple(
            Owner(user.id, user.name)
            for _, user in sorted(self._users.items())
            if any(place.roles.get(user.id, Role.GUEST) >= Role.MAINTAINER for place in places)
        )

    async def add_token(self, token: NewToken, principal: Principal = OPERATOR) -> int:
        """See IIdentityCatalog."""
        check_token_owner(token)
        if principal.token_id is not None:
            self._check_parent(principal.token_id)
        user = None if token.user is None else self._user(token.user)
        project_id = self._owner_id(Level.PROJECT, token.project)
        group_id = self._owner_id(Level.GROUP, token.group)
        if token.public_id in self._tokens:
            raise AlreadyExists("a token of that id exists already")
        token_id = self._next_id("token")
        self._tokens[token.public_id] = TokenRecord(
            public_id=token.public_id,
            secret_sha256=token.secret_sha256,
            name=token.name,
            principal=Principal(
                name=f"token:{token.name}" if user is None else user.name,
                token_kind=token.kind,
                token_id=token_id,
                user_id=None if user is None else user.id,
                is_admin=user is not None and user.is_admin,
                scopes=token.scopes,
                project_id=project_id,
                group_id=group_id,
                role=token.role,
                project_path=self._path_at(Level.PROJECT, project_id) or None,
                token_public_id=token.public_id,
            ),
            created_at=from_microseconds(self._now()),
            expires_at=token.expires_at,
        )
        owner = {"user_id": None if user is None else user.id, "project_id": project_id, "group_id": group_id}
        self._tell(principal, told.of_new_token(token, **owner))
        return token_id

    def _check_parent(self, token_id: int) -> None:
        """Raise InvalidCredentials if a token is not good any more."""
        now = from_microseconds(self._now())
        parents = [record for record in self._tokens.values() if record.principal.token_id == token_id]
        if not any(_is_active(record, now) for record in parents):
            raise InvalidCredentials

    async def find_token(self, public_id: str) -> TokenRecord | None:
        """See IReads."""
        return self._tokens.get(public_id)

    async def list_tokens(self) -> tuple[TokenRecord, ...]:
        """See IIdentityCatalog."""
        return tuple(self._tokens.values())

    async def list_tokens_of(self, query: TokenQuery, piece: Piece) -> TokenListing:
        """See IIdentityCatalog."""
        now = from_microseconds(self._now())
        found = [
            record
            for record in self._tokens.values()
            if _is_owned(record, query.owner) and query.is_active in (None, _is_active(record, now))
        ]
        if query.is_descending:
            found.reverse()
        return TokenListing(tuple(found[piece.offset : piece.offset + piece.limit]), len(found))

    async def find_token_of(self, owner: TokenOwner, token_id: int) -> TokenRecord | None:
        """See IIdentityCatalog."""
        return next(
            (
                record
                for record in self._tokens.values()
                if record.principal.token_id == token_id and _is_owned(record, owner)
            ),
            None,
        )

    async def revoke_token(self, public_id: str, principal: Principal = OPERATOR) -> bool:
        """See IIdentityCatalog."""
        record = self._tokens.get(public_id)
        if record is not None and record.revoked_at is None:
            self._revoke(record)
            entry = told.of_token(AuditAction.REVOKE_TOKEN, public_id, record.name, **_owner_ids(record))
            self._tell(principal, entry)
        return record is not None

    def _revoke(self, record: TokenRecord) -> None:
        self._tokens[record.public_id] = evolve(record, revoked_at=from_microseconds(self._now()))

    async def revoke_token_of(self, owner: TokenOwner, token_id: int, principal: Principal) -> bool:
        """See IIdentityCatalog."""
        record = await self.find_token_of(owner, token_id)
        return record is not None and await self.revoke_token(record.public_id, principal)

    async def rotate_token_of(
        self,
        owner: TokenOwner,
        token_id: int,
        minted: MintedToken,
        expires_at: datetime.datetime | None,
        principal: Principal,
    ) -> bool:
        """See IIdentityCatalog."""
        now = from_microseconds(self._now())
        record = await self.find_token_of(owner, token_id)
        if record is None or not _is_active(record, now):
            return False
        self._revoke(record)
        self._tokens[minted.public_id] = evolve(
            record,
            public_id=minted.public_id,
            secret_sha256=minted.secret_sha256,
            principal=evolve(record.principal, token_id=self._next_id("token"), token_public_id=minted.public_id),
            created_at=now,
            expires_at=expires_at,
        )
        entry = told.of_token(
            AuditAction.ROTATE_TOKEN, minted.public_id, record.name, **_owner_ids(record), instead_of=record.public_id
        )
        self._tell(principal, entry)
        return True

    async def add_sign_in(self, sign_in: NewSignIn, max_per_address: int) -> bool:
        """See ISignInCatalog."""
        return self.sign_ins.add(sign_in, from_microseconds(self._now()), max_per_address)

    async def find_sign_in(self, public_id: str) -> SignIn | None:
        """See ISignInCatalog."""
        return self.sign_ins.find(public_id, from_microseconds(self._now()))

    async def approve_sign_in(self, public_id: str, principal: Principal, token_expires_at: datetime.datetime) -> bool:
        """See ISignInCatalog."""
        now = from_microseconds(self._now())
        sign_in = self.sign_ins.find(public_id, now)
        if sign_in is None or not self.sign_ins.approve(public_id, Approval(principal, token_expires_at), now):
            return False
        self._tell(principal, told.of_approval(principal.user_id, sign_in.client, sign_in.address))
        return True

    async def take_sign_in(
        self, poll_sha256: str, public_id: str, secret_sha256: str, name: str, origin: Origin | None = None
    ) -> bool | None:
        """See ISignInCatalog."""
        approval = self.sign_ins.take(poll_sha256, from_microseconds(self._now()))
        if not isinstance(approval, Approval):
            return approval
        parent_id = approval.principal.token_id
        parents = (kept for kept in self._tokens.values() if kept.principal.token_id == parent_id)
        parent = next(parents, None)
        if parent is None or parent.revoked_at is not None:
            return None
        approver = parent.principal
        token = NewToken(
            public_id=public_id,
            secret_sha256=secret_sha256,
            kind=TokenKind.PERSONAL,
            name=name,
            scopes=approver.scopes,
            user=approver.name,
            expires_at=approval.token_expires_at,
        )
        await self.add_token(token, evolve(approver, origin=origin))
        return True

    async def find_scope(self, level: Level, ident: int | str, user_id: int | None) -> Scope | None:
        """See IReads."""
        if level is Level.INSTANCE:
            return Scope(Level.INSTANCE, 0, "", Visibility.PUBLIC)
        if isinstance(ident, int):
            place = self._place_by_id(level, ident)
        else:
            place = self._places.get(key_of(ident)) if can_be_path(ident) else None
        return None if place is None or place.level is not level else self._scope(place, user_id)

    def _scope(self, place: Place, user_id: int | None) -> Scope:
        above = [group for group in self._at(Level.GROUP) if group.id in place.group_ids]
        roles = [met.roles[user_id] for met in (place, *above) if user_id is not None and user_id in met.roles]
        return Scope(
            level=place.level,
            id=place.id,
            path=place.path,
            visibility=place.visibility,
            group_ids=place.group_ids,
            role=max(roles, default=None),
        )


def _owner_ids(record: TokenRecord) -> dict[str, int | None]:
    bearer = record.principal
    return {"user_id": bearer.user_id, "project_id": bearer.project_id, "group_id": bearer.group_id}


def _is_owned(record: TokenRecord, owner: TokenOwner) -> bool:
    bearer = record.principal
    return bearer.token_kind is owner.kind and all(
        wanted is None or wanted == found
        for wanted, found in (
            (owner.user_id, bearer.user_id),
            (owner.project_id, bearer.project_id),
            (owner.group_id, bearer.group_id),
        )
    )


def _is_active(record: TokenRecord, now: datetime.datetime) -> bool:
    return record.revoked_at is None and (record.expires_at is None or record.expires_at > now)
