"""caffe-gradcam doctor: what is wrong, and what to do about it."""

import argparse
import dataclasses
import json
from typing import TYPE_CHECKING, Any, Dict

from caffe_gradcam.commands import options as shared
from caffe_gradcam.commands import recipes

if TYPE_CHECKING:
    from caffe_gradcam.doctor import Finding

DESCRIPTION = """\
Examine this machine and, if they are given, a model and images, and report in plain words what is
fine, what is doubtful and what is wrong. Each engine is tried in a process of its own.
"""

EXAMPLES = """\
examples:
  caffe-gradcam doctor
      what is installed, what is missing, and what each engine does
  caffe-gradcam doctor models/digits models/digits/scenes/*.png
      and whether weights, labels, mean, scale and channel order fit together

exit codes: 0: everything is fine; 1: something is doubtful; 2: nothing can be explained
"""
_MARKS = {"fine": "ok", "note": "note", "warning": "WARNING", "error": "ERROR"}


def add(commands: Any) -> None:
    """Add the subcommand's parser."""
    parser = shared.add_command(
        commands, "doctor", "find what is wrong with the installation or a model",
        description=DESCRIPTION, epilog=EXAMPLES,
        rest="images", usage="caffe-gradcam doctor [MODEL [IMAGE ...]] [option ...]")
    parser.add_argument("model.path", metavar="MODEL", nargs="?",
                        help="a model folder, a prototxt, or the name of a public model")
    parser.add_argument("images", metavar="IMAGE", nargs="*",
                        help="images that the net should recognise")
    shared.add_device(parser)
    shared.add_plugin(parser)
    parser.add_argument("--json", action="store_true", help="print a list of objects")
    shared.add_verbosity(parser, quiet="print only what is not fine")
    shared.add_model(parser.add_argument_group(
        "the model, where its folder does not specify it"))
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the subcommand; the result is the exit code."""
    from caffe_gradcam import doctor, zoo

    recipes.check_one_device(options)
    recipes.import_named_plugins(options)  # They register layer types of the model.
    name = getattr(options, "model.path")
    path = name and zoo.locate(name, options.offline, options.quiet)
    overrides: Dict[str, Any] = {
        dest.partition(".")[2]: value for dest, value in vars(options).items()
        if dest.startswith("overrides.") and value is not None}
    device = (recipes.devices_of(options) or ("cpu",))[0]
    findings = doctor.examine(
        path, options.images, getattr(options, "model.weights"), device, overrides)
    if options.json:
        print(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            show(finding, options.quiet)
    return doctor.exit_code(findings)


def show(finding: "Finding", quiet: bool = False) -> None:
    """Print a finding."""
    if quiet and finding.severity in ("fine", "note"):
        return
    text = f"{_MARKS[finding.severity]:7}  {finding.check}: {finding.what}"
    if finding.remedy:
        text += f"\n{'':9}-> {finding.remedy}"
    print(text)
