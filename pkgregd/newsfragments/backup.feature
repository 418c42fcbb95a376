`pkgregd backup FILE` copies the catalog while daemons work on it, SQLite or PostgreSQL, and `pkgregd restore FILE` puts it into an empty place. The manual's page
"Backup and restore" has all of it, files included.
