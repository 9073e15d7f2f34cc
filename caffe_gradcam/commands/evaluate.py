"""caffe-gradcam evaluate: which method and layer can be trusted for this model."""

import argparse
import dataclasses
import json
import math
import os
import sys
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Optional, Sequence, Tuple

from caffe_gradcam.commands import benches, measured_images, protocol
from caffe_gradcam.commands import options as shared
from caffe_gradcam.commands.tables import print_table
from prototxt_tools.commands.parsing import Rare
from prototxt_tools.errors import Outcome, QuestionError

if TYPE_CHECKING:
    from caffe_gradcam.commands.measured_images import Subject
    from caffe_gradcam.explaining.recipe import Recipe
    from caffe_gradcam.measuring.comparison import Row, Verdict
    from caffe_gradcam.measuring.measurement import Measurement
    from caffe_gradcam.model.model import LoadedModel

    Measured = Outcome[List[Measurement]]

DESCRIPTION = """\
Measure the maps of several methods at several layers of a model over some images, and report which
method and layer can be trusted.
"""

EXAMPLES = f"""\
examples:
  caffe-gradcam evaluate models/digits models/digits/scenes \\
      --boxes models/digits/scenes/boxes.json -o evaluation
      the usual methods at up to three layers, by everything that can be measured
  caffe-gradcam evaluate models/squeezenet photos --layer fire9/concat --method all \\
      --metrics deletion,insertion --limit 50
      all methods at one layer, by two metrics, on the first fifty images of a folder

metrics (+: high is good, -: low is good, 0: near 0 is good; the table has hundredths):
  deletion    - the probability of the class while the hottest pixels turn into the mean colour:
                the area under the curve
  insertion   + the same while the hottest pixels appear in a blurred image; gap + is insertion
                minus deletion
  drop        - the fraction of the probability that is lost where only the map is shown; increase
                + is how often it rises instead
  road        + the probability with the coldest pixels filled in from their neighbours, minus
                that with the hottest
  pointing    + with --boxes, how often the hottest pixel is in a box; energy + is the heat in boxes
  sanity      0 rank correlation with the map of the same net with random weights
  stability   - how far invisible noise moves the map: column moved
  objects     + with --objects, mass is the fraction of the heat on the objects of the class, and
                rank that of the hottest pixels
  removal     + with --objects, cause is how often most heat lies on the object without which the
                probability falls most; parts is the rank correlation with the effects of parts
  complexity (sparse), faithfulness (estimate, faithful), completeness, smooth-mprt, efficient-mprt,
  logit and adcc: only where they are named

Each number has its 95 % interval over the images. * is the best of a column, = is not
significantly different from it. Random and centre are baselines that ignore the net.

{shared.EXIT_CODES}
"""

# Methods that need one forward pass and little more, on any net.
USUAL = ("grad-cam", "grad-cam++", "xgrad-cam", "hirescam", "element-wise", "layer-cam",
         "eigen-cam", "eigen-grad-cam")
# Those that explain boxes, the one of detectors first.
BOX_METHODS = ("odam", "grad-cam", "hirescam", "element-wise", "layer-cam")
ALL = "all"


def add(commands: Any) -> None:
    """Add the subcommand's parser."""
    parser = shared.add_command(
        commands, "evaluate", "measure which method and layer can be trusted",
        description=DESCRIPTION, epilog=EXAMPLES,
        rest="images", usage="caffe-gradcam evaluate MODEL IMAGE [IMAGE ...] [option ...]\n"
        "       caffe-gradcam evaluate MODEL --protocol NAME --data DIR -o OUT [option ...]")
    parser.add_argument("model.path", metavar="MODEL",
                        help="a model folder, a prototxt, or the name of a public model")
    parser.add_argument("images", metavar="IMAGE", nargs="*",
                        help="files, folders, lists, archives or -, as for explain")
    parser.add_argument("-o", dest="folder", metavar="DIR",
                        help="the folder for evaluate.json and plots of curves")
    comparing = parser.add_argument_group("what to compare")
    shared.add_methods(
        comparing, "names, or all; commas or repeatable (default: the usual ones, which need "
        "little more than one pass)",
        "commas or repeatable (default: the last blob with spatial extent before the scores, and "
        "the last of each of two finer resolutions)")
    shared.add_classes(comparing, "what to ask about each image, by number, name or top:K; "
                       "repeatable (default: the classes of its boxes, otherwise top:1)")
    shared.add_positions(comparing)
    shared.add_text(comparing)
    shared.add_detections(comparing, "measure the maps of the boxes that a detector finds, by "
                          "deletion, insertion and pointing")
    shared.add_words(comparing, Rare("measure the maps of the words of the caption that the net "
                                     "writes, by the probability of each word after those before "
                                     "it"))
    _add_measuring(parser.add_argument_group("how to measure"))
    shared.add_running(parser.add_argument_group("how to run"))
    shared.add_model(parser.add_argument_group(
        "the model, where its folder does not specify it"))
    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true",
                        help="print the content of evaluate.json, nothing else")
    shared.add_config(output)
    shared.add_verbosity(output, quiet="show no progress")
    parser.set_defaults(run=run)


