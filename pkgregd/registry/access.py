"""Who may do what: one pure policy for every route."""

from __future__ import annotations

from collections.abc import Iterable

from zope.interface import implementer

from pkgregd.errors import AuthenticationRequired, GroupNotFound, PermissionDenied, ProjectNotFound
from pkgregd.interfaces import IAccessPolicy
from pkgregd.values import AccountPermission, Level, Permission, Principal, Role, Scope, TokenKind, Visibility

LEAST_ROLES = {
    Permission.READ_PACKAGE: Role.REPORTER,
    Permission.CREATE_PACKAGE: Role.DEVELOPER,
    Permission.DESTROY_PACKAGE: Role.MAINTAINER,
    Permission.READ_PROJECT: Role.GUEST,
    Permission.READ_MEMBERS: Role.GUEST,
    Permission.ADMINISTER: Role.MAINTAINER,
    Permission.CREATE_PROJECT: Role.MAINTAINER,
    Permission.REMOVE_PROJECT: Role.OWNER,
    Permission.READ_AUDIT_EVENTS: Role.MAINTAINER,
}
"""The least role that has a permission by itself at a project."""

LEAST_GROUP_ROLES = {
    **LEAST_ROLES,
    Permission.ADMINISTER: Role.OWNER,
    Permission.READ_AUDIT_EVENTS: Role.OWNER,
}
"""The same at a group."""

FOR_EVERYBODY = frozenset({Permission.READ_PACKAGE, Permission.READ_PROJECT})
"""What everybody may where it is public."""

FOR_USERS = FOR_EVERYBODY | {Permission.READ_MEMBERS}
"""What every user may where it is internal."""

FOR_PEOPLE = frozenset({Permission.ADMINISTER, Permission.REMOVE_PROJECT, Permission.READ_AUDIT_EVENTS})
"""What no token has but a user's own, so that none can make itself another, or learn where users come from."""

_API_SCOPES = {
    Permission.READ_PACKAGE: frozenset({"api", "read_api"}),
    Permission.CREATE_PACKAGE: frozenset({"api"}),
    Permission.DESTROY_PACKAGE: frozenset({"api"}),
    Permission.READ_PROJECT: frozenset({"api", "read_api"}),
    Permission.READ_MEMBERS: frozenset({"api", "read_api"}),
    Permission.ADMINISTER: frozenset({"api"}),
    Permission.CREATE_PROJECT: frozenset({"api"}),
    Permission.REMOVE_PROJECT: frozenset({"api"}),
    Permission.READ_AUDIT_EVENTS: frozenset({"api", "read_api"}),
}
_DEPLOY_SCOPES = {
    Permission.READ_PACKAGE: frozenset({"read_package_registry"}),
    Permission.CREATE_PACKAGE: frozenset({"write_package_registry"}),
    Permission.READ_PROJECT: frozenset({"read_package_registry", "write_package_registry"}),
}
_JOB_PERMISSIONS = frozenset({Permission.READ_PACKAGE, Permission.CREATE_PACKAGE, Permission.READ_PROJECT})


