"""The database: many readers, one writer.

SQLite in WAL mode, foreign keys on, every writing transaction a BEGIN IMMEDIATE (a deferred one
that reads and then writes loses to "database is locked"); or PostgreSQL by URL.
"""
