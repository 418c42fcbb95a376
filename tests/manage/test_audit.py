"""Reading the audit trail over HTTP."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pkgregd.testing.calls import now
from pkgregd.values import AuditAction, Principal, Role, Told
from tests.manage.support import ManagedWorld

A = AuditAction


def cursor(key: str) -> str:
    """Write a cursor as links have it."""
    return base64.urlsafe_b64encode(key.encode()).decode()


class AuditCase(SynchronousTestCase):
    """A world in which something was done."""

    def setUp(self) -> None:
        """Do it: a member of everything, and a publish."""
        self.world = world = ManagedWorld()
        world.clock.advance(1)
        for role in (Role.MAINTAINER, Role.OWNER):
            world.add_user(role.name.lower(), "acme", role)
        world.clock.advance(1)
        self.file = world.publish()

    def ids(self, path: str, who: str = "root") -> list[int]:
        """The numbers of the events of a listing."""
        return [event["id"] for event in self.world.get(path, who)]

    def lines(self, query: str = "") -> list[dict[str, Any]]:
        """The stream."""
        reply = self.world.client.request(
            "GET", f"/-/audit.ndjson{query}", {"PRIVATE-TOKEN": self.world.tokens["root"]}
        )
        self.assertEqual((reply.status, reply.headers["content-type"]), (200, "application/x-ndjson"))
        return [json.loads(line) for line in reply.body.splitlines()]


class EventTests(AuditCase):
    """`audit_events`."""

    def test_an_event(self) -> None:
        """In GitLab's shape, the same in the listing and alone."""
        path = f"/projects/{self.world.ids['acme/private']}/audit_events"
        event = self.world.get(path)[0]
        self.assertEqual(event, self.world.get(f"{path}/{event['id']}"))
        self.assertEqual(event, self.world.get(f"/audit_events/{event['id']}"))
        self.assertEqual(
            {key: event[key] for key in ("author_id", "entity_id", "entity_type")},
            {"author_id": -1, "entity_id": self.world.ids["acme/private"], "entity_type": "Project"},
        )
        details = event["details"]
        self.assertEqual(details["entity_path"], "acme/private")
        self.assertEqual((details["event_name"], details["target_details"]), ("publish", "pypi alpha 1.0 a.zip"))
        self.assertRegex(event["created_at"], r"^2027-01-15T08:00:02\.\d{3}Z$")

    def test_where_from(self) -> None:
        """A change by a request tells the address and the request."""
        reply = self.world.request("DELETE", f"{self.world.project()}/{self.file.package_id}")
        details = self.world.get("/audit_events")[0]["details"]
        self.assertEqual((details["author_name"], details["event_name"]), ("root", "delete_package"))
        self.assertEqual((details["ip_address"], details["request_id"]), ("192.0.2.1", reply.headers["x-request-id"]))
        self.assertEqual(details["token_id"], self.world.tokens["root"].split("_")[2])
        self.assertNotIn(self.world.tokens["root"], json.dumps(details))

    def test_whose_they_are(self) -> None:
        """A group and a project have their own; what is another's is not there."""
        group, project = "/groups/acme/audit_events", f"/projects/{self.world.ids['acme/private']}/audit_events"
        self.assertEqual({event["entity_type"] for event in self.world.get(group, "owner")}, {"Group"})
        self.assertEqual({event["entity_type"] for event in self.world.get(project, "maintainer")}, {"Project"})
        of_project = self.ids(project)[0]
        self.assertEqual(self.world.request("GET", f"{group}/{of_project}").status, 404)
        self.assertEqual(self.world.request("GET", "/audit_events/99999").status, 404)
        kinds = {event["entity_type"] for event in self.world.get("/audit_events?per_page=100")}
        self.assertEqual(kinds, {"Group", "Project", "User"})

    def test_pages_by_offset(self) -> None:
        """Newest first, with totals; what is too far away is refused."""
        whole = self.ids("/audit_events?per_page=100")
        self.assertEqual(whole, sorted(whole, reverse=True))
        reply = self.world.request("GET", "/audit_events?per_page=5&page=2")
        self.assertEqual([event["id"] for event in json.loads(reply.body)], whole[5:10])
        self.assertEqual(reply.headers["x-total"], str(len(whole)))
        self.assertEqual(self.world.request("GET", "/audit_events?page=9999999").status, 400)

    def test_pages_by_cursor(self) -> None:
        """The links lead through everything, each event once, in both directions."""
        for sort in ("asc", "desc"):
            whole = self.ids(f"/audit_events?per_page=100&sort={sort}")
            path: str | None = f"/audit_events?pagination=keyset&per_page=3&sort={sort}&order_by=id"
            found: list[int] = []
            while path is not None:
                reply = self.world.request("GET", path)
                found += [event["id"] for event in json.loads(reply.body)]
                match = re.fullmatch(r'<https://registry\.test/api/v4(.*)>; rel="next"', reply.headers.get("link", ""))
                path = match and match[1]
            self.assertEqual(found, whole)

    def test_by_time(self) -> None:
        """Dates and whole times bound a listing."""
        self.assertEqual(len(self.ids("/audit_events?created_after=2027-01-15T08:00:02Z&per_page=100")), 1)
        self.assertEqual(self.ids("/audit_events?created_before=2027-01-15"), [])

    def test_what_is_malformed(self) -> None:
        """It is refused by its name."""
        for query in (
            "created_after=x", "created_before=1900-01-01", "created_after=" + "2" * 100, "sort=up", "order_by=name",
            "pagination=other", "pagination=keyset&cursor=x", f"pagination=keyset&cursor={cursor('1-' + '9' * 20)}",
            f"pagination=keyset&cursor={cursor('acme/web')}", f"cursor={cursor('1-1')}", "pagination=keyset&page=1",
            "page=0", "created_after=",
        ):  # fmt: skip
            reply = self.world.request("GET", f"/audit_events?{query}")
            self.assertEqual(reply.status, 400, query)

    def test_many(self) -> None:
        """Beyond ten thousand nothing says how many there are, and there is a next page all the same."""
        for _ in range(10_001):
            now(self.world.catalog.tell(Principal("x"), Told(A.SWEEP, "")))
        reply = self.world.request("GET", "/audit_events?per_page=5&page=2")
        self.assertNotIn("x-total", reply.headers)
        self.assertEqual((reply.headers["x-prev-page"], reply.headers["x-next-page"]), ("1", "3"))
        self.assertNotIn('rel="last"', reply.headers["link"])


class StreamTests(AuditCase):
    """`/-/audit.ndjson`."""

    def test_all_and_from_a_number(self) -> None:
        """A line for each entry beyond a number."""
        lines = self.lines()
        self.assertEqual([line["id"] for line in lines], [entry.id for entry in self.world.catalog.trail])
        self.assertEqual(self.lines("?after=5"), lines[5:])
        self.assertEqual(self.lines("?after=999999"), [])

    def test_what_is_malformed(self) -> None:
        """It is refused before anything is sent."""
        for query in ("after=x", "after=-1", "after=" + "9" * 19, "follow=perhaps"):
            reply = self.world.client.request(
                "GET", f"/-/audit.ndjson?{query}", {"PRIVATE-TOKEN": self.world.tokens["root"]}
            )
            self.assertEqual(reply.status, 400, query)

    def test_others(self) -> None:
        """Only administrators get it."""
        for who, status in (("owner", 403), ("", 401)):
            shown = {"PRIVATE-TOKEN": self.world.tokens[who]} if who else {}
            self.assertEqual(self.world.client.request("GET", "/-/audit.ndjson", shown).status, status)
