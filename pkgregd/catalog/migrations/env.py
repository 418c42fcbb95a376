"""Where Alembic enters: inside the transaction that `schema.migrate_file` has begun."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
