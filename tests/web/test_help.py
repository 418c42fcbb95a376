"""Everything below `/help`, through the real front in memory."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from itertools import pairwise
from urllib.parse import urldefrag, urljoin

from twisted.internet.defer import succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pkgregd.auth.authenticator import TokenAuthenticator
from pkgregd.catalog.memory import MemoryCatalog
from pkgregd.clockwork import utc_now
from pkgregd.http.front import make_factory
from pkgregd.http.settings import FrontSettings
from pkgregd.plugin import find_formats, read_manuals
from pkgregd.registry.access import AccessPolicy
from pkgregd.registry.limits import PrefixLimits
from pkgregd.testing.client import ClientReply, MemoryClient
from pkgregd.values import Rate, RateLimitRule
from pkgregd.web.help import help_pages
from pkgregd.web.manual import GENERAL
from tests.web.outline import Outline

BASE = "https://registry.test/base"


class HelpCase(SynchronousTestCase):
    """The front with its manual."""

    formats: tuple[str, ...] = tuple(find_formats())

    def setUp(self) -> None:
        """Put it together."""
        self.client = self.client_with(help_pages(read_manuals(self.formats), BASE))

    def client_with(self, pages: object, rules: tuple[RateLimitRule, ...] = ()) -> MemoryClient:
        """Make a client of a front with these pages."""
        catalog = MemoryCatalog()
        return MemoryClient(
            make_factory(
                Clock(),
                formats=[],
                limits_by_format={},
                authenticator=TokenAuthenticator(utc_now),
                policy=AccessPolicy(),
                catalog=catalog,
                remotes=None,
                accounts=None,
                request_limits=PrefixLimits(rules, Clock().seconds),
                readiness=lambda: succeed([]),
                external_url=BASE,
                settings=FrontSettings(),
                pages=pages,
            )
        )

    def get(self, path: str, method: str = "GET", **headers: str) -> ClientReply:
        """Request a path."""
        return self.client.request(method, path, {name.replace("_", "-"): value for name, value in headers.items()})

    def served(self) -> Iterator[tuple[str, str]]:
        """List the paths of all pages that the list of pages leads to, with their HTML, itself included."""
        waiting, seen = ["/help/", "/help"], set()
        while waiting:
            path = waiting.pop()
            if path in seen or not path.startswith("/help") or path.endswith((".md", ".css")):
                continue
            seen.add(path)
            reply = self.get(path)
            self.assertEqual(reply.status, 200, path)
            html = reply.body.decode()
            yield path, html
            waiting += [urldefrag(urljoin(path, link)).url for link in Outline(html).links]


class PageTests(HelpCase):
    """Single pages."""

    def test_list_of_pages(self) -> None:
        """Both addresses show it, with every format and every page for everybody."""
        for path in ("/help", "/help/"):
            reply = self.get(path)
            self.assertEqual((reply.status, reply.headers["content-type"]), (200, "text/html; charset=utf-8"))
            found = {urljoin(path, link) for link in Outline(reply.body.decode()).links}
            self.assertLessEqual({f"/help/{name}" for name in (*self.formats, *GENERAL)}, found)

    def test_page(self) -> None:
        """A format's page is there, as HTML of its Markdown."""
        reply = self.get("/help/pypi")
        self.assertEqual(reply.status, 200)
        html = reply.body.decode()
        self.assertIn("<title>Python packages - pkgregd manual</title>", html)
        self.assertIn('<h2 id="publish">Publish</h2>', html)
        self.assertIn("https://registry.test/base", html)

    def test_own_address(self) -> None:
        """No page, in either form, shows the address of the examples."""
        for path, html in self.served():
            name = path.removeprefix("/help").strip("/") or "index"
            for text in (html, self.get(f"/help/{name}.md").body.decode()):
                self.assertNotIn("http://127.0.0.1:8080", text)
                self.assertNotIn("packages.example.com", text)

    def test_hostile_address(self) -> None:
        """The address is text, whatever it holds."""
        self.client = self.client_with(help_pages(read_manuals(["pypi"]), 'http://"><script>&amp;'))
        html = self.get("/help/pypi").body.decode()
        self.assertNotIn("<script", html)
        self.assertIn("http://&quot;&gt;&lt;script&gt;&amp;amp;", html)

    def test_markdown(self) -> None:
        """The Markdown itself is served, with links that lead to Markdown."""
        reply = self.get("/help/operating.md")
        self.assertEqual((reply.status, reply.headers["content-type"]), (200, "text/markdown; charset=utf-8"))
        self.assertTrue(reply.body.startswith(b"# Running the registry\n"))
        self.assertIn(b"[access](access.md)", reply.body)
        self.assertIn(b"(generic.md)", self.get("/help/index.md").body)

    def test_style(self) -> None:
        """The style sheet knows light and dark."""
        reply = self.get("/help/style.css")
        self.assertEqual((reply.status, reply.headers["content-type"]), (200, "text/css; charset=utf-8"))
        self.assertIn(b"prefers-color-scheme: dark", reply.body)

    def test_a_format_that_is_not_enabled(self) -> None:
        """It has no page, and no page links to it."""
        self.client = self.client_with(help_pages(read_manuals(["generic"]), BASE))
        self.assertEqual(self.get("/help/pypi").status, 404)
        names = ("", *GENERAL, "generic")
        self.assertEqual(set(dict(self.served())), {"/help", *(f"/help/{name}" for name in names)})

    def test_what_is_not_there(self) -> None:
        """Other names are 404, other methods 405, and nothing is redirected."""
        for path in ("/help/nope", "/help/pypi/", "/help//", "/help/../help", "/help/pypi.html", "/Help", "/help/.md"):
            self.assertIn(self.get(path).status, (400, 404), path)
        reply = self.get("/help/pypi", "POST")
        self.assertEqual((reply.status, reply.headers["allow"]), (405, "GET, HEAD"))


