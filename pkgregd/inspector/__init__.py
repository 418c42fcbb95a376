"""The process that reads archives, and what it says to the daemon. The daemon imports only the wire."""
