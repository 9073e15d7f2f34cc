"""Caffe's messages, enums and defaults, without Caffe.

The tables of ``tables`` become messages in a private descriptor pool: pycaffe registers its own
``caffe.proto`` in protobuf's default pool, and a second registration in one process clashes.
"""

import re
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Set

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from prototxt_tools.errors import PrototxtError
from prototxt_tools.net.schema import tables
from prototxt_tools.net.schema.tables import (
    FORK_ENUMS,
    FORK_LISTS,
    FORK_MESSAGES,
    FORK_VALUES,
    SOLVER_FIELDS,
    V0_TYPES,
    V1_TYPES,
)
from prototxt_tools.text.tree import Field, Message

__all__ = [
    "SOLVER_FIELDS",
    "V0_TYPES",
    "V1_TYPES",
    "Stranger",
    "fill",
    "is_stock",
    "new",
    "strangers",
]

_PACKAGE = "caffe"
_FIRST_FORK_NUMBER = 100000
_TYPES = {
    "bool": 8,
    "bytes": 12,
    "double": 1,
    "float": 2,
    "int32": 5,
    "int64": 3,
    "string": 9,
    "uint32": 13,
}
_MESSAGE, _ENUM = 11, 14
_OPTIONAL, _REQUIRED, _REPEATED = 1, 2, 3
_RANGES = {5: (-(1 << 31), (1 << 31) - 1), 3: (-(1 << 63), (1 << 63) - 1), 13: (0, (1 << 32) - 1)}
_OCTAL_OR_HEX = re.compile("0[0-9xX]")
_NUMBER_STARTS = tuple("0123456789.")
_BOOLS = {"true": True, "True": True, "t": True, "false": False, "False": False, "f": False}


def new(message_name: str) -> Any:
    """An empty message, such as ``new("LayerParameter")``."""
    return _CLASSES[message_name]()


def is_stock(message_name: str, field_name: str, value: Optional[str] = None) -> bool:
    """Whether BVLC Caffe's master knows a field (and, if given, the enum value ``value`` of it)."""
    if field_name not in _STOCK.get(message_name, ()):
        return False
    if value is None:
        return True
    enum = _CLASSES[message_name].DESCRIPTOR.fields_by_name[field_name].enum_type
    return value in enum.values_by_name and value not in _fork_values(enum.name)


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
        The fields, at any depth, that no table knows; and a ``type`` of a V1 layer whose value
        is no type of stock Caffe, since forks have added dozens.

    Raises
    ------
    PrototxtError
        Where a value has the wrong kind or is out of range, a field is given twice that may
        stand once, or a required one is missing.
    """
    unknown: List[Field] = []
    _fill(message, tree, lambda field, owner, is_value: unknown.append(field), False)
    return unknown


def strangers(message_name: str, tree: Message) -> List[Stranger]:
    """What stock Caffe does not know in a tree of text, whether or not the tables know it.

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
    readers = _READERS[owner]
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


def _check_form(reader: "_Reader", field: Field, seen: Set[str]) -> None:
    """Refuse a second value of a field that may have one, and braces where none belong."""
    name = field.name
    if not reader.repeated:
        if name in seen:
            raise field.error(f"{name} is given twice and may stand only once")
        if field.in_list:
            raise field.error(f"{name} takes one value, no list")
        seen.add(name)
    if field.is_message != (reader.read is None):
        needed = "a value, not braces" if field.is_message else f"braces: {name} {{ ... }}"
        raise field.error(f"{name} needs {needed}")


def _judge_empty_list(reader: "_Reader", field: Field) -> None:
    if not reader.repeated:
        raise field.error(f"{field.name} takes one value, no list")
    elif reader.read is not None and not field.value.text.startswith(":"):
        raise field.error(f"expected ':' after {field.name}")


def _is_unknown_value(reader: "_Reader", field: Field, stock: bool) -> bool:
    """Whether an enum's value is to be set aside: some fork may have it."""
    if not stock and not reader.is_v1_type:
        return False
    if field.value.is_string:
        return reader.is_v1_type
    try:
        value = _enum_value(reader, field)
    except ValueError:
        return field.value.kind == "name"
    return value is None or (stock and value.name in _fork_values(reader.enum.name))


def _check_required(message: Any, field: Field) -> None:
    for name in _REQUIRED_FIELDS.get(message.DESCRIPTOR.name, ()):
        if not message.HasField(name):
            raise field.error(f"{field.name} must give {name}")


class _Reader:
    """How a field of a message is read from text; ``read`` is None for messages."""

    __slots__ = ("type", "enum", "repeated", "read", "is_v1_type", "is_of_forks")

    def __init__(self, descriptor: Any, message_name: str, repeated: bool) -> None:
        self.type = descriptor.type
        self.enum = descriptor.enum_type
        self.repeated = repeated
        self.read = _READS.get(descriptor.type)
        self.is_v1_type = (message_name, descriptor.name) == ("V1LayerParameter", "type")
        self.is_of_forks = descriptor.number >= _FIRST_FORK_NUMBER


def _read_integer(reader: _Reader, field: Field) -> int:
    low, high = _RANGES[reader.type]
    try:
        number = field.value.integer()
    except ValueError:
        number = None
    signed = field.value.text[0] == "-"
    if number is None or not low <= number <= high or (signed and low == 0):
        raise _needs(f"a whole number from {low} to {high}", field)
    return number


