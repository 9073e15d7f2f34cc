"""``prototxt-tools inspect``: what a net is, layer by layer."""

import argparse
import json

from prototxt_tools.commands.files import read
from prototxt_tools.commands.table import table
from prototxt_tools.errors import InputError

_EXAMPLES = """\
examples:
  prototxt-tools inspect deploy.prototxt
      a table of the layers, then inputs, scores and targets for Grad-CAM, and what is wrong
  prototxt-tools inspect train_val.prototxt --phase TRAIN --shape data=1,3,224,224 --json
      the same of the training net as JSON, for programs; the shape of what the data layer gives
"""
_UNKNOWN = "?"


def add(commands):
    """Add the command to the parser of ``prototxt-tools``."""
    inspect = commands.add_parser(
        "inspect",
        help="the layers of a net with shapes, cost and receptive fields; its scores and targets",
        description="Show what a net is: for each layer its blobs, the shape of its tops, learned "
        "parameters, multiply-adds and receptive field (size, stride, and the centre of the "
        "first cell, in pixels of the input); then inputs, score blobs, target blobs, and what "
        "stock Caffe has against it. Runs without Caffe.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    inspect.add_argument("input", metavar="IN", help="a prototxt file, or - for standard input")
    inspect.add_argument("--json", action="store_true", help="JSON instead of a table")
    inspect.add_argument("--phase", choices=["TEST", "TRAIN"], default="TEST")
    inspect.add_argument(
        "--stage", action="append", default=[], help="a stage that holds, repeatable"
    )
    inspect.add_argument(
        "--shape",
        metavar="BLOB=N,C,H,W",
        action="append",
        default=[],
        type=shape_of_blob,
        help="the shape of an input or of what a data layer gives, repeatable",
    )
    inspect.set_defaults(run=_inspect)


def shape_of_blob(text):
    """``data=1,3,224,224`` as a pair of name and tuple."""
    blob, _, sizes = text.rpartition("=")
    try:
        shape = tuple(int(size) for size in sizes.replace("x", ",").split(","))
    except ValueError:
        shape = ()
    if not blob or not shape or min(shape) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not like data=1,3,224,224")
    return blob, shape


def _inspect(options):
    # Imported here so that --help needs no protobuf.
    from prototxt_tools.net.net import Net
    from prototxt_tools.reports.describe import describe

    document = read(options.input)
    try:
        found = describe(Net.parse(document), options.phase, options.stage, dict(options.shape))
    except InputError as error:
        place = str(document.path)
        message = str(error)
        raise InputError(message if place in message else place + ": " + message) from None
    if options.json:
        print(json.dumps(found, indent=1))
    else:
        print("\n".join(_report(found)))


def _report(net):
    yield "{} ({}, phase {})".format(net["name"] or "(unnamed)", net["form"], net["phase"])
    yield ""
    for line in table(_HEAD, [_row(layer) for layer in net["layers"]]):
        yield line
    yield ""
    total = net["total"]
    yield "total: {parameters:,} parameters, {multiply_adds:,} multiply-adds".format(**total)
    for entry in net["inputs"]:
        yield "input {} {}".format(entry["blob"], _shape(entry["shape"]))
    for entry in net["outputs"]:
        yield "output {} {}".format(entry["blob"], _shape(entry["shape"]))
    for score in net["scores"]:
        yield "score {} {}: {}".format(score["blob"], _shape(score["shape"]), score["reason"])
        for target in score["targets"]:
            yield "  target {} {}: {}".format(
                target["blob"], _shape(target["shape"]), target["reason"]
            )
    for problem in net["problems"]:
        yield "problem: " + problem


_HEAD = ("layer", "type", "bottoms", "tops", "shape", "params", "MACs", "field", "stride", "offset")
_FIELD = ("size", "stride", "offset")


def _row(layer):
    seen = layer["receptive_field"]
    field = ["x".join(f"{x:g}" for x in seen[key]) for key in _FIELD] if seen else [""] * 3
    return (
        layer["name"],
        layer["type"],
        " ".join(layer["bottoms"]),
        " ".join(layer["tops"]),
        " ".join(_shape(shape) for shape in layer["shapes"]),
        _count(layer["parameters"]),
        _count(layer["multiply_adds"]),
    ) + tuple(field)


def _shape(shape):
    if shape is None:
        return _UNKNOWN
    return "x".join(map(str, shape)) or "scalar"


def _count(number):
    return _UNKNOWN if number is None else f"{number:,}" if number else ""
