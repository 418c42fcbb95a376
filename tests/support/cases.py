"""Test cases around a daemon that their class shares: trial knows no setUpClass."""

from __future__ import annotations

import atexit
from typing import ClassVar

from attrs import define, field
from twisted.trial.unittest import SynchronousTestCase

from tests.support.daemon import Daemon


@define
class _Shared:
    """
    The one daemon that runs between tests, and whose it is.

    Attributes:
        broken: owners whose daemon did not start; it is not tried again for each of their tests.
    """

    owner: object = None
    daemon: Daemon | None = None
    broken: set[object] = field(factory=set)

    def release(self) -> None:
        daemon, self.owner, self.daemon = self.daemon, None, None
        if daemon is not None:
            daemon.close()


_shared = _Shared()
atexit.register(_shared.release)


def release_daemon() -> None:
    """Stop the daemon that runs between tests, if one does."""
    _shared.release()


class DaemonTestCase(SynchronousTestCase):
    """
    Tests around one daemon, started for the first of the class and stopped for the first of another.

    Attributes:
        settings, http, external_scheme, blobs: see Daemon.
        shared_by: what classes that share a daemon have in common; a class has one of its own if this is empty.
    """

    shared_by: ClassVar[str] = ""
    settings: ClassVar[str] = ""
    http: ClassVar[str] = ""
    external_scheme: ClassVar[str] = "http"
    blobs: ClassVar[str] = ""
    daemon: Daemon

    def make_daemon(self) -> Daemon:
        """Make the daemon, not started yet."""
        return Daemon(self.settings, http=self.http, external_scheme=self.external_scheme, blobs=self.blobs)

    def setUp(self) -> None:
        """Have the daemon of this class run."""
        super().setUp()
        owner = self.shared_by or type(self)
        if _shared.owner != owner:
            _shared.release()
            self.assertNotIn(owner, _shared.broken, "the daemon did not start before")
            _shared.broken.add(owner)
            daemon = self.make_daemon()
            daemon.start()
            _shared.broken.remove(owner)
            _shared.owner, _shared.daemon = owner, daemon
        assert _shared.daemon is not None
        self.daemon = _shared.daemon

    def __init_subclass__(cls) -> None:
        """Let every class that has tests end with one more; those that only others derive from have none."""
        super().__init_subclass__()
        if any(name.startswith("test_") for name in dir(cls)):
            cls.test_zz_ends_well = cls.check_end  # type: ignore[attr-defined] # trial finds it by its name

    def check_end(self) -> None:
        """After all that this class did, SIGTERM ends its own daemon with 0, and the log holds no traceback."""
        text = self.daemon.log_text()
        if not self.shared_by:
            _shared.release()
        self.assertNotIn("Traceback", text)
