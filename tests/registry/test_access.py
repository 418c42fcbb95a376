"""Who may do what."""

import itertools

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.errors import AuthenticationRequired, GroupNotFound, PermissionDenied, ProjectNotFound
from pkgregd.registry.access import FOR_PEOPLE, LEAST_ROLES, AccessPolicy
from pkgregd.values import (
    ANONYMOUS,
    AccountPermission,
    Level,
    Permission,
    Principal,
    Role,
    Scope,
    TokenKind,
    Visibility,
)

READ, CREATE, DESTROY = Permission.READ_PACKAGE, Permission.CREATE_PACKAGE, Permission.DESTROY_PACKAGE
PRIVATE, INTERNAL, PUBLIC = Visibility.PRIVATE, Visibility.INTERNAL, Visibility.PUBLIC


def project(visibility=PRIVATE, role=None):
    """Make project 7 in group 3 below group 2."""
    return Scope(Level.PROJECT, 7, "acme/tools/app", visibility, (3, 2), role)


def personal(*scopes, is_admin=False):
    """Make a user with a personal token."""
    return Principal("alice", TokenKind.PERSONAL, 1, 1, is_admin, frozenset(scopes))


def bound(kind, scopes=(), role=None, project_id=None, group_id=None):
    """Make the bearer of a token that is bound to a project or group."""
    return Principal("token:t", kind, 2, None, False, frozenset(scopes), project_id, group_id, role)


class PolicyCase(SynchronousTestCase):
    """The policy."""

    policy = AccessPolicy()

    def rights(self, principal, scope):
        """Return what is permitted, as letters."""
        letters = {READ: "r", CREATE: "c", DESTROY: "d"}
        return "".join(letter for wanted, letter in letters.items() if self.policy.permits(principal, wanted, scope))


class UserTests(PolicyCase):
    """Users with personal tokens."""

    def test_roles_on_a_private_project(self):
        """Each role has its rights, and the lesser ones'."""
        expected = {None: "", Role.GUEST: "", Role.REPORTER: "r", Role.DEVELOPER: "rc"}
        expected |= {Role.MAINTAINER: "rcd", Role.OWNER: "rcd"}
        for role, rights in expected.items():
            self.assertEqual(self.rights(personal("api"), project(role=role)), rights)

    def test_visibility(self):
        """Everybody reads what is public, every user what is internal; neither lets anyone write."""
        self.assertEqual(self.rights(personal("api"), project(PUBLIC)), "r")
        self.assertEqual(self.rights(personal("read_api"), project(INTERNAL)), "r")
        self.assertEqual(self.rights(ANONYMOUS, project(PUBLIC)), "r")
        self.assertEqual(self.rights(ANONYMOUS, project(INTERNAL)), "")

    def test_a_token_never_adds_rights(self):
        """A scope takes away, whatever the role; an administrator's token is no exception."""
        for visibility, role, is_admin in itertools.product((PRIVATE, INTERNAL), (None, *Role), (False, True)):
            scope = project(visibility, role)
            whole = set(self.rights(personal("api", is_admin=is_admin), scope))
            self.assertEqual(set(self.rights(personal("read_api", is_admin=is_admin), scope)), whole & {"r"})
            self.assertEqual(self.rights(personal(is_admin=is_admin), scope), "")

    def test_administrators(self):
        """An administrator may do everything."""
        self.assertEqual(self.rights(personal("api", is_admin=True), project()), "rcd")


