"""The cases of ``layer_cases`` with other values of their parameters."""

import re

from google.protobuf.descriptor import FieldDescriptor
from layer_cases import CASES, net_text

from prototxt_tools.net.net import Net

# Extreme values, and such as nets have.
EXTREME = {
    "integer": ("0", "1", "-1", "2", "3", "7", "1000000", "2147483647", "-2147483648",
                "4294967295"),
    "number": ("0", "-1", "0.5", "1", "3", "1e30", "-1e30", "1e-30", "nan", "inf")}
USUAL = {"integer": ("0", "1", "2", "3", "4", "-1", "-2"), "number": ("0", "0.3", "1", "2", "-0.5")}
FORM = re.compile(r"\s*(\w+)\s*\{(.*)\}\s*$", re.DOTALL)


def parameters_of(kind, text):
    """The name, the text and the descriptor of the parameters of a case, None where it has none."""
    match = FORM.match(text)
    message = Net.parse(net_text(kind, text, {}, ["top"], [])).layers[0].message
    for field in message.DESCRIPTOR.fields:
        plain = field.name.replace("_param", "").replace("_", "")
        if field.name == match.group(1) if match else plain == kind.lower():
            return field.name, match.group(2) if match else "", field.message_type
    return None


def values_of(field, values):
    """What a field may be set to, of ``EXTREME`` or ``USUAL``."""
    if field.enum_type is not None:
        return [value.name for value in field.enum_type.values]
    if field.message_type is not None or field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return []
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return ["true", "false"]
    is_number = field.cpp_type in (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE)
    return list(values["number" if is_number else "integer"])


def fields_of(kind, text, values):
    """The fields of a case's parameters that can be set."""
    parameters = parameters_of(kind, text)
    return [] if parameters is None else [
        field for field in parameters[2].fields if values_of(field, values)]


def varied(kind, text, settings):
    """The text of a case's parameters with fields set to other values.

    Parameters
    ----------
    kind, text : str
    settings : list of (str, str)
        Fields and their values.
    """
    name, body, _ = parameters_of(kind, text)
    for field, value in settings:
        setting = f"{field}: {value}"
        body, count = re.subn(rf"\b{field}\s*:\s*(\[[^]]*\]|\S+)", setting, body, count=1)
        body += "" if count else " " + setting
    return f"{name} {{ {body} }}"


# The indices that Embed reads may not exceed its input_dim.
VARIABLE = sorted(case for case, (kind, text, _, _) in CASES.items()
                  if kind != "Embed" and fields_of(kind, text, USUAL))
