"""caffe-gradcam explain: figures that show what a net looked at."""

import argparse
import dataclasses
import json
import sys
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence, Tuple

from caffe_gradcam.commands import options as shared
from caffe_gradcam.commands import report
from prototxt_tools.errors import QuestionError

if TYPE_CHECKING:
    from tqdm import tqdm

    from caffe_gradcam.commands.reporting import Collector
    from caffe_gradcam.commands.requests import Answer, Request
    from caffe_gradcam.commands.writing import Writer
    from caffe_gradcam.explaining.explainer import Explainer
    from caffe_gradcam.explaining.recipe import Recipe
    from caffe_gradcam.model.model import LoadedModel
    from caffe_gradcam.report.explained import Shown

Row = Dict[str, Any]

DESCRIPTION = """\
Write, for each image and class, a figure that shows which regions support the class (Grad-CAM):
the image beside itself with the heatmap laid over it.
"""

EXAMPLES = f"""\
examples:
  caffe-gradcam explain models/digits scene.png -o figures
      the class with the highest score, and why
  caffe-gradcam explain models/squeezenet *.jpg -o figures --class "tiger cat" --class top:2
      this class and the two best of each image
  caffe-gradcam explain models/squeezenet cat.jpg -o figures --versus tabby "tiger cat"
      what distinguishes one class from the other
  caffe-gradcam explain models/squeezenet cat.jpg -o figures --class top:3 --figure grid \\
      --method grad-cam,layer-cam,score-cam --layer fire5/concat,fire9/concat
      classes, methods and layers in one table

{shared.EXIT_CODES}
"""

DETAILS = """\
methods, by what they need besides the forward pass:
  nothing    cam (for pooled heads), eigen-cam, random (the baseline)
  gradients  grad-cam, grad-cam++, xgrad-cam, hirescam, element-wise, layer-cam, eigen-grad-cam,
             fullgrad; of the pixels: saliency, guided-backprop, deconvnet, guided-grad-cam
  head       ablation-cam: the layers behind the explained one, once for each channel
  net        score-cam, ss-cam, smooth-grad-cam++; of the pixels: smoothgrad,
             integrated-gradients, occlusion, rise: the whole net, many times

MODEL is a folder with deploy.prototxt, a .caffemodel and a readme.md that specifies how images are
prepared; a prototxt, with --weights; or the name of a public model. What is not specified is found
in the net or the folder, or assumed, and printed; every value can be set here instead.

IMAGE is an image file, a folder, a pattern, a list in Caffe's form, a .csv, .tsv, .jsonl or
.parquet with a column path, an LMDB, a .tar, an HDF5 file, or - for paths on standard input.
"""


def add(commands: Any) -> None:
    """Add the subcommand's parser."""
    parser = shared.add_command(
        commands, "explain", "show what the net looked at in some images",
        description=DESCRIPTION, epilog=EXAMPLES, details=DETAILS,
        rest="images", usage="caffe-gradcam explain MODEL IMAGE [IMAGE ...] -o DIR [option ...]")
    parser.add_argument("model.path", metavar="MODEL",
                        help="a model folder, a prototxt, or the name of a public model")
    parser.add_argument("images", metavar="IMAGE", nargs="*",
                        help="files, folders, lists, archives or -; for a net with several "
                        "inputs, BLOB=IMAGE for each, or a table with a column for each")
    parser.add_argument("-o", dest="folder", metavar="DIR", required=True,
                        help="the folder for the figures")
    asking = parser.add_argument_group("what to explain")
    shared.add_questions(asking)
    asking.add_argument("--crop", dest="asking.crop", metavar="X,Y,W,H",
                        help="explain this part of the image, and show both")
    shared.add_words(asking, "let the net describe the image in words, and show where it looks "
                     "for each")
    shared.add_detections(asking, "list the boxes that a detector finds, and show where it looks "
                          "for each")
    explaining = parser.add_argument_group("how to explain it")
    shared.add_methods(explaining, "grad-cam (default) or another, see --help-all; commas or "
                       "repeatable", shared.LAYER)
    shared.add_fusion(explaining)
    shared.add_running(parser.add_argument_group("how to run"))
    shared.add_model(parser.add_argument_group(
        "the model, where its folder does not specify it"), several_scores=True)
    shared.add_look(
        parser.add_argument_group("figures"),
        "side-by-side (default), overlay (without the image beside it), or grid: a row for each "
        "class, a column for each method and layer",
        "png (default), jpg or webp; svg or pdf with Matplotlib")
    _add_output(parser.add_argument_group("output"))
    parser.set_defaults(run=run)


