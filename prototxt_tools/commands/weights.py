"""``prototxt-tools weights``: what a file of weights holds."""

import argparse
import json
import math

from prototxt_tools.commands.files import read
from prototxt_tools.commands.table import table

_EXAMPLES = """\
examples:
  prototxt-tools weights squeezenet.caffemodel --net deploy.prototxt
      names, shapes and statistics of all blobs, and whether they fit the net
  prototxt-tools weights before.caffemodel --against after.caffemodel
      which layers fine-tuning changed, and by how much
"""


def add(commands):
    """Add the command to the parser of ``prototxt-tools``."""
    weights = commands.add_parser(
        "weights",
        help="the blobs of a .caffemodel or .caffemodel.h5; compare two; check one against a net",
        description="List the blobs of a file of weights with their statistics, or how far those "
        "of two files differ (the L2 norm of the difference over that of the first). The exit "
        "code is 1 if they differ or do not fit the net.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    weights.add_argument("input", metavar="FILE", help="a .caffemodel or .caffemodel.h5")
    weights.add_argument("--against", metavar="FILE", help="another file, to compare with")
    weights.add_argument("--net", metavar="PROTOTXT", help="a net, to check against")
    weights.add_argument(
        "-o",
        metavar="OUT",
        dest="output",
        help="write them as a .caffemodel that stock Caffe loads: of HDF5, of halves, of old forms",
    )
    weights.add_argument("--json", action="store_true", help="JSON instead of a table")
    weights.set_defaults(run=_weights)


def _weights(options):
    # Imported here so that --help needs no numpy.
    from prototxt_tools import weights

    arrays = weights.load(options.input)
    if options.output:
        weights.save(options.output, arrays)
    found = {"blobs": [dict(entry._asdict()) for entry in weights.describe(arrays)]}
    if options.against:
        other = weights.load(options.against)
        found["differences"] = [dict(x._asdict()) for x in weights.compare(arrays, other)]
    if options.net:
        found["check"] = dict(weights.check(_wanted(options.net), arrays)._asdict())
    if options.json:
        print(json.dumps(_finite(found), indent=1))
    else:
        print("\n".join(_report(found)))
    differs = any(entry["distance"] for entry in found.get("differences", ()))
    return 1 if differs or found.get("check", {}).get("problems") else 0


def _wanted(path):
    from prototxt_tools import shapes
    from prototxt_tools.net.net import Net

    net = Net.parse(read(path)).at("TEST")
    return shapes.parameters(net, shapes.infer(net))


def _report(found):
    if "differences" in found:
        rows = [
            (entry["layer"], str(entry["index"]), "{:.4g}".format(entry["distance"]))
            for entry in found["differences"]
        ]
        for line in table(("layer", "blob", "distance"), rows):
            yield line
    else:
        head = ("layer", "blob", "shape", "mean", "std", "min", "max", "nans", "infs")
        for line in table(head, [_row(entry) for entry in found["blobs"]]):
            yield line
    fit = found.get("check")
    if fit is not None:
        for problem in fit["problems"]:
            yield "problem: " + problem
        for kind, words in (("missing", "not in the file"), ("extra", "not in the net")):
            for layer in fit[kind]:
                yield f"layer {layer}: {words}"
        if not any(fit.values()):
            yield "the weights fit the net"


def _row(entry):
    numbers = [f"{entry[name]:.4g}" for name in ("mean", "std", "min", "max")]
    counts = [str(entry[name]) if entry[name] else "" for name in ("nans", "infs")]
    shape = "x".join(map(str, entry["shape"])) or "scalar"
    return (entry["layer"], str(entry["index"]), shape) + tuple(numbers + counts)


def _finite(value):
    """JSON knows no infinity and no NaN: they become null."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
