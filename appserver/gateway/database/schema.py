"""The tables, as the latest migration leaves them. Times are Unix seconds of the database's clock."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _owner() -> sa.Column[str]:
    return sa.Column("user_id", sa.String, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True)


users = sa.Table(
    "users",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("name", sa.String, nullable=False, unique=True),
    sa.Column("password", sa.String),  # argon2; null: no sign-in
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("touched", sa.BigInteger, nullable=False, server_default="0"),  # the last touch of the user's threads
)

credentials = sa.Table(
    "credentials",
    metadata,
    sa.Column("user_id", sa.String, sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("kind", sa.String),  # of the credential; null: there is none
    sa.Column("chatgpt_user_id", sa.String),  # with account_id: whose account it is
    sa.Column("account_id", sa.String),
    sa.Column("status", sa.String, nullable=False),  # none, active, expired, needs_login
    sa.Column("document", sa.LargeBinary),  # the members of auth.json, encrypted
    sa.Column("expires_at", sa.Double),
    sa.Column("version", sa.BigInteger, nullable=False),  # changes with everything that a node must know of
    sa.Column("record", sa.LargeBinary),  # what was redeemed and is not stored yet, encrypted
    sa.Column("refused", sa.LargeBinary),  # hash of a refresh token that the issuer has refused for good
    sa.Column("refusal", sa.String),  # why
    sa.Column("ended", sa.LargeBinary),  # hash of a refresh token whose login has ended while it was redeemed
    sa.Column("holder", sa.String),  # who redeems
    sa.Column("held_until", sa.Double, nullable=False),
    sa.Column("refresh_at", sa.Double, index=True),  # when the scheduled refresh comes
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    _owner(),
    sa.Column("hash", sa.LargeBinary, nullable=False, unique=True),  # SHA-256: a key is random, and long
    sa.Column("scopes", sa.String, nullable=False),  # by spaces
    sa.Column("rpm", sa.Integer),  # requests per minute; null: any number
    sa.Column("tpm", sa.Integer),  # tokens per minute
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("used_at", sa.Double),  # to the minute
    sa.Column("revoked_at", sa.Double),
)

windows = sa.Table(
    "windows",
    metadata,
    sa.Column("key_id", sa.String, sa.ForeignKey("api_keys.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("minute", sa.BigInteger, primary_key=True),
    sa.Column("requests", sa.BigInteger, nullable=False),
    sa.Column("tokens", sa.BigInteger, nullable=False),
)

usage = sa.Table(
    "usage",
    metadata,
    sa.Column("key_id", sa.String, primary_key=True),  # no foreign key: it outlives the key
    sa.Column("day", sa.BigInteger, primary_key=True),  # since the epoch
    sa.Column("requests", sa.BigInteger, nullable=False),
    sa.Column("input_tokens", sa.BigInteger, nullable=False),
    sa.Column("output_tokens", sa.BigInteger, nullable=False),
)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("actor", sa.String, nullable=False),
    sa.Column("action", sa.String, nullable=False),
    sa.Column("subject", sa.String, nullable=False),
)

leases = sa.Table(
    "leases",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("holder", sa.String, nullable=False),
    sa.Column("until", sa.Double, nullable=False),
)

nodes = sa.Table(
    "nodes",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("until", sa.Double, nullable=False),  # it lives, as it has renewed its lease up to then
)

settings = sa.Table(
    "settings",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("value", sa.LargeBinary, nullable=False),
)

clients = sa.Table(
    "clients",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("secret_hash", sa.LargeBinary),  # SHA-256; null: a public client
    sa.Column("scopes", sa.String, nullable=False),
    sa.Column("redirect_uris", sa.String, nullable=False),  # by spaces
    sa.Column("created_at", sa.Double, nullable=False),
)

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("hash", sa.LargeBinary, primary_key=True),
    _owner(),
    sa.Column("expires_at", sa.Double, nullable=False, index=True),
)

codes = sa.Table(
    "codes",
    metadata,
    sa.Column("hash", sa.LargeBinary, primary_key=True),
    _owner(),
    sa.Column("client_id", sa.String, sa.ForeignKey("clients.id", ondelete="CASCADE"), nullable=False),
    sa.Column("redirect_uri", sa.String, nullable=False),
    sa.Column("redirect_uri_given", sa.Boolean, nullable=False),
    sa.Column("scopes", sa.String, nullable=False),
    sa.Column("challenge", sa.String),
    sa.Column("expires_at", sa.Double, nullable=False, index=True),
    sa.Column("grant_id", sa.String),  # what it was exchanged for; null: not yet
)

grants = sa.Table(
    "grants",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    _owner(),
    sa.Column("client_id", sa.String, sa.ForeignKey("clients.id", ondelete="CASCADE"), nullable=False),
    sa.Column("scopes", sa.String, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("revoked_at", sa.Double),
)

tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("hash", sa.LargeBinary, primary_key=True),
    sa.Column("grant_id", sa.String, sa.ForeignKey("grants.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("kind", sa.String, nullable=False),  # access, refresh
    sa.Column("scopes", sa.String, nullable=False),
    sa.Column("expires_at", sa.Double, nullable=False, index=True),
    sa.Column("rotated_at", sa.Double),  # of a refresh token: when another took its place
)

attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("subject", sa.LargeBinary, primary_key=True),  # hash of a name or an address
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("until", sa.Double, nullable=False),
)
