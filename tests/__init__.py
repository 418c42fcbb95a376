"""All tests. How long an example takes says nothing on a busy machine: Hypothesis sets no deadline."""

from hypothesis import settings

settings.register_profile("pkgregd", deadline=None)
settings.load_profile("pkgregd")
