"""caffe-gradcam evaluate: which method and layer can be trusted for this model."""

import argparse
import json
import math
import os
import sys

from caffe_gradcam.commands import options as shared
from prototxt_tools.errors import InputError

DESCRIPTION = """\
Measure the maps of several methods at several layers of a model over some images, and say which
method and layer can be trusted.
"""

EXAMPLES = """\
examples:
  caffe-gradcam evaluate models/digits models/digits/scenes \\
      --boxes models/digits/scenes/boxes.json -o evaluation
      the usual methods at up to three layers, by everything that can be measured
  caffe-gradcam evaluate models/squeezenet photographs --layer fire9/concat --methods all \\
      --metrics deletion,insertion --limit 50
      all methods at one layer, by two metrics, on the first fifty images of a folder

metrics (+: high is good, -: low is, 0: near 0 is; in the table all are in hundredths):
  deletion    - the class's probability while the hottest pixels turn into the mean colour: the
                area under the curve
  insertion   + the same while the hottest pixels come into a blurred picture; gap + is insertion
                minus deletion
  drop        - part of the probability lost where only the map is shown; increase + is how often
                it rises instead
  road        + probability with the coldest pixels filled from their neighbours, less that with
                the hottest
  pointing    + how often the hottest pixel is in a box (with --boxes); energy + is the part of the
                heat there
  sanity      0 rank correlation with the map of the same net with random weights
  stability   - how far noise nobody sees moves the map: column moved

Each number stands with its 95 % interval over the images. * is the best of a column, = shows no
significant difference from it. Random and centre are baselines that know nothing of the net.

exit codes: 0 all done, 1 some images failed, 2 nothing could be done
"""

# What takes a forward pass and little more, on any net.
USUAL = ("grad-cam", "grad-cam++", "xgrad-cam", "hirescam", "element-wise", "layer-cam",
         "eigen-cam", "eigen-grad-cam")
_EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


def add(commands):
    """Add the subcommand's parser."""
    parser = commands.add_parser(
        "evaluate",
        help="measure which method and layer can be trusted",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL", help="a model folder or a prototxt")
    parser.add_argument("images", metavar="IMAGE|FOLDER", nargs="+",
                        help="an image file, or a folder with some")
    parser.add_argument("-o", dest="folder", metavar="DIR",
                        help="for evaluate.json, deletion.png and insertion.png")
    _add_comparison(parser.add_argument_group("what to compare"))
    _add_measuring(parser.add_argument_group("how to measure"))
    shared.add_running(parser.add_argument_group("how to run"))
    shared.add_model(parser.add_argument_group(
        "the model, where its folder says nothing or is wrong"))
    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true",
                        help="print what evaluate.json would hold, nothing else")
    shared.add_talk(output, quiet="no progress bar")
    parser.set_defaults(run=run)


def _add_comparison(group):
    group.add_argument("--methods", metavar="A,B,C|all", default=",".join(USUAL),
                       help="default: " + ", ".join(USUAL))
    group.add_argument("--layer", dest="layers", metavar="NAME", action="append",
                       help="repeatable (default: the last blob with spatial extent before the "
                       "scores, and the last of each of two finer resolutions)")
    group.add_argument("--class", dest="classes", metavar="ID|LABEL|top:K", action="append",
                       help="what to ask of each image; repeatable (default: the classes of its "
                       "boxes, else top:1)")
    group.add_argument("--score", metavar="NAME",
                       help="the blob or layer of scores, before any Softmax")
    group.add_argument("--gradient", choices=["post", "pre-relu", "positive"], default="post",
                       help="see explain --help")
    group.add_argument("--placement", metavar="HOW", default="centres", help="see explain --help")
    group.add_argument("--samples", metavar="N", type=shared.positive,
                       help="noisy copies, masks or steps, for methods that take some")


def _add_measuring(group):
    group.add_argument("--metrics", metavar="A,B,C", help="default: all, pointing with --boxes")
    group.add_argument("--boxes", metavar="FILE",
                       help=".csv with path, class, x, y, width, height; or .json, image -> list "
                       "of {class, box}; only images with boxes are measured")
    group.add_argument("--tolerance", metavar="PIXELS", type=_pixels, default=0.0,
                       help="by which pointing may miss a box (default: 0; often 15)")
    group.add_argument("--steps", metavar="N", type=shared.positive, default=20,
                       help="of deletion and insertion (default: 20)")
    group.add_argument("--limit", metavar="N", type=shared.positive, help="the first N images")
    group.add_argument("--seed", metavar="N", type=_seed, default=0,
                       help="of everything random (default: 0)")


def _pixels(text):
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"a number of pixels, not {text!r}")
    return value


def _seed(text):
    if not text.isdigit() or int(text) >= 2 ** 32:
        raise argparse.ArgumentTypeError(f"a whole number below 2**32, not {text!r}")
    return int(text)


def run(options):
    """Run the subcommand; the result is the exit code."""
    from caffe_gradcam.measuring import bench as evaluate
    from caffe_gradcam.measuring import comparison

    model = shared.load_model(options)
    if not options.layers:
        model = model.with_layers(evaluate.spread_layers(model))
    settings = evaluate.Settings(_metrics(options), options.steps, options.tolerance, options.seed)
    items = _items(options, model)
    with shared.open_explainer(model, options, _methods(options, model)) as explainer:
        bench = evaluate.Bench(explainer, settings)
        outcomes = list(_measure_all(bench, items, options))
        ran = explainer.engine.description
    measurements = [one for outcome in outcomes if not isinstance(outcome, InputError)
                    for one in outcome]
    failed = sum(isinstance(one, InputError) for one in outcomes)
    if failed == len(outcomes):
        return 2
    rows = comparison.rows(measurements, options.seed)
    verdict = comparison.verdict(rows, measurements, options.seed)
    report = dict({"model": model.name, "engine": ran["engine"], "device": ran["device"]},
                  **comparison.report(rows, verdict, settings, bench.stages))
    report["images"] = [_image_entry(item, one) for item, one in zip(items, outcomes)]
    _say(report, rows, verdict, options)
    if options.folder:
        _write(report, rows, model, options)
    return 1 if failed else 0


