"""``prototxt-tools deploy``: a training definition as a deploy net."""

import argparse
from typing import Tuple

from prototxt_tools.commands import Commands, add_command
from prototxt_tools.commands.files import add_output, change
from prototxt_tools.errors import QuestionError

_EXAMPLES = """\
examples:
  prototxt-tools deploy train_val.prototxt -o deploy.prototxt
      an Input with the data layer's crop_size, a Softmax instead of the loss, no labels
  prototxt-tools deploy lenet_train_test.prototxt --input-shape 1,1,28,28 -o deploy.prototxt
      give the size of the images where the file does not
"""


def add(commands: Commands) -> None:
    """Add the command to the parser of ``prototxt-tools``."""
    deploy = add_command(
        commands,
        "deploy",
        summary="make a deploy net from a train_val or train_test definition",
        description="Make a deploy net from a training definition: data layers become Input "
        "layers, a SoftmaxWithLoss becomes a Softmax, and layers that need labels or exist only "
        "in phase TRAIN are removed. Every assumption is reported on standard error.",
        examples=_EXAMPLES,
    )
    add_output(deploy, trees=True)
    deploy.add_argument(
        "--input-shape",
        metavar="[BLOB=]N,C,H,W",
        action="append",
        type=_shape,
        default=[],
        help="the shape of the only input, or of the named one; repeatable",
    )
    deploy.set_defaults(run=_deploy)


def _shape(text: str) -> Tuple[str, Tuple[int, ...]]:
    blob, _, sizes = text.rpartition("=")
    try:
        shape = tuple(int(size) for size in sizes.split(","))
    except ValueError:
        shape = (0,)
    if min(shape) < 1:
        raise argparse.ArgumentTypeError(
            f"{sizes!r} are not positive whole numbers separated by commas, such as 1,3,224,224"
        )
    return blob, shape


def _deploy(options: argparse.Namespace) -> int:
    # Imported here so that --help needs no protobuf.
    from prototxt_tools import rewrite

    by_blob = dict(options.input_shape)
    if "" in by_blob and len(options.input_shape) > 1:
        raise QuestionError(
            "several --input-shape need the names of the blobs, such as data=1,3,224,224"
        )
    shapes = by_blob.get("") or by_blob or None
    return change(options, lambda document: rewrite.deploy(document, shapes))
