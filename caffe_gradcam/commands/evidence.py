"""caffe-gradcam evidence: one archive of what a batch came to, and its check."""

import argparse
import os
import sys
from typing import Any

from caffe_gradcam.commands import options as shared
from prototxt_tools.errors import QuestionError

DESCRIPTION = """\
Write an archive of what is in OUT, the output of a batch: the report, all scores, the parts with
the maps, the SHA-256 of every part and image, versions, the recipe, and a text that tells what each
shows and what it does not. Or check such an archive, from itself alone.
"""

EXAMPLES = """\
examples:
  caffe-gradcam evidence out -o evidence.zip --attach evaluation.json
  ssh-keygen -Y sign -n file -f ~/.ssh/id_ed25519 evidence.zip
      a signature, in evidence.zip.sig
  caffe-gradcam evidence verify evidence.zip --signers allowed_signers

exit codes: 0: done; 1: the archive is not as it was written; 2: the input is unusable
"""


def add(commands: Any) -> None:
    """Add the subcommand's parser."""
    parser = shared.add_command(
        commands, "evidence", "write or check an archive of what batch has explained",
        description=DESCRIPTION, epilog=EXAMPLES,
        usage="caffe-gradcam evidence OUT -o FILE [--attach FILE ...]\n"
              "       caffe-gradcam evidence verify FILE [--signers FILE]")
    parser.add_argument("output", metavar="OUT", help="the folder or URL that batch wrote")
    parser.add_argument("archive", metavar="FILE", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("-o", dest="file", metavar="FILE", help="the archive, a .zip file")
    parser.add_argument("--attach", metavar="FILE", action="append", default=[],
                        help="add a file, such as the result of evaluate; repeatable")
    parser.add_argument("--signers", metavar="FILE",
                        help="verify: one of these must have signed; see ALLOWED SIGNERS in "
                        "ssh-keygen(1)")
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
    evidence.write(output, options.file, options.attach)
    if not options.quiet:
        for problem in output.problems:
            print(f"caffe-gradcam: {problem}", file=sys.stderr)
        print(f"{options.file}: sign it with: ssh-keygen -Y sign -n file -f KEY {options.file}",
              file=sys.stderr)
    return 0


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
