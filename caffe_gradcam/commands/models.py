"""caffe-gradcam models: public models by name."""

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING, Any, Dict, Iterable, List

from caffe_gradcam.commands import options as shared
from prototxt_tools.errors import InputError

if TYPE_CHECKING:
    from caffe_gradcam.zoo.entries import Entry

DESCRIPTION = """\
Public models: what is known of each, and how to get it. A model has a name; `explain NAME IMAGE`
fetches it on first use. Fetched files lie in the folder that CAFFE_GRADCAM_HOME names, or in the
platform's cache folder; none gets its name before its hash is verified.
"""

EXAMPLES = """\
examples:
  caffe-gradcam models list --task scenes --fetchable --max-size 300MB
  caffe-gradcam models show squeezenet-v1.1
  caffe-gradcam models fetch squeezenet-v1.1
  caffe-gradcam models check
      whether all entries and all fetched files are intact
  caffe-gradcam models test squeezenet-v1.1
      whether a fetched model gives the answers that its entry records
  caffe-gradcam models add ~/nets/flowers
      a folder as in the BVLC Model Zoo; its name is `flowers` from then on

exit codes: 0: done; 1: some models failed; 2: the input is unusable
"""


def add(commands: Any) -> None:
    """Add the subcommand's parser."""
    parser = commands.add_parser(
        "models", help="list, show, fetch, check, test and add public models",
        description=DESCRIPTION, epilog=EXAMPLES)
    actions = parser.add_subparsers(metavar="ACTION", dest="action")
    actions.required = True
    action = actions.add_parser("list", help="a table of all models, or of those that match")
    action.add_argument("--task", metavar="WORD",
                        help="only models for this task or data, such as classification, scenes, "
                        "faces, coco")
    action.add_argument("--max-size", metavar="SIZE", type=shared.byte_count,
                        help="only models of at most this size, such as 50MB")
    action.add_argument("--license", metavar="WORD",
                        help="only models with this license, such as BSD, MIT, unrestricted")
    action.add_argument("--fetchable", action="store_true",
                        help="only models that can be fetched, or that are here already")
    action.add_argument("--json", action="store_true", help="print a list of objects")
    action.set_defaults(run=run_list)
    action = actions.add_parser("show", help="everything known of a model, and where it comes from")
    action.add_argument("name", metavar="NAME")
    action.add_argument("--json", action="store_true", help="print one object")
    action.set_defaults(run=run_show)
    action = actions.add_parser("fetch", help="fetch models, and verify what is there")
    action.add_argument("names", metavar="NAME", nargs="+")
    action.add_argument("--offline", action="store_true",
                        help="fetch nothing, only verify (or set CAFFE_GRADCAM_OFFLINE=1)")
    action.add_argument("-q", "--quiet", action="store_true", help="print only folders and errors")
    action.set_defaults(run=run_fetch)
    action = actions.add_parser(
        "check", help="compare entries with each other, and files with their hashes")
    action.add_argument("names", metavar="NAME", nargs="*", help="models to check (default: all)")
    action.add_argument("--json", action="store_true", help="print a list of objects")
    action.set_defaults(run=run_check)
    action = actions.add_parser(
        "test", help="compare a model's answers with those that its entry records")
    action.add_argument("names", metavar="NAME", nargs="+")
    action.add_argument("--record", action="store_true",
                        help="write the answers into the model's readme.md")
    action.add_argument("--offline", action="store_true",
                        help="fetch nothing, only test what is there")
    action.add_argument("-q", "--quiet", action="store_true", help="print only what differs")
    action.set_defaults(run=run_test)
    action = actions.add_parser("add", help="give a model of your own a name")
    action.add_argument("path", metavar="DIR|readme.md")
    action.add_argument("--name", help="the name (default: the folder's, or that in a readme.md)")
    action.set_defaults(run=run_add)
    action = actions.add_parser("remove", help="forget a model that was added")
    action.add_argument("name", metavar="NAME")
    action.set_defaults(run=run_remove)


def run_list(options: argparse.Namespace) -> int:
    """Print the models that match; the result is the exit code."""
    from caffe_gradcam.zoo import registry

    entries = registry.selected(registry.load(), options.task, options.max_size, options.license,
                                options.fetchable)
    if options.json:
        print(json.dumps([summary(entry) for entry in entries], indent=2))
        return 0
    _print_table(entries)
    return 0


def summary(entry: "Entry") -> Dict[str, Any]:
    """What a program needs to know of a model first."""
    from caffe_gradcam.zoo import fetching

    facts, given = entry.facts, entry.front.get("gradcam") or {}
    return {
        "id": entry.id, "name": entry.name, "architecture": facts.get("architecture"),
        "task": facts.get("task"), "about": facts.get("about"), "classes": facts.get("classes"),
        "labels": facts.get("labels"), "size": entry.size, "license": entry.license,
        "fetchable": entry.is_fetchable, "here": not fetching.missing(entry),
        "score": given.get("score"), "layer": given.get("layer"),
        "needs": facts.get("needs") or [], "accuracy": facts.get("accuracy"),
    }


