"""The tree of errors: one sentence each, about a subject, the same after pickling."""

import ast
import copy
import pickle
from pathlib import Path

import pytest

from prototxt_tools import errors
from prototxt_tools.errors import InputError, Outcome, PrototxtError

ROOT = Path(__file__).resolve().parents[1]
CLASSES = sorted((kind for kind in vars(errors).values()
                  if isinstance(kind, type) and issubclass(kind, InputError)),
                 key=lambda kind: kind.__name__)
AGAIN = {"pickle": lambda error: pickle.loads(pickle.dumps(error)), "deepcopy": copy.deepcopy,
         "copy": copy.copy}
# What messages begin with, and errors then are about.
SUBJECTS = ("path", "archive", "position", "source.name", "self.path", "folder", "name")


@pytest.mark.parametrize("again", sorted(AGAIN))
@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_an_error_keeps_its_class_text_and_subject(kind, again):
    error = AGAIN[again](kind.about("a/net.prototxt", "it is empty"))
    assert type(error) is kind
    assert (str(error), error.subject) == ("a/net.prototxt: it is empty", "a/net.prototxt")


@pytest.mark.parametrize("again", sorted(AGAIN))
def test_so_does_the_position_in_a_prototxt(again):
    error = AGAIN[again](PrototxtError("no brace", "net.prototxt", 3, 5))
    assert str(error) == "net.prototxt:3:5: no brace"
    assert (error.path, error.line, error.column, error.problem) == (
        "net.prototxt", 3, 5, "no brace")


def test_an_outcome_of_an_error_is_pickled_too():
    outcome = pickle.loads(pickle.dumps(Outcome(error=InputError("no", "x"))))
    assert not outcome.ok
    with pytest.raises(InputError, match="no"):
        outcome.unwrap()


def _beginning(call):
    """The expression that an error's message begins with, before a colon; "" for another one."""
    message = call.args[0] if call.args else None
    parts = message.values if isinstance(message, ast.JoinedStr) else []
    if len(parts) < 2 or not isinstance(parts[0], ast.FormattedValue):
        return ""
    text = getattr(parts[1], "value", "")
    is_named = isinstance(text, str) and text.startswith(": ")
    return ast.unparse(parts[0].value) if is_named else ""  # novm


def test_an_error_whose_message_begins_with_a_file_has_it_as_its_subject():
    if not hasattr(ast, "unparse"):
        pytest.skip("ast.unparse is of Python 3.9")
    names = {kind.__name__ for kind in CLASSES} - {"PrototxtError"}
    without = []
    for package in ("prototxt_tools", "caffe_gradcam"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if (isinstance(call, ast.Call) and getattr(call.func, "id", "") in names
                        and len(call.args) == 1 and not call.keywords
                        and _beginning(call) in SUBJECTS):
                    without.append(f"{path.relative_to(ROOT)}:{call.lineno}")
    assert without == []
