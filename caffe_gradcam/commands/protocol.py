"""caffe-gradcam evaluate --protocol: a published table, made again on the user's own data.

The maps are made by a batch, whose rows are scored part by part; so a run can be continued, and
divided among workers.
"""

import argparse
import dataclasses
import hashlib
import json
import logging
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

from caffe_gradcam.commands import options as shared
from caffe_gradcam.commands.tables import print_table
from prototxt_tools.commands.parsing import Rare
from prototxt_tools.errors import QuestionError

if TYPE_CHECKING:
    from caffe_gradcam.batch.output.plan import Plan
    from caffe_gradcam.commands.protocol_scores import PartScores
    from caffe_gradcam.explaining.recipe import Recipe
    from caffe_gradcam.measuring.protocols.protocol import Protocol
    from caffe_gradcam.measuring.protocols.published import Reported
    from caffe_gradcam.measuring.protocols.subjects import DataSet
    from caffe_gradcam.measuring.protocols.table import Row
    from caffe_gradcam.model.model import LoadedModel

_NAMES = "torchray-voc07, torchray-coco14, gradcam-ilsvrc, cam-ilsvrc"
# What evaluates images of the user's choice, and how a protocol does not.
_FOREIGN = ("boxes", "metrics")
_ITEMS, _REPORT = "protocol.jsonl", "protocol.json"
_MOST_FAILURES = 20

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class _Work:
    """All that a run is about."""

    protocol: "Protocol"
    data_set: "DataSet"
    recipe: "Recipe"
    model: "LoadedModel"
    classes: Tuple[int, ...]
    reported: "List[Reported]"
    net: Optional[str]
    seed: int

    @property
    def settings(self) -> str:
        """All that scores depend on beside the maps."""
        digest = hashlib.sha256(repr((self.protocol.name, self.classes)).encode("utf-8"))
        for subject in self.data_set.subjects:
            digest.update(repr((subject.name, subject.size, subject.targets)).encode("utf-8"))
        return digest.hexdigest()


def add_options(group: shared.Group) -> None:
    """The options of evaluate that belong to protocols."""
    group.add_argument("--protocol", metavar="NAME",
                       help="reproduce a published table, such as torchray-voc07")
    group.add_argument("--data", metavar="DIR", help="the folder of the protocol's data set")
    group.add_argument("--difficult", metavar="FILE",
                       help=Rare("TorchRay's list of difficult images (default: apply the rule "
                                 "behind that list)"))
    group.add_argument("--published", metavar="NET",
                       help=Rare("compare with the published rows of this net (default: the one "
                                 "that has the same layers)"))
    group.add_argument("--worker", metavar="I/N", type=shared.worker,
                       help=Rare("for a protocol: this run is the I-th of N workers on one output"))
    group.add_argument("--part-size", metavar="N", type=shared.positive,
                       help=Rare("for a protocol: the number of maps in a part (default: 1000)"))


def check_absent(options: argparse.Namespace) -> None:
    """Raise a QuestionError for options of protocols where there is none."""
    for name in ("data", "difficult", "published", "worker", "part_size"):
        if getattr(options, name) is not None:
            option = "--" + name.replace("_", "-")
            raise QuestionError(f"{option} needs --protocol ({_NAMES})", option)


def run(options: argparse.Namespace) -> int:
    """Run a protocol; the result is the exit code."""
    from caffe_gradcam import batch
    from caffe_gradcam.batch.output.plan import Plan
    from caffe_gradcam.batch.storage import open_folder
    from caffe_gradcam.commands import protocol_scores
    from caffe_gradcam.commands.batch import Stopping
    from caffe_gradcam.measuring.protocols.protocol import Scorer

    work = _work(options)
    folder = open_folder(options.folder)
    folder.make()
    lines = [json.dumps(item) for item in work.protocol.items(work.data_set, work.classes)]
    folder.write(_ITEMS, "".join(line + "\n" for line in lines).encode("ascii"))
    stop = threading.Event()
    with Stopping(stop):
        summary = batch.run(work.recipe, folder.locate(_ITEMS), options.folder,
                            _batch_options(options), stop, work.model)
    plan = Plan.open(folder)
    numbers = sorted(plan.done().intersection(plan.parts_of(options.worker)))
    protocol_scores.update(
        plan, numbers, Scorer.of(work.protocol, work.data_set, work.classes), work.settings)
    scored = protocol_scores.collect(plan, work.settings)
    if scored is None:
        print(f"caffe-gradcam: {len(plan.done())} of {plan.parts} parts are finished; the table is "
              "made when all of them are" + ("" if summary.complete else "; the same command "
                                              "continues from there"), file=sys.stderr)
        return 0
    return _conclude(work, plan, scored, options)


