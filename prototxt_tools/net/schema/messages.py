"""Caffe's messages as protobuf classes, made of ``tables`` in a private descriptor pool.

pycaffe registers its own ``caffe.proto`` in protobuf's default pool, and a second registration in
one process clashes.
"""

from typing import Any, Dict, List, Optional

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from prototxt_tools.net.schema import tables
from prototxt_tools.net.schema.tables import FORK_ENUMS, FORK_MESSAGES, FORK_VALUES

FIRST_FORK_NUMBER = 100000
ENUM = 14  # As FieldDescriptor.TYPE_ENUM.
_PACKAGE = "caffe"
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
_MESSAGE = 11
_OPTIONAL, _REQUIRED, _REPEATED = 1, 2, 3


def new(message_name: str) -> Any:
    """An empty message, such as ``new("LayerParameter")``."""
    return CLASSES[message_name]()


def is_stock(message_name: str, field_name: str, value: Optional[str] = None) -> bool:
    """Whether BVLC Caffe's master knows a field (and, if given, the enum value ``value`` of it)."""
    if field_name not in _STOCK.get(message_name, ()):
        return False
    if value is None:
        return True
    enum = CLASSES[message_name].DESCRIPTOR.fields_by_name[field_name].enum_type
    return value in enum.values_by_name and value not in fork_values(enum.name)


def fork_values(enum_name: str) -> List[str]:
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
            _add_field(message, field, FIRST_FORK_NUMBER + index, rest, enums)
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
        field.type = ENUM
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
CLASSES = _classes(_FILE)
_STOCK = {
    name: {item.partition(":")[0] for item in fields.split()}
    for name, fields in tables.MESSAGES.items()
}
REPEATED_FIELDS = {
    (message.name, field.name)
    for message in _FILE.message_type
    for field in message.field
    if field.label == _REPEATED
}
REQUIRED_FIELDS = {
    message.name: names
    for message in _FILE.message_type
    for names in [[f.name for f in message.field if f.label == _REQUIRED]]
    if names
}
