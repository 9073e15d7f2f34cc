"""``prototxt-tools inspect``: show a net layer by layer."""

import argparse
import json
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from prototxt_tools.commands import Commands, add_command
from prototxt_tools.commands.files import read
from prototxt_tools.commands.table import table
from prototxt_tools.errors import InputError, ModelError

_EXAMPLES = """\
examples:
  prototxt-tools inspect deploy.prototxt
      a table of the layers, then inputs, score blobs, layers to explain, and problems
  prototxt-tools inspect train_val.prototxt --phase TRAIN --shape data=1,3,224,224 --json
      the training net as JSON, with the shape of its data layer's top
"""
_UNKNOWN = "?"


def add(commands: Commands) -> None:
    """Add the command to the parser of ``prototxt-tools``."""
    inspect = add_command(
        commands,
        "inspect",
        summary="show the layers of a net with shapes, costs and receptive fields, and its scores",
        description="Show for each layer of a net its blobs, the shape of its tops, learned "
        "parameters, multiply-adds and receptive field (size, stride, and the centre of the "
        "first cell, in pixels of the input); then the inputs, the score blobs, the target blobs "
        "to explain them at, and the reasons for which stock Caffe would refuse the net. Runs "
        "without Caffe.",
        examples=_EXAMPLES,
    )
    inspect.add_argument("input", metavar="IN", help="a prototxt file, or - for standard input")
    inspect.add_argument("--json", action="store_true", help="JSON instead of a table")
    inspect.add_argument("--phase", choices=["TEST", "TRAIN"], default="TEST")
    inspect.add_argument(
        "--stage", action="append", default=[], help="a stage of the net's state; repeatable"
    )
    inspect.add_argument(
        "--shape",
        metavar="BLOB=N,C,H,W",
        action="append",
        default=[],
        type=shape_of_blob,
        help="the shape of an input, or of a data layer's top; repeatable",
    )
    inspect.set_defaults(run=_inspect)


def shape_of_blob(text: str) -> Tuple[str, Tuple[int, ...]]:
    """``data=1,3,224,224`` as a pair of name and tuple."""
    blob, _, sizes = text.rpartition("=")
    try:
        shape = tuple(int(size) for size in sizes.replace("x", ",").split(","))
    except ValueError:
        shape = (0,)
    if not blob or min(shape) < 1:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a blob and its shape, such as data=1,3,224,224"
        )
    return blob, shape


def _inspect(options: argparse.Namespace) -> None:
    # Imported here so that --help needs no protobuf.
    from prototxt_tools.net.net import Net
    from prototxt_tools.reports.describe import describe

    document = read(options.input)
    net = Net.parse(document)
    try:
        description = describe(net, options.phase, options.stage, dict(options.shape))
    except InputError as error:
        path, message = str(document.path), str(error)
        raise ModelError(message if path in message else f"{path}: {message}",
                         subject=error.subject) from None
    if options.json:
        print(json.dumps(description, indent=1))
    else:
        print("\n".join(_report(description)))


def _report(net: Dict[str, Any]) -> Iterator[str]:
    yield f"{net['name'] or '(unnamed)'} ({net['form']}, phase {net['phase']})"
    yield ""
    yield from table(_HEAD, [_row(layer) for layer in net["layers"]])
    yield ""
    total = net["total"]
    yield f"total: {total['parameters']:,} parameters, {total['multiply_adds']:,} multiply-adds"
    for entry in net["inputs"]:
        yield f"input {entry['blob']} {_shape(entry['shape'])}"
    for entry in net["outputs"]:
        yield f"output {entry['blob']} {_shape(entry['shape'])}"
    for score in net["scores"]:
        yield f"score {score['blob']} {_shape(score['shape'])}: {score['reason']}"
        for target in score["targets"]:
            yield f"  target {target['blob']} {_shape(target['shape'])}: {target['reason']}"
    for end in net["unknown_shapes"]:
        yield (f"shapes are unknown from {end['name'] or '(unnamed)'} ({end['type']}, "
               f"line {end['line']}) on: {end['reason']}")
    for problem in net["problems"]:
        yield "problem: " + problem
    for note in net["notes"]:
        yield "note: " + note


_HEAD = ("layer", "type", "bottoms", "tops", "shape", "params", "MACs", "field", "stride", "offset")
_FIELD = ("size", "stride", "offset")


def _row(layer: Dict[str, Any]) -> List[str]:
    field = layer["receptive_field"]
    sizes = ["x".join(f"{x:g}" for x in field[key]) for key in _FIELD] if field else [""] * 3
    return [
        layer["name"],
        layer["type"],
        " ".join(layer["bottoms"]),
        " ".join(layer["tops"]),
        " ".join(_shape(shape) for shape in layer["shapes"]),
        _count(layer["parameters"]),
        _count(layer["multiply_adds"]),
    ] + sizes


def _shape(shape: Optional[Sequence[int]]) -> str:
    if shape is None:
        return _UNKNOWN
    return "x".join(map(str, shape)) or "scalar"


def _count(number: Optional[int]) -> str:
    return _UNKNOWN if number is None else f"{number:,}" if number else ""
