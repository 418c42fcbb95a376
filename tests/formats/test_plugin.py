"""Formats are found as plugins."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pkgregd.interfaces import IPackageFormat
from pkgregd.plugin import find_formats


class FindFormatsTests(SynchronousTestCase):
    """find_formats()."""

    def test_ours_are_found(self) -> None:
        """Every format that we bring along is there under its own name, in order."""
        found = find_formats()
        self.assertEqual(list(found), sorted(found))
        self.assertLessEqual({"generic", "pypi"}, found.keys())
        for name, made in found.items():
            self.assertEqual(made.name, name)
            verifyObject(IPackageFormat, made)
