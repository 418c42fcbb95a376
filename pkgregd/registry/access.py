"""Who may do what: one pure policy for every route."""

from __future__ import annotations

from zope.interface import implementer

from pkgregd.errors import AuthenticationRequired, GroupNotFound, PermissionDenied, ProjectNotFound
from pkgregd.interfaces import IAccessPolicy
from pkgregd.values import AccountPermission, Level, Permission, Principal, Role, Scope, TokenKind, Visibility

LEAST_ROLES = {
    Permission.READ_PACKAGE: Role.REPORTER,
    Permission.CREATE_PACKAGE: Role.DEVELOPER,
    Permission.DESTROY_PACKAGE: Role.MAINTAINER,
}
"""The least role that has a permission by itself."""

_API_SCOPES = {
    Permission.READ_PACKAGE: frozenset({"api", "read_api"}),
    Permission.CREATE_PACKAGE: frozenset({"api"}),
    Permission.DESTROY_PACKAGE: frozenset({"api"}),
}
_DEPLOY_SCOPES = {
    Permission.READ_PACKAGE: frozenset({"read_package_registry"}),
    Permission.CREATE_PACKAGE: frozenset({"write_package_registry"}),
}
_JOB_PERMISSIONS = frozenset({Permission.READ_PACKAGE, Permission.CREATE_PACKAGE})


@implementer(IAccessPolicy)
class AccessPolicy:
    """See IAccessPolicy."""

    def permits(self, principal: Principal, permission: Permission, scope: Scope) -> bool:
        """See IAccessPolicy."""
        if permission is Permission.READ_PACKAGE and scope.visibility is Visibility.PUBLIC:
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
            if permission is Permission.READ_PACKAGE and scope.visibility is Visibility.INTERNAL:
                return True
            return principal.is_admin or (scope.role is not None and scope.role >= LEAST_ROLES[permission])
        return is_within and (principal.role or 0) >= LEAST_ROLES[permission]

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
        raise PermissionDenied(permission.value)

    def demand_account(self, principal: Principal, permission: AccountPermission) -> None:
        """See IAccessPolicy."""
        if permission in (AccountPermission.SIGN_IN, AccountPermission.NOTHING):
            return
        if principal.is_anonymous:
            raise AuthenticationRequired
        if permission is AccountPermission.MANAGE_TOKENS and not (
            principal.token_kind is TokenKind.PERSONAL and "api" in principal.scopes
        ):
            raise PermissionDenied(permission.value)


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
