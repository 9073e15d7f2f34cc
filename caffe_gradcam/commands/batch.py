"""caffe-gradcam batch: explain many images into part files, and continue after any interruption."""

import argparse
import dataclasses
import json
import re
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, Iterator, Union

from caffe_gradcam.commands import options as shared
from prototxt_tools.commands.parsing import Rare
from prototxt_tools.errors import QuestionError

if TYPE_CHECKING:
    from caffe_gradcam.batch import Options, Summary
    from caffe_gradcam.batch.output.plan import Plan

DESCRIPTION = """\
Explain the images of SOURCE into part files in OUT, with rows of scores and maps. The same command
continues where an earlier run ended, whatever ended it; finished parts are never made again.
"""

EXAMPLES = """\
examples:
  caffe-gradcam batch models/squeezenet val.txt --root val -o out --class top:5 --overlays wrong
      a list in Caffe's form: "path label" on each line
  find photos -name '*.jpg' | caffe-gradcam batch models/squeezenet - -o out
  caffe-gradcam batch models/resnet50 s3://photos/train -o s3://maps/train --device 0,1,2,3
  caffe-gradcam batch models/resnet50 val.txt -o /shared/out --worker 3/100
      the third of a hundred workers on one output, which a scheduler can start elsewhere
  caffe-gradcam render out --where "status == 'ok' and true_label != class"

exit codes: 0: done, or stopped by SIGTERM after the parts in progress; 1: some images are
unreadable or failed; 2: the input is unusable, or the run had to stop
"""

DETAILS = """\
SOURCE is an image; a folder (all images in it and below); a pattern such as 'photos/*.jpg'; a text
list; a .csv, .tsv, .jsonl or .parquet with a column path and optionally id, true_label, class or
question (what to ask) and box (x,y,width,height: what to ask about); an LMDB of Caffe's Datums; a
WebDataset .tar; an HDF5 file; or - for paths on standard input. SOURCE, OUT and the paths in lists
may be URLs if fsspec is installed.
"""


def add(commands: Any) -> None:
    """Add the subcommand's parser."""
    parser = shared.add_command(
        commands, "batch", "explain many images into part files",
        description=DESCRIPTION, epilog=EXAMPLES, details=DETAILS,
        rest="images", usage="caffe-gradcam batch MODEL SOURCE -o OUT [option ...]\n"
              "       caffe-gradcam batch status OUT [--json]\n"
              "       caffe-gradcam batch verify OUT")
    parser.add_argument("model.path", metavar="MODEL",
                        help="a model folder, a prototxt, or a public model's name")
    parser.add_argument("images", metavar="SOURCE", nargs="?",
                        help="a folder, list, table or archive of images; see --help-all")
    parser.add_argument("-o", dest="output", metavar="OUT", help="a folder or a URL")
    asking = parser.add_argument_group("what to explain")
    shared.add_questions(asking)
    shared.add_detections(asking, "every box that a detector finds")
    shared.add_words(asking, "every word of the caption that the net writes")
    explaining = parser.add_argument_group("how to explain it")
    shared.add_methods(explaining, "grad-cam (default) or another, see explain --help-all; commas "
                       "or repeatable", shared.LAYER)
    shared.add_fusion(explaining)
    _add_parts(parser.add_argument_group("what to write"))
    running = parser.add_argument_group("how to run")
    shared.add_running(running, several_devices=True)
    _add_running(running)
    shared.add_model(parser.add_argument_group(
        "the model, where its folder does not specify it"))
    figures = parser.add_argument_group("figures")
    figures.add_argument("--overlays", metavar="none|all|wrong|N", type=_overlays, default="none",
                         help="also draw figures of all, of the wrongly classified or of the "
                         "first N images (default: none)")
    add_look(figures)
    _add_output(parser.add_argument_group("output"))
    parser.set_defaults(run=run)


def add_look(group: shared.Group) -> None:
    """How figures look: options of batch and of render."""
    shared.add_look(group, "side-by-side (default) or overlay, without the image",
                    "png (default), jpg or webp")