def _print_table(entries: "Iterable[Entry]") -> None:
    from caffe_gradcam.zoo import fetching
    from prototxt_tools.commands.table import table

    head = ["name", "task", "classes", "size", "get", "needs", "license"]
    rows = []
    for entry in entries:
        facts = summary(entry)
        get = "here" if facts["here"] else "fetch" if facts["fetchable"] else "by hand"
        rows.append([
            entry.id, facts["task"] or "", str(facts["classes"] or ""),
            "" if facts["size"] is None else fetching.size(facts["size"]), get,
            "a fork" if facts["needs"] else "", str(facts["license"] or "not stated"),
        ])
    for line in table(head, rows, longest=40):
        print(line)


def run_show(options: argparse.Namespace) -> int:
    """Print one model's entry; the result is the exit code."""
    import yaml

    from caffe_gradcam.zoo import fetching, registry

    entry = registry.find(options.name)
    if options.json:
        print(json.dumps(dict(entry.front, id=entry.id, here=not fetching.missing(entry)), indent=2,
                         default=str))
        return 0
    files = fetching.missing(entry)
    print(f"id: {entry.id}")
    print(yaml.safe_dump(entry.front, default_flow_style=False, allow_unicode=True), end="")
    print(f"folder: {fetching.folder_of(entry)}")
    print("to fetch: {}".format(", ".join(
        f"{file.name} ({fetching.size(file.size)})" for file in files) or "nothing"))
    return 0


def run_fetch(options: argparse.Namespace) -> int:
    """Fetch models; the result is the exit code."""
    from caffe_gradcam.zoo import fetching, registry

    failed = 0
    for name in options.names:
        try:
            print(fetching.fetch(registry.find(name), options.offline, options.quiet))
        except InputError as error:
            failed += 1
            print(f"caffe-gradcam: {error}", file=sys.stderr)
    return 0 if not failed else 2 if failed == len(options.names) else 1


def run_check(options: argparse.Namespace) -> int:
    """Check entries and files; the result is the exit code."""
    from caffe_gradcam.zoo import registry

    entries = [registry.find(name) for name in options.names] or registry.load()
    rows = [row for entry in entries for row in _checked(entry)]
    if not options.names:
        rows += _checked_labels()
    bad = [row for row in rows if row["problem"]]
    if options.json:
        print(json.dumps(rows, indent=2))
    else:
        for row in bad:
            print("{}: {} {}".format(row["id"], row["file"], row["problem"]))
        files = sum(row["file"] != "readme.md" for row in rows)
        print(f"{len(entries)} models, {files} files here, {len(bad)} problems")
    return 1 if bad else 0


def _checked(entry: "Entry") -> List[Dict[str, Any]]:
    from caffe_gradcam.zoo import checks, fetching

    rows = [(entry.id, "readme.md", problem)
            for problem in (checks.problems(entry) if entry.facts else [])]
    rows += [(entry.id, name, problem) for name, problem in fetching.check(entry)]
    return [dict(zip(("id", "file", "problem"), row)) for row in rows]


def _checked_labels() -> List[Dict[str, Any]]:
    from caffe_gradcam.zoo import labelsets, registry

    sets = labelsets.load(registry.shipped())
    return [{"id": "labels", "file": labelsets.FILE, "problem": problem}
            for name in sorted(sets) for problem in labelsets.problems(name, sets[name])]


def run_test(options: argparse.Namespace) -> int:
    """Compare models' answers with the known ones, or record them; the result is the exit code."""
    failed = 0
    for name in options.names:
        try:
            sentences = _tested(name, options)
        except InputError as error:
            failed += 1
            print(f"caffe-gradcam: {error}", file=sys.stderr)
            continue
        failed += bool(sentences)
        for sentence in sentences:
            print(f"{name}: {sentence}")
    return 1 if failed else 0


def _tested(name: str, options: argparse.Namespace) -> List[str]:
    """How a model's answers differ from the known ones; prints what is well."""
    from caffe_gradcam.doctor import answers
    from caffe_gradcam.zoo import fetching, registry

    entry = registry.find(name)
    folder = fetching.fetch(entry, options.offline, options.quiet)
    expected = answers.stored(entry)
    if expected is None and not options.record:
        print(f"{name}: no known answers; --record makes them")
        return []
    actual = answers.measured(folder)
    if options.record:
        print(f"{name}: recorded in {answers.record(entry, actual)}")
        return []
    assert expected is not None
    sentences = answers.differences(expected, actual)
    if not sentences and not options.quiet:
        print(f"{name}: answers as known: class {expected.scores[0][0]}, {len(expected.scores)} "
              f"scores, map of {expected.layer}")
    return sentences


def run_add(options: argparse.Namespace) -> int:
    """Add a model; the result is the exit code."""
    from caffe_gradcam.zoo import add as adding
    from caffe_gradcam.zoo import fetching

    entry = adding.add(options.path, options.name)
    files = fetching.missing(entry)
    print(f"{entry.id} -> {os.path.abspath(fetching.folder_of(entry))}")
    if files:
        print("to fetch: {}".format(", ".join(file.name for file in files)))
    return 0


def run_remove(options: argparse.Namespace) -> int:
    """Forget a model; the result is the exit code."""
    from caffe_gradcam.zoo import add as adding

    adding.remove(options.name)
    return 0
