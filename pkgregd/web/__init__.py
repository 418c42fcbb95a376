"""Pages for browsers: the manual."""
