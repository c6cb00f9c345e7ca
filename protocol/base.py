"""Building blocks of the wire types: secrets, tagged unions, open enums.

Knows nothing of any method. pydantic is imported only while a validator is being built, because importing it costs
more than answering the handshake.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema


class Secret:
    """A string that shows itself only when asked: not in a repr, a format string, a log or a pickle."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the secret. Every call is a place to look at in a review."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __reduce__(self) -> str:
        raise TypeError("a Secret is not pickled")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Read from a JSON string; appear as one in a schema."""
        from pydantic_core import core_schema  # late: see the module's docstring

        return core_schema.no_info_after_validator_function(cls, core_schema.str_schema())


class TaggedBy:
    """Marks a union whose members are told apart by one field, so that errors speak of the member that was meant."""

    def __init__(self, field: str) -> None:
        self.field = field

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401 - a type expression
        """Build the union as pydantic's discriminated one."""
        from typing import Annotated

        from pydantic import Field  # late: see the module's docstring

        return handler.generate_schema(Annotated[source, Field(discriminator=self.field)])


class WithDefault:
    """Marks a type whose objects may leave a member out: it then has this value."""

    def __init__(self, name: str, value: object) -> None:
        self.name = name
        self.value = value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401 - a type expression
        """Add the member before the object is looked at."""
        from pydantic_core import core_schema  # late: see the module's docstring

        return core_schema.no_info_before_validator_function(self._filled, handler(source))

    def _filled(self, value: object) -> object:
        return {self.name: self.value, **value} if isinstance(value, dict) else value


class OlderNames:
    """Marks a type of strings some of which have older names. `names`: older -> current; what is read is current."""

    def __init__(self, **names: str) -> None:
        self.names = names

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401 - a type expression
        """Replace an older name before the string is looked at."""
        from pydantic_core import core_schema  # late: see the module's docstring

        return core_schema.no_info_before_validator_function(self._current, handler(source))

    def _current(self, value: object) -> object:
        return self.names.get(value, value) if isinstance(value, str) else value
