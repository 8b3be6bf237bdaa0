"""The embedded store: SQLite in WAL mode, one file, no server."""
