"""The hot reads go by index, however much there is."""

from __future__ import annotations

import contextlib
import json
import sqlite3

from twisted.trial.unittest import SynchronousTestCase

from pkgregd.catalog import (
    audit,
    blobs,
    branches,
    deletions,
    directory,
    documents,
    exchange,
    faults,
    identity,
    inventory,
    keys,
    names,
    package_reading,
    packages,
    protection,
    removal,
    search,
    settings,
    signins,
    tags,
    tasks,
    tokens,
    unconfirmed,
    upkeep,
    usage,
    versions,
)
from pkgregd.catalog.statement import SQLITE, Statement, compile_all
from pkgregd.values import Level, PackageOrder, PlaceOrder
from tests.catalog.support import make_folder, migrated_file

SMALL = ("SCAN json_each", "SCAN counted", "SCAN descendants")
"""What may be gone through: a list that came as a parameter, rows of which only so many count, or found by an index."""

PARAMETERS = {
    "action": "publish",
    "address": "192.0.2.1",
    "after": "",
    "after_id": 0,
    "before": 0,
    "behind": 7,
    "behind_id": 0,
    "behind_time": -1,
    "beyond": "alpha0",
    "canonical_name": "alpha",
    "canonical_version": "1",
    "document_name": "info",
    "file_id": 1,
    "file_ids": json.dumps([1, 2]),
    "file_name": "alpha-1.tar.gz",
    "first": "alpha/",
    "format": "pypi",
    "from_time": 0,
    "exact": "alpha",
    "group_id": 1,
    "group_ids": json.dumps([1, 2]),
    "id": 1,
    "ident": 1,
    "key": "x.pdb/0",
    "locator": "blobs/x",
    "the_locator": "blobs/x",
    "old_locator": "blobs/x",
    "new_locator": "blobs/y",
    "kind": "personal",
    "limit": 10,
    "name_key": "jane",
    "name_pattern": None,
    "now": 0,
    "offset": 0,
    "package_id": 1,
    "package_ids": json.dumps([1, 2]),
    "path_key": "acme",
    "place_id": 1,
    "poll_sha256": "0" * 64,
    "project_id": 1,
    "project_ids": json.dumps([1, 2]),
    "public_id": "abc",
    "published_after": 0,
    "published_before": 0,
    "reservation_id": "a",
    "the_project_id": 1,
    "row_limit": 10,
    "above_id": 1,
    "below_id": 9,
    "bound_group_id": None,
    "bound_project_id": None,
    "is_deep": 0,
    "is_user": 1,
    "least_role": 10,
    "needs_role": 0,
    "parent_id": None,
    "path_pattern": None,
    "sees_all": 0,
    "top_only": 0,
    "visibility": None,
    "rule_id": 1,
    "canonical_pattern": "al*",
    "new_format": "pypi",
    "new_pattern": "al*",
    "new_canonical_pattern": "al*",
    "new_push_level": 40,
    "new_delete_level": None,
    "row_offset": 0,
    "sha256": "0" * 64,
    "shown_id": 1,
    "used_at": 0,
    "ended_before": 0,
    "issuer": "https://ci.test",
    "jti": "1",
    "forget_at": 0,
    "the_public_id": "abc",
    "the_sha256": "0" * 64,
    "the_token_id": 1,
    "known_json": "{}",
    "new_metadata_json": "{}",
    "kinds": json.dumps(["sweep", "scrub"]),
    "due_until": 0,
    "task_id": 1,
    "the_kind": None,
    **{f"new_{name}": 0 for name in ("interval", "due_at", "lease_number", "attempts", "is_wanted_again")},
    **{f"new_{name}": None for name in ("lessee", "error", "started_at", "finished_at")},
    "new_bookmark": "",
    "status": "default",
    "tag": "latest",
    "to_time": 0,
    "token_id": 1,
    "new_expires_at": 0,
    "user_id": 1,
    "version": None,
    "word": "a",
    **{f"after_{number}": "" for number in range(4)},
    "holder": "a",
    "name": "d",
    "new_began_at": 0,
    "new_blobs": 0,
    "new_damage": "missing",
    "new_damaged": 0,
    "new_digests_json": "{}",
    "new_ended_at": 0,
    "latest": 0,
    "new_held_until": 0,
    "new_position": "",
    "new_size_bytes": 0,
    "stale_before": 0,
    "the_canonical_name": "alpha",
    "the_format": "pypi",
    "the_holder": "a",
    **{f"trait_{number}": "a" for number in range(4)},
    **{f"word_{number}": "a" for number in range(8)},
}