def _add_output(group: shared.Group) -> None:
    group.add_argument("--video", metavar="mp4|gif", choices=("mp4", "gif"),
                       help=shared.Rare("for clips, also write the overlays as a video"))
    group.add_argument("--npz", action="store_true",
                       help="also write the arrays: cam, heatmap, scores")
    group.add_argument("--report", metavar="FILE",
                       help="also write a page that shows everything, an .html file")
    group.add_argument("--json", action="store_true", help="print one JSON object, nothing else")
    shared.add_config(group)
    shared.add_verbosity(group)


def run(options: argparse.Namespace) -> int:
    """Run the subcommand; the result is the exit code."""
    from caffe_gradcam.commands import recipes
    from caffe_gradcam.commands.describing import describe
    from caffe_gradcam.commands.requests import requests
    from caffe_gradcam.commands.writing import Writer

    if options.report:
        report.check_name(options.report, "--report")
    recipes.check_one_device(options)
    named = recipes.for_each_score(options)
    if not options.images:
        raise QuestionError("there is no image to explain; give at least one")
    figures = recipes.figure_options(options)
    recipes.save(named[0], options)
    models = [recipes.load_model(recipe, options) for recipe in named]
    if models[0].clips:
        return _explain_clips(named, models, options)
    if options.video:
        raise QuestionError("--video: the net takes single images, not clips", "--video")
    # The words of a caption are the net's own, or those of --sentence.
    arrays = {} if named[0].asking.is_caption else models[0].arrays
    items = requests(options.images, dataclasses.replace(models[0], arrays=arrays),
                     named[0].asking.crop)
    if named[0].asking.is_caption:
        return _describe(named, models, items, options)
    if named[0].asking.detections:
        return _detect(named, models, items, options)
    _check(named, models)
    writer = Writer(options.folder, figures, options.npz, several_scores=len(named) > 1)
    collector = _collector(options, named, models)
    rows: List[Row] = []
    for recipe, model in zip(named, models):
        if not (options.json or options.quiet):
            print(describe(model), file=sys.stderr)
        with recipes.open_explainer(recipe, model) as explainer:
            rows += _explain(explainer, recipe, items, (writer, collector), options)
            engine = explainer.engine.description
    writer.finish()
    if collector is not None:
        collector.write(options.report, engine)
    return _report(rows, named[0], models[0], engine, options)


def _report(rows: List[Row], recipe: "Recipe", model: "LoadedModel", engine: Dict[str, str],
            options: argparse.Namespace) -> int:
    """Print the report where it is asked for; the result is the exit code."""
    if options.json:
        print(json.dumps({
            "model": model.name, "engine": engine["engine"], "device": engine["device"],
            "recipe": recipe.to_dict(), "images": rows}, indent=2))
    failed = sum("error" in row for row in rows)
    return 0 if not failed else 2 if failed == len(rows) else 1


def _collector(options: argparse.Namespace, recipes: "Sequence[Recipe]",
               models: "Sequence[LoadedModel]") -> "Optional[Collector]":
    """What collects the entries of the page, where one is to be written."""
    if not options.report:
        return None
    if len(models) > 1:
        raise QuestionError("--report: a page shows one score; give --score once", "--report")
    from caffe_gradcam.commands.reporting import Collector

    return Collector(recipes[0], models[0])


def _detect(recipes: "Sequence[Recipe]", models: "Sequence[LoadedModel]",
            items: "List[Request]", options: argparse.Namespace) -> int:
    """Explain the boxes that a detector finds; the result is the exit code."""
    from caffe_gradcam.commands import recipes as choices
    from caffe_gradcam.commands.detections import DetectionWriter

    figures = choices.figure_options(options)
    if len(models) > 1 or recipes[0].asking.crop or figures.kind == "grid":
        raise QuestionError("--detections explains one score of whole images; leave out --crop "
                            "and --figure grid, and give --score once", "--detections")
    collector = _collector(options, recipes, models)
    writer = DetectionWriter(options.folder, recipes[0], figures, options.npz,
                             options.json or options.quiet, collector)
    rows = writer.run(models[0], items, options.batch)
    if collector is not None:
        collector.write(options.report, writer.engine)
    return _report(rows, recipes[0], models[0], writer.engine, options)


def _explain_clips(recipes: "Sequence[Recipe]", models: "Sequence[LoadedModel]",
                   options: argparse.Namespace) -> int:
    """Explain videos; the result is the exit code."""
    from caffe_gradcam.commands import recipes as choices
    from caffe_gradcam.commands.clips import ClipWriter

    if len(models) > 1 or recipes[0].asking.crop or options.heat_boxes is not None or \
            options.report or options.npz:
        raise QuestionError("clips are explained for one score; leave out --crop, --heat-boxes, "
                            "--report and --npz, and give --score once", "--score")
    writer = ClipWriter(options.folder, recipes[0], choices.figure_options(options),
                        options.video, options.json or options.quiet)
    rows = writer.run(models[0], options.images)
    return _report(rows, recipes[0], models[0], writer.engine, options)


