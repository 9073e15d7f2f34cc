"""caffe-gradcam explain: figures that show what a net looked at."""

import argparse
import json
import os
import re
import sys

from prototxt_tools.errors import InputError

DESCRIPTION = """\
Write, for each image and class, a figure that shows where the net found what speaks for the
class (Grad-CAM): the photograph beside itself with the map laid over it.
"""

EXAMPLES = """\
examples:
  caffe-gradcam explain models/digits scene.png -o figures
      what is it, and why: the class with the highest score
  caffe-gradcam explain models/squeezenet *.jpg -o figures --class "tiger cat" --class top:2 --npz
      this class and the two likeliest of each photograph, with the arrays behind the figures

A model is a folder with deploy.prototxt, a .caffemodel and a readme.md that says how pictures
are prepared; or a prototxt, with --weights. What is not said is found in the net or the folder,
or assumed, and shown; every value can be given here instead.

exit codes: 0 all done, 1 some images failed, 2 nothing could be done
"""


def add(commands):
    """Add the subcommand's parser."""
    parser = commands.add_parser(
        "explain",
        help="show what the net looked at in some images",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL", help="a model folder or a prototxt")
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="an image file")
    parser.add_argument("-o", dest="folder", metavar="DIR", required=True, help="for the figures")
    _add_questions(parser.add_argument_group("what to explain"))
    _add_running(parser.add_argument_group("how to run"))
    _add_model(parser.add_argument_group("the model, where its folder says nothing or is wrong"))
    _add_output(parser.add_argument_group("output"))
    parser.set_defaults(run=run)


def _add_questions(group):
    group.add_argument(
        "--class", dest="classes", metavar="ID|LABEL|top:K", action="append",
        help="a class by number or label, or the K with the highest scores; repeatable "
        "(default: top:1)",
    )
    group.add_argument(
        "--layer", dest="target", metavar="NAME", action="append",
        help="draw the map of this layer or blob; repeatable (default: the last blob with "
        "spatial extent before the scores)",
    )
    group.add_argument(
        "--score", metavar="NAME", help="the blob or layer of scores, before any Softmax"
    )
    group.add_argument(
        "--gradient", choices=["post", "pre-relu"], default="post",
        help="with respect to what the blob holds (default), or to what it held before its "
        "in-place layers, as scripts that run net.backward to the end do",
    )


def _add_running(group):
    group.add_argument("--engine", choices=["auto", "caffe", "torch"], default="auto",
                       help="auto takes Caffe where pycaffe is installed")
    group.add_argument("--device", metavar="cpu|cuda[:N]", default="cpu")
    group.add_argument("--precision", choices=["fp32", "tf32", "bf16", "fp16"], default="fp32",
                       help="of the torch engine's arithmetic (default: fp32, as Caffe's)")
    group.add_argument("--trust", action="store_true",
                       help="let the net run Python code and read files, if it has such layers")
    group.add_argument("--allow-missing", action="store_true",
                       help="fill layers that the weights file lacks as Caffe would")
    group.add_argument("--batch", metavar="N", type=_positive, default=8,
                       help="images that go through the net together (default: 8)")


def _add_model(group):
    group.add_argument("--weights", metavar="FILE", help="a .caffemodel or .caffemodel.h5")
    group.add_argument("--size", metavar="HxW", help="of the net's input")
    group.add_argument("--channel-order", metavar="BGR|RGB|GRAY")
    group.add_argument("--mean", metavar="M[,M,M]|FILE|none",
                       help="per channel in the net's order, 0..255; or .npy, .binaryproto")
    group.add_argument("--scale", metavar="X", help="factor after the mean was subtracted")
    group.add_argument("--resize", metavar="HxW|N|none", help="warp to HxW; or short side N")
    group.add_argument("--crop", metavar="HxW|none", help="centre crop after resizing")
    group.add_argument("--labels", metavar="FILE", help="one label per line, class 0 first")


def _add_output(group):
    group.add_argument("--npz", action="store_true",
                       help="also write the arrays: cam, heatmap, scores")
    group.add_argument("--json", action="store_true", help="print one JSON object, nothing else")
    group.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    group.add_argument("-v", "--verbose", action="store_true",
                       help="let Caffe and the image libraries speak")


def _positive(text):
    if not re.match("[1-9][0-9]*$", text):
        raise argparse.ArgumentTypeError("a whole number from 1 up, not {!r}".format(text))
    return int(text)


