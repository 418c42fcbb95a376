"""
What schemathesis leaves alone; it loads this file in an environment of its own.

FUZZING_KEPT holds what has to stay for the others of a run, a list of numbers in JSON.
"""

import json
import os

import schemathesis

KEPT = {str(number) for number in json.loads(os.environ["FUZZING_KEPT"])}

DESTROYING = {
    # the first places stay, so that there is something to ask about until the end
    ("DELETE", "/api/v4/groups/{group}"),
    ("DELETE", "/api/v4/projects/{project}"),
    # and the token that the run itself shows: without it all that follows would be 401, and soon 429
    ("DELETE", "/api/v4/personal_access_tokens/{token_id}"),
    ("POST", "/api/v4/personal_access_tokens/{token_id}/rotate"),
}


@schemathesis.hook
def filter_case(context, case):
    """Leave out what would take away what the rest of the run needs, and what would not end."""
    if "follow" in (case.query or {}):
        return False
    if (case.method.upper(), case.path) not in DESTROYING:
        return True
    return not {str(value) for value in case.path_parameters.values()} & KEPT