def _work(options: argparse.Namespace) -> _Work:
    from caffe_gradcam.measuring.protocols import classes, published
    from caffe_gradcam.measuring.protocols.protocol import PROTOCOLS, fingerprint
    from caffe_gradcam.model import choices

    choices.check([options.protocol], PROTOCOLS, "protocol")
    protocol = PROTOCOLS[options.protocol]
    _check_options(options)
    recipe, model = _recipe(protocol, options)
    net = options.published
    if net is not None:
        choices.check([net], published.TABLES[protocol.name],
                      f"net in the table of {protocol.name}")
    else:
        net = published.net_of(protocol.name, fingerprint(model))
    data_set = protocol.read(options.data, options.difficult, options.limit)
    order = classes.order(data_set.class_names, model.class_names, model.class_count)
    return _Work(protocol, data_set, recipe, model, order, published.rows(protocol.name, net), net,
                 options.seed)


def _check_options(options: argparse.Namespace) -> None:
    for name, option in (("data", "--data DIR"), ("folder", "-o OUT")):
        if getattr(options, name) is None:
            raise QuestionError(f"--protocol needs {option}", option.split()[0])
    if options.images:
        raise QuestionError("--protocol takes its images from --data; leave out "
                            f"{options.images[0]}", "--protocol")
    for name in _FOREIGN:
        if getattr(options, name) is not None:
            raise QuestionError(f"--{name} cannot be used with --protocol, which defines what is "
                                "measured", "--" + name)


def _recipe(protocol: "Protocol", options: argparse.Namespace) -> "Tuple[Recipe, LoadedModel]":
    """The recipe with the published preprocessing, as far as nothing else is given, and its
    model."""
    from caffe_gradcam.asking.asker import Asking
    from caffe_gradcam.commands import recipes
    from caffe_gradcam.explaining.settings import refuse_clips

    recipe = recipes.from_options(options)
    if recipe.asking != Asking():
        raise QuestionError("--protocol asks about the classes of its data set; leave out "
                            "--class, --detections and the like", "--protocol")
    if getattr(options, "explaining.placement") is None and not options.config:
        recipe = dataclasses.replace(recipe, explaining=dataclasses.replace(
            recipe.explaining, placement="stretch"))
    recipe = recipes.located(recipe, options)
    model = recipes.load_model(recipe, options)
    refuse_clips(model)
    given = recipe.model.overrides
    if "resize" not in given and "crop" not in given:
        overrides = protocol.overrides(model)
        if protocol.short_side is not None and isinstance(overrides["resize"], list):
            _logger.warning("this net takes images of one size only, so they are warped to {}x{}; "
                            "the published nets see whole images with a short side of {}".format(
                                *overrides["resize"] + [protocol.short_side]))
        recipe = dataclasses.replace(recipe, model=dataclasses.replace(
            recipe.model, overrides=dict(given, **overrides)))
        model = recipes.load_model(recipe, options)
    recipes.save(recipe, options)
    return recipe, model


def _batch_options(options: argparse.Namespace) -> Any:
    from caffe_gradcam import batch
    from caffe_gradcam.commands import recipes

    return batch.Options(
        batch.Parts(options.part_size, options.worker),
        batch.Pipeline(options.batch, recipes.devices_of(options), decode="cpu"),
        reporting=batch.Reporting(options.quiet or options.json, command=tuple(sys.argv)))


def _conclude(work: _Work, plan: "Plan", part: "PartScores", options: argparse.Namespace) -> int:
    """Print and write the table; the result is the exit code."""
    from caffe_gradcam.measuring.protocols import table

    columns = work.protocol.columns
    rows = table.rows(part.scores, columns, work.seed)
    failures = list(dict.fromkeys(reason if path in reason else f"{path}: {reason}"
                                  for path, reason in part.failures))
    for failure in failures[:_MOST_FAILURES]:
        print(f"caffe-gradcam: {failure}", file=sys.stderr)
    if len(failures) > _MOST_FAILURES:
        print(f"caffe-gradcam: and {len(failures) - _MOST_FAILURES} more", file=sys.stderr)
    if not rows:
        return 2
    report = _report(work, rows, part)
    text = json.dumps(report, indent=2) + "\n"
    plan.folder.write(_REPORT, text.encode("ascii"))
    if options.json:
        print(text, end="")
    else:
        lines = [_heading(work, part), "", table.text(rows, columns, work.reported)]
        print_table("\n".join(lines))
    return 1 if part.failures else 0


def _heading(work: _Work, part: "PartScores") -> str:
    images = len({score.image for score in part.scores})
    net = f"published rows of {work.net}" if work.net else (
        "no published row is of a net with these layers; --published names one")
    return (f"{work.protocol.name}: {work.protocol.title}, {images} images; ± is half of the 95 % "
            f"interval; {net}")


def _report(work: _Work, rows: "List[Row]", part: "PartScores") -> Dict[str, Any]:
    from caffe_gradcam.measuring.protocols import table

    return {"protocol": work.protocol.name, "title": work.protocol.title,
            "model": work.model.name, "recipe": work.recipe.to_dict(), "net": work.net,
            "images": len({score.image for score in part.scores}),
            "failed": [{"path": path, "error": reason} for path, reason in part.failures],
            **table.report(rows, work.protocol.columns, work.reported)}
