"""The tables of the ledger (SQLAlchemy Core, no torch).

Every row belongs to a run, so that several runs may share one database. What is read one by one is
a column; the rest is JSON. Outcomes of examples are packed (`ledger.packed`).
"""

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

SCHEMA = 2
"""The version of the tables."""

METADATA = MetaData()

RUNS = Table(
    "runs",
    METADATA,
    Column("run", String(32), primary_key=True),
    Column("schema", Integer, nullable=False),
)

NETWORKS = Table(
    "networks",
    METADATA,
    Column("run", String(32), primary_key=True),
    Column("id", String(12), primary_key=True),
    Column("added", Float, nullable=False),
    Column("record", Text, nullable=False),
)

LABELS = Table(
    "labels",
    METADATA,
    Column("run", String(32), primary_key=True),
    Column("digest", String(16), primary_key=True),
    Column("typecode", String(1), nullable=False),
    Column("labels", LargeBinary, nullable=False),
)

SESSIONS = Table(
    "sessions",
    METADATA,
    Column("run", String(32), primary_key=True),
    Column("id", String(32), primary_key=True),
    Column("purpose", String(16), nullable=False),
    Column("conditions", String(12), nullable=False),
    Column("subjects", Text, nullable=False),
    Column("sentinel", String(64), nullable=False),
    Column("protocol", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("created", Float, nullable=False),
    Column("finished", Boolean, nullable=False),
    Column("noise", Text),
    Column("time_budget_s", Float),
    Column("spent", Boolean, nullable=False),
)
Index("sessions_by_purpose", SESSIONS.c.run, SESSIONS.c.purpose, SESSIONS.c.conditions)

PROCESSES = Table(
    "processes",
    METADATA,
    Column("run", String(32), primary_key=True),
    Column("session", String(32), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("record", Text, nullable=False),
)

OBSERVATIONS = Table(
    "observations",
    METADATA,
    Column("run", String(32), primary_key=True),
    Column("quantity", String(20), primary_key=True),
    Column("deployment", String(32), primary_key=True),
    Column("place", String(64), primary_key=True),
    Column("network", String(12), primary_key=True),
    Column("value", Float),
    Column("low", Float),
    Column("high", Float),
    Column("record", Text),
    Column("typecode", String(1)),
    Column("outcomes", LargeBinary),
    Column("observed", Float, nullable=False),
)
"""`place` is what an observation holds under beside the deployment: the split of a score, the
session of a latency or an energy, the conditions of a size."""
