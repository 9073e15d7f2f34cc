"""caffe-gradcam batch: explain many images into part files, and go on after any end."""

import argparse
import dataclasses
import json
import re
import signal
import sys
import threading

from caffe_gradcam.commands import options as shared
from prototxt_tools.errors import InputError

DESCRIPTION = """\
Explain the images of SOURCE into part files in OUT, with rows of scores and maps. The same
command goes on where an earlier run ended, however that was; finished parts are never redone.
"""

EXAMPLES = """\
examples:
  caffe-gradcam batch models/squeezenet photographs -o out
  caffe-gradcam batch models/squeezenet val.txt --root val -o out --top 5 --overlays wrong
      a list in Caffe's form: "path label" on each line
  find photographs -name '*.jpg' | caffe-gradcam batch models/squeezenet - -o out
  caffe-gradcam batch models/resnet50 s3://photos/train -o s3://maps/train --devices 0,1,2,3
  caffe-gradcam batch models/resnet50 val.txt -o /shared/out --shard 3/100
      the third of a hundred shares, so that a scheduler can run the others elsewhere
  caffe-gradcam batch status out
  caffe-gradcam batch verify out
  caffe-gradcam render out --where "status == 'ok' and label != class"

SOURCE is a folder (every file in it and below), a text list, .csv, .tsv, .jsonl or .parquet with
a column path and, if you like, id, label (the true class), class or question (what to ask) and
box (x,y,width,height: what to ask about), an LMDB of Caffe's Datums, a WebDataset .tar, or - for
paths on standard input. SOURCE, OUT and the paths of lists may be URLs if fsspec is installed.

exit codes: 0 all done, or stopped by SIGTERM after the parts in hand; 1 some images are
unreadable or failed; 2 nothing could be done, or nothing more
"""


def add(commands):
    """Add the subcommand's parser."""
    parser = commands.add_parser(
        "batch",
        help="explain many images into part files",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="caffe-gradcam batch MODEL SOURCE -o OUT [option ...]\n"
              "       caffe-gradcam batch status OUT [--json]\n"
              "       caffe-gradcam batch verify OUT",
    )
    parser.add_argument("model", metavar="MODEL", help="a model folder or a prototxt")
    parser.add_argument("source", metavar="SOURCE", help="the images; see below")
    parser.add_argument("-o", dest="output", metavar="OUT", help="a folder, or a URL")
    asking = parser.add_argument_group("what to explain")
    shared.add_questions(asking)
    asking.add_argument("--top", metavar="K", type=shared.positive,
                        help="the K classes with the highest scores; --class top:K")
    shared.add_methods(parser.add_argument_group("how to explain it"))
    _add_parts(parser.add_argument_group("what to do of it"))
    running = parser.add_argument_group("how to run")
    shared.add_running(running)
    _add_running(running)
    shared.add_model(parser.add_argument_group(
        "the model, where its folder says nothing or is wrong"))
    figures = parser.add_argument_group("figures")
    figures.add_argument("--overlays", metavar="none|all|wrong|N", type=_overlays, default="none",
                         help="draw figures besides: of all images, of those whose label is not "
                         "the best class, or of the first N (default: none; see render)")
    add_look(figures)
    _add_output(parser.add_argument_group("output"))
    parser.set_defaults(run=run)


def add_look(group):
    """How figures look: options of batch and of render."""
    group.add_argument("--figure", metavar="KIND", default="side-by-side",
                       help="side-by-side (default) or overlay (the bare picture)")
    group.add_argument("--style", metavar="NAME", default="fade", help="see explain --help")
    group.add_argument("--colormap", metavar="NAME", help="any of OpenCV's, such as viridis")
    group.add_argument("--opacity", metavar="X", type=float, help="of the colours, 0 to 1")
    group.add_argument("--boxes", metavar="X", type=float, nargs="?", const=0.15,
                       help="boxes around what has this part of the highest heat (without X: "
                       "0.15), in figures and in rows")
    group.add_argument("--format", metavar="EXT", default="png", help="png (default), jpg or webp")


def look_of(options):
    """What ``drawing.LOOK`` names, as the options want it."""
    from caffe_gradcam.batch.pipeline.drawing import LOOK

    return {name: getattr(options, name) for name in LOOK}


def _add_parts(group):
    group.add_argument("--shard", metavar="I/N", type=_share,
                       help="do the I-th of N shares of the parts, I from 1 to N")
    group.add_argument("--shard-size", metavar="N", type=shared.positive,
                       help="images of one part (default: 1000)")
    group.add_argument("--limit", metavar="N", type=shared.positive,
                       help="take only the first N images of SOURCE")
    group.add_argument("--root", metavar="DIR",
                       help="what relative paths start from (default: the list's folder)")
    group.add_argument("--resume", dest="resume", action="store_true", default=True,
                       help="go on with what there is in OUT (default)")
    group.add_argument("--no-resume", dest="resume", action="store_false",
                       help="remove what there is in OUT, and start anew")
    group.add_argument("--retry-failed", action="store_true",
                       help="explain again what was unreadable or failed")