def _add_parts(group: shared.Group) -> None:
    group.add_argument("--limit", metavar="N", type=shared.positive,
                       help="take only the first N images")
    group.add_argument("--worker", metavar="I/N", type=shared.worker,
                       help="this run is the I-th of N workers on one output")
    group.add_argument("--part-size", metavar="N", type=shared.positive,
                       help="the number of images in a part (default: 1000)")
    group.add_argument("--root", metavar="DIR",
                       help="where relative paths start (default: at the list)")
    group.add_argument("--no-resume", dest="resume", action="store_false",
                       help="remove what is in OUT, and start over")
    group.add_argument("--add", action="store_true",
                       help="also explain images that are new in SOURCE")
    group.add_argument("--retry-failed", action="store_true",
                       help="try images again that were unreadable or failed")


def _add_running(group: shared.Group) -> None:
    group.add_argument("--decoders", metavar="N", type=shared.positive,
                       help="processes that decode images (default: one per core)")
    group.add_argument("--threads", metavar="N", type=shared.positive,
                       help=Rare("threads of each net on a CPU; there are as many nets as the "
                                 "cores allow (default: 1, more where memory limits the nets)"))
    group.add_argument("--decode", metavar="auto|cpu|reduced|cuda", default="auto",
                       help=Rare("what decodes JPEGs: OpenCV on the CPU, in full or at a reduced "
                                 "size that is enough for the net, or the card (default: auto: "
                                 "the card where it can and there are fewer than 32 cores for "
                                 "each card, otherwise cpu)"))
    group.add_argument("--timeout", metavar="SECONDS", type=float, default=600.0,
                       help=Rare("the time for one batch, after which the net is stopped "
                                 "(default: 600)"))
    group.add_argument("--runner", metavar="local|ray", default="local",
                       help=Rare("ray: run on the cluster that RAY_ADDRESS names, or without it on "
                                 "this machine; default: local"))
    group.add_argument("--ray-actors", metavar="N", type=shared.positive,
                       help=Rare("nets in the cluster (default: as many as fit)"))
    group.add_argument("--ray-gpus", metavar="X", type=float,
                       help=Rare("GPUs for each net (default: 1; on the CPU 0)"))
    group.add_argument("--ray-cpus", metavar="X", type=float,
                       help=Rare("cores for each net and its decoders (default: the number of "
                                 "--decoders and one more)"))


def _add_output(group: shared.Group) -> None:
    group.add_argument("--json", action="store_true", help="print the result as JSON")
    group.add_argument("--log-json", action="store_true",
                       help=Rare("print one JSON object on each line of stderr, instead of text"))
    group.add_argument("--metrics", metavar="FILE",
                       help=Rare("keep a text file for Prometheus up to date"))
    shared.add_config(group)
    shared.add_verbosity(group)


def _overlays(text: str) -> Union[str, int]:
    if text in ("none", "all", "wrong"):
        return text
    if not re.match("[0-9]{1,9}$", text):
        raise argparse.ArgumentTypeError(f"expected none, all, wrong or a number, not {text!r}")
    return int(text)


def run(options: argparse.Namespace) -> int:
    """Run the subcommand; the result is the exit code."""
    if options.output is None:
        inspection = {"status": _status, "verify": _verify}.get(getattr(options, "model.path"))
        if inspection is not None and options.images is not None:
            return inspection(options)
        raise QuestionError("there is no output; give -o OUT", "-o")
    from caffe_gradcam import batch
    from caffe_gradcam.commands import recipes
    from caffe_gradcam.commands.describing import describe

    recipe = recipes.from_options(options)
    if options.images is None:
        raise QuestionError("there is no source of images; give SOURCE")
    recipes.save(recipe, options)
    recipe = recipes.located(recipe, options)
    model = recipes.load_model(recipe, options)
    if not (options.json or options.quiet or options.log_json):
        print(describe(model), file=sys.stderr)
    stop = threading.Event()
    with Stopping(stop):
        summary = batch.run(
            recipe, options.images, options.output, _options(options), stop, model)
    _print(summary, options)
    if not summary.complete:
        return 0
    return 1 if summary.held["unreadable"] + summary.held["failed"] else 0


