"""What refusals say: to people in front of a log, and to clients in headers."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pkgregd import errors
from pkgregd.http.refusals import refuse

BEARER = 'bearer realm="r"'


class WordsTests(SynchronousTestCase):
    """Every refusal that is not about the bytes themselves says what is wrong, and what to do."""

    def said(self, error: errors.PkgregdError) -> str:
        """Return the sentence of an error."""
        return refuse(error, "id", None).message

    def test_what_to_do(self) -> None:
        """It stands behind what is wrong, and fits into a status line."""
        for error in (
            errors.AuthenticationRequired(),
            errors.InvalidCredentials(),
            errors.WrongPassword(),
            errors.PermissionDenied("create_package"),
            errors.RateLimited(1),
            errors.ProjectNotFound(),
            errors.GroupNotFound(),
            errors.PackageNotFound(),
            errors.FileNotFound(),
            errors.FileExists("f"),
            errors.FileWasDeleted("f"),
            errors.FileSpelledOtherwise("f", "g"),
            errors.NameSpelledOtherwise("f", "g"),
            errors.BodyTooSlow(),
            errors.Unavailable("the database is busy"),
            errors.StorageFull(),
        ):
            wrong, colon, remedy = self.said(error).partition(": ")
            self.assertTrue(wrong and colon and remedy, error)
            self.assertLess(len(self.said(error)), 160, error)
        self.assertTrue(self.said(errors.DigestMismatch("sha1", "a", "b")).endswith("; send it again"))

    def test_sizes(self) -> None:
        """A limit is told exactly, and as it was probably configured."""
        for size_bytes, text in (
            (1 << 29, "536870912 bytes (512 MiB)"),
            (1 << 31, "2147483648 bytes (2 GiB)"),
            (65536, "65536 bytes (64 KiB)"),
            (1000, "1000 bytes"),
            (0, "0 bytes"),
        ):
            expected = f"the file is too large: the limit is {text}; ask the operator to raise max_file_bytes"
            self.assertEqual(self.said(errors.BodyTooLarge(size_bytes)), expected)
        self.assertNotIn("max_file_bytes", self.said(errors.BodyTooLarge(5, is_file=False)))

    def test_waits(self) -> None:
        """People read the same number of seconds as clients do."""
        for seconds, text in ((0.2, "1 second"), (1, "1 second"), (1.2, "2 seconds"), (59.5, "60 seconds")):
            for error in (errors.RateLimited(seconds), errors.Unavailable("busy", seconds)):
                refusal = refuse(error, "id", None)
                self.assertTrue(refusal.message.endswith(f": try again in {text}"), refusal)
                self.assertEqual(refusal.headers, (("Retry-After", text.partition(" ")[0]),))


class ChallengeTests(SynchronousTestCase):
    """`WWW-Authenticate`, which is all that some clients show of a 401."""

    def challenge(self, error: errors.PkgregdError, challenge: str) -> str:
        """Return the header of an error."""
        return dict(refuse(error, "id", challenge).headers)["WWW-Authenticate"]

    def test_basic(self) -> None:
        """Where a client is to be asked for a password nothing is added."""
        self.assertEqual(self.challenge(errors.InvalidCredentials(), 'Basic realm="r"'), 'Basic realm="r"')

    def test_bearer(self) -> None:
        """A challenge for tokens says why."""
        said = self.challenge(errors.AuthenticationRequired("send one"), BEARER)
        self.assertEqual(said, f'{BEARER}, error_description="send one"')
        said = self.challenge(errors.InvalidCredentials("send another"), BEARER)
        self.assertEqual(said, f'{BEARER}, error="invalid_token", error_description="send another"')

    def test_what_could_end_it(self) -> None:
        """Nothing ends the description but its end."""
        said = self.challenge(errors.InvalidCredentials('a"b\\c\nd\x7fe\u00e9 ~!'), BEARER)
        self.assertTrue(said.endswith('error_description="a?b?c?d?e? ~!"'), said)
