"""The options that several subcommands share.

The destination of an option that is part of a recipe has a dot: ``running.device`` is the field
``device`` of the section ``running``; see :mod:`caffe_gradcam.commands.recipes`.
"""

import argparse
import re
from typing import Any, List, Optional, Sequence, Tuple

from prototxt_tools.commands.parsing import Parser, Rare

Group = argparse._ActionsContainer

_UNITS = {"": 1, "K": 1000, "M": 1000 ** 2, "G": 1000 ** 3}
EXIT_CODES = "exit codes: 0: done; 1: some images failed; 2: the input is unusable"


class Names(argparse.Action):
    """Collects names between commas, from every occurrence of its option."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace,
                 values: Any, option_string: Optional[str] = None) -> None:
        names: List[str] = list(getattr(namespace, self.dest) or [])
        names += [name.strip() for name in values.split(",")]
        if "" in names:
            raise argparse.ArgumentError(self, f"expected names between commas, not {values!r}")
        setattr(namespace, self.dest, names)


class Once(argparse.Action):
    """Refuses to be given twice, where a second value would replace the first."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace,
                 values: Any, option_string: Optional[str] = None) -> None:
        if getattr(namespace, self.dest) is not None:
            raise argparse.ArgumentError(self, "this option may be given only once here")
        setattr(namespace, self.dest, values)


class _Versus(argparse.Action):
    """Collects pairs of classes as questions."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace,
                 values: Any, option_string: Optional[str] = None) -> None:
        texts = list(getattr(namespace, self.dest) or [])
        setattr(namespace, self.dest, texts + [" versus ".join(values)])


def add_flag(group: Group, name: str, dest: str, text: str) -> None:
    """A switch of a recipe: None unless it is given, so that a configuration may set it."""
    group.add_argument(name, dest=dest, action="store_const", const=True, help=text)


def add_questions(group: Group) -> None:
    """What to explain."""
    add_classes(group, "a class by number or name; top:K for the K best, one by one; weighted:K "
                "for them together; A+B for several together; repeatable (default: top:1)")
    group.add_argument("--versus", dest="asking.classes", nargs=2, metavar=("A", "B"),
                       action=_Versus, help="what distinguishes class A from class B; "
                       "repeatable")
    add_flag(group, "--counterfactual", "asking.counterfactual",
             "what counts against the class instead of for it")
    add_flag(group, "--probability", "asking.probability",
             Rare("explain the probability of the class instead of its score"))
    group.add_argument("--at", dest="asking.at", metavar="X,Y[,W,H]",
                       help=Rare("for nets with a map of scores: one pixel or box of the image"))
    group.add_argument("--mask", dest="asking.mask", metavar="FILE",
                       help=Rare("the same for the white pixels of a mask of the image's size"))
    add_positions(group)
    group.add_argument("--like", dest="asking.like", metavar="IMAGE",
                       help=Rare("what makes the score blob, such as an embedding, similar to "
                                 "that of this image"))
    add_flag(group, "--cosine", "asking.cosine",
             Rare("compare with --like by the cosine instead of the dot product"))
    add_text(group)


def add_positions(group: Group) -> None:
    """Where along a sequence, or among the priors of a detector, a class is asked about."""
    group.add_argument("--step", dest="asking.step", metavar="N", type=whole,
                       help=Rare("for nets with scores for each step of a sequence: the step, "
                                 "counted from 0 (default: where the class is likeliest)"))
    group.add_argument("--prior", dest="asking.prior", metavar="N", type=whole,
                       help=Rare("the same for a prior of a detector, or a region of interest"))


def add_words(group: Group, text: str) -> None:
    """Sentences about images; the text is the help of ``--caption``."""
    add_flag(group, "--caption", "asking.caption", text)
    group.add_argument("--sentence", dest="asking.sentence", metavar="TEXT",
                       help=Rare("the same for a sentence of your own"))
    group.add_argument("--beam", dest="asking.beam", metavar="N", type=positive,
                       help=Rare("how many sentences --caption follows at a time (default: 1)"))


def add_detections(group: Group, text: str) -> None:
    """The boxes that a detector finds; the text is the help of ``--detections``."""
    add_flag(group, "--detections", "asking.detections", text)
    group.add_argument("--min-score", dest="asking.min_score", metavar="X", type=_fraction,
                       help="leave out boxes with a lower score (default: 0.5)")
    group.add_argument("--edge", dest="asking.edge", metavar="left|top|right|bottom",
                       choices=("left", "top", "right", "bottom"),
                       help=Rare("explain where this edge of each box lies, instead of how sure "
                                 "the net is of the box"))


def _fraction(text: str) -> float:
    """A number from 0 to 1, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, not {text!r}")
    return value


def add_text(group: Group) -> None:
    """``--ask-text``."""
    group.add_argument("--ask-text", dest="overrides.text", metavar="TEXT",
                       help="the question that the net reads beside the image")


