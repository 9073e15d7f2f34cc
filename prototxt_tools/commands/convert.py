"""``prototxt-tools convert``: make a deploy net ready for Grad-CAM."""

import argparse
import sys
from typing import List, Optional, Tuple

from prototxt_tools.commands import Commands, add_command, trees
from prototxt_tools.commands.files import add_output, change, emit, read_to_change
from prototxt_tools.errors import ModelError, QuestionError
from prototxt_tools.files import write_bytes
from prototxt_tools.text.document import Document

_EXAMPLES = """\
examples:
  prototxt-tools convert deploy.prototxt -o gradcam.prototxt
      remove the Softmax at the end and add force_backward: true
  prototxt-tools convert deploy.prototxt --backward lean --layer conv5 --diff
      show what would change for gradients at conv5 without gradients of weights
"""


def add(commands: Commands) -> None:
    """Add the command to the parser of ``prototxt-tools``."""
    convert = add_command(
        commands,
        "convert",
        summary="make a deploy net ready for Grad-CAM: no Softmax at the end, gradients on",
        description="Remove the Softmax (Sigmoid, SoftmaxWithLoss, Accuracy) at the end of a net "
        "and switch its backward pass on. Every other byte of the file stays.",
        examples=_EXAMPLES,
    )
    add_output(convert, trees=True)
    convert.add_argument(
        "--backward",
        choices=["classic", "lean"],
        default="classic",
        help="classic (default): add force_backward: true; lean: set loss_weight on the layer of "
        "the score and lr_mult: 0 behind LAYER, so that Caffe computes no gradient of a weight",
    )
    convert.add_argument("--script", metavar="FILE",
                         help="also write a script that computes Grad-CAM of the net with pycaffe, "
                         "NumPy and OpenCV alone, in Python 2.7 too")
    convert.add_argument("--score", metavar="BLOB",
                         help="lean, --script: the score blob (default: the net's first)")
    convert.add_argument(
        "--layer",
        metavar="BLOB",
        action="append",
        help="lean, --script: a blob to compute the gradient at; repeatable (default: the last "
        "blob with spatial extent before the score)",
    )
    convert.set_defaults(run=_convert)


def _convert(options: argparse.Namespace) -> int:
    # Imported here so that --help needs no protobuf.
    from prototxt_tools import rewrite

    is_lean = options.backward == "lean"
    if trees.is_tree(options):
        if is_lean or options.script or options.score or options.layer:
            raise QuestionError("--backward lean, --script, --score and --layer need a file, not "
                                "a folder")
        return change(options, rewrite.strip_softmax, rewrite.force_backward)
    if not (is_lean or options.script) and (options.score or options.layer):
        raise QuestionError("--score and --layer need --backward lean or --script")
    document = read_to_change(options.input)
    changed = rewrite.strip_softmax(document)
    if is_lean or options.script:
        score, blobs = _score_and_blobs(document, options.score, options.layer)
    if is_lean:
        changed = changed.then(rewrite.lean_backward, score, blobs)
    else:
        changed = changed.then(rewrite.force_backward)
    script = _script(changed.document, score, blobs) if options.script else None
    emit(document, changed, options)
    if script is not None:
        write_bytes(options.script, script.encode("utf-8"))
    return 0


def _script(document: Document, score: str, blobs: List[str]) -> str:
    """The script for a converted net, whose blobs are checked first."""
    from prototxt_tools.commands.gradcam_script import gradcam_script
    from prototxt_tools.net.net import Net

    if len(blobs) > 1:
        raise QuestionError("--script takes one --layer; the script itself can be given another")
    net = Net.parse(document).at("TEST")
    for blob in (score, blobs[0]):
        if blob not in net.blobs():
            raise QuestionError(f"{document.path}: the net has no blob {blob!r}", subject=blob)
    return gradcam_script(net, score, blobs[0])


def _score_and_blobs(document: Document, score: Optional[str],
                     blobs: Optional[List[str]]) -> Tuple[str, List[str]]:
    """What the user named, or else what the graph suggests, which is then printed."""
    from prototxt_tools import shapes
    from prototxt_tools.net.graph import Graph
    from prototxt_tools.net.net import Net

    net = Net.parse(document).at("TEST")
    graph = Graph(net)
    if score is None:
        scores = graph.scores()
        if not scores:
            raise ModelError(f"{document.path}: the net has no score blob; name one with --score",
                             subject=document.path)
        score = scores[0].blob
        print(f"score blob {score} ({scores[0].reason})", file=sys.stderr)
    if not blobs:
        targets = graph.targets(score, shapes.infer(net))
        if not targets:
            raise ModelError(f"{document.path}: no blob before {score} has spatial extent; "
                             "name one with --layer", subject=document.path)
        blobs = [targets[0].blob]
        print(f"target blob {blobs[0]} ({targets[0].reason})", file=sys.stderr)
    return score, blobs
