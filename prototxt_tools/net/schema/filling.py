"""Reads a tree of text into a message, or lists what stock Caffe does not know in it."""

from typing import Any, Callable, List, NamedTuple, Set

from prototxt_tools.net.schema.messages import REQUIRED_FIELDS, fork_values, new
from prototxt_tools.net.schema.tables import FORK_LISTS
from prototxt_tools.net.schema.values import READERS, Reader, enum_value
from prototxt_tools.text.tree import Field, Message

# Called with a field that is set aside, the name of its message, and whether only the value is
# unknown.
Note = Callable[[Field, str, bool], None]


class Stranger(NamedTuple):
    """What stock Caffe does not know: a field of the message ``owner``, or only its value."""

    field: Field
    owner: str
    is_value: bool


def fill(message: Any, tree: Message) -> List[Field]:
    """Read a tree of text into a message.

    The values are judged as protobuf's C++ ``TextFormat`` judges them: see ``ConsumeFieldValue``
    in ``google/protobuf/text_format.cc``.

    Parameters
    ----------
    message : a message of ``new``
        Changed in place.
    tree : prototxt_tools.text.document.Message

    Returns
    -------
    list of prototxt_tools.text.document.Field
        The fields, at any depth, that no table has; and a ``type`` of a V1 layer that is not a
        type of stock Caffe, because forks have added dozens.

    Raises
    ------
    PrototxtError
        If a value has the wrong kind or is out of range, a field is given twice that may be
        given only once, or a required one is missing.
    """
    unknown: List[Field] = []
    _fill(message, tree, lambda field, owner, is_value: unknown.append(field), False)
    return unknown


def strangers(message_name: str, tree: Message) -> List[Stranger]:
    """What stock Caffe does not know in a tree of text, whether or not the tables have it.

    Returns
    -------
    list of Stranger

    Raises
    ------
    PrototxtError
        As ``fill``, except for what stands inside such a field.
    """
    unknown: List[Stranger] = []
    _fill(new(message_name), tree, lambda *stranger: unknown.append(Stranger(*stranger)), True)
    return unknown


def _fill(message: Any, tree: Message, note: Note, stock: bool) -> None:
    """``note`` is called with each field set aside, its message's name and what is unknown."""
    owner = message.DESCRIPTOR.name
    readers = READERS[owner]
    seen: Set[str] = set()
    for field in tree:
        name = field.name
        reader = readers.get(name)
        if reader is None or (stock and reader.is_of_forks):
            note(field, owner, False)
            continue
        if field.in_list and stock and (owner, name) in FORK_LISTS:
            note(field, owner, True)
            continue
        _check_form(reader, field, seen)
        if reader.enum and _is_unknown_value(reader, field, stock):
            note(field, owner, True)
        elif reader.read is None:
            child = getattr(message, name)
            child = child.add() if reader.repeated else child
            child.SetInParent()
            _fill(child, field.value, note, stock)
            _check_required(child, field)
        elif reader.repeated:
            getattr(message, name).append(reader.read(reader, field))
        else:
            setattr(message, name, reader.read(reader, field))
    for field in tree.empty_lists:
        reader = readers.get(field.name)
        if reader is None or (stock and reader.is_of_forks):
            note(field, owner, False)
        else:
            _judge_empty_list(reader, field)


def _check_form(reader: Reader, field: Field, seen: Set[str]) -> None:
    """Refuse a second value of a field that may have one, and braces where none belong."""
    name = field.name
    if not reader.repeated:
        if name in seen:
            raise field.error(f"{name} is given twice, but may be given only once")
        if field.in_list:
            raise field.error(f"{name} takes one value, not a list")
        seen.add(name)
    if field.is_message != (reader.read is None):
        needed = "a value, not braces" if field.is_message else f"braces: {name} {{ ... }}"
        raise field.error(f"{name} needs {needed}")


def _judge_empty_list(reader: Reader, field: Field) -> None:
    if not reader.repeated:
        raise field.error(f"{field.name} takes one value, not a list")
    elif reader.read is not None and not field.value.text.startswith(":"):
        raise field.error(f"expected ':' after {field.name}")


def _is_unknown_value(reader: Reader, field: Field, stock: bool) -> bool:
    """Whether an enum's value is to be set aside: some fork may have it."""
    if not stock and not reader.is_v1_type:
        return False
    if field.value.is_string:
        return reader.is_v1_type
    try:
        value = enum_value(reader, field)
    except ValueError:
        return field.value.kind == "name"
    return value is None or (stock and value.name in fork_values(reader.enum.name))


def _check_required(message: Any, field: Field) -> None:
    for name in REQUIRED_FIELDS.get(message.DESCRIPTOR.name, ()):
        if not message.HasField(name):
            raise field.error(f"{field.name} must give {name}")