def add_classes(group: Group, text: str) -> None:
    """``--class``."""
    group.add_argument("--class", dest="asking.classes", metavar="CLASS", action="append",
                       help=text)


def add_methods(group: Group, method: str, layer: str) -> None:
    """How to explain it; the texts are the help of ``--method`` and ``--layer``."""
    group.add_argument("--method", dest="explaining.methods", metavar="NAME", action=Names,
                       help=method)
    group.add_argument("--layer", dest="explaining.layers", metavar="NAME", action=Names,
                       help=layer)
    group.add_argument("--samples", dest="explaining.samples", metavar="N", type=positive,
                       help=Rare("the number of noisy copies, masks or steps, for methods that "
                                 "use them"))
    group.add_argument("--gradient", dest="explaining.gradient", metavar="post|pre-relu|positive",
                       help=Rare("post (default): the gradient of the blob's final content; "
                                 "pre-relu: that of its content before its in-place layers, as in "
                                 "scripts that run net.backward to the end; positive: that of post "
                                 "where it is positive"))
    group.add_argument("--placement", dest="explaining.placement", metavar="centres|stretch",
                       help=Rare("centres: each cell lies at the centre of its receptive field "
                                 "(default); stretch: the map is stretched over the input, as in "
                                 "other tools"))
    add_flag(group, "--batch-statistics", "explaining.batch_statistics",
             Rare("where BatchNorm layers use the statistics of each batch, let images influence "
                  "each other (default: each goes through the net alone)"))


def add_fusion(group: Group) -> None:
    """``--fuse``."""
    group.add_argument("--fuse", dest="explaining.fuse", metavar="mean|max|product",
                       help=Rare("merge the maps of all layers into one"))


LAYER = ("draw the map of this layer or blob; commas or repeatable (default: the last blob with "
         "spatial extent before the scores, one for each input)")


def add_running(group: Group, several_devices: bool = False, precisions: bool = True) -> None:
    """On what to run, and in which precision."""
    group.add_argument("--engine", dest="running.engine", metavar="NAME",
                       help="caffe, torch, onnx (ONNX Runtime: quick to start), openvino, or auto "
                       "(default): the first of them that is installed")
    add_device(group, several_devices)
    group.add_argument("--batch", metavar="N", type=positive, default=8,
                       help="images that go through the net together (default: 8)")
    if precisions:
        group.add_argument("--precision", dest="running.precision",
                           metavar="fp32|tf32|bf16|fp16",
                           help=Rare("the precision of the engines torch and openvino (default: "
                                     "fp32, as in Caffe)"))
    add_flag(group, "--allow-missing", "running.allow_missing",
             Rare("fill layers that the weights file lacks as Caffe would"))
    add_flag(group, "--ignore-unknown-fields", "running.ignore_unknown_fields",
             Rare("run layers with fields of a fork of Caffe that are not understood as if the "
                  "fields were absent"))
    add_flag(group, "--trust", "running.trust",
             Rare("let layers of the net run Python code and read files"))
    add_plugin(group)


def add_plugin(group: Group) -> None:
    """``--plugin``."""
    group.add_argument("--plugin", dest="running.plugins", metavar="MODULE", action=Names,
                       help=Rare("import a module that registers layers or methods of your own; "
                                 "commas or repeatable"))


def add_device(group: Group, several: bool = False) -> None:
    """``--device``."""
    text = "; each has a net of its own; commas or repeatable" if several else ""
    group.add_argument("--device", dest="running.device", metavar="NAME", action=Names,
                       help="cpu (default), cuda, or the number of a GPU" + text)


def add_model(group: Group, several_scores: bool = False) -> None:
    """What the model's folder may not specify."""
    text = "; each is explained separately; commas or repeatable" if several_scores else ""
    group.add_argument("--weights", dest="model.weights", metavar="FILE",
                       help="a .caffemodel or .caffemodel.h5")
    group.add_argument("--labels", dest="overrides.labels", metavar="FILE",
                       help="one class name per line, class 0 first")
    group.add_argument("--score", dest="overrides.score", metavar="NAME",
                       action=Names if several_scores else Once,
                       help="the blob or layer of the scores, before any Softmax" + text)
    group.add_argument("--mean", dest="overrides.mean", metavar="MEAN",
                       help="numbers for the channels in the net's order, 0 to 255; a .npy or "
                       ".binaryproto file; or none")
    group.add_argument("--scale", dest="overrides.scale", metavar="X",
                       help="the factor to multiply by after the mean is subtracted")
    group.add_argument("--channel-order", dest="overrides.channel_order",
                       metavar="BGR|RGB|GRAY|BANDS")
    group.add_argument("--resize", dest="overrides.resize", metavar="SIZE",
                       help="HxW: warp; N: the short side; long:N: the long side; letterbox: fit "
                       "in, pad with the mean; none: as it is")
    group.add_argument("--crop-size", dest="overrides.crop", metavar="HxW|none",
                       help="the net's crop, taken from the middle after resizing")
    group.add_argument("--crops", dest="overrides.crops", metavar="1|10",
                       help=Rare("10: the middle, the corners and their mirror images, merged"))
    group.add_argument("--value-range", dest="overrides.value_range", metavar="LOW,HIGH",
                       help=Rare("the values that become 0 and 255 in images of more than 8 bits: "
                                 "0,4095 for 12 bits (default: 0,65535 for 16 bits, 0,4095 if none "
                                 "is higher; 0,255 for floats)"))
    group.add_argument("--stride", dest="overrides.stride", metavar="N|even",
                       help=Rare("for nets that take clips: take every N-th frame, or frames "
                                 "spread over the whole clip"))
    group.add_argument("--size", dest="overrides.size", metavar="HxW",
                       help=Rare("the size of the net's input"))
    group.add_argument("--offline", action="store_true",
                       help=Rare("never download a public model; use what was fetched before"))


