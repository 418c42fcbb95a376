"""`twistd pkgregd`: options, and the service they make."""

from __future__ import annotations

from twisted.application.service import IService
from twisted.logger import globalLogPublisher
from twisted.python.usage import Options as TwistedOptions
from twisted.python.usage import UsageError

from pkgregd.clockwork import go_by_steady_time
from pkgregd.config import Config, load
from pkgregd.errors import PkgregdError
from pkgregd.process import make_service
from pkgregd.secrecy import install as install_secrecy


class Options(TwistedOptions):
    """
    The command line.

    Attributes:
        config: the loaded configuration.
    """

    synopsis = "[--config FILE]"
    longdesc = "Serve packages. See etc/pkgregd.toml for every key of the configuration."
    optParameters = [["config", "c", None, "the configuration file (TOML)"]]
    config: Config

    def postOptions(self) -> None:
        """Load the configuration, so that a mistake in it ends the start with one line."""
        if self["config"] is None:
            raise UsageError("--config FILE is needed")
        try:
            self.config = load(self["config"])
        except PkgregdError as error:
            raise UsageError(str(error)) from None


def makeService(options: Options) -> IService:
    """Make the service tree."""
    from twisted.internet import reactor

    go_by_steady_time(reactor)
    install_secrecy(globalLogPublisher)  # twistd adds what writes the log only after this
    return make_service(reactor, options.config)
