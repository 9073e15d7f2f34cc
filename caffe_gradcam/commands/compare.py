"""caffe-gradcam compare: what another model, or another way to explain, changes."""

import argparse
import dataclasses
import json
import os
import sys
from typing import TYPE_CHECKING, Any, Dict, List, Optional

from caffe_gradcam.commands import options as shared
from prototxt_tools.errors import InputError, QuestionError

if TYPE_CHECKING:
    from caffe_gradcam.report.comparison import Comparison
    from caffe_gradcam.report.output import Output

DESCRIPTION = """\
Compare two batches of the same images: answers that changed, accuracy before and after with
McNemar's test, similarity of the maps. A and B are each the output of a batch, a model, or a
configuration (.yaml or .json of --save-config); a model or a configuration explains SOURCE first.
DIR gets report.html, compare.json and sheets of images, those that differ most first.
"""

EXAMPLES = """\
examples:
  caffe-gradcam compare before after -o difference
  caffe-gradcam compare models/old models/new val.txt -o difference \\
      --fail-if "accuracy_drop > 0.01 or changed > 0.05"
      in continuous integration: exit code 3 if a retraining changes too much

names in --fail-if: images changed changed_images accuracy_before accuracy_after accuracy_drop
p_value similarity least_class_similarity unmatched; operators: < <= > >= == != and or not + - * /.
Fractions and accuracies go from 0 to 1.

exit codes: 0: done; 2: the input is unusable; 3: the condition of --fail-if is true
"""
FAILED = 3
_MOST_SHEETS = 5


def add(commands: Any) -> None:
    """Add the subcommand's parser."""
    parser = shared.add_command(
        commands, "compare", "compare two models, or two batches", description=DESCRIPTION,
        epilog=EXAMPLES, usage="caffe-gradcam compare A B [SOURCE] -o DIR [option ...]")
    parser.add_argument("before", metavar="A", help="the output of a batch, a model or a "
                        "configuration")
    parser.add_argument("after", metavar="B", help="another")
    parser.add_argument("images", metavar="SOURCE", nargs="?",
                        help="images, as batch takes them; not needed for two batches")
    parser.add_argument("-o", dest="folder", metavar="DIR", required=True,
                        help="the folder for the report")
    parser.add_argument("--fail-if", metavar="CONDITION",
                        help="end with exit code 3 if this is true")
    parser.add_argument("--class", dest="asking.classes", metavar="CLASS", action="append",
                        help="what to explain of models, as in batch (default: top:1)")
    parser.add_argument("--method", dest="explaining.methods", metavar="NAME",
                        action=shared.Names, help="how models are explained (default: grad-cam)")
    shared.add_running(parser.add_argument_group("how to run models"))
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    parser.add_argument("--offline", action="store_true",
                        help="never download a public model; use what was fetched before")
    shared.add_verbosity(parser)
    parser.set_defaults(run=run, config=None, save_config=None)


def run(options: argparse.Namespace) -> int:
    """Run the subcommand; the result is the exit code."""
    from caffe_gradcam.report import comparison, page
    from caffe_gradcam.report.condition import Condition
    from caffe_gradcam.report.output import Output

    page.environment()
    counted = comparison.Comparison()
    condition = Condition(options.fail_if, counted.values()) if options.fail_if else None
    before, after = (Output(_output(options, name)) for name in ("before", "after"))
    side = page.side_for(min(max(before.size(), after.size()), page.MOST_ON_PAGE))
    entries = comparison.most_different(
        comparison.paired(before.entries(side), after.entries(side), counted), counted,
        page.MOST_ON_PAGE)
    if not counted.pairs:
        raise QuestionError(f"{options.before} and {options.after} have no image in common; "
                            "images are matched by their names in the source")
    values = {name: None if value != value else value
              for name, value in counted.values().items()}
    _write(options.folder, [before, after], entries, counted, values)
    if options.json:
        print(json.dumps(values, indent=2))
    elif not options.quiet:
        _print(values, options.folder)
    if condition is not None and condition.holds(counted.values()):
        print(f"caffe-gradcam: --fail-if is true: {condition.text}", file=sys.stderr)
        return FAILED
    return 0


def _output(options: argparse.Namespace, name: str) -> str:
    """The output of one side: the given one, or one of a batch that runs now."""
    from caffe_gradcam import batch
    from caffe_gradcam.batch.output.plan import MANIFEST
    from caffe_gradcam.batch.storage import open_folder
    from caffe_gradcam.commands import recipes

    text = getattr(options, name)
    if os.path.isdir(text) and open_folder(text).exists(MANIFEST):
        return str(text)
    if options.images is None:
        raise QuestionError(f"{text}: not the output of a batch; give the images to explain "
                            "with it as SOURCE", text)
    is_configuration = os.path.splitext(text)[1].lower() in (".yaml", ".yml", ".json")
    given = argparse.Namespace(**dict(
        vars(options), config=text if is_configuration else None,
        **{"model.path": None if is_configuration else text}))
    recipe = recipes.located(recipes.from_options(given), given)
    folder = os.path.join(options.folder, name)
    summary = batch.run(recipe, options.images, folder, batch.Options(
        pipeline=batch.Pipeline(options.batch, recipes.devices_of(options)),
        reporting=batch.Reporting(quiet=options.quiet or options.json,
                                  command=tuple(sys.argv))))
    if not summary.complete:
        raise InputError.about(folder, "the batch was stopped; the same command continues it")
    return folder


def _write(folder: str, sides: "List[Output]", entries: Any, counted: "Comparison",
           values: Dict[str, Optional[float]]) -> None:
    """Write the report, the numbers and the sheets."""
    from caffe_gradcam.model import images
    from caffe_gradcam.report import page, sheets
    from caffe_gradcam.report.manifest_sections import sections
    from caffe_gradcam.report.summary import Summary
    from prototxt_tools.files import write_bytes

    before, after = sides
    report = after.report(Summary.of(entries), f"{_name(before)} beside {_name(after)}")
    report = dataclasses.replace(
        report, class_names={**before.class_names, **after.class_names},
        problems=[*counted.problems(), *(f"before: {text}" for text in before.problems),
                  *(f"after: {text}" for text in after.problems)])
    tables = [section for section in counted.sections(report.class_text) if section.facts]
    report = dataclasses.replace(report, highlights=tables[:1], sections=[
        *tables[1:], *(dataclasses.replace(section, heading=f"{side}: {section.heading}")
          for side, output in zip(("Before", "After"), sides)
          for section in sections(output.manifest))])
    write_bytes(os.path.join(folder, "report.html"), page.render(report, entries))
    write_bytes(os.path.join(folder, "compare.json"),
                (json.dumps(values, indent=2) + "\n").encode("ascii"))
    most = entries[:_MOST_SHEETS * sheets.ROWS]
    for number, sheet in enumerate(sheets.draw(most, report), 1):
        images.write(os.path.join(folder, f"sheet-{number:02d}.png"), sheet)


def _name(output: "Output") -> str:
    return os.path.basename(os.path.normpath(output.path))


def _print(values: Dict[str, Optional[float]], folder: str) -> None:
    for name, value in values.items():
        if value is not None:
            print(f"{name:<23} {value:.6g}")
    print(f"{os.path.join(folder, 'report.html')}: open it in a browser", file=sys.stderr)