class PlanTests(SynchronousTestCase):
    """EXPLAIN QUERY PLAN of what every request runs."""

    def setUp(self) -> None:
        """Open an empty database: without statistics SQLite decides by the indexes alone."""
        path = migrated_file(make_folder(self.addCleanup) / "catalog.sqlite3")
        self.connection = sqlite3.connect(path)
        self.addCleanup(self.connection.close)
        self.texts = compile_all(SQLITE)

    def plan(self, statement: Statement) -> list[str]:
        """The steps of a statement."""
        sql = self.texts[statement]
        parameters = {**PARAMETERS, **sql.constants}
        with contextlib.closing(self.connection.execute(f"EXPLAIN QUERY PLAN {sql.text}", parameters)) as cursor:
            return [row[3] for row in cursor]

    def assert_by_index(self, *statements: Statement) -> None:
        """Assert that no table is gone through from end to end."""
        for statement in statements:
            steps = self.plan(statement)
            self.assertTrue(steps)
            scans = [step for step in steps if step.startswith("SCAN") and not step.startswith(SMALL)]
            self.assertEqual(scans, [], self.texts[statement].text)

    def test_identity(self) -> None:
        """Tokens and scopes."""
        self.assert_by_index(tokens.FIND_TOKEN, tokens.FIND_END, *tokens.FIND_TOKEN_OF.values())
        for column, statement in (*tokens.COUNT_TOKENS_OF.items(), *tokens.LIST_TOKENS_OF.items()):
            if column[0] is not None:
                self.assert_by_index(statement)
        self.assert_by_index(identity.FIND_USER, identity.FIND_GROUP, identity.FIND_PROJECT)
        for level in (Level.PROJECT, Level.GROUP):
            self.assert_by_index(identity.SCOPE_BY_ID[level], identity.SCOPE_BY_PATH[level])
        self.assert_by_index(identity.PROJECTS_WITH_NAME, identity.PROJECTS_WITH_FORMAT)
        self.assert_by_index(identity.PROJECTS_BELOW, identity.PROJECTS_DIRECTLY_BELOW, identity.LIST_OWNERS)

    def test_confirmations(self) -> None:
        """Checksums, what they confirm, and forgetting what was never confirmed."""
        self.assert_by_index(
            unconfirmed.FORGET_UNCONFIRMED, unconfirmed.CONFIRM, unconfirmed.CONFIRM_BYTES,
            unconfirmed.CONFIRM_OF_OTHERS, unconfirmed.MAY_WITHDRAW, versions.REPLACE_METADATA,
        )  # fmt: skip

    def test_sign_ins(self) -> None:
        """Clients ask again and again whether they were signed in."""
        self.assert_by_index(signins.FIND_SIGN_IN, signins.FIND_APPROVAL, signins.APPROVE_SIGN_IN)
        self.assert_by_index(signins.FORGET_EXPIRED, signins.COUNT_OF_ADDRESS, signins.FORGET_SIGN_IN)

    def test_lineage(self) -> None:
        """What was made by a token, jobs, ID tokens, and the time of the last use."""
        self.assert_by_index(tokens.REVOKE_TOKEN, tokens.REVOKE_DESCENDANTS, removal.TOKENS_OF_USER)
        self.assert_by_index(exchange.FORGET_ID_TOKENS, exchange.FORGET_JOBS)
        self.assert_by_index(exchange.NOTE_USE)

    def test_packages(self) -> None:
        """Files, names and revisions."""
        self.assert_by_index(*package_reading.FIND_FILE.values(), *package_reading.LIST_FILES.values())
        self.assert_by_index(package_reading.LIST_NAMES, package_reading.LISTED_NAME, package_reading.LIST_REVISIONS)
        self.assert_by_index(packages.FIND_PACKAGE, packages.FILE_IN_PACKAGE, packages.FIND_TOMBSTONE)
        self.assert_by_index(packages.NAMES_IN_PACKAGE, packages.TOMBSTONES_OF_PACKAGE, packages.SPELLINGS)
        self.assert_by_index(package_reading.FIND_BY_KEY, keys.DROP_KEYS)
        self.assert_by_index(packages.NAMES_IN_PACKAGE, packages.TOMBSTONES_OF_PACKAGE)
        self.assert_by_index(versions.FIND_VERSION, documents.FIND_DOCUMENT, documents.DROP_DOCUMENTS)
        self.assert_by_index(*versions.LIST_VERSIONS.values(), documents.LIST_DOCUMENTS)

    def test_tags_and_search(self) -> None:
        """Tags by name; a search goes through the names of the projects, and through nobody else's."""
        self.assert_by_index(tags.LIST_TAGS, tags.FIND_TAG, tags.REMOVE_TAG)
        self.assert_by_index(*search.FIND_NAMES.values(), *search.COUNT_NAMES.values())

    def test_branches(self) -> None:
        """Only the names below a branch are looked at, and their newest versions are found by their numbers."""
        self.assert_by_index(branches.BRANCH_STATE, branches.LIST_BRANCH)
        for statement in (branches.BRANCH_STATE, branches.LIST_BRANCH):
            self.assertIn("canonical_name>? AND canonical_name<?", " ".join(self.plan(statement)))

    def test_protection(self) -> None:
        """What every write looks at, and the rules themselves."""
        self.assert_by_index(protection.RULES_OF_FORMAT, protection.LIST_RULES, protection.COUNT_RULES)
        self.assert_by_index(protection.FIND_RULE, protection.FIND_SAME_RULE, protection.HOLD_PROJECT)
        self.assert_by_index(protection.CHANGE_RULE, protection.REMOVE_RULE)
        plan = " ".join(self.plan(protection.RULES_OF_FORMAT))
        self.assertIn("project_id=? AND format=?", plan)

    def test_inventory(self) -> None:
        """Listings of packages and files, counts, and the deletion of a package."""
        self.assert_by_index(*inventory.LIST_PACKAGES.values(), *inventory.COUNT_PACKAGES.values())
        self.assert_by_index(*inventory.LIST_PACKAGE_FILES.values(), inventory.COUNT_PACKAGE_FILES)
        self.assert_by_index(inventory.PACKAGE_BY_ID, inventory.PACKAGE_TO_DELETE, inventory.NEWEST_FILE)
        self.assert_by_index(inventory.LEAVE_TOMBSTONES, inventory.RELEASE_BLOBS, inventory.DROP_DOCUMENTS)
        self.assert_by_index(inventory.DELETE_FILES, inventory.DELETE_PACKAGE)

    def test_all_of_a_name(self) -> None:
        """The packages of a name, its revision, and their deletion."""
        self.assert_by_index(names.FIND_PACKAGES, names.FIND_REVISION, names.FIRST_PUBLISHED)
        self.assert_by_index(names.LEAVE_TOMBSTONES, names.RELEASE_BLOBS, names.DROP_DOCUMENTS)
        self.assert_by_index(names.DELETE_FILES, names.DELETE_PACKAGES)

    def test_files_deleted_together(self) -> None:
        """All packages by their numbers, and the deletion of some files of one."""
        self.assert_by_index(inventory.LIST_ALL_PACKAGES, deletions.COUNT_CHOSEN, deletions.DELETE_CHOSEN)
        self.assert_by_index(deletions.LEAVE_TOMBSTONES_OF_CHOSEN, deletions.RELEASE_BLOBS_OF_CHOSEN)
        self.assert_by_index(deletions.DROP_DOCUMENTS_OF_CHOSEN)
        self.assertNotIn("USE TEMP B-TREE", " ".join(self.plan(inventory.LIST_ALL_PACKAGES)))

    def test_packages_by_time_are_not_sorted(self) -> None:
        """The usual listing of a project reads the rows that it shows, and counts in the index alone."""
        for (order, is_one, _), statement in inventory.LIST_PACKAGES.items():
            is_in_order = is_one and order is PackageOrder.CREATED_AT
            self.assertEqual("USE TEMP B-TREE" in " ".join(self.plan(statement)), not is_in_order, (order, is_one))
        for is_one in (False, True):
            plan = " ".join(self.plan(inventory.COUNT_PACKAGES[is_one, False]))
            self.assertIn("USING COVERING INDEX ix_packages_by_", plan)

    def test_going_on_passes_nothing_over(self) -> None:
        """A page behind a row begins at that row, however much lies before it; of one project nothing is sorted."""
        for (is_one, _), statement in inventory.LIST_ONWARD.items():
            plan = " ".join(self.plan(statement))
            self.assertIn("INDEX ix_packages_by_id (project_id=? AND status=? AND id>? AND id<?)", plan)
            self.assertEqual("USE TEMP B-TREE" in plan, not is_one)
            self.assertNotIn("row_offset", self.texts[statement].text)
        for statement in directory.LIST_USERS_ONWARD.values():
            self.assertIn("SEARCH users USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)", self.plan(statement))
        for (_, order, _), statement in directory.LIST_PLACES_ONWARD.items():
            first = self.plan(statement)[0]
            self.assertIn("PRIMARY KEY (rowid" if order is PlaceOrder.ID else "(path_key", first)
            self.assertNotIn("USE TEMP B-TREE FOR ORDER BY", self.plan(statement))

    def test_names_come_from_the_index_alone(self) -> None:
        """The list of names never touches the packages themselves."""
        for statement in (package_reading.LIST_NAMES, package_reading.LISTED_NAME):
            self.assertIn("USING COVERING INDEX ix_packages_listed", " ".join(self.plan(statement)))

    def test_a_known_digest_is_the_shortest_way(self) -> None:
        """With a sha256, a name with a thousand versions costs no more than one with a single one."""
        for (_, by_version, by_sha256), statement in package_reading.FIND_FILE.items():
            if by_sha256 and not by_version:
                self.assertIn("ix_package_files_sha256", " ".join(self.plan(statement)))

    def test_settings_and_usage(self) -> None:
        """What is set, used and reserved, and what goes when files do."""
        self.assert_by_index(settings.SETTINGS_OF_PROJECT, settings.SETTINGS_OF_GROUPS, *settings.CLEAR.values())
        self.assert_by_index(usage.FILE_BYTES, usage.SIZE_OF_BLOB, usage.COUNT_FILES, usage.PROJECT_IDS)
        self.assert_by_index(usage.RESERVED_BY_OTHERS, usage.RESERVED, usage.RELEASE, usage.FORGET_EXPIRED)
        self.assert_by_index(names.SIZE_OF_FILES, inventory.SIZE_OF_FILES, deletions.SIZE_OF_CHOSEN)

    def test_blobs(self) -> None:
        """Whether a blob is needed, and pages of blobs."""
        self.assert_by_index(blobs.USES_OF_BLOB, blobs.FIND_BLOB, upkeep.LIST_BLOBS, blobs.RELEASE_BLOB)
        self.assert_by_index(blobs.USES_OF_COPY, blobs.FORGET_COPY, blobs.MOVE_BLOB, blobs.LOCATOR_OF_BLOB)
        self.assert_by_index(blobs.PROJECTS_OF_BLOB, upkeep.REPLACE_DAMAGED)

    def test_upkeep(self) -> None:
        """Pages of blobs and of what is wrong begin behind a key; what they are compared with is found by an index."""
        self.assert_by_index(upkeep.FIND_STORED, upkeep.NAME_FILES, upkeep.MARK_BLOB, upkeep.UNMARK_BLOB, upkeep.USES)
        self.assert_by_index(
            upkeep.SET_DIGESTS, upkeep.FIND_SCRUB, upkeep.KEEP_SCRUB, upkeep.RELEASE_SCRUB, blobs.UNUSED_BLOBS
        )
        self.assert_by_index(*(look.page for look in faults.LOOKS.values()))
        for look in faults.LOOKS.values():
            self.assertNotIn("USE TEMP B-TREE FOR ORDER BY", self.plan(look.page), self.texts[look.page].text)
        self.assert_by_index(faults.USE_BLOB, faults.NAME_OF_PACKAGE, faults.CATCH_UP, faults.REMOVE_TAG)
        self.assert_by_index(faults.REMOVE_DOCUMENT, faults.REMOVE_KEY, faults.REMOVE_UNCONFIRMED)

    def test_the_audit_trail(self) -> None:
        """By place and time without sorting, by number, and the oldest ones, however long the trail is."""
        self.assert_by_index(*audit.LIST_ENTRIES.values(), *audit.COUNT_ENTRIES.values(), audit.FIND_ENTRY)
        self.assert_by_index(audit.FOLLOW_TRAIL, audit.FORGET_ENTRIES)
        for statement in (*audit.LIST_ENTRIES.values(), audit.FOLLOW_TRAIL, audit.FORGET_ENTRIES):
            self.assertNotIn("USE TEMP B-TREE", " ".join(self.plan(statement)))
        for statement in audit.COUNT_ENTRIES.values():
            self.assertIn("USING COVERING INDEX", " ".join(self.plan(statement)))

    def test_tasks(self) -> None:
        """What is due is found by its time, and nothing is sorted for that; the rest by number or name."""
        self.assert_by_index(tasks.ANY_DUE, tasks.DUE_TASKS, tasks.FIND_TASK, tasks.TASK_BY_ID, tasks.STORE_TASK)
        self.assert_by_index(tasks.REMOVE_TASK, tasks.TASKS_OF_KIND, *tasks.LIST_TASKS.values())
        for statement in (tasks.ANY_DUE, tasks.DUE_TASKS):
            plan = " ".join(self.plan(statement))
            self.assertIn("ix_tasks_due_at (due_at<?)", plan)
            self.assertNotIn("USE TEMP B-TREE FOR ORDER BY", plan)

    def test_the_check_itself_sees_a_scan(self) -> None:
        """A statement that does go through everything is found out."""
        self.assertRaises(self.failureException, self.assert_by_index, tokens.LIST_TOKENS)
