"""``prototxt-tools deploy``: a training definition as a deploy net."""

import argparse

from prototxt_tools.commands.files import add_output, change
from prototxt_tools.errors import InputError

_EXAMPLES = """\
examples:
  prototxt-tools deploy train_val.prototxt -o deploy.prototxt
      an Input of the data layer's crop_size, a Softmax for the loss, no labels
  prototxt-tools deploy lenet_train_test.prototxt --input-shape 1,1,28,28 -o deploy.prototxt
      where nothing in the file says how large the images are
"""


def add(commands):
    """Add the command to the parser of ``prototxt-tools``."""
    deploy = commands.add_parser(
        "deploy",
        help="make a deploy net of a train_val or train_test definition",
        description="Make a deploy net of a training definition: data layers become Input "
        "layers, a SoftmaxWithLoss becomes a Softmax, and what needs labels or exists in phase "
        "TRAIN only goes. Every assumption is said on standard error.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_output(deploy)
    deploy.add_argument(
        "--input-shape",
        metavar="[BLOB=]N,C,H,W",
        action="append",
        type=_shape,
        default=[],
        help="shape of the input, or of one by name; repeatable",
    )
    deploy.set_defaults(run=_deploy)


def _shape(text):
    blob, _, sizes = text.rpartition("=")
    try:
        shape = tuple(int(size) for size in sizes.split(","))
    except ValueError:
        shape = ()
    if not shape or min(shape) < 1:
        raise argparse.ArgumentTypeError(
            f"wants positive whole numbers with commas between: 1,3,224,224, not {sizes}"
        )
    return blob, shape


def _deploy(options):
    # Imported here so that --help needs no protobuf.
    from prototxt_tools import rewrite

    shapes = dict(options.input_shape)
    if "" in shapes:
        if len(options.input_shape) > 1:
            raise InputError("several --input-shape need the name of the blob: data=1,3,224,224")
        shapes = shapes[""]
    change(options, lambda document: rewrite.deploy(document, shapes or None))
