"""How the value of one field is read from text: numbers, words, strings and enums.

The values are judged as protobuf's C++ ``TextFormat`` judges them: see ``ConsumeFieldValue`` in
``google/protobuf/text_format.cc``.
"""

import re
from typing import Any

from prototxt_tools.errors import PrototxtError
from prototxt_tools.net.schema.messages import (
    CLASSES,
    ENUM,
    FIRST_FORK_NUMBER,
    REPEATED_FIELDS,
    fork_values,
)
from prototxt_tools.text.tree import Field

_RANGES = {5: (-(1 << 31), (1 << 31) - 1), 3: (-(1 << 63), (1 << 63) - 1), 13: (0, (1 << 32) - 1)}
_OCTAL_OR_HEX = re.compile("0[0-9xX]")
_NUMBER_STARTS = tuple("0123456789.")
_BOOLS = {"true": True, "True": True, "t": True, "false": False, "False": False, "f": False}


class Reader:
    """How a field of a message is read from text; ``read`` is None for messages."""

    __slots__ = ("type", "enum", "repeated", "read", "is_v1_type", "is_of_forks")

    def __init__(self, descriptor: Any, message_name: str, repeated: bool) -> None:
        self.type = descriptor.type
        self.enum = descriptor.enum_type
        self.repeated = repeated
        self.read = _READS.get(descriptor.type)
        self.is_v1_type = (message_name, descriptor.name) == ("V1LayerParameter", "type")
        self.is_of_forks = descriptor.number >= FIRST_FORK_NUMBER


def _read_integer(reader: Reader, field: Field) -> int:
    low, high = _RANGES[reader.type]
    try:
        number = field.value.integer()
    except ValueError:
        number = None
    signed = field.value.text[0] == "-"
    if number is None or not low <= number <= high or (signed and low == 0):
        raise _needs(f"a whole number from {low} to {high}", field)
    return number


def _read_float(reader: Reader, field: Field) -> float:
    word = field.value.word
    digits = word.lstrip("-")
    try:
        if _OCTAL_OR_HEX.match(digits):
            raise ValueError("only integers may be octal or hexadecimal")
        return float(word.rstrip("fF") if digits[:1] in _NUMBER_STARTS else word)
    except ValueError:
        raise _needs("a number", field) from None


def _read_bool(reader: Reader, field: Field) -> bool:
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


def _read_enum(reader: Reader, field: Field) -> int:
    try:
        value = enum_value(reader, field)
    except ValueError:
        value = None
    if value is None:
        forks = fork_values(reader.enum.name)
        names = [name for name in reader.enum.values_by_name if name not in forks]
        raise _needs("one of " + ", ".join(names), field)
    return value.number


def enum_value(reader: Reader, field: Field) -> Any:
    """By name or number; None for a number that the enum lacks, ValueError for anything else."""
    value = reader.enum.values_by_name.get(field.value.text)
    if value is None:
        number, (low, high) = field.value.integer(), _RANGES[5]
        if not low <= number <= high:
            raise ValueError("enum values are of 32 bits")
        value = reader.enum.values_by_number.get(number)
    return value


def _read_string(reader: Reader, field: Field) -> str:
    if not field.value.is_string:
        raise field.error(f'{field.name} needs quotes: "{field.value.text}"')
    return in_utf8(field.value.string())


def in_utf8(text: str) -> str:
    """A text as a message can hold it: bytes that are not UTF-8 are written out, as ``\\xff``."""
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
    ENUM: _read_enum,
}
READERS = {
    name: {
        field.name: Reader(field, name, (name, field.name) in REPEATED_FIELDS)
        for field in cls.DESCRIPTOR.fields
    }
    for name, cls in CLASSES.items()
}
