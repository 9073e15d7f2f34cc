"""``prototxt-tools upgrade``: write old forms of net definitions in the form of today."""

import argparse

from prototxt_tools.commands import Commands, add_command
from prototxt_tools.commands.files import add_output, change

_EXAMPLES = """\
examples:
  prototxt-tools upgrade VGG_ILSVRC_16_layers_deploy.prototxt -o vgg16.prototxt
      layers { type: CONVOLUTION ... } becomes layer { type: "Convolution" ... }
  prototxt-tools upgrade imagenet_2013.prototxt --diff
      show what would change in a file of the first form, layers { layer { type: "conv" } }
"""


def add(commands: Commands) -> None:
    """Add the command to the parser of ``prototxt-tools``."""
    upgrade = add_command(
        commands,
        "upgrade",
        summary="write a V0 or V1 net as V2, as Caffe's upgrade_net_proto_text does",
        description="Write a net of an old form as V2, as Caffe's upgrade_net_proto_text does, "
        "but with the comments and the order kept.",
        examples=_EXAMPLES,
    )
    add_output(upgrade, trees=True)
    upgrade.set_defaults(run=_upgrade)


def _upgrade(options: argparse.Namespace) -> int:
    # Imported here so that --help needs no protobuf.
    from prototxt_tools import rewrite

    return change(options, rewrite.upgrade)
