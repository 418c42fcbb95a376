"""What npm itself makes of dependencies, versions and tags, asked of its own source."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from typing import Any

from twisted.python.randbytes import insecureRandom

from pkgregd.errors import InvalidRequest
from pkgregd.formats.npm_names import check_tag, cleaned_version
from pkgregd.formats.npm_repositories import published_form
from tests.support.clients import ClientTestCase

RANDOM_TEXTS = 5000

PROGRAM = """
const modules = process.argv[1] + "/npm/node_modules/"
const hosted = require(modules + "hosted-git-info"), semver = require(modules + "semver")
const ask = {
  form: text => hosted.fromUrl(text)?.toString() || text,
  version: text => semver.clean(text, true),
  tag: text => semver.validRange(text) === null && encodeURIComponent(text) === text,
}
const lines = require("fs").readFileSync(0, "utf8").trim().split("\\n").map(line => JSON.parse(line))
for (const [what, text] of lines) console.log(JSON.stringify(ask[what](text)))
"""

HEADS = (
    "", "github:", "gitlab:", "bitbucket:", "gist:", "sourcehut:", "github:/", "github:user@", "git@github.com:",
    "git@github.com/", "git@gitlab.com:", "git@gist.github.com:", "git://github.com/", "git+ssh://git@github.com/",
    "git+ssh://git@github.com:", "ssh://git@github.com:22/", "git+https://GitHub.com/", "https://GitHub.com/",
    "https:github.com/", "http://www.github.com/", "https://user:pw@github.com/", "https://u:@gitlab.com/group/",
    "https://bitbucket.org/", "https://git.sr.ht/", "git://u:p@gist.github.com/", "https://example.com/", "file:",
    "npm:", "workspace:", "./", "@", "user:password@github.com:", "git:github.com:", "git+http://github.com/",
    "HTTPS://github.com/",
)  # fmt: skip
MIDDLES = ("u/r", "u/r.git", "u/r/", "u", "~u/r", "u/s/r", "u/r/tree/main", "u/r/tree", "u/r/archive/x.tar.gz",
           "u/r/get/x", "u%20v/r%2Ex", "u/%zz", "u//r", "u/r?x=1", "u/r x", "\u00fc/r", "")  # fmt: skip
TAILS = ("", "#main", "#semver:^1.0.0", "#a/b", "#a b", "#%41", "#a@b:c", "#%")

PIECES = ("1", "0", "12", "x", "*", "v", "~", ".", "-", "a", "lts", "!", "X", "=", "_", "'", "+", " ", "beta")
TAGS = ("v17-lts", "1-lts", "latest", "1", "1.2.3", "x", "*", "1.x", "1.2.3-a.b", "1.2.3-01", "v1", "V1", "~", "~1",
        "~*.1", "x.1", "1.x.2", "vv1", "vvv1.0.0", "1.2.3a", "01", "1*.1.12", "1.2.3-a*b", "*v1.2.3",
        "1*.1.*2")  # fmt: skip


def random_texts() -> Sequence[str]:
    """Make texts of what versions and tags are made of."""
    found = []
    for _ in range(RANDOM_TEXTS):
        numbers = insecureRandom(8)
        found.append("".join(PIECES[number % len(PIECES)] for number in numbers[: 1 + numbers[0] % 8]))
    return found


class FormTests(ClientTestCase):
    """Our words for it and npm's."""

    client = "npm"

    def ask(self, what: str, texts: Sequence[str]) -> Sequence[Any]:
        """Have npm's own source answer."""
        root = self.assert_works(self.run_client("root", "--global")).strip()
        lines = "\n".join(json.dumps([what, text]) for text in texts)
        answer = self.run_program(self.find("node"), "-e", PROGRAM, root, stdin=lines.encode())
        answers = [json.loads(line) for line in self.assert_works(answer).splitlines()]
        self.assertEqual(len(answers), len(texts))
        return answers

    def assert_equal_answers(self, what: str, texts: Sequence[str], ours: Callable[[str], object]) -> None:
        """Assert that npm says of each text what we do."""
        for text, theirs in zip(texts, self.ask(what, texts), strict=True):
            self.assertEqual(ours(text), theirs, repr(text))

    def test_repositories(self) -> None:
        """Dependencies on repositories get the very form that npm publishes."""
        texts = ["".join(parts) for parts in itertools.product(HEADS, MIDDLES, TAILS)]
        self.assert_equal_answers("form", texts, published_form)

    def test_versions(self) -> None:
        """Versions are cleaned as npm cleans them."""

        def cleaned(text: str) -> str | None:
            try:
                return cleaned_version(text)
            except InvalidRequest:
                return None

        self.assert_equal_answers("version", [*TAGS, *random_texts(), "v 1.2.3", "1.02.3", "1.0.0-01"], cleaned)

    def test_tags(self) -> None:
        """What npm takes for a tag is taken, but for the names of folders; what it takes for a range is not."""

        def is_taken(text: str) -> bool:
            try:
                return bool(check_tag(text))
            except InvalidRequest:
                return False

        self.assert_equal_answers("tag", [*TAGS, *(set(random_texts()) - {".", ".."})], is_taken)