class LinkTests(HelpCase):
    """Where the links lead."""

    def test_every_link_resolves(self) -> None:
        """Every link of every page leads to something served, and every fragment to an id of it."""
        pages = dict(self.served())
        count = 0
        for path, html in pages.items():
            for link in Outline(html).links:
                url, fragment = urldefrag(urljoin(path, link))
                if url.startswith("/"):
                    self.assertEqual(self.get(url).status, 200, f"{path}: {link}")
                    count += 1
                if fragment:
                    self.assertIn(fragment, Outline(pages[url]).ids, f"{path}: {link}")
        self.assertGreater(count, 20)

    def test_ids_are_unique(self) -> None:
        """No page has two places of one name."""
        for path, html in self.served():
            ids = Outline(html).ids
            self.assertEqual(len(ids), len(set(ids)), path)


class AccessibilityTests(HelpCase):
    """What every page owes its readers."""

    def test_structure(self) -> None:
        """Language, title, one first heading, headings without gaps, a main part, room for a phone."""
        for path, html in self.served():
            outline = Outline(html)
            self.assertEqual(outline.named("html"), [{"lang": "en"}], path)
            self.assertEqual([len(outline.named(tag)) for tag in ("title", "h1", "main")], [1, 1, 1], path)
            self.assertTrue(any(meta.get("name") == "viewport" for meta in outline.named("meta")), path)
            levels = [int(tag[1]) for tag, _ in outline.tags if tag in ("h1", "h2", "h3", "h4")]
            self.assertEqual(levels[0], 1, path)
            self.assertTrue(all(b - a <= 1 for a, b in pairwise(levels)), path)
            self.assertTrue(all(nav.get("aria-label") for nav in outline.named("nav")), path)

    def test_nothing_inline(self) -> None:
        """No script, no style of an element's own: the policy would forbid them."""
        for path, html in self.served():
            outline = Outline(html)
            self.assertEqual(outline.named("script") + outline.named("style"), [], path)
            for _, fields in outline.tags:
                self.assertEqual([name for name in fields if name == "style" or name.startswith("on")], [], path)


class ReplyTests(HelpCase):
    """HTTP around the pages."""

    def test_headers(self) -> None:
        """Nothing but the style sheet may be loaded, nothing is sniffed, browsers may keep it for a while."""
        reply = self.get("/help/pypi")
        policy = reply.headers["content-security-policy"]
        self.assertTrue(policy.startswith("default-src 'none'; style-src 'self'; "))
        self.assertNotIn("unsafe", policy)
        self.assertEqual(reply.headers["x-content-type-options"], "nosniff")
        self.assertEqual(reply.headers["cache-control"], "public, max-age=300")

    def test_head(self) -> None:
        """HEAD says the same, without the page."""
        page, head = self.get("/help/pypi"), self.get("/help/pypi", "HEAD")
        self.assertEqual((head.status, head.body), (200, b""))
        for name in ("etag", "content-length", "content-type", "vary"):
            self.assertEqual(head.headers[name], page.headers[name])

    def test_gzip(self) -> None:
        """Whoever takes it gets the page compressed, under a tag of its own."""
        page, packed = self.get("/help/pypi"), self.get("/help/pypi", Accept_Encoding="gzip")
        self.assertEqual(packed.headers["content-encoding"], "gzip")
        self.assertEqual(gzip.decompress(packed.body), page.body)
        self.assertNotEqual(packed.headers["etag"], page.headers["etag"])
        self.assertNotIn("content-encoding", page.headers)
        self.assertIn("Accept-Encoding", page.headers["vary"])

    def test_304(self) -> None:
        """What has not changed is not sent again; the tag is strong, and of the content."""
        for headers in ({}, {"Accept-Encoding": "gzip"}):
            etag = self.client.request("GET", "/help/pypi", headers).headers["etag"]
            self.assertRegex(etag, r'^"[0-9a-z-]+"$')
            again = self.client.request("GET", "/help/pypi", {**headers, "If-None-Match": etag})
            self.assertEqual((again.status, again.body), (304, b""))
        other = self.client_with(help_pages(read_manuals(self.formats), "https://other.test"))
        self.assertNotEqual(other.request("GET", "/help/pypi").headers["etag"], self.get("/help/pypi").headers["etag"])

    def test_no_credential_is_needed(self) -> None:
        """Neither is one looked at: a bad one does not keep anybody from reading why."""
        for headers in ({}, {"PRIVATE-TOKEN": "nonsense"}, {"Authorization": "Basic !"}):
            self.assertEqual(self.client.request("GET", "/help/access", headers).status, 200)

    def test_rate_limit(self) -> None:
        """Pages count against the anonymous rate of the address, with a credential too."""
        rules = (RateLimitRule("/", anonymous=Rate(2, 60)),)
        self.client = self.client_with(help_pages(read_manuals(["generic"]), BASE), rules)
        token = {"PRIVATE-TOKEN": "nonsense"}
        statuses = [self.client.request("GET", "/help/", headers).status for headers in ({}, token, token, {})]
        self.assertEqual(statuses, [200, 200, 429, 429])
        self.assertIn("retry-after", self.get("/help/").headers)
        self.assertEqual(self.get("/-/livez").status, 200)
