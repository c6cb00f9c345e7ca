from __future__ import annotations

import copy
import json
import logging
import pickle
from typing import Annotated, Any, Literal

import pytest
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError
from typing_extensions import TypedDict

from protocol.base import Secret, TaggedBy, WithDefault

VALUE = "sk-very-secret-value"
SECRET = Secret(VALUE)


class Holder(TypedDict):
    key: Secret


class Cat(TypedDict):
    type: Literal["cat"]
    lives: int


class Dog(TypedDict):
    type: Literal["dog"]
    key: Secret


Animal = Annotated[Cat | Dog, TaggedBy("type")]


def test_a_secret_shows_itself_only_when_asked() -> None:
    assert SECRET.reveal() == VALUE
    shown = [
        repr(SECRET),
        str(SECRET),
        format(SECRET),
        f"{SECRET}",
        f"{SECRET!r}",
        f"{SECRET!s}",
        f"{SECRET!a}",
        "%s" % SECRET,  # noqa: UP031 - the old way to format is one of the ways to leak
        repr([SECRET]),
        repr({"key": SECRET}),
        repr(ValueError(SECRET)),
    ]
    assert not any(VALUE in text for text in shown), shown


def test_a_format_with_a_width_does_not_show_it_either() -> None:
    with pytest.raises(TypeError):
        f"{SECRET:>40}"


def test_a_secret_has_no_dict_to_look_into() -> None:
    assert not hasattr(SECRET, "__dict__")
    with pytest.raises(TypeError):
        vars(SECRET)


def test_a_secret_in_a_log_record_stays_hidden(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("tests").warning("the key is %s, or %r", SECRET, {"key": SECRET})
    assert VALUE not in caplog.text
    assert "***" in caplog.text


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_is_not_pickled(protocol: int) -> None:
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(SECRET, protocol)
    with pytest.raises(TypeError):
        pickle.dumps({"key": SECRET}, protocol)


def test_a_secret_is_not_copied_or_encoded_by_accident() -> None:
    with pytest.raises(TypeError):
        copy.deepcopy({"key": SECRET})
    with pytest.raises(TypeError):
        json.dumps({"key": SECRET})


def test_secrets_are_equal_by_value_and_to_nothing_else() -> None:
    assert Secret(VALUE) == SECRET
    assert hash(Secret(VALUE)) == hash(SECRET)
    assert len({SECRET, Secret(VALUE)}) == 1
    assert Secret("other") != SECRET
    assert SECRET != VALUE
    assert VALUE != SECRET


def test_an_empty_secret_is_false() -> None:
    assert not Secret("")
    assert SECRET


def test_a_secret_is_read_from_a_string() -> None:
    found = TypeAdapter(Holder).validate_python({"key": VALUE}, strict=True)
    assert found == {"key": SECRET}
    assert VALUE not in repr(found)


@pytest.mark.parametrize("value", [5, None, True, [VALUE], {"key": VALUE}, b"bytes"])
def test_a_secret_is_read_from_nothing_but_a_string(value: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Holder).validate_python({"key": value}, strict=True)


def test_a_secret_appears_as_a_string_in_a_schema() -> None:
    assert TypeAdapter(Holder).json_schema()["properties"]["key"] == {"title": "Key", "type": "string"}


def test_a_secret_that_gets_into_an_answer_is_not_serialised_as_itself() -> None:
    adapter = TypeAdapter(Holder)
    found = adapter.validate_python({"key": VALUE})
    with pytest.raises(PydanticSerializationError):
        adapter.dump_json(found)


def test_members_of_a_tagged_union_are_told_apart_by_their_tag() -> None:
    adapter: TypeAdapter[Cat | Dog] = TypeAdapter(Animal)
    assert adapter.validate_python({"type": "cat", "lives": 9}) == {"type": "cat", "lives": 9}
    assert adapter.validate_python({"type": "dog", "key": VALUE}) == {"type": "dog", "key": SECRET}


def test_an_error_in_a_tagged_union_speaks_of_the_member_that_was_meant() -> None:
    adapter: TypeAdapter[Cat | Dog] = TypeAdapter(Animal)
    with pytest.raises(ValidationError) as caught:
        adapter.validate_python({"type": "cat", "lives": "many"}, strict=True)
    (problem,) = caught.value.errors()
    assert problem["loc"] == ("cat", "lives")


@pytest.mark.parametrize("value", [{}, {"type": "bird"}, {"type": ["cat"]}, {"type": None}, [], "cat"])
def test_an_unknown_or_missing_tag_is_one_error(value: object) -> None:
    adapter: TypeAdapter[Cat | Dog] = TypeAdapter(Animal)
    with pytest.raises(ValidationError) as caught:
        adapter.validate_python(value, strict=True)
    assert caught.value.error_count() == 1


def test_a_tagged_union_names_its_tag_in_the_schema() -> None:
    assert TypeAdapter(Animal).json_schema()["discriminator"]["propertyName"] == "type"


def test_a_tag_may_be_left_out_where_it_has_a_default() -> None:
    adapter: TypeAdapter[Cat | Dog] = TypeAdapter(Annotated[Cat | Dog, TaggedBy("type"), WithDefault("type", "cat")])
    assert adapter.validate_python({"lives": 9}) == {"type": "cat", "lives": 9}
    assert adapter.validate_python({"type": "dog", "key": VALUE}) == {"type": "dog", "key": SECRET}
    wrong: tuple[Any, ...] = ({"type": None}, [], "cat")
    for value in wrong:
        with pytest.raises(ValidationError):
            adapter.validate_python(value)


def test_what_was_sent_is_not_changed_by_a_default() -> None:
    sent = {"lives": 9}
    TypeAdapter[Any](Annotated[Cat, WithDefault("type", "cat")]).validate_python(sent)
    assert sent == {"lives": 9}
