"""Options that several subcommands share, and what is made of them."""

import argparse
import re
import sys

from prototxt_tools.errors import InputError


def add_questions(group):
    """What to explain."""
    group.add_argument(
        "--class", dest="classes", metavar="CLASS", action="append",
        help="a class by number or label; top:K for the K with the highest scores, one by one; "
        "weighted:K for them together; A+B for several together; repeatable (default: top:1)",
    )
    group.add_argument("--versus", nargs=2, metavar=("A", "B"), action="append", default=[],
                       help="what tells class A from class B; repeatable")
    group.add_argument("--counterfactual", action="store_true",
                       help="what speaks against the class instead of for it")
    group.add_argument("--probability", action="store_true",
                       help="explain the class's probability instead of its score")
    group.add_argument("--at", metavar="X,Y[,W,H]",
                       help="for nets with a map of scores: one pixel or box of the photograph")
    group.add_argument("--mask", metavar="FILE",
                       help="the same for the white pixels of a mask of the photograph's size")
    group.add_argument("--like", metavar="IMAGE",
                       help="what makes the score blob (an embedding, say) like that of this image")
    group.add_argument("--cosine", action="store_true",
                       help="compare with --like by the cosine, not the dot product")


def add_methods(group):
    """How to explain it."""
    group.add_argument(
        "--method", dest="methods", metavar="NAME", action="append",
        help="grad-cam (default) or another, see below; repeatable",
    )
    group.add_argument(
        "--layer", dest="layers", metavar="NAME", action="append",
        help="draw the map of this layer or blob; repeatable (default: the last blob with "
        "spatial extent before the scores; one for each input)",
    )
    group.add_argument("--fuse", metavar="HOW",
                       help="one map of all layers: mean, max or product")
    group.add_argument(
        "--score", metavar="NAME", help="the blob or layer of scores, before any Softmax"
    )
    group.add_argument(
        "--gradient", choices=["post", "pre-relu", "positive"], default="post",
        help="with respect to what the blob holds (default); to what it held before its "
        "in-place layers, as scripts that run net.backward to the end do; or only where positive",
    )
    group.add_argument("--samples", metavar="N", type=positive,
                       help="noisy copies, masks or steps, for methods that take some")
    group.add_argument("--placement", metavar="HOW", default="centres",
                       help="centres: cells lie where their receptive fields do (default); "
                       "stretch: the map is pulled over the input, as other tools do")


def add_running(group):
    """On what to run."""
    group.add_argument("--engine", choices=["auto", "caffe", "torch"], default="auto",
                       help="auto takes Caffe where pycaffe is installed")
    group.add_argument("--device", metavar="cpu|cuda[:N]", default="cpu")
    group.add_argument("--precision", choices=["fp32", "tf32", "bf16", "fp16"], default="fp32",
                       help="of the torch engine's arithmetic (default: fp32, as Caffe's)")
    group.add_argument("--trust", action="store_true",
                       help="let the net run Python code and read files, if it has such layers")
    group.add_argument("--allow-missing", action="store_true",
                       help="fill layers that the weights file lacks as Caffe would")
    group.add_argument("--batch", metavar="N", type=positive, default=8,
                       help="images that go through the net together (default: 8)")


def add_model(group):
    """What the model's folder may leave open."""
    group.add_argument("--offline", action="store_true",
                       help="never download a public model; take what was fetched before")
    group.add_argument("--weights", metavar="FILE", help="a .caffemodel or .caffemodel.h5")
    group.add_argument("--size", metavar="HxW", help="of the net's input")
    group.add_argument("--channel-order", metavar="BGR|RGB|GRAY")
    group.add_argument("--mean", metavar="M[,M,M]|FILE|none",
                       help="per channel in the net's order, 0..255; or .npy, .binaryproto")
    group.add_argument("--scale", metavar="X", help="factor after the mean was subtracted")
    group.add_argument("--resize", metavar="HxW|N|letterbox|none",
                       help="warp to HxW; or short side N; or fit in, the rest the mean colour")
    group.add_argument("--crop-size", dest="crop", metavar="HxW|none",
                       help="what is cut out of the middle after resizing")
    group.add_argument("--crops", metavar="1|10",
                       help="10: middle, corners and their mirror images, merged")
    group.add_argument("--labels", metavar="FILE", help="one label per line, class 0 first")


