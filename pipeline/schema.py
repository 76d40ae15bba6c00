"""The tables of the ledger, in SQL that SQLite and PostgreSQL read alike (no torch).

Every row belongs to a run, so that several runs may share one database. What is read one by one is
a column; the rest is JSON. Outcomes of examples are packed (`packing`).
"""

SCHEMA = 2
"""The version of the tables."""

TABLES = (
    """
    CREATE TABLE IF NOT EXISTS runs (
        run VARCHAR(32) NOT NULL,
        schema INTEGER NOT NULL,
        PRIMARY KEY (run)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS networks (
        run VARCHAR(32) NOT NULL,
        id VARCHAR(12) NOT NULL,
        added FLOAT NOT NULL,
        kind VARCHAR(8) NOT NULL,
        record TEXT NOT NULL,
        PRIMARY KEY (run, id)
    )
    """,
    "CREATE INDEX IF NOT EXISTS networks_by_kind ON networks (run, kind, added, id)",
    """
    CREATE TABLE IF NOT EXISTS labels (
        run VARCHAR(32) NOT NULL,
        digest VARCHAR(16) NOT NULL,
        typecode VARCHAR(1) NOT NULL,
        labels {bytes} NOT NULL,
        PRIMARY KEY (run, digest)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS sessions (
        run VARCHAR(32) NOT NULL,
        id VARCHAR(32) NOT NULL,
        purpose VARCHAR(16) NOT NULL,
        conditions VARCHAR(12) NOT NULL,
        subjects TEXT NOT NULL,
        sentinel VARCHAR(64) NOT NULL,
        protocol TEXT NOT NULL,
        environment TEXT NOT NULL,
        created FLOAT NOT NULL,
        finished BOOLEAN NOT NULL,
        noise TEXT,
        time_budget_s FLOAT,
        spent BOOLEAN NOT NULL,
        PRIMARY KEY (run, id)
    )
    """,
    "CREATE INDEX IF NOT EXISTS sessions_by_purpose ON sessions (run, purpose, conditions)",
    """
    CREATE TABLE IF NOT EXISTS processes (
        run VARCHAR(32) NOT NULL,
        session VARCHAR(32) NOT NULL,
        number INTEGER NOT NULL,
        record TEXT NOT NULL,
        PRIMARY KEY (run, session, number)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS observations (
        run VARCHAR(32) NOT NULL,
        quantity VARCHAR(20) NOT NULL,
        deployment VARCHAR(32) NOT NULL,
        place VARCHAR(64) NOT NULL,
        network VARCHAR(12) NOT NULL,
        value FLOAT,
        low FLOAT,
        high FLOAT,
        record TEXT,
        labels VARCHAR(16),
        typecode VARCHAR(1),
        outcomes {bytes},
        observed FLOAT NOT NULL,
        PRIMARY KEY (run, quantity, deployment, place, network)
    )
    """,
)
"""Makes them where they are missing; `{bytes}` is the database's type of bytes.

`place` is what an observation holds under beside the deployment: the split of a score, the session
of a latency or an energy, the conditions of a size; `labels` is the digest of a score's.
"""
