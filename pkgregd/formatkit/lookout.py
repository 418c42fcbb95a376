"""Looking out for a text among bytes that pass by."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IConsumer
from zope.interface import implementer


@implementer(IConsumer)
class Lookout:
    """
    Passes bytes on to a consumer, and notes whether a text was among them, however they were cut.

    Args:
        consumer: what a producer would feed without us; it deals with the producer itself.
        text: at least two bytes.

    Attributes:
        is_found: whether it has come by.
    """

    def __init__(self, consumer: IConsumer, text: bytes) -> None:
        self.is_found = False
        self._consumer = consumer
        self._text = text
        self._end = b""

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """See IConsumer."""
        self._consumer.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """See IConsumer."""
        self._consumer.unregisterProducer()

    def write(self, data: bytes) -> None:
        """See IConsumer."""
        if not self.is_found:
            border = len(self._text) - 1
            self.is_found = self._text in data or self._text in self._end + data[:border]
            self._end = (self._end + data[-border:])[-border:]
        self._consumer.write(data)
