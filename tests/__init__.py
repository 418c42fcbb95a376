"""All tests. How long an example takes says nothing on a busy machine: Hypothesis sets no deadline."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "pkgregd",
    deadline=None,
    suppress_health_check=[HealthCheck.differing_executors],  # tests of formats run on each database too
)
settings.load_profile("pkgregd")
