The catalog can be in PostgreSQL: `[catalog] url = "postgresql://…"` with the extra `pkgregd[postgres]`. Connections that break are replaced, and a
server that is gone is a 503 that passes.
