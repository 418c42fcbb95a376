Requests cost less than half of what they did: one query answers all that a request asks of the catalog before its body,
pages of an index are rendered (and compressed) once per change, and replies go out without a detour.