class BoundTokenTests(PolicyCase):
    """Deploy, job, project and group tokens."""

    def test_deploy_tokens(self):
        """Their scopes are their rights, where they are bound."""
        for scopes, rights in (
            (["read_package_registry"], "r"),
            (["write_package_registry"], "c"),
            (["read_package_registry", "write_package_registry"], "rc"),
            (["api"], ""),
        ):
            self.assertEqual(self.rights(bound(TokenKind.DEPLOY, scopes, project_id=7), project()), rights)
            self.assertEqual(self.rights(bound(TokenKind.DEPLOY, scopes, group_id=2), project()), rights)

    def test_job_tokens(self):
        """A job reads and writes in its project and removes nothing."""
        self.assertEqual(self.rights(bound(TokenKind.JOB, project_id=7), project()), "rc")

    def test_access_tokens(self):
        """They carry a role."""
        for kind, where in ((TokenKind.PROJECT, {"project_id": 7}), (TokenKind.GROUP, {"group_id": 3})):
            for role in Role:
                expected = {wanted for wanted in set(Permission) - FOR_PEOPLE if role >= LEAST_ROLES[wanted]}
                token = bound(kind, ["api"], role, **where)
                self.assertEqual({p for p in Permission if self.policy.permits(token, p, project())}, expected)

    def test_elsewhere(self):
        """A token bound to another project or group reads what is public, no more."""
        for kind, where in itertools.product(
            (TokenKind.DEPLOY, TokenKind.JOB, TokenKind.PROJECT, TokenKind.GROUP), ({"project_id": 8}, {"group_id": 9})
        ):
            token = bound(kind, ["api", "read_package_registry", "write_package_registry"], Role.OWNER, **where)
            for visibility, rights in ((PRIVATE, ""), (INTERNAL, ""), (PUBLIC, "r")):
                self.assertEqual(self.rights(token, project(visibility)), rights)

    def test_a_project_token_is_no_group_token(self):
        """A token of project 3 is not good at group 3."""
        group = Scope(Level.GROUP, 3, "acme/tools", PRIVATE, (3, 2))
        token = bound(TokenKind.DEPLOY, ["read_package_registry"], project_id=3)
        self.assertEqual(self.rights(token, group), "")

    def test_a_project_token_reads_at_the_groups_above(self):
        """There it finds what its project has; it writes nothing, and at groups beside its own it is a stranger."""
        above, beside = (
            Scope(Level.GROUP, 2, "Acme", PRIVATE, (2,)),
            Scope(Level.GROUP, 5, "acme/tool", PRIVATE, (5, 2)),
        )
        for token, rights in (
            (bound(TokenKind.DEPLOY, ["read_package_registry", "write_package_registry"], project_id=7), "r"),
            (bound(TokenKind.DEPLOY, ["write_package_registry"], project_id=7), ""),
            (bound(TokenKind.JOB, project_id=7), "r"),
            (bound(TokenKind.PROJECT, ["api"], Role.OWNER, project_id=7), "r"),
            (bound(TokenKind.PROJECT, ["api"], Role.GUEST, project_id=7), ""),
        ):
            inside = evolve(token, project_path="acme/tools/app")
            self.assertEqual(self.rights(inside, above), rights, token)
            self.assertEqual(self.rights(inside, beside), "")
            self.assertTrue(self.policy.sees(inside, above))
            self.assertFalse(self.policy.sees(inside, beside))