def _read_float(reader: _Reader, field: Field) -> float:
    word = field.value.word
    digits = word.lstrip("-")
    try:
        if _OCTAL_OR_HEX.match(digits):
            raise ValueError("only integers may be octal or hexadecimal")
        return float(word.rstrip("fF") if digits[:1] in _NUMBER_STARTS else word)
    except ValueError:
        raise _needs("a number", field) from None


def _read_bool(reader: _Reader, field: Field) -> bool:
    try:
        return _BOOLS[field.value.text]
    except KeyError:
        pass
    try:
        number = field.value.integer()
    except ValueError:
        number = None
    if number not in (0, 1) or field.value.text[0] == "-":
        raise _needs("true or false", field)
    return bool(number)


def _read_enum(reader: _Reader, field: Field) -> int:
    try:
        value = _enum_value(reader, field)
    except ValueError:
        value = None
    if value is None:
        forks = _fork_values(reader.enum.name)
        names = [name for name in reader.enum.values_by_name if name not in forks]
        raise _needs("one of " + ", ".join(names), field)
    return value.number


def _enum_value(reader: _Reader, field: Field) -> Any:
    """By name or number; None for a number that the enum lacks, ValueError for anything else."""
    value = reader.enum.values_by_name.get(field.value.text)
    if value is None:
        number, (low, high) = field.value.integer(), _RANGES[5]
        if not low <= number <= high:
            raise ValueError("enum values are of 32 bits")
        value = reader.enum.values_by_number.get(number)
    return value


def _read_string(reader: _Reader, field: Field) -> str:
    if not field.value.is_string:
        raise field.error(f'{field.name} needs quotes: "{field.value.text}"')
    text = field.value.string()
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return text


def _needs(what: str, field: Field) -> PrototxtError:
    text = field.value.text
    if field.value.is_string:
        what += " without quotes"
    else:
        text = f'"{text}"'
    return field.error(f"{field.name} needs {what}, not {text}")


_READS = {
    1: _read_float,
    2: _read_float,
    3: _read_integer,
    5: _read_integer,
    8: _read_bool,
    9: _read_string,
    13: _read_integer,
    _ENUM: _read_enum,
}


def _fork_values(enum_name: str) -> List[str]:
    return [item.partition("=")[0] for item in FORK_VALUES.get(enum_name, "").split()]


def _file() -> Any:
    """The tables as a file descriptor."""
    file = descriptor_pb2.FileDescriptorProto(name="prototxt_tools.proto", package=_PACKAGE)
    enums = dict(tables.ENUMS, **FORK_ENUMS)
    for name in list(tables.MESSAGES) + [n for n in FORK_MESSAGES if n not in tables.MESSAGES]:
        message = file.message_type.add(name=name)
        for enum in enums:
            if enum.startswith(name + "."):
                _add_enum(message.enum_type, enum.split(".")[1], enums[enum])
        for item in tables.MESSAGES.get(name, "").split():
            field, number, rest = item.split(":", 2)
            _add_field(message, field, int(number), rest, enums)
        for index, item in enumerate(FORK_MESSAGES.get(name, "").split()):
            field, rest = item.split(":", 1)
            _add_field(message, field, _FIRST_FORK_NUMBER + index, rest, enums)
    _add_enum(file.enum_type, "Phase", enums["Phase"])
    return file


def _add_enum(enums: Any, name: str, values: str) -> None:
    enum = enums.add(name=name)
    for index, item in enumerate((values + " " + FORK_VALUES.get(name, "")).split()):
        value, _, number = item.partition("=")
        enum.value.add(name=value, number=int(number or index))


def _add_field(message: Any, name: str, number: int, rest: str,
               enums: Dict[str, str]) -> None:
    written, _, default = rest.partition("=")
    kind = written.rstrip("*+!")
    mark = written[len(kind) :]
    field = message.field.add(
        name=name,
        number=number,
        label={"": _OPTIONAL, "!": _REQUIRED, "*": _REPEATED, "+": _REPEATED}[mark],
    )
    if mark == "+":
        field.options.packed = True
    if default:
        field.default_value = default
    nested = f"{message.name}.{kind}"
    if kind in _TYPES:
        field.type = _TYPES[kind]
    elif nested in enums or kind in enums:
        field.type = _ENUM
        field.type_name = f".{_PACKAGE}.{nested if nested in enums else kind}"
    else:
        field.type = _MESSAGE
        field.type_name = f".{_PACKAGE}.{kind}"


def _classes(file: Any) -> Dict[str, Any]:
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    if hasattr(message_factory, "GetMessageClass"):
        get_class = message_factory.GetMessageClass
    else:
        get_class = message_factory.MessageFactory(pool).GetPrototype
    names = [message.name for message in file.message_type]
    return {name: get_class(pool.FindMessageTypeByName(_PACKAGE + "." + name)) for name in names}


_FILE = _file()
_CLASSES = _classes(_FILE)
_STOCK = {
    name: {item.partition(":")[0] for item in fields.split()}
    for name, fields in tables.MESSAGES.items()
}
_REPEATED_FIELDS = {
    (message.name, field.name)
    for message in _FILE.message_type
    for field in message.field
    if field.label == _REPEATED
}
_REQUIRED_FIELDS = {
    message.name: names
    for message in _FILE.message_type
    for names in [[f.name for f in message.field if f.label == _REQUIRED]]
    if names
}
_READERS = {
    name: {
        field.name: _Reader(field, name, (name, field.name) in _REPEATED_FIELDS)
        for field in cls.DESCRIPTOR.fields
    }
    for name, cls in _CLASSES.items()
}
