"""Benchmarks: what a gibibyte and a request cost the server, next to the least that they can cost."""
