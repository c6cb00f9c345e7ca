"""What the two databases say differently. A statement that holds these is the same for both, so it is made once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

if TYPE_CHECKING:
    from sqlalchemy.sql.compiler import SQLCompiler

UNIX_EPOCH, DAY_SECONDS = 2440587.5, 86_400.0
"""As a Julian day, which SQLite's clock tells in all versions; and what turns days into seconds."""


class Now(FunctionElement[float]):
    """The time that all nodes go by, in Unix seconds: that of the database's clock."""

    type = sa.Double()
    inherit_cache = True


class Contains(FunctionElement[bool]):
    """Whether the first text has the second in it. No character of it has a meaning of its own, as it would in LIKE."""

    type = sa.Boolean()
    inherit_cache = True


@compiles(Now, "postgresql")
def _now_in_postgres(element: Now, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - the compiler's
    return "CAST(extract(epoch FROM clock_timestamp()) AS DOUBLE PRECISION)"


@compiles(Now, "sqlite")
def _now_in_sqlite(element: Now, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - the compiler's
    return f"((julianday('now') - {UNIX_EPOCH}) * {DAY_SECONDS})"


@compiles(Contains, "postgresql")
def _contains_in_postgres(element: Contains, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - as above
    return f"(strpos({compiler.process(element.clauses, **options)}) > 0)"


@compiles(Contains, "sqlite")
def _contains_in_sqlite(element: Contains, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - as above
    return f"(instr({compiler.process(element.clauses, **options)}) > 0)"
