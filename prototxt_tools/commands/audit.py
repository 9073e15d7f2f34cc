"""``prototxt-tools audit``: what a net of unknown origin may do."""

import argparse
from typing import List

from prototxt_tools.commands import Commands, add_command, trees
from prototxt_tools.commands.files import read
from prototxt_tools.text.document import Document

_EXAMPLES = """\
examples:
  prototxt-tools audit stranger.prototxt && caffe test -model stranger.prototxt
      continue only if the exit code is 0, which means that there are no findings
  curl -s URL | prototxt-tools audit -
      check a file before it is stored
"""


def add(commands: Commands) -> None:
    """Add the command to the parser of ``prototxt-tools``."""
    audit = add_command(
        commands,
        "audit",
        summary="what a net of unknown origin may do: run code, open files, use gigabytes",
        description="List what a net may do beyond arithmetic: Python layers, layers that read or "
        "write files, paths outside its folder and URLs, gigabytes of weights or blobs, shapes "
        "that overflow, and blobs whose names become the same file name. The net is not run. The "
        "exit code is 0 if there are no findings and 1 otherwise.",
        examples=_EXAMPLES,
    )
    audit.add_argument("input", metavar="IN", help="a prototxt file, or - for standard input; or "
                       "a folder, whose files are all read")
    audit.add_argument("--json", action="store_true",
                       help="for a folder: JSON instead of a table of the files")
    audit.set_defaults(run=_audit)


def _audit(options: argparse.Namespace) -> int:
    # Imported here so that --help needs no protobuf.
    from prototxt_tools.net.net import Net
    from prototxt_tools.reports.audit import audit

    def look(document: Document) -> List[str]:
        return [f"{finding.kind}: {finding.sentence}" for finding in audit(Net.parse(document))]

    if trees.is_tree(options):
        return trees.examine_tree(options, look)
    findings = look(read(options.input))
    for finding in findings:
        print(finding)
    return 1 if findings else 0
