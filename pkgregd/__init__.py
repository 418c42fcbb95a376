"""pkgregd: a streaming package registry daemon."""
