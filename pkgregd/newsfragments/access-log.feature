Lines of the access log are JSON with their own time, written within a twentieth of a second and several together; pushes,
yanks and deletions are told the same way, and pulls once a minute in sum.
