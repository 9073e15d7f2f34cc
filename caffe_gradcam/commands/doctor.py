"""caffe-gradcam doctor: what is wrong, and what to do about it."""

import argparse
import json
import sys

DESCRIPTION = """\
Look at this machine, and at a model and pictures if they are named, and say in plain words what is
well, what is doubtful and what is wrong. Each engine is tried in a process of its own.
"""

EXAMPLES = """\
examples:
  caffe-gradcam doctor
      what is installed, what is missing, and what each engine does
  caffe-gradcam doctor models/digits models/digits/scenes/*.png
      and whether weights, labels, mean, scale and channel order fit together

exit codes: 0 all is well, 1 something is doubtful, 2 nothing can be explained
"""
_MARKS = {"fine": "ok", "note": "note", "warning": "WARNING", "error": "ERROR"}


def add(commands):
    """Add the subcommand's parser."""
    from caffe_gradcam.commands import options as shared

    parser = commands.add_parser(
        "doctor", help="say what is wrong with the installation or a model",
        description=DESCRIPTION, epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="MODEL", nargs="?",
                        help="a model folder, a prototxt, or a name (see caffe-gradcam models)")
    parser.add_argument("images", metavar="IMAGE", nargs="*",
                        help="pictures that the net should know")
    parser.add_argument("--device", metavar="cpu|cuda[:N]", default="cpu")
    parser.add_argument("--json", action="store_true", help="print a list of objects")
    shared.add_talk(parser, quiet="print what is not well only")
    shared.add_model(parser.add_argument_group(
        "the model, where its folder says nothing or is wrong"))
    parser.set_defaults(run=run)


def run(options):
    """Run the subcommand; the result is the exit code."""
    from caffe_gradcam import doctor, zoo
    from caffe_gradcam.model.model import READERS

    path = options.model and zoo.locate(options.model, options.offline, options.quiet)
    overrides = {name: getattr(options, name) for name in READERS if hasattr(options, name)}
    findings = doctor.examine(path, options.images, options.weights, options.device, overrides)
    if options.json:
        print(json.dumps([one._asdict() for one in findings], indent=2))
    else:
        for one in findings:
            say(one, options.quiet)
    return doctor.exit_code(findings)


def say(one, quiet=False):
    """Print a finding."""
    if quiet and one.severity in ("fine", "note"):
        return
    text = f"{_MARKS[one.severity]:7}  {one.check}: {one.what}"
    if one.remedy:
        text += "\n{:9}-> {}".format("", one.remedy)
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding))
