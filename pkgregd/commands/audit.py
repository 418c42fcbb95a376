"""`audit`."""

from __future__ import annotations

import os
from argparse import Namespace
from contextlib import aclosing

from pkgregd.commands.instance import Instance, Outcome

NOTHING_MORE = Outcome("", None)


async def print_trail(instance: Instance, arguments: Namespace) -> Outcome:
    """Print the audit trail as lines of JSON, and perhaps go on as more is done."""
    from twisted.internet import reactor

    from pkgregd.registry.trail import Trail

    out = instance.out
    async with aclosing(Trail(reactor, instance.catalog).lines(arguments.after, follows=arguments.follow)) as pieces:
        async for piece in pieces:
            try:
                out.write(piece.decode("ascii"))
                out.flush()
            except BrokenPipeError:
                # whoever read has enough; what Python writes at its end must not fail again
                os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
                return NOTHING_MORE
    return NOTHING_MORE
