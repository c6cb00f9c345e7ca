"""The tables of threads. Each row names its user, and so does each statement: there is no way from one to another's.

What is JSON is text, in ASCII (`threads.stores.rows`). Times are those of the nodes' clocks. Within a thread, turns and
their items are numbered in the order in which they were written; whoever writes has the thread's row locked.
"""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa

from appserver.gateway.database.schema import metadata

_ID = sa.String(collation="C").with_variant(sa.String(), "sqlite")
"""Ids of threads are compared, and sorted, by their bytes."""


def _thread() -> tuple[sa.Column[str], sa.Column[str], sa.ForeignKeyConstraint]:
    """Return the columns that say which thread a row belongs to, and with which it is deleted."""
    thread = sa.ForeignKeyConstraint(["user_id", "thread_id"], ["threads.user_id", "threads.id"], ondelete="CASCADE")
    user_id = sa.Column("user_id", sa.String, primary_key=True)
    return user_id, sa.Column("thread_id", _ID, primary_key=True), thread


threads = sa.Table(
    "threads",
    metadata,
    sa.Column("user_id", sa.String, sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("id", _ID, primary_key=True),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("updated_at", sa.Double, nullable=False),
    sa.Column("touched", sa.BigInteger, nullable=False),  # the number of its last touch
    sa.Column("archived", sa.Boolean, nullable=False),
    sa.Column("listed", sa.Boolean, nullable=False),  # has a turn or a name
    sa.Column("cwd", sa.Text, nullable=False),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("name_folded", sa.Text, nullable=False),  # what searches compare
    sa.Column("preview_folded", sa.Text, nullable=False),
    sa.Column("turns", sa.BigInteger, nullable=False),  # the number of the last turn that it has had
    sa.Column("running", sa.String),  # the id of the turn that runs; null: none does
    sa.Column("owner", sa.String),  # the node that runs it
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("git_info", sa.Text, nullable=False),
    sa.Column("metadata", sa.Text, nullable=False),
    sa.Column("usage", sa.Text, nullable=False),
    sa.Column("settings", sa.Text, nullable=False),  # the last: a list need not read so far, and they may be long
)

sa.Index(
    "ix_threads_created_at",
    *(threads.c[name] for name in ("user_id", "archived", "created_at", "id")),
    postgresql_where=threads.c.listed,
    sqlite_where=threads.c.listed,
)
sa.Index(
    "ix_threads_touched",
    *(threads.c[name] for name in ("user_id", "archived", "touched")),
    postgresql_where=threads.c.listed,
    sqlite_where=threads.c.listed,
)

touches = sa.Table(  # the latest ones: all up to a number, and before that the last one of each thread
    "touches",
    metadata,
    *_thread(),
    sa.Column("number", sa.BigInteger, primary_key=True),
    sa.UniqueConstraint("user_id", "number"),
)

turns = sa.Table(
    "turns",
    metadata,
    *_thread(),
    sa.Column("number", sa.BigInteger, primary_key=True),
    sa.Column("id", sa.String, nullable=False),
    sa.Column("status", sa.String, nullable=False),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("started_at", sa.Double),
    sa.Column("completed_at", sa.Double),
    sa.Column("duration_ms", sa.BigInteger),
)

items = sa.Table(
    "items",
    metadata,
    *_thread(),
    sa.Column("turn", sa.BigInteger, primary_key=True),  # its number; 0: before the first one
    sa.Column("number", sa.BigInteger, primary_key=True),
    sa.Column("completed_at", sa.Double, nullable=False),
    sa.Column("forgets", sa.Boolean, nullable=False),
    sa.Column("item", sa.Text),  # as clients see it
    sa.Column("remembered", sa.Text),  # as the model is sent it
)

sa.Index(
    "ix_items_forgets",
    *(items.c[name] for name in ("user_id", "thread_id", "turn")),
    postgresql_where=items.c.forgets,
    sqlite_where=items.c.forgets,
)

forwarded_requests = sa.Table(  # to the node that runs a turn, from one that was asked to interrupt or steer it
    "forwarded_requests",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("node_id", sa.String, sa.ForeignKey("nodes.id", ondelete="CASCADE"), nullable=False),
    sa.Column("user_id", sa.String, nullable=False),
    sa.Column("thread_id", _ID, nullable=False),
    sa.Column("number", sa.BigInteger, nullable=False),  # grows with each that the same node forwards
    sa.Column("asked_at", sa.Double, nullable=False),  # by the database's clock
    sa.Column("request", sa.Text, nullable=False),  # JSON, as is the response
    sa.Column("response", sa.Text),  # null: there is none yet
    sa.ForeignKeyConstraint(["user_id", "thread_id"], ["threads.user_id", "threads.id"], ondelete="CASCADE"),
)


class Key(NamedTuple):
    """Which thread: whose, and which of theirs."""

    user_id: str
    thread_id: str

    @property
    def columns(self) -> dict[str, str]:
        """The columns of a row that belongs to the thread."""
        return {"user_id": self.user_id, "thread_id": self.thread_id}

    @property
    def at(self) -> dict[str, str]:
        """The parameters of a statement that is about the thread."""
        return {"at_user": self.user_id, "at_thread": self.thread_id}


def here(table: sa.Table) -> sa.ColumnElement[bool]:
    """Whether a row belongs to the thread that the statement is about (`Key.at`), or is the thread's own."""
    thread_id = table.c.id if table is threads else table.c.thread_id
    return sa.and_(table.c.user_id == sa.bindparam("at_user"), thread_id == sa.bindparam("at_thread"))
