"""An ONNX graph while it is being written."""

import hashlib
from dataclasses import dataclass
from typing import Any, Dict, FrozenSet, List, Sequence, Tuple

import numpy as np

from caffe_gradcam.engines.onnx import libraries
from prototxt_tools.errors import ModelError

# All operators that are written exist in it with the meaning that is used here.
OPSET = 17
# The version of the file format that came with this opset; older readers know it too.
IR_VERSION = 8
# The numbers of some types among ONNX's types of tensors.
FLOAT, UINT8, INT64, DOUBLE = 1, 2, 7, 11

Shape = Tuple[int, ...]


@dataclass(frozen=True)
class Value:
    """A value of the graph.

    Attributes
    ----------
    name : str
    shape : tuple of int
        With the sizes that the net was exported for.
    open_axes : frozenset of int
        The axes whose sizes may differ from run to run.
    kind : int
        ``FLOAT`` or ``INT64``.
    """

    name: str
    shape: Shape
    open_axes: FrozenSet[int] = frozenset()
    kind: int = FLOAT

    def size(self, axis: int) -> int:
        """The size of an axis that is the same in every run.

        Raises
        ------
        OpenSizeError
            It may differ from run to run.
        """
        if axis % len(self.shape) in self.open_axes:
            raise OpenSizeError(axis % len(self.shape))
        return self.shape[axis]

    def sizes(self, start: int = 0) -> Shape:
        """The sizes of the axes from one on; raises as :meth:`size` does."""
        return tuple(self.size(axis) for axis in range(start, len(self.shape)))


class OpenSizeError(Exception):
    """An operator needs a size that may differ from run to run."""

    def __init__(self, axis: int) -> None:
        super().__init__(f"axis {axis}")
        self.axis = axis


class Writer:
    """Collects the nodes and constants of a graph.

    Attributes
    ----------
    nodes : list of onnx.NodeProto
    constants : dict
        Name -> array.
    one_hot : dict
        Values whose rows are 0 but for a single 1 each -> the value, N x 1, that says where.
    """

    def __init__(self) -> None:
        self._helper = libraries.load("onnx.helper")
        self.nodes: List[Any] = []
        self.constants: Dict[str, np.ndarray] = {}
        self.one_hot: Dict[str, str] = {}
        self._counts: Dict[str, int] = {}
        self._node_counts: Dict[str, int] = {}
        self._known: Dict[Any, str] = {}

    def unique(self, name: str) -> str:
        """The name of a new value: this one, with a number behind it where it is taken."""
        return _unique(name, self._counts)

    def reserve(self, name: str) -> None:
        """Keep a name from being given to anything else."""
        self._counts.setdefault(name, 1)

    def constant(self, array: Any, name: str, use: str = "") -> str:
        """A constant; arrays that hold the same become one, if they are used in the same way.

        Numbers of Python become float32, or int64 where they are whole.

        Parameters
        ----------
        array : numpy.ndarray or numbers
        name : str
        use : str
            How a product uses a square matrix, or as many kernels as channels. OpenVINO 2026.4
            lays a constant out for one product and, where another one uses it transposed,
            computes that with the same layout: with other numbers.
        """
        if not isinstance(array, np.ndarray):
            array = np.asarray(array)
            array = array.astype(np.int64 if array.dtype.kind in "iu" else np.float32)
        kind = array.shape, array.dtype.str
        numbers = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        content = (hashlib.sha256(numbers.data).digest(), *kind, use)
        if content not in self._known:
            self._known[content] = self.unique(name)
            self.constants[self._known[content]] = array
        return self._known[content]

    def node(self, operator: str, inputs: Sequence[str], outputs: Sequence[str], name: str,
             **attributes: Any) -> None:
        """Add a node."""
        self.nodes.append(self._helper.make_node(
            operator, list(inputs), list(outputs), name=_unique(name, self._node_counts),
            **attributes))

    def rename(self, old: str, new: str, node_name: str) -> None:
        """Rename a value that the last nodes write and read, and the node that writes it."""
        for node in reversed(self.nodes):
            node.input[:] = [new if value == old else value for value in node.input]
            if old in node.output:
                node.output[:] = [new if value == old else value for value in node.output]
                node.name = _unique(node_name, self._node_counts)
                return

    def part(self, nodes: Sequence[Any], inputs: Sequence[Value], outputs: Sequence[Value]
             ) -> bytes:
        """Those of the nodes that lead to the outputs, with the constants that they read, as the
        bytes of a file."""
        read, kept = {value.name for value in outputs}, []
        for node in reversed(nodes):
            if read.intersection(node.output):
                kept.append(node)
                read.update(node.input)
        to_tensor = libraries.load("onnx.numpy_helper").from_array
        described = [[self._helper.make_tensor_value_info(value.name, value.kind, [
            None if axis in value.open_axes else size for axis, size in enumerate(value.shape)])
            for value in values] for values in (inputs, outputs)]
        graph = self._helper.make_graph(
            kept[::-1], "part", described[0], described[1],
            [to_tensor(np.asarray(array, order="C"), name)
             for name, array in self.constants.items() if name in read])
        model = self._helper.make_model(
            graph, opset_imports=[self._helper.make_opsetid("", OPSET)])
        model.ir_version = IR_VERSION
        return bytes(model.SerializeToString())

    def model(self, name: str, inputs: Sequence[Any], outputs: Sequence[Any],
              metadata: Dict[str, str]) -> Any:
        """The graph as an ``onnx.ModelProto``.

        Parameters
        ----------
        name : str
        inputs, outputs : sequence of onnx.ValueInfoProto
        metadata : dict

        Raises
        ------
        ModelError
            Its weights exceed what one file of this format can hold.
        """
        total = sum(array.nbytes for array in self.constants.values())
        if total >= 1 << 31:
            raise ModelError(f"the weights have {total} bytes, and an ONNX file holds less than "
                             "2 GiB", name)
        to_tensor = libraries.load("onnx.numpy_helper").from_array
        graph = self._helper.make_graph(
            self.nodes, name, list(inputs), list(outputs),
            [to_tensor(np.asarray(array, order="C"), key)
             for key, array in self.constants.items()])
        model = self._helper.make_model(
            graph, opset_imports=[self._helper.make_opsetid("", OPSET)],
            producer_name="caffe-gradcam")
        model.ir_version = IR_VERSION
        self._helper.set_model_props(model, metadata)
        return model


def _unique(name: str, counts: Dict[str, int]) -> str:
    count = counts.get(name, 0)
    counts[name] = count + 1
    return name if not count else _unique(f"{name}.{count + 1}", counts)
