"""Markdown as the manual's pages use it, and as a hostile one might."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pkgregd.web.markdown import Heading, relink, render

HOSTILE = (
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "`<b>`", "# <h1 onclick=alert(1)>",
    "[a](javascript:alert(1))", "[a](data:text/html;base64,PHNjcmlwdD4=)", "[a](vbscript:x)", "[a](x:y)",
    "[a](//x.test/)", "[a][1]\n\n[1]: javascript:alert(1)", "<javascript:alert(1)>", "<file:///etc/passwd>",
    "[a](https://x\"onmouseover=\"alert(1))", "![a](https://x.test/y.png)", "    <script>\n",
    "| <i> |\n|---|\n| <svg/onload=alert(1)> |", "```\"><script>\n<script>\n```", "&lt;script&gt; &#x3c;script&#62;",
)  # fmt: skip


class RenderTests(SynchronousTestCase):
    """What the HTML holds."""

    def test_title_and_headings(self) -> None:
        """Headings are told in order, with anchors as code hosts make them, each its own."""
        document = render("# The `pip` page\n\n## Who may import, whom?\n\n## Twice\n\n### Twice\n\n## A_b-c\n")
        self.assertEqual(document.title, "The pip page")
        self.assertEqual(
            document.headings,
            (
                Heading(2, "who-may-import-whom", "Who may import, whom?"),
                Heading(2, "twice", "Twice"),
                Heading(3, "twice-1", "Twice"),
                Heading(2, "a_b-c", "A_b-c"),
            ),
        )
        self.assertIn('<h3 id="twice-1">Twice</h3>', document.html)

    def test_links(self) -> None:
        """What leads to the web, to a mailbox or to our own pages is a link."""
        for target in (
            "https://x.test/a?b=c#d",
            "http://x.test",
            "mailto:a@x.test",
            "a",
            "../a#b",
            "#b",
            "./",
            "a/b:c",
        ):
            self.assertIn(f'href="{target}"', render(f"[text]({target})").html)

    def test_no_title(self) -> None:
        """A text without a heading has no title."""
        self.assertEqual(render("text").title, "")

    def test_tables_and_code_scroll(self) -> None:
        """What may be too wide for a phone can be scrolled, by keyboard too."""
        html = render("| a | b |\n|---|---|\n| 1 | 2 |\n\n```sh\ncurl <x> & y\n```\n").html
        self.assertIn('<div class="wide" role="region" aria-label="Table" tabindex="0"><table>', html)
        self.assertEqual(html.count("</table></div>"), 1)
        self.assertIn('<pre tabindex="0"><code>curl &lt;x&gt; &amp; y\n</code></pre>', html)

    def test_html_is_shown_not_obeyed(self) -> None:
        """No tag, attribute or scheme of the text's own gets into the page."""
        bad = (
            "<script",
            "<img",
            "<svg",
            "<i>",
            "<b>",
            "<h1 o",
            *(f'href="{x}' for x in ("j", "d", "v", "x:", "f", "//")),
        )
        for text in HOSTILE:
            html = render(text).html
            self.assertEqual([part for part in bad if part in html], [], text)
            self.assertNotRegex(html, r"<[^>]*\son\w+=", text)

    def test_a_text_is_rendered_once(self) -> None:
        """A reload, which renders all pages again, does not stop the reactor for that."""
        self.assertIs(render("# Title again"), render("# Title again"))


class RelinkTests(SynchronousTestCase):
    """Links that get other targets."""

    def relink(self, text: str) -> str:
        """Point links to `.md` files elsewhere, and let others lead nowhere."""
        return relink(text, lambda path: path.replace(".md", "") if path.endswith(".md") else None)

    def test_relative_links(self) -> None:
        """Each gets its target, with what is behind `#`."""
        self.assertEqual(self.relink("see [a](a.md), [b `x]`](../b.md#c)."), "see [a](a), [b `x]`](../b#c).")
        self.assertEqual(self.relink("[a\nb](a.md)"), "[a\nb](a)")

    def test_links_to_nowhere(self) -> None:
        """What is not there is spoken of, not linked."""
        self.assertEqual(self.relink("see [the sources](../x.py#L1)."), "see the sources.")

    def test_others_stay(self) -> None:
        """Absolute links, links within the page, and what only looks like one in code."""
        for text in (
            "[a](https://x.test/a.md)", "[a](//x.test/a.md)", "[a](#a)", "`[a](a.md)`", "``x ` [a](a.md)``",
            "```sh\n[a](a.md)\n```\n", "~~~~\n```\n[a](a.md)\n~~~~\n", "a](a.md)", "[a] (a.md)",
        ):  # fmt: skip
            self.assertEqual(self.relink(text), text)

    def test_behind_code(self) -> None:
        """Code before and behind a link hides nothing of it."""
        text = "`a` [a](a.md) `b`\n\n```\n[b](b.md)\n```\n\n[c](c.md) `c\n"
        self.assertEqual(self.relink(text), text.replace("(a.md)", "(a)").replace("(c.md)", "(c)"))
