"""Every class that says it implements one of our interfaces does."""

import importlib
import inspect
import pathlib

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementedBy
from zope.interface.verify import verifyClass

import pkgregd
from pkgregd import interfaces

PACKAGE = pathlib.Path(pkgregd.__file__).parent


def implementations():
    """List (class, interface) for all modules of the product but its migrations."""
    for file in sorted(PACKAGE.rglob("*.py")):
        parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
        if "migrations" in parts or parts[-1] == "__init__":
            continue
        module = importlib.import_module(".".join(parts))
        for _, found in inspect.getmembers(module, inspect.isclass):
            if found.__module__ != module.__name__:
                continue
            for interface in implementedBy(found):
                if interface.__module__.startswith(f"{interfaces.__name__}."):
                    yield found, interface


class ImplementationTests(SynchronousTestCase):
    """The seams."""

    def test_each_keeps_the_signatures(self):
        """Methods are there, with the arguments of the interface."""
        count = 0
        for found, interface in implementations():
            verifyClass(interface, found)
            count += 1
        self.assertGreater(count, 20)