def _add_measuring(group: shared.Group) -> None:
    group.add_argument("--metrics", metavar="A,B,C",
                       help="default: deletion, insertion, drop, road, sanity, stability; with "
                       "--boxes pointing, with --objects objects and removal")
    group.add_argument("--boxes", metavar="FILE",
                       help=".csv with path, class, x, y, width, height; or .json, image -> list "
                       "of {class, box}; only images with boxes are measured")
    group.add_argument("--objects", metavar="FILE",
                       help=Rare(".json, image -> list of {class, mask, without, parts}; only "
                                 "images with objects are measured"))
    group.add_argument("--tolerance", metavar="PIXELS", type=_pixels, default=0.0,
                       help="how far pointing may miss a box (default: 0)")
    group.add_argument("--steps", metavar="N", type=shared.positive, default=20,
                       help=Rare("the steps of deletion and insertion (default: 20)"))
    group.add_argument("--limit", metavar="N", type=shared.positive,
                       help="measure only the first N images")
    group.add_argument("--seed", metavar="N", type=_seed, default=0,
                       help=Rare("the seed of everything random (default: 0)"))
    protocol.add_options(group)


def _pixels(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number of pixels, not {text!r}")
    return value


def _seed(text: str) -> int:
    if not text.isdigit() or int(text) >= 2 ** 32:
        raise argparse.ArgumentTypeError(f"expected a whole number below 2**32, not {text!r}")
    return int(text)


def run(options: argparse.Namespace) -> int:
    """Run the subcommand; the result is the exit code."""
    from caffe_gradcam.commands import recipes
    from caffe_gradcam.measuring import comparison
    from caffe_gradcam.measuring.measurement import Settings
    from caffe_gradcam.report.batch_model import digests

    if options.protocol:
        return protocol.run(options)
    protocol.check_absent(options)
    recipes.check_one_device(options)
    recipe, model, kind = _recipe(options)
    metrics = benches.metrics_of(kind, options.metrics, options.boxes, options.objects)
    settings = Settings(metrics, options.steps, options.tolerance, options.seed)
    subjects = measured_images.subjects_of(options, recipe, model)
    with kind.open(recipe, model) as explainer:
        bench = kind.bench(explainer, settings, recipe)
        outcomes = list(_measure_all(bench, subjects, options))
        engine = explainer.engine.description
    measurements = [measurement for outcome in outcomes if outcome.ok
                    for measurement in outcome.unwrap()]
    failed = sum(not outcome.ok for outcome in outcomes)
    if failed == len(outcomes):
        return 2
    rows = comparison.rows(measurements, options.seed)
    verdict = comparison.verdict(rows, measurements, options.seed)
    report = {"model": model.name, "engine": engine["engine"], "device": engine["device"],
              **digests(model), "recipe": recipe.to_dict(),
              **comparison.report(rows, verdict, settings, bench.stages)}
    report["images"] = [_image_entry(subject.item.path, outcome)
                        for subject, outcome in zip(subjects, outcomes)]
    _print(report, rows, verdict, options)
    if options.folder:
        _write(report, rows, (model, kind), options)
    return 1 if failed else 0


def _recipe(options: argparse.Namespace) -> "Tuple[Recipe, LoadedModel, benches.Kind]":
    """The recipe with the methods and layers to compare, its model, and what it is about."""
    from caffe_gradcam.commands import recipes
    from caffe_gradcam.explaining.asked_batches import checked
    from caffe_gradcam.measuring.bench import spread_layers

    names: Optional[List[str]] = getattr(options, "explaining.methods")
    usual = BOX_METHODS if getattr(options, "asking.detections") else USUAL
    if names == [ALL] or (names is None and not options.config):
        setattr(options, "explaining.methods", list(usual))
    recipe = recipes.from_options(options)
    if not options.images:
        raise QuestionError("there is no image to measure; give at least one")
    model = recipes.load_model(recipe, options)
    kind = benches.kind_of(recipe, model)
    methods = recipe.explaining.methods
    if names == [ALL]:
        methods = (usual + ("eigen-cam", "d-rise") if recipe.asking.detections
                   else allowed_methods(model, recipe.asking.is_caption))
    # The random baseline stands in every table.
    methods = tuple(name for name in methods if name != "random")
    if not methods:
        raise QuestionError("--method names only the random baseline, which is always measured; "
                            "name a method to compare with it", "--method")
    recipe = dataclasses.replace(
        recipe, explaining=dataclasses.replace(recipe.explaining, methods=methods))
    recipes.save(recipe, options)
    if kind.noun:
        checked(recipe, model)
    if not recipe.explaining.layers and not kind.has_own_layers:
        layers = tuple(spread_layers(model))
        recipe = dataclasses.replace(
            recipe, explaining=dataclasses.replace(recipe.explaining, layers=layers))
        model = model.with_layers(layers)
    return recipe, model, kind


def allowed_methods(model: "LoadedModel", is_caption: bool = False) -> Tuple[str, ...]:
    """All methods that have a meaning for a net: CAM needs a pooled head, and clips and captions
    are explained by gradients."""
    from caffe_gradcam.explaining import heads, single_pass
    from caffe_gradcam.explaining.methods import METHODS

    if model.clips or is_caption:
        return single_pass.usable_methods()
    pooled = Outcome.of(heads.pooled_blob, model.graph, model.score, model.shapes)
    return tuple(name for name in METHODS if pooled.ok or name != "cam")


def _measure_all(bench: Any, subjects: "Sequence[Subject]",
                 options: argparse.Namespace) -> "Iterator[Measured]":
    """The outcome of each image, batch by batch."""
    from tqdm import tqdm

    hidden = True if options.quiet or options.json else None
    with tqdm(total=len(subjects), unit="image", disable=hidden) as progress:
        for start in range(0, len(subjects), options.batch):
            part = subjects[start:start + options.batch]
            outcomes = measured_images.measure(bench, part)
            for subject, outcome in zip(part, outcomes):
                if not outcome.ok:
                    progress.write(_error_line(subject.item.path, outcome), file=sys.stderr)
                progress.update()
                yield outcome


def _error_line(path: str, outcome: "Measured") -> str:
    """What is printed about an image that failed."""
    message = str(outcome.error)
    return "caffe-gradcam: " + (message if path in message else f"{path}: {message}")


def _image_entry(path: str, outcome: "Measured") -> Dict[str, Any]:
    from caffe_gradcam.measuring.comparison import number

    if not outcome.ok:
        return {"path": path, "error": str(outcome.error)}
    return {"path": path, "maps": [
        {"class": measurement.class_index, "method": measurement.method,
         "layer": measurement.layer,
         "values": {name: number(value) for name, value in measurement.values.items()}}
        for measurement in outcome.unwrap()]}


def _print(report: Dict[str, Any], rows: "Sequence[Row]", verdict: "Verdict",
           options: argparse.Namespace) -> None:
    from caffe_gradcam.measuring import comparison

    if options.json:
        print(json.dumps(report, indent=2))
        return
    print_table(f"{comparison.table(rows)}\n\n{verdict.text}")


def _write(report: Dict[str, Any], rows: "Sequence[Row]",
           about: "Tuple[LoadedModel, benches.Kind]", options: argparse.Namespace) -> None:
    """Write the report and the plots of its curves."""
    from caffe_gradcam.measuring.measurement import COLUMNS
    from caffe_gradcam.model import images
    from caffe_gradcam.pictures import plots
    from prototxt_tools.files import write_bytes

    text = json.dumps(report, indent=2) + "\n"
    write_bytes(os.path.join(options.folder, "evaluate.json"), text.encode("utf-8"))
    model, kind = about
    unit = kind.unit or (
        "score of the class" if model.link == "none" else "probability of the class")
    for name in ("deletion", "insertion"):
        lines = [plots.Line(f"{row.method} {row.layer or ''}".strip(), row.curves[name],
                            row.cells[name].mean, not row.layer)
                 for row in rows if name in row.curves]
        if lines:
            images.write(os.path.join(options.folder, name + ".png"),
                         plots.plot(f"{model.name}: {name}", lines, COLUMNS[name].better, unit))
