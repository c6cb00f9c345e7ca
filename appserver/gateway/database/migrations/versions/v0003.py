"""Requests that one node forwards to another."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

ID = sa.String(collation="C").with_variant(sa.String(), "sqlite")


def upgrade() -> None:
    table = "forwarded_requests"
    op.create_table(
        table,
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("node_id", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("thread_id", ID, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("asked_at", sa.Double(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("response", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.id"], name=op.f(f"fk_{table}_node_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["user_id", "thread_id"],
            ["threads.user_id", "threads.id"],
            name=op.f(f"fk_{table}_user_id"),
            ondelete="CASCADE",
        ),
    )


def downgrade() -> None:
    op.drop_table("forwarded_requests")
