"""Conditions on numbers, such as ``accuracy_drop > 0.01 or changed > 0.05``."""

import ast
import math
import operator
from typing import Any, Callable, Dict, Mapping, Type, Union

from prototxt_tools.errors import QuestionError

_COMPARE: Dict[Type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.Eq: operator.eq, ast.NotEq: operator.ne}
_ARITHMETIC: Dict[Type[ast.operator], Callable[[Any, Any], float]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
    ast.Div: operator.truediv}
_LONGEST = 1000


class Condition:
    """A condition: names of numbers, numbers, comparisons, ``and or not`` and ``+ - * /``.

    Parameters
    ----------
    text : str
    names : iterable of str
        That it may use.

    Raises
    ------
    QuestionError
        Not such a condition, or one of unknown names.
    """

    def __init__(self, text: str, names: Any) -> None:
        self.text = text
        try:
            self._tree = ast.parse(text.strip()[:_LONGEST + 1], mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise self._refused() from None
        if len(text) > _LONGEST:
            raise self._refused()
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Name) and node.id not in names:
                raise QuestionError(f"{text!r}: there is no {node.id}; known: "
                                    + ", ".join(sorted(names)), node.id)
        self._evaluate(dict.fromkeys(names, 1.0))

    def holds(self, values: Mapping[str, float]) -> bool:
        """Whether it is true for some numbers.

        Raises
        ------
        QuestionError
            It names a number that is not known (NaN), or divides by zero.
        """
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Name) and math.isnan(values[node.id]):
                raise QuestionError(f"{self.text!r}: {node.id} is not known for these images",
                                    node.id)
        return bool(self._evaluate(values))

    def _evaluate(self, values: Mapping[str, float]) -> Union[bool, float]:
        try:
            return self._value(self._tree, values)
        except (ZeroDivisionError, OverflowError):
            raise QuestionError(f"{self.text!r}: divides by zero") from None

    def _value(self, node: Any, values: Mapping[str, float]) -> Any:
        if isinstance(node, ast.Name):
            return values[node.id]
        number = getattr(node, "n", None) if not hasattr(node, "value") else node.value
        if isinstance(number, (int, float)) and not isinstance(number, bool):
            return float(number)
        if isinstance(node, ast.BoolOp):
            combine = all if isinstance(node.op, ast.And) else any
            return combine(self._value(side, values) for side in node.values)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)):
            value = self._value(node.operand, values)
            return not value if isinstance(node.op, ast.Not) else -value
        if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
            return _ARITHMETIC[type(node.op)](
                self._value(node.left, values), self._value(node.right, values))
        if isinstance(node, ast.Compare) and all(type(op) in _COMPARE for op in node.ops):
            sides = [self._value(side, values) for side in [node.left, *node.comparators]]
            return all(_COMPARE[type(op)](*pair) for op, pair in zip(
                node.ops, zip(sides, sides[1:])))
        raise self._refused()

    def _refused(self) -> QuestionError:
        return QuestionError(f"{self.text!r}: not a condition such as 'accuracy_drop > 0.01 or "
                             "changed > 0.05'")
