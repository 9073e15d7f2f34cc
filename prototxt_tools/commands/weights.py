"""``prototxt-tools weights``: show what a weights file holds."""

import argparse
import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Mapping, Sequence, Tuple

from prototxt_tools.commands import Commands, add_command
from prototxt_tools.commands.files import read
from prototxt_tools.commands.table import table
from prototxt_tools.errors import WeightsError

if TYPE_CHECKING:
    from prototxt_tools.rewrite import WithWeights
    from prototxt_tools.weights import Weights

_EXAMPLES = """\
examples:
  prototxt-tools weights squeezenet.caffemodel --net deploy.prototxt
      names, shapes and statistics of all blobs, and whether they fit the net
  prototxt-tools weights before.caffemodel --against after.caffemodel
      the layers that fine-tuning changed, and by how much
"""


def add(commands: Commands) -> None:
    """Add the command to the parser of ``prototxt-tools``."""
    weights = add_command(
        commands,
        "weights",
        summary="list the blobs of a weights file, compare two files, or check one against a net",
        description="List the blobs of a weights file with their statistics, or how far those "
        "of two files differ (the L2 norm of the difference over that of the first). The exit "
        "code is 1 if they differ, do not fit the net, or lack weights of one of its layers.",
        examples=_EXAMPLES,
    )
    weights.add_argument("input", metavar="FILE", help="a .caffemodel or .caffemodel.h5")
    weights.add_argument("--against", metavar="FILE", help="another file to compare with")
    weights.add_argument("--net", metavar="PROTOTXT", help="a net to check against")
    weights.add_argument(
        "-o",
        metavar="OUT",
        dest="output",
        help="write the weights as a .caffemodel that stock Caffe loads, whatever form FILE has",
    )
    weights.add_argument("--json", action="store_true", help="JSON instead of a table")
    weights.set_defaults(run=_weights)


def _weights(options: argparse.Namespace) -> int:
    # Imported here so that --help needs no numpy.
    from prototxt_tools import weights

    stored = weights.load(options.input)
    arrays: Mapping[str, Sequence[Any]] = stored
    if options.net and stored.may_lack_shared:
        arrays = _separated(options.net, options.input, stored).weights
    if options.output:
        weights.save(options.output, arrays)
    report: Dict[str, Any] = {"blobs": [asdict(entry) for entry in weights.describe(arrays)]}
    if options.against:
        other = weights.load(options.against)
        report["differences"] = [asdict(entry) for entry in weights.compare(arrays, other)]
    if options.net:
        report["check"], report["notes"] = _check(options.net, options.input, stored)
    if options.json:
        print(json.dumps(_finite(report), indent=1))
    else:
        print("\n".join(_lines(report)))
    differs = any(entry["distance"] for entry in report.get("differences", ()))
    check = report.get("check", {})
    return 1 if differs or check.get("problems") or check.get("missing") else 0


def _check(net_path: str, path: str, arrays: "Weights") -> Tuple[Dict[str, Any], List[str]]:
    """How weights fit a net, and what had to be done to the net before."""
    from prototxt_tools import shapes, weights
    from prototxt_tools.net.net import Net

    separated = _separated(net_path, path, arrays)
    net = Net.parse(separated.document).at("TEST")
    expected = shapes.parameters(net, shapes.infer(net))
    return asdict(weights.check(expected, separated.weights)), list(separated.notes)


def _separated(net_path: str, path: str, arrays: "Weights") -> "WithWeights":
    from prototxt_tools.rewrite import separate

    try:
        return separate(read(net_path), arrays)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}", subject=path) from None


def _lines(report: Dict[str, Any]) -> Iterator[str]:
    if "differences" in report:
        rows = [
            (entry["layer"], str(entry["index"]), f"{entry['distance']:.4g}")
            for entry in report["differences"]
        ]
        yield from table(("layer", "blob", "distance"), rows)
    else:
        head = ("layer", "blob", "shape", "mean", "std", "min", "max", "nans", "infs")
        yield from table(head, [_row(entry) for entry in report["blobs"]])
    check = report.get("check")
    if check is not None:
        for note in report["notes"]:
            yield "note: " + note
        for problem in check["problems"]:
            yield "problem: " + problem
        for kind, words in (("missing", "not in the file"), ("extra", "not in the net")):
            for layer_name in check[kind]:
                yield f"layer {layer_name}: {words}"
        if not any(check.values()):
            yield "the weights fit the net"


def _row(entry: Dict[str, Any]) -> List[str]:
    numbers = [f"{entry[name]:.4g}" for name in ("mean", "std", "min", "max")]
    counts = [str(entry[name]) if entry[name] else "" for name in ("nans", "infs")]
    shape = "x".join(map(str, entry["shape"])) or "scalar"
    return [entry["layer"], str(entry["index"]), shape] + numbers + counts


def _finite(value: Any) -> Any:
    """JSON has no infinity and no NaN: they become null."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
