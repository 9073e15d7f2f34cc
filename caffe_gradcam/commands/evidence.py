"""caffe-gradcam evidence: one archive of what a batch came to, and its check."""

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

from caffe_gradcam.commands import options as shared
from prototxt_tools.errors import InputError, Outcome, QuestionError

if TYPE_CHECKING:
    from caffe_gradcam.report.evidence.parity import Parity
    from caffe_gradcam.report.output import Output

DESCRIPTION = """\
Write an archive of what is in OUT, the output of a batch: the report, all scores, the parts with
the maps, the SHA-256 of every part and image, versions, the recipe, and a text that tells what each
of them shows and what it does not. Files that survey and evaluate have written into OUT are
included. A few of the images are explained again by another engine, Caffe where it is installed,
and compared. The second form checks such an archive, for which it needs nothing else.
"""

EXAMPLES = """\
examples:
  caffe-gradcam survey out
  caffe-gradcam evaluate models/digits photographs -o out
  caffe-gradcam evidence out -o evidence.zip --attach my-own-test.log
  ssh-keygen -Y sign -n file -f ~/.ssh/id_ed25519 evidence.zip
      a signature, in evidence.zip.sig
  caffe-gradcam evidence verify evidence.zip --signers allowed_signers

exit codes: 0: done; 1: the archive has been changed or damaged; 2: the input is unusable
"""
NO_REFERENCE = "none"


def add(commands: Any) -> None:
    """Add the subcommand's parser."""
    from caffe_gradcam.engines.running import ENGINES

    parser = shared.add_command(
        commands, "evidence", "write or check an archive of what batch has explained",
        description=DESCRIPTION, epilog=EXAMPLES,
        usage="caffe-gradcam evidence OUT -o FILE [option ...]\n"
              "       caffe-gradcam evidence verify FILE [--signers FILE]")
    parser.add_argument("output", metavar="OUT", help="the folder or URL that batch wrote")
    parser.add_argument("archive", metavar="FILE", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("-o", dest="file", metavar="FILE", help="the archive, a .zip file")
    parser.add_argument("--attach", metavar="FILE", action="append", default=[],
                        help="add a file, such as the log of a test of your own; repeatable")
    parser.add_argument("--signers", metavar="FILE",
                        help="verify: one of these must have signed; see ALLOWED SIGNERS in "
                        "ssh-keygen(1)")
    comparing = parser.add_argument_group("how to compare engines")
    comparing.add_argument("--reference", metavar="NAME", default="auto",
                           choices=(*ENGINES, NO_REFERENCE),
                           help="the engine that the batch is compared with, or none (default: "
                           "caffe where it is installed, otherwise one that is independent of the "
                           "batch's)")
    comparing.add_argument("--trust", action="store_true",
                           help="let layers of the net run Python code and read files")
    shared.add_plugin(comparing)
    shared.add_verbosity(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the subcommand; the result is the exit code."""
    from caffe_gradcam.report import evidence
    from caffe_gradcam.report.output import Output

    if options.output == "verify" and options.archive is not None:
        return _verify(options)
    if options.archive is not None or options.file is None:
        raise QuestionError("there is no archive to write; give its name with -o", "-o")
    if os.path.splitext(options.file)[1].lower() != ".zip":
        raise QuestionError(f"-o {options.file}: evidence is a .zip file", "-o")
    output = Output(options.output)
    parity = _parity(output, options)
    problems = evidence.write(output, options.file, options.attach, parity)
    if not options.quiet:
        for problem in problems:
            print(f"caffe-gradcam: {problem}", file=sys.stderr)
        if parity.value is not None:
            print(f"caffe-gradcam: {parity.value.sentence}", file=sys.stderr)
        print(f"{options.file}: sign it with: ssh-keygen -Y sign -n file -f KEY {options.file}",
              file=sys.stderr)
    return 0


def _parity(output: "Output", options: argparse.Namespace) -> "Outcome[Parity]":
    """How the batch compares with another engine, or why that is not known."""
    from caffe_gradcam.commands.recipes import import_named_plugins
    from caffe_gradcam.report import batch_model
    from caffe_gradcam.report.evidence import parity

    plugins = import_named_plugins(options)
    if options.reference == NO_REFERENCE:
        return Outcome(error=InputError("the engine of the batch was not compared with another "
                                        "one, as --reference none says"))
    try:
        recipe = batch_model.recipe_of(output, options.trust, plugins)
        return Outcome(parity.compare(
            output, recipe, None if options.reference == "auto" else options.reference))
    except InputError as error:
        return Outcome(error=InputError(
            f"the engine of the batch was not compared with another one: {error}"))


def _verify(options: argparse.Namespace) -> int:
    from caffe_gradcam.report import evidence

    problems = evidence.verify(options.archive, options.signers)
    for problem in problems:
        print(f"caffe-gradcam: {problem}", file=sys.stderr)
    if not problems and not options.quiet:
        signed = os.path.isfile(options.archive + ".sig")
        note = "" if options.signers else (
            ", and its signature fits, whoever made it" if signed else "; it is not signed")
        print(f"{options.archive}: every file is as it was written{note}")
    return 1 if problems else 0