def add_talk(group, quiet="print errors only"):
    """How much is said."""
    group.add_argument("-q", "--quiet", action="store_true", help=quiet)
    group.add_argument("-v", "--verbose", action="store_true",
                       help="let Caffe and the image libraries speak")


def positive(text):
    """A whole number from 1 up, for argparse."""
    if not re.match("[1-9][0-9]*$", text):
        raise argparse.ArgumentTypeError(f"a whole number from 1 up, not {text!r}")
    return int(text)


def load_model(options):
    """The model that the options name, fetched if need be; warnings go to stderr."""
    from caffe_gradcam import zoo
    from caffe_gradcam.model.fields import READERS
    from caffe_gradcam.model.model import LoadedModel

    options.model = zoo.locate(options.model, options.offline, options.quiet)
    overrides = {name: getattr(options, name) for name in READERS}
    model = LoadedModel.load(options.model, options.weights, **overrides)
    for warning in model.warnings:
        print(f"caffe-gradcam: warning: {warning}", file=sys.stderr)
    return model


def open_explainer(model, options, methods, fuse=None):
    """An Explainer as the options want it, for methods of these names."""
    from caffe_gradcam.explaining.explainer import Explainer

    return Explainer.open(
        model,
        options.engine,
        methods=methods,
        samples=options.samples,
        gradient=options.gradient,
        placement=options.placement,
        fuse=fuse,
        device=options.device,
        verbose=options.verbose,
        allow_missing=options.allow_missing,
        trust=options.trust,
        precision=options.precision,
    )


def methods(options):
    """The methods that --method names."""
    return names(",".join(options.methods or ["grad-cam"]))


def names(text):
    """The names between commas, each once."""
    return list(dict.fromkeys(name.strip() for name in text.split(",")))


def asking(options):
    """What the options ask about each image."""
    from caffe_gradcam.asking.grammar import Asking, parse_region

    classes = list(options.classes or []) + [" versus ".join(pair) for pair in options.versus]
    at = parse_region(options.at) if options.at else None
    return Asking(tuple(classes), at, options.mask, options.like, options.cosine,
                  options.probability, options.counterfactual)


def describe(model):
    """A table of what is known of a model, and how."""
    shown = model.preprocessing
    sizes = dict.fromkeys(_size(one.size) for one in model.inputs.values())
    values = [
        ("weights", model.weights),
        ("size", ", ".join(sizes)),
        ("channel_order", shown.channel_order),
        ("mean", _mean(shown.mean)),
        ("scale", f"{shown.scale:g}"),
        ("resize", _size(shown.resize)),
        ("crop", _size(shown.crop)),
        ("score", model.score),
        ("layers", ", ".join(model.layers)),
        ("labels", f"{len(model.class_names)} labels" if model.class_names else "none"),
    ]
    if shown.crops > 1:
        values.insert(7, ("crops", str(shown.crops)))
    width = min(60, max(len(value) for _, value in values))
    lines = [
        "  {:<13}  {:<{}}  {}".format(name.replace("_", "-"), value, width, model.origins[name])
        for name, value in values
    ]
    return "\n".join([model.name] + lines)


def _size(size):
    if isinstance(size, tuple):
        return "{}x{}".format(*size)
    if isinstance(size, str):
        return size
    return "none" if size is None else f"short side {size}"


def _mean(mean):
    if mean is None:
        return "none"
    if mean.ndim == 3:
        return "image of {}x{}".format(*mean.shape[1:])
    return ", ".join(f"{value:g}" for value in mean)
