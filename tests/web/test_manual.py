"""The manual's pages: put together, linked with each other, with the daemon's own address."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pkgregd.errors import ConfigError
from pkgregd.plugin import FormatPlugin, find_formats, read_manuals
from pkgregd.web.manual import GENERAL, INDEX, ManualPage, link_pages, manual, with_base

PAGE = "# Toys\n\nSmall things,\nwith [wheels](wheels.md).\n\n## More\n"


class ManualTests(SynchronousTestCase):
    """Which pages there are."""

    def test_page(self) -> None:
        """A page tells its title and its first paragraph."""
        page = ManualPage.of("toys", PAGE)
        self.assertEqual((page.title, page.summary), ("Toys", "Small things, with [wheels](wheels.md)."))

    def test_a_page_that_is_none(self) -> None:
        """A page without a title or without a first paragraph is refused, and named."""
        for text in ("", "Toys\n", "# Toys\n", "# Toys\n\n## More\n", "# Toys\ntext\n", "\n# Toys\n\ntext\n"):
            error = self.assertRaises(ConfigError, manual, {"toys": text})
            self.assertIn("toys.md", str(error))

    def test_all_of_them(self) -> None:
        """The list comes first and names all others, formats before the rest."""
        index, *others = manual({"toys": PAGE, "tools": PAGE.replace("Toys", "Tools")})
        self.assertEqual([page.name for page in others], [*GENERAL, "toys", "tools"])
        self.assertEqual(index.name, INDEX)
        for page in others:
            self.assertIn(f"* [{page.title}]({page.name}.md): {page.summary}\n", index.text)
        self.assertLess(index.text.index("toys.md"), index.text.index("access.md"))

    def test_names_that_are_taken(self) -> None:
        """A format cannot hide a page for everybody, nor the list."""
        for name in (INDEX, *GENERAL):
            error = self.assertRaises(ConfigError, manual, {name: PAGE})
            self.assertIn(name, str(error))


class FormatPageTests(SynchronousTestCase):
    """Where the pages of formats come from."""

    def test_every_format_has_one(self) -> None:
        """The page of each installed format lies beside its module."""
        texts = read_manuals(find_formats())
        self.assertLessEqual({"generic", "pypi"}, set(texts))
        self.assertTrue(texts["pypi"].startswith("# Python packages\n"))

    def test_only_those_that_are_asked_for(self) -> None:
        """A format that is not enabled has no page."""
        self.assertEqual(list(read_manuals(["pypi"])), ["pypi"])

    def test_a_format_without_one(self) -> None:
        """The format and the missing file are named."""
        error = self.assertRaises(ConfigError, FormatPlugin("x", "pkgregd.formats.pypi_index", "X").read_manual)
        self.assertEqual(str(error), "the format x has no manual page: pypi_index.md beside its module")


class LinkTests(SynchronousTestCase):
    """Links between pages."""

    def test_from_the_sources_to_side_by_side(self) -> None:
        """A link finds its page wherever its file lies, and is no link where the page is not served."""
        text = "[a](../web/pages/access.md#tokens) [n](npm.md) [l](../../docs/index.md) [s](../../etc/access.toml)"
        self.assertEqual(link_pages(text, ["access", "index"], ".html"), "[a](access.html#tokens) n [l](index.html) s")


class BaseTests(SynchronousTestCase):
    """The address in the examples."""

    def test_both_spellings(self) -> None:
        """The default of the shell examples and the host of the others are replaced, alone, behind credentials too."""
        text = (
            'PKGREGD_URL="${PKGREGD_URL:-http://127.0.0.1:8080}"\nhttps://packages.example.com/api/v4\n'
            "https://__token__:pkgr_usr_...@packages.example.com/x\nmachine packages.example.com login x\n"
        )
        self.assertEqual(
            with_base(text, "https://r.test/base"),
            'PKGREGD_URL="${PKGREGD_URL:-https://r.test/base}"\nhttps://r.test/base/api/v4\n'
            "https://__token__:pkgr_usr_...@r.test/base/x\nmachine r.test login x\n",
        )

    def test_others_stay(self) -> None:
        """Only whole addresses are examples."""
        for text in ('"tcp:8080:interface=127.0.0.1"', "http://127.0.0.1:80801/", "packages.example.net"):
            self.assertEqual(with_base(text, "https://r.test"), text)

    def test_what_looks_like_a_group(self) -> None:
        """The address is put in as it is."""
        self.assertEqual(with_base("http://127.0.0.1:8080/", r"http://\1\g<0>"), r"http://\1\g<0>/")