def _add_running(group):
    group.add_argument("--devices", dest="device", metavar="0,1,...|cpu",
                       help="each with a net of its own (default: cpu)")
    group.add_argument("--workers", metavar="N", type=shared.positive,
                       help="processes per device that read and decode (default: the cores)")
    group.add_argument("--timeout", metavar="SECONDS", type=float, default=600.0,
                       help="that a batch may take before the net counts as hanging (600)")
    group.add_argument("--runner", choices=["local", "ray"], default="local",
                       help="ray: on the cluster that RAY_ADDRESS names, or here")
    group.add_argument("--ray-actors", metavar="N", type=shared.positive,
                       help="nets in the cluster (default: as many as fit)")
    group.add_argument("--ray-gpus", metavar="X", type=float, help="GPUs of each net (1, on cpu 0)")
    group.add_argument("--ray-cpus", metavar="X", type=float,
                       help="cores of each net with its decoders (default: --workers and one)")


def _add_output(group):
    group.add_argument("--log-json", action="store_true",
                       help="one JSON object on each line of stderr, instead of text")
    group.add_argument("--metrics", metavar="FILE",
                       help="keep a text file for Prometheus up to date")
    group.add_argument("--json", action="store_true", help="print the result as JSON")
    shared.add_talk(group)


def _share(text):
    match = re.match(r"(\d+)/(\d+)$", text)
    share = tuple(map(int, match.groups())) if match else (0, 0)
    if not 1 <= share[0] <= share[1]:
        raise argparse.ArgumentTypeError(f"I/N with I from 1 to N, not {text!r}")
    return share


def _overlays(text):
    if text in ("none", "all", "wrong"):
        return text
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"none, all, wrong or a number, not {text!r}")
    return int(text)


def run(options):
    """Run the subcommand; the result is the exit code."""
    if options.output is None:
        if options.model in ("status", "verify"):
            return (_status if options.model == "status" else _verify)(options)
        raise InputError("say where to write: -o OUT")
    from caffe_gradcam import batch

    model = shared.load_model(options)
    if not (options.json or options.quiet or options.log_json):
        print(shared.describe(model), file=sys.stderr)
    stop = threading.Event()
    with _stopping(stop):
        summary = batch.run(stop=stop, **_arguments(options))
    _tell(summary, options)
    if not summary.complete:
        return 0
    return 1 if summary.held["unreadable"] + summary.held["failed"] else 0


def _arguments(options):
    """The options as arguments of ``batch.run``."""
    from caffe_gradcam.model.fields import READERS

    names = ("model", "source", "output", "weights", "engine", "batch", "timeout", "workers",
             "shard_size", "limit", "root", "overlays", "boxes", "resume", "retry_failed",
             "runner", "quiet", "log_json", "metrics")
    given = {name: getattr(options, name) for name in names}
    given["runner_options"] = {} if options.runner == "local" else {
        "actors": options.ray_actors, "gpus": options.ray_gpus, "cpus": options.ray_cpus}
    return dict(
        given, overrides={name: getattr(options, name) for name in READERS},
        asking=_asking(options), devices=_devices(options.device), share=options.shard,
        look=look_of(options), command=sys.argv,
        explainer={"methods": shared.methods(options), "samples": options.samples,
                   "gradient": options.gradient, "placement": options.placement,
                   "fuse": options.fuse},
        engine_options={"precision": options.precision, "trust": options.trust,
                        "allow_missing": options.allow_missing, "verbose": options.verbose})


def _asking(options):
    """See ``spec.make``."""
    asking = shared.asking(options)
    if options.top:
        asking = dataclasses.replace(asking, classes=asking.classes + (f"top:{options.top}",))
    values = dataclasses.asdict(asking)
    return {name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()}


def _devices(text):
    """``0,1`` or ``cuda:0,cuda:1`` or ``cpu``, as engines call them."""
    return ["cuda:" + one if one.isdigit() else one
            for one in (part.strip() for part in text.split(","))]


class _stopping:
    """While this lasts, SIGTERM sets an event; a second one ends the process."""

    def __init__(self, stop):
        self._stop = stop

    def __enter__(self):
        self._before = None
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._handle)

    def __exit__(self, *error):
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def _handle(self, number, frame):
        if self._stop.is_set():
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number) if hasattr(signal, "raise_signal") else sys.exit(143)
        self._stop.set()


def _tell(summary, options):
    """What the run came to."""
    if options.json:
        print(json.dumps(dict(summary._asdict()), indent=2))
    if options.quiet:
        return
    bad = [f"{summary.held[name]} {name}" for name in ("unreadable", "failed")
           if summary.held[name]]
    if not summary.complete:
        print(f"caffe-gradcam: stopped after {summary.parts} parts; the same command goes on from "
              "there", file=sys.stderr)
    elif bad and not options.log_json:
        print("caffe-gradcam: {}; see {}, or try them again with --retry-failed".format(
            ", ".join(bad), summary.output), file=sys.stderr)


def _status(options):
    from caffe_gradcam.batch.output import status
    from caffe_gradcam.batch.output.plan import Plan
    from caffe_gradcam.batch.storage import open_folder

    plan = Plan.open(open_folder(options.source))
    done = plan.done()
    counts = status.count(plan)
    report = {"output": options.source, "parts": len(done), "parts_planned": plan.shards,
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


def _verify(options):
    from caffe_gradcam.batch.output import status
    from caffe_gradcam.batch.output.plan import Plan
    from caffe_gradcam.batch.storage import open_folder

    plan = Plan.open(open_folder(options.source))
    problems = status.problems(plan)
    for one in problems:
        print(f"caffe-gradcam: {one}", file=sys.stderr)
    if not problems:
        print(f"{options.source}: {len(plan.done())} of {plan.shards} parts, and all of them are sound")
    return 1 if problems else 0
