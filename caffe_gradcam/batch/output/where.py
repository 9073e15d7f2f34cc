"""Conditions on rows, such as ``status == 'ok' and label != class``."""

import ast
import io
import operator
import tokenize

from caffe_gradcam.batch.output.rows import COLUMNS
from prototxt_tools.errors import InputError

_COMPARE = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Is: operator.is_, ast.IsNot: operator.is_not,
    ast.In: lambda value, many: value in many, ast.NotIn: lambda value, many: value not in many,
}
_ARITHMETIC = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
               ast.Div: operator.truediv}
# "class" is a word of Python's own; so it goes by another name to the parser.
_CLASS = "class_"
# What no map or list of numbers has to do with a condition.
NAMES = [name for name, kind in COLUMNS.items() if kind not in ("binary",) and "<" not in kind]


class Where:
    """A condition on a row.

    Columns by name, numbers, texts, lists, ``None``; ``== != < <= > >= in is not and or``, and
    ``+ - * /``. What compares numbers with nothing is false, but ``!=`` is true.

    Parameters
    ----------
    text : str

    Attributes
    ----------
    columns : set of str
        That the condition reads.

    Raises
    ------
    InputError
        Not such a condition, or of unknown columns.
    """

    def __init__(self, text):
        self._text = text
        try:
            self._tree = ast.parse(_rename(text), mode="eval").body
            nodes = list(ast.walk(self._tree))
        except (SyntaxError, ValueError, tokenize.TokenError, RecursionError):
            raise InputError(f"--where {text!r}: not a condition such as \"status == 'ok' and "
                             "label != class\"") from None
        names = {node.id for node in nodes if isinstance(node, ast.Name)}
        self.columns = {"class" if name == _CLASS else name for name in names}
        for name in sorted(self.columns - set(NAMES)):
            raise InputError("--where {!r}: no column {}; known: {}".format(
                text, name, ", ".join(NAMES)))
        self._function = self._compiled(self._tree)

    def __call__(self, row):
        """Whether a row, a dict, fulfils it."""
        try:
            return bool(self._function(row))
        except (TypeError, ZeroDivisionError):
            return False

    def _compiled(self, node):
        """The node as a function of a row."""
        make = getattr(self, "_" + type(node).__name__.lower(), None)
        if make is None:
            raise InputError(f"--where {self._text!r}: {type(node).__name__} cannot stand in a condition")
        return make(node)

    def _name(self, node):
        column = "class" if node.id == _CLASS else node.id
        return lambda row: row[column]

    def _constant(self, node):
        return lambda row: node.value

    # What Python 3.6 and 3.7 call constants.
    def _num(self, node):
        return lambda row: node.n

    def _str(self, node):
        return lambda row: node.s

    def _nameconstant(self, node):
        return lambda row: node.value

    def _list(self, node):
        parts = [self._compiled(one) for one in node.elts]
        return lambda row: [part(row) for part in parts]

    _tuple = _list

    def _boolop(self, node):
        parts = [self._compiled(one) for one in node.values]
        combine = all if isinstance(node.op, ast.And) else any
        return lambda row: combine(part(row) for part in parts)

    def _unaryop(self, node):
        part = self._compiled(node.operand)
        if isinstance(node.op, ast.Not):
            return lambda row: not part(row)
        if isinstance(node.op, ast.USub):
            return lambda row: -part(row)
        return self._compiled(node.op)

    def _binop(self, node):
        if type(node.op) not in _ARITHMETIC:
            return self._compiled(node.op)
        function = _ARITHMETIC[type(node.op)]
        left, right = self._compiled(node.left), self._compiled(node.right)
        return lambda row: function(left(row), right(row))

    def _compare(self, node):
        parts = [self._compiled(one) for one in [node.left] + node.comparators]
        functions = [_COMPARE[type(one)] for one in node.ops]

        def compare(row):
            values = [part(row) for part in parts]
            return all(_holds(function, *pair) for function, pair in zip(
                functions, zip(values, values[1:])))

        return compare


def _holds(function, left, right):
    try:
        return function(left, right)
    except TypeError:
        return False


def _rename(text):
    tokens = [(kind, _CLASS if kind == tokenize.NAME and word == "class" else word)
              for kind, word, *_ in tokenize.generate_tokens(io.StringIO(text).readline)]
    return tokenize.untokenize(tokens).strip()
