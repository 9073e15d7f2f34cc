"""The shape of the code: names that say something, short functions, one place for errors."""

import ast
import collections
import functools
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.version_info < (3, 8), reason="ast knows no ends of functions")

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("prototxt_tools", "caffe_gradcam")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

VAGUE = set(
    "one ones own found made said told known place there here goes went stays stay "
    "fed thing things stuff seen gone came held such what which whatever wanted asked "
    "theirs mine".split()
)
MOST_VAGUE = 0.01  # of all bindings
MOST_LINES_IN_FILE = 400
MOST_LINES_IN_BODY = 50
MOST_PARAMETERS = 6
# Their keywords are the fields of a recipe.
WITH_MANY_KEYWORDS = {"Model.load", "LoadedModel.load", "Model.explain", "explain_batch"}

Function = collections.namedtuple("Function", "path name node")


@functools.lru_cache(maxsize=None)
def _parse(path):
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def _functions(path):
    """Every function of a file; methods are named ``Class.method``."""

    def walk(node, prefix):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield Function(path.relative_to(ROOT), prefix + child.name, child)
                yield from walk(child, prefix)
            else:
                is_class = isinstance(child, ast.ClassDef)
                yield from walk(child, f"{child.name}." if is_class else prefix)

    return walk(_parse(path), "")


FUNCTIONS = [function for path in FILES for function in _functions(path)]


def _bindings(tree):
    """The names that assignments, loops, comprehensions, parameters and functions introduce."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.ExceptHandler) and node.name:
            yield node.name


def _is_vague(name):
    return name.strip("_").lower() in VAGUE


def _body_lines(function):
    """The lines of a function's body without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def _parameters(function):
    arguments = function.args
    names = [argument.arg for argument in arguments.args + arguments.kwonlyargs]
    return [name for name in names if name not in ("self", "cls")]


def test_names_say_what_the_thing_is():
    counts, total = collections.Counter(), 0
    for path in FILES:
        names = list(_bindings(_parse(path)))
        total += len(names)
        counts.update(f"{path.relative_to(ROOT)}: {name}" for name in names if _is_vague(name))
    share = sum(counts.values()) / total
    assert share < MOST_VAGUE, f"{share:.1%} of {total} bindings: {counts.most_common()}"


def test_a_vague_name_is_noticed():
    tree = ast.parse("def f(own):\n    for found in [one for one in own]:\n        layer = found")
    assert sorted(name for name in _bindings(tree) if _is_vague(name)) == ["found", "one", "own"]


def test_no_file_has_more_than_400_lines():
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
               for path in FILES}
    assert {name: length for name, length in lengths.items() if length > MOST_LINES_IN_FILE} == {}


def test_no_function_has_more_than_50_lines_after_its_docstring():
    lengths = {f"{function.path}: {function.name}": _body_lines(function.node)
               for function in FUNCTIONS}
    assert {name: length for name, length in lengths.items() if length > MOST_LINES_IN_BODY} == {}


def test_no_function_takes_more_than_six_parameters():
    """Constructors of values may, and the calls whose keywords are the fields of a recipe."""
    counts = {f"{function.path}: {function.name}": len(_parameters(function.node))
              for function in FUNCTIONS
              if function.name not in WITH_MANY_KEYWORDS and function.node.name != "__init__"}
    assert {name: count for name, count in counts.items() if count > MOST_PARAMETERS} == {}


def test_only_the_errors_module_asks_whether_a_value_is_an_error():
    offenders = []
    for path in FILES:
        if path == ROOT / "prototxt_tools" / "errors.py":
            continue
        for node in ast.walk(_parse(path)):
            if (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
                    and node.func.id == "isinstance" and "InputError" in ast.dump(node.args[1])):
                offenders.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert offenders == []


def test_json_from_outside_is_parsed_in_one_place():
    # Text that the program has just written itself may be parsed by the library.
    of_its_own = {"files.py", "recipe.py", "dependencies.py", "unpacked.py"}
    users = {path.name for path in FILES for node in ast.walk(_parse(path))
             if isinstance(node, ast.Attribute) and node.attr in ("load", "loads")
             and isinstance(node.value, ast.Name) and node.value.id == "json"}
    assert users <= of_its_own


def test_style_is_checked_in_scripts_without_an_ending_too():
    programs = [path for path in (ROOT / "scripts").iterdir() if not path.suffix
                and path.read_text(encoding="utf-8").startswith("#!/usr/bin/env python3")]
    configuration = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert programs
    assert [path.name for path in programs if f'"scripts/{path.name}"' not in configuration] == []


def test_a_complex_function_says_why_in_its_docstring():
    """Ruff measures complexity; what it is told to pass over has to give the reason."""
    unexplained = []
    for path in FILES:
        lines = path.read_text(encoding="utf-8").splitlines()
        for function in _functions(path):
            is_exempt = "noqa: C901" in lines[function.node.lineno - 1]
            if is_exempt and "Complexity:" not in (ast.get_docstring(function.node) or ""):
                unexplained.append(f"{function.path}: {function.name}")
    assert unexplained == []
