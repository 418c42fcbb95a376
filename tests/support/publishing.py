"""What every client that publishes Python packages is put through."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, ClassVar

from tests.support.clients import PythonClientTestCase, Run

if TYPE_CHECKING:
    _Base = PythonClientTestCase
else:
    _Base = object


class PublishingContract(_Base):
    """
    What everybody who publishes can rely on, whatever the client.

    Subclasses are PythonClientTestCases and supply upload().

    Attributes:
        taken, unauthorized, forbidden: what the client says when a file name is taken by other bytes, when
            the token is none, and when it may not publish.
    """

    taken: ClassVar[tuple[str, ...]]
    unauthorized: ClassVar[tuple[str, ...]]
    forbidden: ClassVar[tuple[str, ...]]

    def upload(self, name: str, source: str = "answer = 42\n", secret: str | None = None) -> Run:
        """
        Publish version 1.0 of a package, an sdist and a wheel, to the private project.

        Args:
            secret: the writer's token if None.
        """
        raise NotImplementedError

    def test_publish(self) -> None:
        """Both kinds of file are published, are listed, and install."""
        name = self.package_name()
        self.assert_works(self.upload(name))
        kinds = {file_name.rpartition(".")[2] for file_name in self.published_files(name)}
        self.assertEqual(kinds, {"gz", "whl"})
        target = str(self.folder / "installed")
        index = self.index_url(self.daemon.world.private_id)
        self.assert_works(
            self.run_program(
                self.find("uv"), "pip", "install", "--no-config", "--no-cache", "--no-deps", "--only-binary", ":all:",
                "--python", sys.executable, "--target", target, "--default-index", index, name,
                env={"SSL_CERT_FILE": self.daemon.ca_file},
            )
        )  # fmt: skip
        self.assertEqual(self.answer_of(name, path=target), "42")

    def test_same_bytes_again(self) -> None:
        """An upload that is repeated, as after a lost answer, succeeds."""
        name = self.package_name()
        self.assert_works(self.upload(name))
        before = self.published_files(name)
        self.assert_works(self.upload(name))
        self.assertEqual(self.published_files(name), before)

    def test_other_bytes_under_the_same_name(self) -> None:
        """A file is never replaced, and the client shows why."""
        name = self.package_name()
        self.assert_works(self.upload(name))
        self.assert_fails(self.upload(name, source="answer = 43\n"), *self.taken)

    def test_wrong_token(self) -> None:
        """The client shows that the token is none, and nothing is published."""
        name = self.package_name()
        self.assert_fails(self.upload(name, secret="nonsense"), *self.unauthorized)
        self.assertEqual(self.published_files(name), set())

    def test_reporter(self) -> None:
        """The client shows that the token may only read, and nothing is published."""
        name = self.package_name()
        self.assert_fails(self.upload(name, secret=self.daemon.world.reader), *self.forbidden)
        self.assertEqual(self.published_files(name), set())