def _describe(recipes: "Sequence[Recipe]", models: "Sequence[LoadedModel]",
              items: "List[Request]", options: argparse.Namespace) -> int:
    """Explain captions word by word; the result is the exit code."""
    from caffe_gradcam.commands import recipes as choices
    from caffe_gradcam.commands.captions import CaptionWriter

    if len(models) > 1 or recipes[0].asking.crop or options.heat_boxes is not None:
        raise QuestionError("--caption and --sentence explain one score of whole images; leave out "
                            "--crop and --heat-boxes, and give --score once", "--caption")
    collector = _collector(options, recipes, models)
    writer = CaptionWriter(options.folder, recipes[0], choices.figure_options(options),
                           options.npz, options.json or options.quiet, collector)
    rows = writer.run(models[0], items)
    if collector is not None:
        collector.write(options.report, writer.engine)
    return _report(rows, recipes[0], models[0], writer.engine, options)


def _check(recipes: "Sequence[Recipe]", models: "Sequence[LoadedModel]") -> None:
    """Find what cannot be asked before an engine opens: raises a QuestionError."""
    from caffe_gradcam.asking.asker import Asker
    from caffe_gradcam.commands.requests import of_parts

    for recipe, model in zip(recipes, models):
        try:
            Asker(of_parts(recipe).asking, model)
        except QuestionError as error:
            if len(models) == 1:
                raise
            raise QuestionError(f"score {model.score}: {error}", error.subject) from None
        if list(model.inputs) != list(models[0].inputs):
            raise QuestionError(
                f"--score: {models[0].score} and {model.score} depend on different inputs; "
                "explain them one by one", "--score")


def _explain(explainer: "Explainer", recipe: "Recipe", items: "List[Request]",
             writers: "Tuple[Writer, Optional[Collector]]", options: argparse.Namespace
             ) -> List[Row]:
    """Explain all images, batch by batch; the rows of the JSON report."""
    from tqdm import tqdm

    from caffe_gradcam.commands.requests import explain_all, of_parts
    from caffe_gradcam.pictures import outputs

    asker = of_parts(recipe).asker(explainer)
    writer, collector = writers
    stems = outputs.unique(outputs.stem(*request.paths) for request in items)
    rows = []
    hidden = True if options.quiet else None  # None: hidden where no terminal shows it.
    with tqdm(total=len(items), unit="image",
              disable=True if len(items) == 1 else hidden) as progress, \
            tqdm(desc="running the net again", unit="image", leave=False, disable=hidden) as reruns:
        explainer.on_rerun = reruns.update
        for start in range(0, len(items), options.batch):
            batch = items[start:start + options.batch]
            outcomes = explain_all(explainer, asker, batch)
            for request, stem, outcome in zip(batch, stems[start:], outcomes):
                row = writer.write(request, stem, outcome, (recipe, explainer.model))
                _print(row, options, progress, writer.several_scores)
                rows.append(row)
                if collector is not None:
                    collector.add(request, outcome.then(_shown))
                progress.update()
    return rows


def _shown(answer: "Answer") -> "Shown":
    """What a page shows of an answer."""
    from caffe_gradcam.report.explained import Shown

    result = answer.results[-1]
    image = answer.images.of_input(result.explanations[0].input)
    return Shown(image, result.explanations, result.predicted)


def _print(row: Row, options: argparse.Namespace, progress: "tqdm", several_scores: bool) -> None:
    """Print what became of an image: a line for each figure, or the error."""
    if "error" in row:
        progress.write("caffe-gradcam: {}".format(row["error"]), file=sys.stderr)
    elif not (options.json or options.quiet):
        name = f"{row['path']}, {row['score_blob']}" if several_scores else row["path"]
        for entry in row["explanations"]:
            progress.write(f"{name}: {_answer(entry)} -> {entry['figure']}")
            if "words" in entry:
                progress.write("  words: " + ", ".join(
                    "{word} {relevance:+.2g}".format(**word) for word in entry["words"]))


def _answer(entry: Row) -> str:
    """``281 tabby (93.1 %), grad-cam at conv5``; of an empty map, that it is empty."""
    from caffe_gradcam.pictures.figures import percent

    value = (f"score {entry['score']:.4g}" if entry["probability"] is None
             else percent(entry["probability"]))
    text = f"{entry['question']} ({value}), {entry['method']} at {entry['layer']}"
    return text + ", the map is empty" if entry["status"] == "empty" else text