@implementer(IAccessPolicy)
class AccessPolicy:
    """See IAccessPolicy."""

    def permits(self, principal: Principal, permission: Permission, scope: Scope) -> bool:
        """See IAccessPolicy."""
        if permission in FOR_EVERYBODY and scope.visibility is Visibility.PUBLIC:
            return True
        kind = principal.token_kind
        if kind is None:
            return False
        is_within = _is_within(principal, scope) or (permission is Permission.READ_PACKAGE and _holds(scope, principal))
        if kind is TokenKind.DEPLOY:
            return is_within and bool(_DEPLOY_SCOPES.get(permission, frozenset()) & principal.scopes)
        if kind is TokenKind.JOB:
            return is_within and permission in _JOB_PERMISSIONS
        if not _API_SCOPES[permission] & principal.scopes:
            return False
        if kind is TokenKind.PERSONAL:
            if permission in FOR_USERS and scope.visibility is not Visibility.PRIVATE:
                return True
            return principal.is_admin or (scope.role is not None and scope.role >= least_role(permission, scope.level))
        if permission in FOR_PEOPLE:
            return False
        return is_within and (principal.role or 0) >= least_role(permission, scope.level)

    def sees(self, principal: Principal, scope: Scope) -> bool:
        """See IAccessPolicy."""
        if scope.visibility is Visibility.PUBLIC:
            return True
        if principal.token_kind is None:
            return False
        if principal.token_kind is TokenKind.PERSONAL:
            return principal.is_admin or scope.role is not None or scope.visibility is Visibility.INTERNAL
        return _is_within(principal, scope) or _holds(scope, principal)

    def demand(self, principal: Principal, permission: Permission, scope: Scope | None, level: Level) -> None:
        """See IAccessPolicy."""
        if scope is not None and self.permits(principal, permission, scope):
            return
        if principal.is_anonymous:
            raise AuthenticationRequired
        if scope is None or not self.sees(principal, scope):
            raise GroupNotFound if level is Level.GROUP else ProjectNotFound
        raise PermissionDenied(permission.value, remedy(principal, permission, scope))

    def demand_account(self, principal: Principal, permission: AccountPermission) -> None:
        """See IAccessPolicy."""
        if permission in (AccountPermission.SIGN_IN, AccountPermission.NOTHING):
            return
        if principal.is_anonymous:
            raise AuthenticationRequired
        if permission is AccountPermission.READ_USER:
            return
        if permission is AccountPermission.READ_JOB:
            if principal.token_kind is not TokenKind.JOB:
                raise PermissionDenied(permission.value)
            return
        if permission is AccountPermission.READ_USERS:
            if not principal.scopes & _API_SCOPES[Permission.READ_PROJECT]:
                raise PermissionDenied(permission.value, "use a token with the scope read_api or api")
            return
        if permission is AccountPermission.READ_AUDIT_TRAIL:
            reads = principal.scopes & _API_SCOPES[Permission.READ_AUDIT_EVENTS]
            if not (principal.token_kind is TokenKind.PERSONAL and principal.is_admin and reads):
                raise PermissionDenied(permission.value, "ask an administrator, who uses a personal token")
            return
        if principal.token_kind is not TokenKind.PERSONAL or "api" not in principal.scopes:
            raise PermissionDenied(permission.value, "use a personal token with the scope api")
        if permission is AccountPermission.ADMINISTER_INSTANCE and not principal.is_admin:
            raise PermissionDenied(permission.value, "ask an administrator")


def least_role(permission: Permission, level: Level) -> Role:
    """Return the least role that has a permission at a level."""
    return (LEAST_GROUP_ROLES if level is Level.GROUP else LEAST_ROLES)[permission]


def remedy(principal: Principal, permission: Permission, scope: Scope) -> str:
    """Say what somebody who sees a scope can do to get a permission there that is missing."""
    role = f"the role {least_role(permission, scope.level).name.lower()} or a higher one in this {scope.level.value}"
    kind = principal.token_kind
    assert kind is not None, "who is anonymous is asked for a token"
    if kind is TokenKind.DEPLOY and permission in _DEPLOY_SCOPES:
        return f"use a deploy token of this {scope.level.value} with the scope {_either(_DEPLOY_SCOPES[permission])}"
    if kind is TokenKind.JOB and permission in _JOB_PERMISSIONS:
        return f"use a token of somebody with {role}"
    if kind in (TokenKind.DEPLOY, TokenKind.JOB):
        return f"no {kind.value} token has it, use a token of somebody with {role}"
    if not _API_SCOPES[permission] & principal.scopes:
        return f"use a token with the scope {_either(_API_SCOPES[permission])}"
    if kind is TokenKind.PERSONAL:
        return f"you need {role}"
    if permission in FOR_PEOPLE:
        return f"no {kind.value} token has it, use a personal token of somebody with {role}"
    return f"use a token with {role}"


def _either(words: Iterable[str]) -> str:
    return " or ".join(sorted(words, key=len, reverse=True))


def _is_within(principal: Principal, scope: Scope) -> bool:
    """Whether a token that is bound to a project or group is good at a scope."""
    if principal.project_id is not None:
        return scope.level is Level.PROJECT and scope.id == principal.project_id
    return principal.group_id is not None and principal.group_id in scope.group_ids


def _holds(scope: Scope, principal: Principal) -> bool:
    """Whether a group holds the project that a token is bound to; of what else is in it the token reads nothing."""
    if scope.level is not Level.GROUP or principal.project_path is None:
        return False
    return principal.project_path.casefold().startswith(f"{scope.path.casefold()}/")
