"""Threads, and the nodes that run their turns."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def _thread_id(name: str = "thread_id") -> sa.Column[Any]:
    return sa.Column(name, sa.String(collation="C").with_variant(sa.String(), "sqlite"), nullable=False)


def _thread(table: str) -> sa.ForeignKeyConstraint:
    name, there = op.f(f"fk_{table}_user_id"), ["threads.user_id", "threads.id"]
    return sa.ForeignKeyConstraint(["user_id", "thread_id"], there, name=name, ondelete="CASCADE")


def upgrade() -> None:
    op.add_column("users", sa.Column("touched", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_table(
        "nodes",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("until", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_nodes")),
    )
    op.create_table(
        "threads",
        sa.Column("user_id", sa.String(), nullable=False),
        _thread_id("id"),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.Column("touched", sa.BigInteger(), nullable=False),
        sa.Column("archived", sa.Boolean(), nullable=False),
        sa.Column("listed", sa.Boolean(), nullable=False),
        sa.Column("cwd", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("name_folded", sa.Text(), nullable=False),
        sa.Column("preview_folded", sa.Text(), nullable=False),
        sa.Column("turns", sa.BigInteger(), nullable=False),
        sa.Column("running", sa.String(), nullable=True),
        sa.Column("owner", sa.String(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("git_info", sa.Text(), nullable=False),
        sa.Column("metadata", sa.Text(), nullable=False),
        sa.Column("usage", sa.Text(), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_threads_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user_id", "id", name=op.f("pk_threads")),
    )
    for name, columns in (("created_at", ["created_at", "id"]), ("touched", ["touched"])):
        op.create_index(
            op.f(f"ix_threads_{name}"),
            "threads",
            ["user_id", "archived", *columns],
            postgresql_where=sa.column("listed"),
            sqlite_where=sa.column("listed") == sa.true(),
        )
    op.create_table(
        "touches",
        sa.Column("user_id", sa.String(), nullable=False),
        _thread_id(),
        sa.Column("number", sa.BigInteger(), nullable=False),
        _thread("touches"),
        sa.PrimaryKeyConstraint("user_id", "thread_id", "number", name=op.f("pk_touches")),
        sa.UniqueConstraint("user_id", "number", name=op.f("uq_touches_user_id")),
    )
    op.create_table(
        "turns",
        sa.Column("user_id", sa.String(), nullable=False),
        _thread_id(),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=True),
        sa.Column("completed_at", sa.Double(), nullable=True),
        sa.Column("duration_ms", sa.BigInteger(), nullable=True),
        _thread("turns"),
        sa.PrimaryKeyConstraint("user_id", "thread_id", "number", name=op.f("pk_turns")),
    )
    op.create_table(
        "items",
        sa.Column("user_id", sa.String(), nullable=False),
        _thread_id(),
        sa.Column("turn", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("completed_at", sa.Double(), nullable=False),
        sa.Column("forgets", sa.Boolean(), nullable=False),
        sa.Column("item", sa.Text(), nullable=True),
        sa.Column("remembered", sa.Text(), nullable=True),
        _thread("items"),
        sa.PrimaryKeyConstraint("user_id", "thread_id", "turn", "number", name=op.f("pk_items")),
    )
    op.create_index(
        op.f("ix_items_forgets"),
        "items",
        ["user_id", "thread_id", "turn"],
        postgresql_where=sa.column("forgets"),
        sqlite_where=sa.column("forgets") == sa.true(),
    )


def downgrade() -> None:
    for table in ("items", "turns", "touches", "threads", "nodes"):
        op.drop_table(table)
    with op.batch_alter_table("users") as users:
        users.drop_column("touched")
