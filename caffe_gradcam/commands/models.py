"""caffe-gradcam models: public models by name."""

import argparse
import json
import os
import re
import sys

from prototxt_tools.errors import InputError

DESCRIPTION = """\
Public models: what is known of each, and how to get it. A model has a name; `explain NAME IMAGE`
fetches it on first use. Fetched files lie in the folder that CAFFE_GRADCAM_HOME names, or where
the platform keeps caches; none gets its name before its hash was verified.
"""

EXAMPLES = """\
examples:
  caffe-gradcam models list --task scenes --fetchable --max-size 300MB
  caffe-gradcam models show squeezenet-v1.1
  caffe-gradcam models fetch squeezenet-v1.1
  caffe-gradcam models check
      whether all entries and all fetched files are as they should be
  caffe-gradcam models add ~/nets/flowers
      a folder as in the BVLC Model Zoo; from then on `flowers` is its name

exit codes: 0 all done, 1 some models failed, 2 nothing could be done
"""
_UNITS = {"": 1, "K": 1000, "M": 1000 ** 2, "G": 1000 ** 3}


def add(commands):
    """Add the subcommand's parser."""
    parser = commands.add_parser(
        "models", help="list, show, fetch, check and add public models", description=DESCRIPTION,
        epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.set_defaults(verbose=True)
    deeds = parser.add_subparsers(metavar="DEED", dest="deed")
    deeds.required = True
    one = deeds.add_parser("list", help="a table of all models, or of those that fit")
    one.add_argument("--task", metavar="WORD", help="such as classification, scenes, faces, coco")
    one.add_argument("--max-size", metavar="SIZE", type=_size, help="such as 50MB")
    one.add_argument("--license", metavar="WORD", help="such as BSD, MIT, unrestricted")
    one.add_argument("--fetchable", action="store_true",
                     help="those only that a program can get, or that are here")
    one.add_argument("--json", action="store_true", help="print a list of objects")
    one.set_defaults(run=run_list)
    one = deeds.add_parser("show", help="all that is known of a model, and where it was read")
    one.add_argument("name", metavar="NAME")
    one.add_argument("--json", action="store_true", help="print one object")
    one.set_defaults(run=run_show)
    one = deeds.add_parser("fetch", help="get models, and verify what is there")
    one.add_argument("names", metavar="NAME", nargs="+")
    one.add_argument("--offline", action="store_true",
                     help="get nothing, only verify (or set CAFFE_GRADCAM_OFFLINE=1)")
    one.add_argument("-q", "--quiet", action="store_true", help="print folders and errors only")
    one.set_defaults(run=run_fetch)
    one = deeds.add_parser("check", help="compare entries with each other, files with hashes")
    one.add_argument("names", metavar="NAME", nargs="*", help="(default: all)")
    one.add_argument("--json", action="store_true", help="print a list of objects")
    one.set_defaults(run=run_check)
    one = deeds.add_parser("add", help="give a model of your own a name")
    one.add_argument("path", metavar="DIR|readme.md")
    one.add_argument("--name", help="instead of the folder's name, or the one in readme.md")
    one.set_defaults(run=run_add)
    one = deeds.add_parser("remove", help="forget a model that was added")
    one.add_argument("name", metavar="NAME")
    one.set_defaults(run=run_remove)


def _size(text):
    match = re.match(r"(\d+(?:\.\d+)?)\s*([KMG]?)B?$", text.strip(), re.IGNORECASE)
    if not match:
        raise argparse.ArgumentTypeError(f"a size such as 50MB, not {text!r}")
    return int(float(match.group(1)) * _UNITS[match.group(2).upper()])


def run_list(options):
    """Print the models that fit; the result is the exit code."""
    from caffe_gradcam.zoo import registry

    known = registry.selected(registry.load(), options.task, options.max_size, options.license,
                              options.fetchable)
    if options.json:
        print(json.dumps([summary(entry) for entry in known], indent=2))
        return 0
    _print_table(known)
    return 0


def summary(entry):
    """What a program wants to know of a model first."""
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


def _print_table(known):
    from caffe_gradcam.zoo import fetching
    from prototxt_tools.commands.table import table

    head = ["name", "task", "classes", "size", "get", "needs", "license"]
    rows = []
    for entry in known:
        one = summary(entry)
        get = "here" if one["here"] else "fetch" if one["fetchable"] else "by hand"
        rows.append([
            entry.id, one["task"] or "", str(one["classes"] or ""),
            "" if one["size"] is None else fetching.size(one["size"]), get,
            "a fork" if one["needs"] else "", str(one["license"] or "not stated"),
        ])
    for line in table(head, rows, longest=40):
        print(line)


def run_show(options):
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
    print(f"folder: {fetching.place(entry)}")
    print("to fetch: {}".format(", ".join(
        f"{file.name} ({fetching.size(file.size)})" for file in files) or "nothing"))
    return 0


def run_fetch(options):
    """Get models; the result is the exit code."""
    from caffe_gradcam.zoo import fetching, registry

    failed = 0
    for name in options.names:
        try:
            print(fetching.fetch(registry.find(name), options.offline, options.quiet))
        except InputError as error:
            failed += 1
            print(f"caffe-gradcam: {error}", file=sys.stderr)
    return 0 if not failed else 2 if failed == len(options.names) else 1


def run_check(options):
    """Check entries and files; the result is the exit code."""
    from caffe_gradcam.zoo import registry

    known = [registry.find(name) for name in options.names] or registry.load()
    rows = [row for entry in known for row in _checked(entry)]
    if not options.names:
        rows += _checked_labels()
    bad = [row for row in rows if row["problem"]]
    if options.json:
        print(json.dumps(rows, indent=2))
    else:
        for row in bad:
            print("{}: {} {}".format(row["id"], row["file"], row["problem"]))
        files = sum(row["file"] != "readme.md" for row in rows)
        print(f"{len(known)} models, {files} files here, {len(bad)} problems")
    return 1 if bad else 0


def _checked(entry):
    from caffe_gradcam.zoo import checks, fetching

    rows = [(entry.id, "readme.md", one) for one in checks.problems(entry)] if entry.facts else []
    rows += [(entry.id, name, wrong) for name, wrong in fetching.check(entry)]
    return [dict(zip(("id", "file", "problem"), row)) for row in rows]


def _checked_labels():
    from caffe_gradcam.zoo import labelsets, registry

    sets = labelsets.load(registry.shipped())
    return [{"id": "labels", "file": labelsets.FILE, "problem": one}
            for name in sorted(sets) for one in labelsets.problems(name, sets[name])]


def run_add(options):
    """Add a model; the result is the exit code."""
    from caffe_gradcam.zoo import add as adding
    from caffe_gradcam.zoo import fetching

    entry = adding.add(options.path, options.name)
    files = fetching.missing(entry)
    print(f"{entry.id} -> {os.path.abspath(fetching.place(entry))}")
    if files:
        print("to fetch: {}".format(", ".join(file.name for file in files)))
    return 0


def run_remove(options):
    """Forget a model; the result is the exit code."""
    from caffe_gradcam.zoo import add as adding

    adding.remove(options.name)
    return 0
