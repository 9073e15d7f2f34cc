"""``prototxt-tools audit``: what a stranger's net may do."""

import argparse

from prototxt_tools.commands.files import read

_EXAMPLES = """\
examples:
  prototxt-tools audit stranger.prototxt && caffe test -model stranger.prototxt
      go on only if nothing was found: the exit code is 0 then, and 1 for findings
  curl -s URL | prototxt-tools audit -
      before a file is even stored
"""


def add(commands):
    """Add the command to the parser of ``prototxt-tools``."""
    audit = commands.add_parser(
        "audit",
        help="what a stranger's net may do: run code, touch files, take gigabytes",
        description="Name what a net may do beyond arithmetic: Python layers, layers that read or "
        "write files, paths outside its folder and URLs, gigabytes of weights or blobs, shapes "
        "that overflow, and blobs whose names are one as file names. The net is not run. The "
        "exit code is 0 if nothing was found, else 1.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    audit.add_argument("input", metavar="IN", help="a prototxt file, or - for standard input")
    audit.set_defaults(run=_audit)


def _audit(options):
    # Imported here so that --help needs no protobuf.
    from prototxt_tools.net.net import Net
    from prototxt_tools.reports.audit import audit

    findings = audit(Net.parse(read(options.input)))
    for finding in findings:
        print(f"{finding.kind}: {finding.sentence}")
    return 1 if findings else 0