class DemandTests(PolicyCase):
    """How a refusal looks."""

    def test_anonymous_cannot_tell(self):
        """Missing and hidden look alike."""
        for scope in (None, project(), project(INTERNAL)):
            error = self.assertRaises(AuthenticationRequired, self.policy.demand, ANONYMOUS, READ, scope, Level.PROJECT)
            self.assertEqual(str(error), str(AuthenticationRequired()))

    def test_out_of_sight(self):
        """To a stranger a private project is not there."""
        stranger = personal("api")
        group = Scope(Level.GROUP, 3, "acme", PRIVATE, (3,))
        for level, hidden, expected in (
            (Level.PROJECT, project(), ProjectNotFound),
            (Level.GROUP, group, GroupNotFound),
        ):
            for scope in (hidden, None):
                self.assertRaises(expected, self.policy.demand, stranger, READ, scope, level)

    def test_in_sight(self):
        """Who sees it hears which right is missing."""
        error = self.assertRaises(
            PermissionDenied, self.policy.demand, personal("api"), CREATE, project(role=Role.GUEST), Level.PROJECT
        )
        self.assertIn("create_package", str(error))
        self.assertRaises(PermissionDenied, self.policy.demand, personal("api"), CREATE, project(PUBLIC), Level.PROJECT)

    def test_remedies(self):
        """Whoever may not is told what would help, by what was shown."""
        scope = project(PUBLIC, Role.GUEST)
        developer, maintainer = (
            f"the role {name} or a higher one in this project" for name in ("developer", "maintainer")
        )
        deploy, job = (bound(kind, [], None, project_id=7) for kind in (TokenKind.DEPLOY, TokenKind.JOB))
        elsewhere = bound(TokenKind.JOB, [], None, project_id=8)
        machine = bound(TokenKind.PROJECT, ["api"], Role.OWNER, project_id=7)
        weak = bound(TokenKind.GROUP, ["api"], Role.REPORTER, project_id=7)
        for principal, wanted, expected in (
            (personal("api"), CREATE, f"you need {developer}"),
            (personal("read_api"), CREATE, "use a token with the scope api"),
            (
                bound(TokenKind.PROJECT, ["read_api"], Role.OWNER, project_id=7),
                CREATE,
                "use a token with the scope api",
            ),
            (weak, CREATE, f"use a token with {developer}"),
            (deploy, CREATE, "use a deploy token of this project with the scope write_package_registry"),
            (deploy, DESTROY, f"no deploy token has it, use a token of somebody with {maintainer}"),
            (job, DESTROY, f"no job token has it, use a token of somebody with {maintainer}"),
            (elsewhere, CREATE, f"use a token of somebody with {developer}"),
            (
                machine,
                Permission.ADMINISTER,
                f"no project token has it, use a personal token of somebody with {maintainer}",
            ),
        ):
            error = self.assertRaises(PermissionDenied, self.policy.demand, principal, wanted, scope, Level.PROJECT)
            self.assertEqual(str(error), f"the permission {wanted.value} is missing: {expected}")
        reader = personal("k8s")
        error = self.assertRaises(
            PermissionDenied, self.policy.demand, reader, READ, project(PRIVATE, Role.OWNER), Level.PROJECT
        )
        self.assertIn("use a token with the scope read_api or api", str(error))

    def test_passes_exactly_when_permitted(self):
        """Whatever the combination, demand() and permits() agree, and a right implies sight."""
        principals = [ANONYMOUS, personal("api"), personal("read_api"), personal("api", is_admin=True)]
        principals += [
            bound(kind, ["api", "read_package_registry"], Role.DEVELOPER, project_id=7) for kind in TokenKind
        ]
        for principal, visibility, role, wanted in itertools.product(principals, Visibility, (None, *Role), Permission):
            scope = project(visibility, role)
            try:
                self.policy.demand(principal, wanted, scope, Level.PROJECT)
            except (AuthenticationRequired, PermissionDenied, ProjectNotFound):
                self.assertFalse(self.policy.permits(principal, wanted, scope))
            else:
                self.assertTrue(self.policy.permits(principal, wanted, scope))
                self.assertTrue(self.policy.sees(principal, scope))


class AccountTests(SynchronousTestCase):
    """What is asked where no project is concerned."""

    def may(self, principal: Principal) -> set[AccountPermission]:
        """What a principal has."""
        found = set()
        for permission in AccountPermission:
            try:
                AccessPolicy().demand_account(principal, permission)
            except (AuthenticationRequired, PermissionDenied) as error:
                self.assertEqual(isinstance(error, AuthenticationRequired), principal.is_anonymous)
            else:
                found.add(permission)
        return found

    def test_what_each_may(self) -> None:
        """Anybody may sign in, a token knows its bearer, and tokens are made by those that may do everything."""
        sign_in, nothing, read, job, users, manage, _, audit = AccountPermission
        self.assertEqual(self.may(ANONYMOUS), {sign_in, nothing})
        self.assertEqual(self.may(personal("api")), {sign_in, nothing, read, users, manage})
        self.assertEqual(self.may(personal("api", is_admin=True)), set(AccountPermission) - {job})
        self.assertEqual(self.may(personal("read_api")), {sign_in, nothing, read, users})
        self.assertEqual(self.may(personal("read_api", is_admin=True)), {sign_in, nothing, read, users, audit})
        for kind in (TokenKind.PROJECT, TokenKind.GROUP):
            principal = Principal("x", kind, scopes=frozenset({"api"}), role=Role.OWNER)
            self.assertEqual(self.may(principal), {sign_in, nothing, read, users})
        self.assertEqual(self.may(Principal("x", TokenKind.JOB)), {sign_in, nothing, read, job})
        self.assertEqual(self.may(bound(TokenKind.DEPLOY, ["read_package_registry"])), {sign_in, nothing, read})