def run(options):
    """Run the subcommand; the result is the exit code."""
    from caffe_gradcam.explain import Explainer
    from caffe_gradcam.model import READERS, Model

    overrides = {name: getattr(options, name) for name in READERS}
    model = Model.load(options.model, options.weights, **overrides)
    classes = parse_classes(options.classes or ["top:1"], model)
    for warning in model.warnings:
        print("caffe-gradcam: warning: {}".format(warning), file=sys.stderr)
    if not (options.json or options.quiet):
        print(describe(model), file=sys.stderr)
    with Explainer.open(
        model,
        options.engine,
        device=options.device,
        gradient=options.gradient,
        verbose=options.verbose,
        allow_missing=options.allow_missing,
        trust=options.trust,
        precision=options.precision,
    ) as explainer:
        rows = explain_all(explainer, classes, options)
        ran = explainer.engine.description
    if options.json:
        report = {"model": model.name, "engine": ran["engine"], "device": ran["device"]}
        print(json.dumps(dict(report, images=rows), indent=2))
    failed = sum("error" in row for row in rows)
    return 0 if not failed else 2 if failed == len(rows) else 1


def parse_classes(texts, model):
    """The classes that the user names, as numbers and ``Top``."""
    from caffe_gradcam.explain import Top

    classes = []
    for text in texts:
        top = re.match("top:([1-9][0-9]*)$", text)
        classes.append(Top(int(top.group(1))) if top else model.find_class(text))
    return classes


def explain_all(explainer, classes, options):
    """Explain all images, batch by batch; gives the report's entries in their order."""
    from tqdm import tqdm

    from caffe_gradcam import outputs

    names = outputs.stems(options.images)
    rows = []
    hidden = options.quiet or len(options.images) == 1
    with tqdm(total=len(names), unit="image", disable=True if hidden else None) as progress:
        for start in range(0, len(names), options.batch):
            paths = options.images[start:start + options.batch]
            photographs, outcomes = explain_batch(explainer, paths, classes)
            for path, name, photograph, outcome in zip(
                paths, names[start:], photographs, outcomes
            ):
                row = write_image(path, name, photograph, outcome, explainer.model, options)
                say(row, options, progress)
                rows.append(row)
                progress.update()
    return rows


def explain_batch(explainer, paths, classes):
    """Read and explain some images; an InputError stands for each one that fails."""
    from caffe_gradcam import images

    photographs = []
    for path in paths:
        try:
            photographs.append(images.read(path))
        except InputError as error:
            photographs.append(error)
    outcomes = list(photographs)
    good = [i for i, one in enumerate(photographs) if not isinstance(one, InputError)]
    try:
        results = explainer.explain([photographs[i] for i in good], classes)
    except InputError as error:
        results = [error] * len(good)
    for i, result in zip(good, results):
        outcomes[i] = result
    return photographs, outcomes


def write_image(path, name, photograph, outcome, model, options):
    """Write what there is of one image; gives its entry in the report."""
    from caffe_gradcam import outputs

    try:
        if isinstance(outcome, InputError):
            raise outcome
        row = outputs.image_row(path, outcome, model)
        targets = dict(zip(model.targets, outputs.unique(map(outputs.slug, model.targets))))
        for one in outcome.explanations:
            base = os.path.join(
                options.folder, outputs.file_name(name, one, targets[one.target])
            )
            files = outputs.write(base, photograph, one, outcome.scores, options.npz)
            row["explanations"].append(outputs.explanation_row(one, *files))
        return row
    except InputError as error:
        message = str(error)
        return {"path": path, "error": message if path in message else path + ": " + message}


def say(row, options, progress):
    """Tell the user what became of an image."""
    if "error" in row:
        progress.write("caffe-gradcam: {}".format(row["error"]), file=sys.stderr)
    elif not (options.json or options.quiet):
        for one in row["explanations"]:
            line = "{}: {} at {} -> {}".format(
                row["path"], _class_name(one), one["target"], one["figure"]
            )
            # File names may hold bytes, and labels letters, that the terminal's encoding has not.
            encoding = sys.stdout.encoding or "utf-8"
            progress.write(line.encode(encoding, "backslashreplace").decode(encoding))


def _class_name(row):
    return "{} {}".format(row["class"], row["label"]) if row["label"] else str(row["class"])


def describe(model):
    """A table of what is known of a model, and how."""
    shown = model.preprocessing
    values = [
        ("weights", model.weights),
        ("size", _size(shown.size)),
        ("channel_order", shown.channel_order),
        ("mean", _mean(shown.mean)),
        ("scale", "{:g}".format(shown.scale)),
        ("resize", _size(shown.resize)),
        ("crop", _size(shown.crop)),
        ("score", model.score),
        ("target", ", ".join(model.targets)),
        ("labels", "{} labels".format(len(model.labels)) if model.labels else "none"),
    ]
    width = max(len(value) for _, value in values)
    lines = [
        "  {:<13}  {:<{}}  {}".format(name.replace("_", "-"), value, width, model.origins[name])
        for name, value in values
    ]
    return "\n".join([model.name] + lines)


def _size(size):
    if isinstance(size, tuple):
        return "{}x{}".format(*size)
    return "none" if size is None else "short side {}".format(size)


def _mean(mean):
    if mean is None:
        return "none"
    if mean.ndim == 3:
        return "image of {}x{}".format(*mean.shape[1:])
    return ", ".join("{:g}".format(value) for value in mean)
