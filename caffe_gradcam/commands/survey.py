"""caffe-gradcam survey: what a net looks at in general."""

import argparse
import contextlib
import dataclasses
import json
import os
import sys
from typing import TYPE_CHECKING, Any, List, Optional

from caffe_gradcam.commands import options as shared
from prototxt_tools.errors import InputError

if TYPE_CHECKING:
    from caffe_gradcam.explaining.recipe import Recipe
    from caffe_gradcam.report.output import Output
    from caffe_gradcam.report.survey.covering import Covering
    from caffe_gradcam.report.survey.results import Survey

DESCRIPTION = """\
Show what a net looks at in general, from OUT, the output of a batch: mean maps of each class,
clusters of maps with their most typical images, and a list of what is odd. If the maps of a class
lie in a region that other classes do not use, that region is covered and the model is run again.
The command writes survey.json and the page survey.html into OUT.
"""

EXAMPLES = """\
examples:
  caffe-gradcam survey out
  caffe-gradcam survey out -o survey.html --boxes boxes.csv
      also with mean maps around the boxes of the objects, and the heat inside them
  caffe-gradcam survey out --virelay project
      for ViRelAy: virelay project/project.yaml

exit codes: 0: done; 2: the input is unusable. What is missing in OUT is named on the page
"""
# The longer side of pictures, in pixels.
_SIDE = 224


def add(commands: Any) -> None:
    """Add the subcommand's parser."""
    parser = shared.add_command(
        commands, "survey", "show what a net looks at in general, and what is odd",
        description=DESCRIPTION, epilog=EXAMPLES,
        usage="caffe-gradcam survey OUT [-o FILE] [option ...]")
    parser.add_argument("output", metavar="OUT", help="the folder or URL that batch wrote")
    parser.add_argument("-o", dest="file", metavar="FILE",
                        help="the page, an .html file (default: survey.html in OUT)")
    parser.add_argument("--boxes", metavar="FILE",
                        help="boxes of the objects: .csv with path,class,x,y,width,height, or "
                        ".json")
    parser.add_argument("--objects", metavar="FILE",
                        help="masks of the objects: .json, as evaluate --objects reads it")
    parser.add_argument("--virelay", metavar="DIR", help="also write a project for ViRelAy")
    parser.add_argument("--maps-only", action="store_true",
                        help="do not run the model again, so that regions stay unconfirmed")
    running = parser.add_argument_group("how to ask the model again")
    running.add_argument("--engine", metavar="NAME", help="instead of the engine of the batch")
    running.add_argument("--device", metavar="NAME", help="instead of the device of the batch")
    running.add_argument("--trust", action="store_true",
                         help="let layers of the net run Python code and read files")
    shared.add_plugin(running)
    shared.add_verbosity(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the subcommand; the result is the exit code."""
    from caffe_gradcam.commands.report import check_name
    from caffe_gradcam.report import page
    from caffe_gradcam.report.output import Output
    from caffe_gradcam.report.survey import clusters, surveying

    if options.file:
        check_name(options.file, "-o")
    page.environment()
    clusters.libraries()
    output = Output(options.output, options.boxes, options.objects)
    notes: List[str] = []
    with contextlib.ExitStack() as stack:
        covering = _covering(output, options, notes)
        if covering is not None:
            stack.enter_context(covering)
        survey = surveying.survey(
            output.entries(_SIDE),
            lambda index: output.class_names.get(index) or f"class {index}", covering)
    survey = dataclasses.replace(survey, problems=[*survey.problems, *notes, *output.problems])
    _write(survey, output, options)
    if not options.quiet:
        _print(survey, options)
    return 0


def _covering(output: "Output", options: argparse.Namespace, notes: List[str]
              ) -> "Optional[Covering]":
    """What asks the model again; None, and a note, where that is impossible."""
    from caffe_gradcam.report.survey.covering import Covering

    if options.maps_only:
        return None
    try:
        return Covering(output, _recipe(output, options))
    except InputError as error:
        notes.append(f"{error}; the model could not be asked again, so regions are not confirmed")
        return None


def _recipe(output: "Output", options: argparse.Namespace) -> "Recipe":
    """The output's recipe, on what the command line says."""
    from caffe_gradcam.commands.recipes import import_named_plugins
    from caffe_gradcam.report import batch_model

    recipe = batch_model.recipe_of(output, options.trust, import_named_plugins(options))
    return dataclasses.replace(recipe, running=dataclasses.replace(
        recipe.running, engine=options.engine or recipe.running.engine,
        device=options.device or recipe.running.device))


def _write(survey: "Survey", output: "Output", options: argparse.Namespace) -> None:
    """Write the page, the numbers and what ViRelAy reads."""
    from caffe_gradcam import __version__
    from caffe_gradcam.report import batch_model, lenient
    from caffe_gradcam.report.survey import page, virelay
    from prototxt_tools.files import write_bytes

    model = lenient.text(lenient.mapping(output.manifest, "rows_depend_on").get("model"))
    name = os.path.basename(os.path.normpath(output.path))
    data = page.render_page(survey, f"What {model or 'the net'} looks at in general",
                            f"{name} · survey of caffe-gradcam {__version__}")
    if options.virelay:
        method = next(item.shown.method for of in survey.classes for item in of.maps)
        virelay.write(survey, options.virelay, name, method)
    depends = lenient.mapping(output.manifest, "rows_depend_on")
    values = {**survey.to_dict(), **batch_model.digests_of(depends)}
    output.write("survey.json", (json.dumps(values) + "\n").encode("ascii"))
    if options.file:
        write_bytes(options.file, data)
    else:
        output.write("survey.html", data)


def _print(survey: "Survey", options: argparse.Namespace) -> None:
    for problem in survey.problems:
        print(f"caffe-gradcam: {problem}", file=sys.stderr)
    for finding in survey.findings:
        print(finding.sentence)
    if not survey.findings:
        print("Nothing odd was found.")
    path = options.file or os.path.join(options.output, "survey.html")
    print(f"{path}: open it in a browser", file=sys.stderr)
