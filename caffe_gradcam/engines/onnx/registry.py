"""Which function writes which layer type, and what it writes with."""

from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, Sequence, Union

import numpy as np

from caffe_gradcam.engines.onnx.writer import OpenSizeError, Shape, Value, Writer
from prototxt_tools.errors import ModelError

Operand = Union[str, Value, np.ndarray, float, Sequence[int]]


class Unsupported(ModelError):
    """A layer cannot be expressed exactly in ONNX."""


# Operators that multiply by a matrix, or by kernels.
_PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def _use(operand: Operand, operator: str, attributes: Mapping[str, Any]) -> str:
    """How a product uses what has one shape either way round; "" for anything else."""
    if operator not in _PRODUCTS or not isinstance(operand, np.ndarray) or operand.ndim < 2:
        return ""
    if operand.shape[0] != operand.shape[1] * attributes.get("group", 1):
        return ""
    return f"{operator} {attributes.get('transB', 0)}"


@dataclass(frozen=True, eq=False)
class Step:
    """A layer that is being written.

    Attributes
    ----------
    name : str
        The layer's.
    message : LayerParameter
    bottoms : list of Value
    tops : list of Value
        What the tops are going to be: their shapes.
    weights : list of numpy.ndarray
        Of the shapes that the layer expects.
    writer : Writer
    """

    name: str
    message: Any
    bottoms: List[Value]
    tops: List[Value]
    weights: List[np.ndarray]
    writer: Writer

    def op(self, operator: str, *operands: Operand, **attributes: Any) -> str:
        """Add a node with one output, whose name is returned.

        Numbers and arrays among the operands become constants.
        """
        return self.ops(operator, 1, *operands, **attributes)[0]

    def ops(self, operator: str, count: int, *operands: Operand, **attributes: Any) -> List[str]:
        """Add a node with several outputs."""
        outputs = [self.writer.unique(f"{self.name}/{operator}") for _ in range(count)]
        names = [self.name_of(operand, _use(operand, operator, attributes))
                 for operand in operands]
        self.writer.node(operator, names, outputs, outputs[0], **attributes)
        return outputs

    def name_of(self, operand: Operand, use: str = "") -> str:
        """The name of a value; numbers become constants of float32, or int64 if they are whole.

        Parameters
        ----------
        operand
        use : str
            See ``Writer.constant``.
        """
        if isinstance(operand, str):
            return operand
        if isinstance(operand, Value):
            return operand.name
        if isinstance(operand, np.ndarray) and operand.dtype == np.float64:
            operand = operand.astype(np.float32)
        for index, array in enumerate(self.weights):
            if isinstance(operand, np.ndarray) and np.may_share_memory(operand, array):
                return self.writer.constant(operand, f"{self.name}.{index}", use)
        return self.writer.constant(operand, f"{self.name}/constant", use)

    def constant(self, array: np.ndarray) -> str:
        """A constant of the array's own type."""
        return self.writer.constant(array, f"{self.name}/constant")

    def reshape(self, value: Union[str, Value], top: Value) -> str:
        """A value in the shape of a top that holds as many numbers.

        Raises
        ------
        OpenSizeError
            Two of its sizes are open, where ONNX can leave only one to be found.
        """
        sizes = [-1 if axis in top.open_axes else size for axis, size in enumerate(top.shape)]
        if sizes.count(-1) > 1 and isinstance(value, Value) and sizes[0] == -1 and (
                0 in value.open_axes and value.shape[0] == top.shape[0]):
            sizes[0] = 0  # As in the value.
        if sizes.count(-1) > 1:
            raise OpenSizeError(max(top.open_axes))
        return self.op("Reshape", value, np.array(sizes, np.int64))

    def refuse(self, reason: str) -> Unsupported:
        """The error for a layer that cannot be written."""
        return Unsupported(f"layer {self.name} ({self.message.type}) cannot be exported: {reason}",
                           self.name)


Translation = Callable[[Step], Sequence[str]]

TRANSLATIONS: Dict[str, Translation] = {}


def translation(*types: str) -> Callable[[Translation], Translation]:
    """Register a function that writes layers of some types.

    The function takes a :class:`Step` and gives the names of the values that its tops hold.
    """
    def register(function: Translation) -> Translation:
        for name in types:
            TRANSLATIONS[name] = function
        return function
    return register


def aligned(shape: Shape, axis: int, axes: int) -> Shape:
    """The shape of a blob that stands over the axes of another one from ``axis`` on."""
    return (1,) * axis + tuple(shape) + (1,) * (axes - axis - len(shape))