def _options(options: argparse.Namespace) -> "Options":
    """What the command line specifies besides the recipe."""
    from caffe_gradcam import batch
    from caffe_gradcam.commands import recipes

    return batch.Options(
        batch.Parts(options.part_size, options.worker, options.limit, options.root,
                    options.resume, options.retry_failed, options.add),
        batch.Pipeline(options.batch, recipes.devices_of(options), options.decoders,
                       options.timeout, options.runner,
                       batch.Ray(options.ray_actors, options.ray_gpus, options.ray_cpus),
                       options.threads, options.decode),
        batch.Drawing(options.overlays, recipes.figure_options(options)),
        batch.Reporting(options.quiet, options.log_json, options.metrics, tuple(sys.argv)))


class Stopping:
    """While this lasts, SIGTERM sets an event; a second one ends the process."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._before: Any = None

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._handle)

    def __exit__(self, *error: Any) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def _handle(self, number: int, frame: Any) -> None:
        if self._stop.is_set():
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number) if hasattr(signal, "raise_signal") else sys.exit(143)
        self._stop.set()


def _print(summary: "Summary", options: argparse.Namespace) -> None:
    """Print what the run came to."""
    if options.json:
        print(json.dumps(dataclasses.asdict(summary), indent=2))
    if options.quiet:
        return
    if not summary.complete:
        print(f"caffe-gradcam: stopped after {summary.parts} parts; the same command continues "
              "from there", file=sys.stderr)
    elif not options.log_json:
        print("caffe-gradcam: " + "; ".join(_conclusions(summary, options)), file=sys.stderr)


def _conclusions(summary: "Summary", options: argparse.Namespace) -> Iterator[str]:
    """Counts, accuracy where true labels are known, and what to do next."""
    from caffe_gradcam.batch.output import status

    counts = {name: summary.held[name] for name in ("ok", "empty", "unreadable", "failed")}
    yield f"{sum(counts.values())} images: " + ", ".join(
        f"{count} {name}" for name, count in counts.items() if count)
    right, labelled = status.accuracy(_open(summary.output), options.worker)
    if labelled:
        yield f"accuracy {right / labelled:.1%} of {labelled} labelled images"
    if counts["unreadable"] + counts["failed"]:
        yield (f"see {summary.output} for the reasons, or try these images again with "
               "--retry-failed")
    yield f"caffe-gradcam render {summary.output} -o DIR draws the figures"


def _open(output: str) -> "Plan":
    from caffe_gradcam.batch.output.plan import Plan
    from caffe_gradcam.batch.storage import open_folder

    return Plan.open(open_folder(output))


def _status(options: argparse.Namespace) -> int:
    from caffe_gradcam.batch.output import status

    plan = _open(options.images)
    done = plan.done()
    counts = status.count(plan)
    report = {"output": options.images, "parts": len(done), "parts_planned": plan.parts,
              "images": sum(map(plan.size, done)), "images_planned": plan.manifest["items"],
              "rows": counts.pop("rows"), "counts": counts, "runs": len(plan.manifest["runs"])}
    if options.json:
        print(json.dumps(report, indent=2))
        return 0
    print("{output}: {parts} of {parts_planned} parts, {images} of {images_planned} images, "
          "{rows} rows".format(**report))
    for name, count in counts.items():
        print(f"  {name:<10} {count}")
    return 0


def _verify(options: argparse.Namespace) -> int:
    from caffe_gradcam.batch.output import status

    plan = _open(options.images)
    problems = status.problems(plan)
    for problem in problems:
        print(f"caffe-gradcam: {problem}", file=sys.stderr)
    if not problems:
        print(f"{options.images}: {len(plan.done())} of {plan.parts} parts are finished, and all "
              "of them are sound")
    return 1 if problems else 0
