"""``prototxt-tools fold``: BatchNorm and Scale into the convolutions before them."""

import argparse

from prototxt_tools.commands import Commands, add_command
from prototxt_tools.commands.files import add_output, change
from prototxt_tools.text.document import Document

_EXAMPLES = """\
examples:
  prototxt-tools fold deploy.prototxt resnet50.caffemodel -o folded.prototxt \\
      --weights-out folded.caffemodel
      the same outputs with 106 layers fewer
  prototxt-tools fold deploy.prototxt resnet50.caffemodel --diff --weights-out /dev/null
      show what would change, and which layers stay because another layer reads their blob
"""


def add(commands: Commands) -> None:
    """Add the command to the parser of ``prototxt-tools``."""
    fold = add_command(
        commands,
        "fold",
        summary="fold BatchNorm and Scale into the convolutions before them, with the weights",
        description="Fold each BatchNorm and Scale into the Convolution or InnerProduct before "
        "it, where nothing else reads the value in between. The outputs stay the same up to "
        "rounding; the net gets faster.",
        examples=_EXAMPLES,
    )
    add_output(fold)
    fold.add_argument("weights", metavar="WEIGHTS", help="a .caffemodel or .caffemodel.h5 file")
    fold.add_argument(
        "--weights-out", metavar="OUTW", required=True, help="the .caffemodel to write"
    )
    fold.set_defaults(run=_fold)


def _fold(options: argparse.Namespace) -> None:
    # Imported here so that --help needs neither protobuf nor numpy.
    from prototxt_tools import rewrite, weights

    def fold_and_save(document: Document) -> rewrite.WithWeights:
        folded = rewrite.fold(document, weights.load(options.weights))
        weights.save(options.weights_out, folded.weights)
        return folded

    change(options, fold_and_save)
