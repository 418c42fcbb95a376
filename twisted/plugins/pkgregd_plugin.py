"""Lets twistd find `pkgregd`."""

from twisted.application.service import ServiceMaker

pkgregd = ServiceMaker("pkgregd", "pkgregd.tap", "A streaming package registry.", "pkgregd")