def _methods(options, model):
    """The methods asked for, each once; "all" are those that have a meaning for the net."""
    from caffe_gradcam.explaining import heads
    from caffe_gradcam.explaining.methods import METHODS

    named = shared.names(options.methods)
    if named == ["all"]:
        named = list(METHODS)
        try:
            heads.pooled_blob(model.graph, model.score, model.shapes)
        except InputError:
            named.remove("cam")
    # The random baseline stands in every table.
    named = [name for name in named if name != "random"]
    if not named:
        raise InputError("--methods names nothing but the baseline, which is there anyway")
    return named


def _metrics(options):
    from caffe_gradcam.measuring.bench import METRICS
    from caffe_gradcam.model import choices

    if options.metrics is None:
        return tuple(one for one in METRICS if options.boxes or one != "pointing")
    named = tuple(name.strip() for name in options.metrics.split(","))
    choices.check(named, METRICS, "metric")
    if "pointing" in named and not options.boxes:
        raise InputError("the pointing game wants --boxes")
    return named


def _items(options, model):
    """(path, questions, boxes) of each image to measure."""
    from caffe_gradcam.asking.grammar import parse
    from caffe_gradcam.asking.questions import Top
    from caffe_gradcam.measuring import annotations
    from caffe_gradcam.measuring import bench as evaluate

    boxes = annotations.read_boxes(options.boxes, model.find_class) if options.boxes else {}
    asked = [parse(text, model.find_class, model.class_names) for text in options.classes or []]
    evaluate.check_questions(asked)
    items = []
    for path in _image_paths(options.images):
        own = annotations.boxes_of(path, boxes)
        if own or not boxes:
            items.append((path, asked or sorted(own) or [Top(1)], own))
    if not items:
        raise InputError(f"{options.boxes}: has no boxes of any of these images; names are compared as they "
                         "are, then without their folders")
    return items[:options.limit]


def _image_paths(names):
    """The files that are named, and the images in folders that are."""
    paths = []
    for name in names:
        if not os.path.isdir(name):
            paths.append(name)
            continue
        inside = [os.path.join(name, one) for one in sorted(os.listdir(name))
                  if one.lower().endswith(_EXTENSIONS)]
        if not inside:
            raise InputError(f"{name}: no images in this folder")
        paths += inside
    return list(dict.fromkeys(paths))


def _measure_all(bench, items, options):
    """The outcome of each image, batch by batch."""
    from tqdm import tqdm

    from caffe_gradcam.explaining.explainer import attempt
    from caffe_gradcam.model import images

    hidden = True if options.quiet or options.json else None
    with tqdm(total=len(items), unit="image", disable=hidden) as progress:
        for start in range(0, len(items), options.batch):
            part = items[start:start + options.batch]
            paths = [path for path, _, _ in part]
            outcomes = bench.measure(paths, [attempt(images.read, path) for path in paths],
                                     [asked for _, asked, _ in part], [own for _, _, own in part])
            for path, outcome in zip(paths, outcomes):
                if isinstance(outcome, InputError):
                    progress.write(_error_line(path, outcome), file=sys.stderr)
                progress.update()
                yield outcome


def _error_line(path, error):
    """What the user reads of an image that failed."""
    message = str(error)
    return "caffe-gradcam: {}".format(message if path in message else path + ": " + message)


def _image_entry(item, outcome):
    from caffe_gradcam.measuring.comparison import number

    if isinstance(outcome, InputError):
        return {"path": item[0], "error": str(outcome)}
    return {"path": item[0], "maps": [
        {"class": one.class_index, "method": one.method, "layer": one.target or None,
         "values": {name: number(value) for name, value in one.values.items()}}
        for one in outcome]}


def _say(report, rows, verdict, options):
    from caffe_gradcam.measuring import comparison

    if options.json:
        print(json.dumps(report, indent=2))
        return
    lines = f"{comparison.table(rows)}\n\n{verdict.text}"
    try:
        lines.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        lines = lines.replace("±", "+-")
        lines = lines.encode(sys.stdout.encoding, "backslashreplace").decode(sys.stdout.encoding)
    print(lines)


def _write(report, rows, model, options):
    from caffe_gradcam.measuring.bench import COLUMNS
    from caffe_gradcam.model import images
    from caffe_gradcam.pictures import plots
    from prototxt_tools.files import write_bytes

    text = json.dumps(report, indent=2) + "\n"
    write_bytes(os.path.join(options.folder, "evaluate.json"), text.encode("utf-8"))
    unit = "score of the class" if model.link == "none" else "probability of the class"
    for name in ("deletion", "insertion"):
        lines = [plots.Line(f"{row.method} {row.target}".strip(), row.curves[name],
                            row.cells[name].mean, not row.target)
                 for row in rows if name in row.curves]
        if lines:
            title = f"{model.name}: {name}"
            images.write(os.path.join(options.folder, name + ".png"),
                         plots.plot(title, lines, COLUMNS[name].better, unit))