def add_config(group: Group) -> None:
    """Recipes from files, and to files."""
    group.add_argument("--config", metavar="FILE",
                       help="read the model and options from this file; options given here "
                       "override it")
    group.add_argument("--save-config", metavar="FILE",
                       help="write these options to a .yaml or .json file")


def add_look(group: Group, kinds: str, formats: str) -> None:
    """How figures look; the texts list the kinds of figures and the formats."""
    group.add_argument("--figure", metavar="KIND", default="side-by-side", help=kinds)
    group.add_argument("--style", metavar="NAME", default="fade",
                       help="fade (default), added, clipped, half, 60-40, bare, contours, masked "
                       "or blurred")
    group.add_argument("--colormap", metavar="NAME",
                       help="any of OpenCV's (default: jet); blue-white-red, purple-white-green "
                       "and black-grey-white also show what counts against the class")
    group.add_argument("--opacity", metavar="X", type=float,
                       help=Rare("the opacity of the colours, 0 to 1"))
    group.add_argument("--heat-boxes", metavar="X", type=float, nargs="?", const=0.15,
                       help="draw boxes around what reaches this fraction of the highest heat "
                       "(without X: 0.15)")
    group.add_argument("--format", metavar="EXT", default="png", help=formats)
    group.add_argument("--named", action="store_true",
                       help=Rare("write the file name and the true class below figures"))


def add_verbosity(group: Group, quiet: str = "print errors only") -> None:
    """How much is printed."""
    group.add_argument("-q", "--quiet", action="store_true", help=quiet)
    group.add_argument("-v", "--verbose", action="store_true",
                       help="also print what Caffe and the libraries log")


def positive(text: str) -> int:
    """A whole number from 1 up, for argparse."""
    if not re.match("[1-9][0-9]{0,17}$", text):
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 up, not {text!r}")
    return int(text)


def whole(text: str) -> int:
    """A whole number from 0 up, for argparse."""
    if not re.match("[0-9]{1,9}$", text):
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 up, not {text!r}")
    return int(text)


def worker(text: str) -> Tuple[int, int]:
    """``I/N``, for argparse: which of how many workers."""
    match = re.match(r"([0-9]{1,9})/([0-9]{1,9})$", text)
    numbers = (int(match.group(1)), int(match.group(2))) if match else (0, 0)
    if not 1 <= numbers[0] <= numbers[1]:
        raise argparse.ArgumentTypeError(f"expected I/N with I from 1 to N, not {text!r}")
    return numbers


def byte_count(text: str) -> int:
    """A number of bytes such as ``50MB``, for argparse."""
    match = re.match(r"(\d{1,12}(?:\.\d{1,9})?)\s*([KMG]?)B?$", text.strip(), re.IGNORECASE)
    if not match:
        raise argparse.ArgumentTypeError(f"expected a size such as 50MB, not {text!r}")
    return int(float(match.group(1)) * _UNITS[match.group(2).upper()])


def add_limits(group: Group) -> None:
    """``--max-bytes`` and ``--max-pixels``; see ``caffe_gradcam.model.limits``."""
    group.add_argument("--max-bytes", metavar="SIZE", type=byte_count,
                       help=Rare("the size of the largest file that is read, such as 2GB (default: "
                                 "256 MiB for an image, 16 MiB for class names, ...)"))
    group.add_argument("--max-pixels", metavar="N", type=positive,
                       help=Rare("the number of pixels of the largest image that is read "
                                 "(default: 2^27, in a batch 2^26)"))


def add_command(commands: Any, name: str, summary: str, **settings: Any) -> Parser:
    """The parser of a subcommand, with ``--help-all``."""
    parser: Parser = commands.add_parser(name, help=summary, **settings)
    parser.add_help_all()
    add_limits(parser)
    return parser


def devices(names: Sequence[str]) -> List[str]:
    """Devices as engines call them: ``1`` is ``cuda:1``."""
    return ["cuda:" + name if name.isdigit() else name for name in names]
