"""What stands between a sink and the body that feeds it."""

from __future__ import annotations

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer


@implementer(IPushProducer)
class Tap:
    """
    Passes on what a sink asks of its producer, and notes when the sink gives up.

    Attributes:
        is_stopped: whether the sink has given up; its commit() tells why.
    """

    def __init__(self, producer: IPushProducer) -> None:
        self._producer = producer
        self.is_stopped = False
        self.pauseProducing = producer.pauseProducing
        self.resumeProducing = producer.resumeProducing

    def stopProducing(self) -> None:
        """See IPushProducer."""
        self.is_stopped = True
        self._producer.stopProducing()
