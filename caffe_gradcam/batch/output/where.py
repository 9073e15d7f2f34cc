"""Conditions on rows, such as ``status == 'ok' and true_label != class``."""

import ast
import io
import operator
import tokenize
from typing import Any, Callable, Dict, Iterator, List, Optional, Type

from caffe_gradcam.batch.output.rows import COLUMNS, Row
from prototxt_tools.errors import QuestionError

Evaluate = Callable[[Row], Any]

_COMPARE: Dict[Type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Is: operator.is_, ast.IsNot: operator.is_not,
    ast.In: lambda value, many: value in many, ast.NotIn: lambda value, many: value not in many,
}
_ARITHMETIC: Dict[Type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
    ast.Div: operator.truediv}
# "class" is a keyword of Python, so the parser sees another name for it.
_CLASS = "class_"
# Maps and lists of numbers have no place in a condition.
NAMES = [name for name, kind in COLUMNS.items() if kind != "binary" and "<" not in kind]


class Where:
    """A condition on a row.

    Columns by name, numbers, texts, lists, ``None``; ``== != < <= > >= in is not and or``, and
    ``+ - * /``. A comparison with a missing value is false, except that ``!=`` is true. A string
    is not compared with a number, which would never be what was meant.

    Parameters
    ----------
    text : str

    Attributes
    ----------
    columns : set of str
        That the condition reads.

    Raises
    ------
    QuestionError
        Not such a condition, one of unknown columns, or one that compares a string with a number.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        try:
            self._tree = ast.parse(_rename(text), mode="eval").body
            nodes = list(ast.walk(self._tree))
        except (SyntaxError, ValueError, tokenize.TokenError, RecursionError):
            raise QuestionError(f"--where {text!r}: not a condition such as \"status == 'ok' and "
                             "true_label != class\"") from None
        names = {node.id for node in nodes if isinstance(node, ast.Name)}
        self.columns = {"class" if name == _CLASS else name for name in names}
        for name in sorted(self.columns - set(NAMES)):
            raise QuestionError(f"--where {text!r}: there is no column {name}; known: "
                                + ", ".join(NAMES), name)
        self._function = self._compiled(self._tree)

    def __call__(self, row: Row) -> bool:
        """Whether a row fulfils the condition."""
        try:
            return bool(self._function(row))
        except (TypeError, ZeroDivisionError):
            return False

    def _compiled(self, node: ast.AST) -> Evaluate:
        """The node as a function of a row."""
        make = getattr(self, "_" + type(node).__name__.lower(), None)
        if make is None:
            raise QuestionError(f"--where {self._text!r}: a condition cannot contain "
                                f"{type(node).__name__}")
        function: Evaluate = make(node)
        return function

    def _name(self, node: Any) -> Evaluate:
        column = "class" if node.id == _CLASS else node.id
        return lambda row: row[column]

    def _constant(self, node: Any) -> Evaluate:
        return lambda row: node.value

    # What Python 3.6 and 3.7 call constants.
    def _num(self, node: Any) -> Evaluate:
        return lambda row: node.n

    def _str(self, node: Any) -> Evaluate:
        return lambda row: node.s

    def _nameconstant(self, node: Any) -> Evaluate:
        return lambda row: node.value

    def _list(self, node: Any) -> Evaluate:
        parts = [self._compiled(element) for element in node.elts]
        return lambda row: [part(row) for part in parts]

    _tuple = _list

    def _boolop(self, node: Any) -> Evaluate:
        parts = [self._compiled(value) for value in node.values]
        combine = all if isinstance(node.op, ast.And) else any
        return lambda row: combine(part(row) for part in parts)

    def _unaryop(self, node: Any) -> Evaluate:
        part = self._compiled(node.operand)
        if isinstance(node.op, ast.Not):
            return lambda row: not part(row)
        if isinstance(node.op, ast.USub):
            return lambda row: -part(row)
        return self._compiled(node.op)

    def _binop(self, node: Any) -> Evaluate:
        if type(node.op) not in _ARITHMETIC:
            return self._compiled(node.op)
        function = _ARITHMETIC[type(node.op)]
        left, right = self._compiled(node.left), self._compiled(node.right)
        return lambda row: function(left(row), right(row))

    def _compare(self, node: Any) -> Evaluate:
        parts = [self._compiled(side) for side in [node.left] + node.comparators]
        functions = [_COMPARE[type(operation)] for operation in node.ops]
        self._check_kinds([node.left] + node.comparators)

        def compare(row: Row) -> bool:
            values = [part(row) for part in parts]
            return all(_holds(function, *pair) for function, pair in zip(
                functions, zip(values, values[1:])))

        return compare


    def _check_kinds(self, sides: List[Any]) -> None:
        """Refuse to compare strings with numbers."""
        for left, right in zip(sides, sides[1:]):
            for first in _elements(left):
                for second in _elements(right):
                    kinds = {_kind(first), _kind(second)}
                    if kinds == {"string", "number"}:
                        texts = [_shown(side) for side in (first, second)]
                        raise QuestionError(
                            f"--where {self._text!r}: compares {texts[0]} (a {_kind(first)}) with "
                            f"{texts[1]} (a {_kind(second)}); class and true_label are numbers, "
                            "class_name is a string")


def _elements(node: Any) -> Iterator[Any]:
    """The elements of a list, or the node itself."""
    if isinstance(node, (ast.List, ast.Tuple)):
        yield from node.elts
    else:
        yield node


def _kind(node: Any) -> Optional[str]:
    """"string" or "number", where the condition alone tells."""
    if isinstance(node, ast.Name):
        column = "class" if node.id == _CLASS else node.id
        return "string" if COLUMNS[column] == "string" else "number"
    if isinstance(node, ast.UnaryOp):
        return _kind(node.operand)
    value = getattr(node, "value", getattr(node, "n", getattr(node, "s", None)))
    if isinstance(value, str):
        return "string"
    return "number" if isinstance(value, (int, float)) else None


def _shown(node: Any) -> str:
    """A column's name, or a value as it is written."""
    if isinstance(node, ast.Name):
        return "class" if node.id == _CLASS else node.id
    if isinstance(node, ast.UnaryOp):
        return "-" + _shown(node.operand)
    return repr(getattr(node, "value", getattr(node, "n", getattr(node, "s", None))))


def _holds(function: Callable[[Any, Any], Any], left: Any, right: Any) -> bool:
    try:
        return bool(function(left, right))
    except TypeError:
        return False


def _rename(text: str) -> str:
    tokens = [(kind, _CLASS if kind == tokenize.NAME and word == "class" else word)
              for kind, word, *_ in tokenize.generate_tokens(io.StringIO(text).readline)]
    return str(tokenize.untokenize(tokens)).strip()
