"""``prototxt-tools convert``: make a deploy net ready for Grad-CAM."""

import argparse
import sys

from prototxt_tools.commands.files import add_output, emit, read_to_change
from prototxt_tools.errors import InputError

_EXAMPLES = """\
examples:
  prototxt-tools convert deploy.prototxt -o gradcam.prototxt
      without the Softmax at the end, with force_backward: true; all else byte for byte
  prototxt-tools convert deploy.prototxt --backward lean --target conv5 --diff
      what would change for gradients at conv5 without any weight gradients
"""


def add(commands):
    """Add the command to the parser of ``prototxt-tools``."""
    convert = commands.add_parser(
        "convert",
        help="make a deploy net ready for Grad-CAM: no Softmax at the end, gradients on",
        description="Strip the Softmax (Sigmoid, SoftmaxWithLoss, Accuracy) at the end of a net "
        "and switch its backward pass on. Every other byte of the file stays.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_output(convert)
    convert.add_argument(
        "--backward",
        choices=["classic", "lean"],
        default="classic",
        help="classic: force_backward: true (default). lean: loss_weight on the score's layer and "
        "lr_mult: 0 behind the target, so that no gradient of a weight is computed",
    )
    convert.add_argument("--score", metavar="BLOB", help="lean: score blob (default: found)")
    convert.add_argument(
        "--target",
        metavar="BLOB",
        action="append",
        help="lean: blob to have the gradient of, repeatable (default: found)",
    )
    convert.set_defaults(run=_convert)


def _convert(options):
    # Imported here so that --help needs no protobuf.
    from prototxt_tools import rewrite

    if options.backward == "classic" and (options.score or options.target):
        raise InputError("--score and --target belong to --backward lean")
    document = read_to_change(options.input)
    stripped = rewrite.strip_softmax(document)
    if options.backward == "lean":
        score, targets = _score_and_targets(document, options.score, options.target)
        changed = rewrite.lean_backward(stripped.document, score, targets)
    else:
        changed = rewrite.force_backward(stripped.document)
    for note in stripped.notes + changed.notes:
        print(note, file=sys.stderr)
    emit(document, changed.document, options)


def _score_and_targets(document, score, targets):
    """What the user named, else what the graph says; what was found is said."""
    from prototxt_tools import shapes
    from prototxt_tools.net.graph import Graph
    from prototxt_tools.net.net import Net

    net = Net.parse(document).at("TEST")
    graph = Graph(net)
    if score is None:
        scores = graph.scores()
        if not scores:
            raise InputError(f"{document.path}: no score blob found; name one with --score")
        score = scores[0].blob
        print(f"score blob {score} ({scores[0].reason})", file=sys.stderr)
    if not targets:
        found = graph.targets(score, shapes.infer(net))
        if not found:
            raise InputError(
                f"{document.path}: no blob with spatial extent before {score}; name one with --target"
            )
        targets = [found[0].blob]
        print(f"target blob {targets[0]} ({found[0].reason})", file=sys.stderr)
    return score, targets
