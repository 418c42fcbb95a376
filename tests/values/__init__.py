"""Tests of pkgregd.values."""
