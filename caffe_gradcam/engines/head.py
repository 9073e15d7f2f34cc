"""The layers behind a blob, as a net that can be run by itself."""

from typing import Dict, Iterable, List, Optional, Sequence, Tuple, Union

import numpy as np

from caffe_gradcam.model.array_inputs import is_sequence
from prototxt_tools import shapes
from prototxt_tools.errors import EngineError, QuestionError
from prototxt_tools.net.net import Layer, Net
from prototxt_tools.rewrite.text import quoted
from prototxt_tools.text.document import Document
from prototxt_tools.text.edits import Edits

from .subnet import Shape, Shapes, Subnet

# What picks the items of a blob that are needed, as an index of the blob's array.
Items = Union[np.ndarray, Tuple[slice, np.ndarray]]


class Head:
    """What leads from the final value of a blob to other blobs.

    Parameters
    ----------
    subnet : Subnet
    blob : str
    keep : iterable of str

    Attributes
    ----------
    layers : list of prototxt_tools.net.net.Layer
    sides : list of str
        Other blobs that the layers read, and that none of them makes.

    Raises
    ------
    QuestionError
        A blob of ``keep`` does not depend on the blob.
    EngineError
        A layer reads a value that is overwritten before the forward pass is over.
    """

    def __init__(self, subnet: Subnet, blob: str, keep: Iterable[str]) -> None:
        keep = list(keep)
        subnet.check_blobs([blob] + keep)
        self._subnet, self._blob = subnet, blob
        graph, every = subnet.graph, subnet.net.layers
        writers = graph.writers(blob)
        reached, behind = {blob}, set()
        for index in range(writers[-1] + 1 if writers else 0, len(every)):
            if reached.intersection(every[index].bottoms):
                behind.add(index)
                reached.update(every[index].tops)
        for name in keep:
            if name not in reached - {blob}:
                raise QuestionError(f"blob {name!r} does not depend on blob {blob!r}", name)
        indices = sorted(behind & graph.ancestors(keep))
        self.layers: List[Layer] = [every[index] for index in indices]
        self.sides = self._sides(indices)
        self._constants = {side for side in self.sides if self._is_constant(side)}
        # The axis of the items: sequences have time first.
        self._axes = {side: int(is_sequence(graph, side)) for side in self.sides}
        self._fitting: Optional[Shapes] = None

    def _is_constant(self, blob: str) -> bool:
        """Whether no input of the net goes into a blob."""
        net = self._subnet.net
        before = [net.layers[index] for index in self._subnet.graph.ancestors([blob])]
        read = {blob}.union(*(layer.bottoms for layer in before))
        return read.isdisjoint(entry.blob for entry in net.inputs)

    def _sides(self, indices: Iterable[int]) -> List[str]:
        graph, written = self._subnet.graph, {self._blob}
        sides: List[str] = []
        for index in indices:
            layer = self._subnet.net.layers[index]
            for bottom in layer.bottoms:
                if bottom in written or bottom in sides:
                    continue
                if (graph.writers(bottom) or [-1])[-1] >= index:
                    raise EngineError(
                        f"layer {layer.name} reads blob {bottom!r}, which is overwritten later, so "
                        f"what lies behind {self._blob!r} cannot run by itself", layer.name)
                sides.append(bottom)
            written.update(layer.tops)
        return sides

    def check(self, value: np.ndarray, rows: Optional[Sequence[int]]) -> Tuple[
            np.ndarray, Dict[str, Optional[Items]]]:
        """Hold a value and its rows against the last forward.

        Returns
        -------
        value : numpy.ndarray
            float32, contiguous.
        items : dict
            Side -> what picks those of its items that are needed; None: the side as it is.

        Raises
        ------
        QuestionError
            Of another shape than the blob's, or no such row.
        EngineError
            A side has other items than the blob.
        """
        expected, blob = self._subnet.shapes, self._blob
        value = np.ascontiguousarray(value, np.float32)
        count = expected[blob][0]
        if value.shape[1:] != tuple(expected[blob][1:]) or not len(value):
            raise QuestionError(f"blob {blob!r} has rows of {_text(expected[blob][1:])}, and this "
                                f"value is {_text(value.shape)}", blob)
        if rows is None and len(value) != count:
            raise QuestionError(f"{len(value)} rows for blob {blob!r}, which had {count} in the "
                                "last forward: name by rows which belongs to which", blob)
        chosen = np.arange(count) if rows is None else np.asarray(rows, np.int64).reshape(-1)
        if len(chosen) != len(value) or chosen.min() < 0 or chosen.max() >= count:
            raise QuestionError(f"rows must name one of 0 to {count - 1} for each of {len(value)} "
                                "rows", blob)
        for side in set(self.sides) - self._constants:
            axis = self._axes[side]
            if expected[side][axis:axis + 1] != (count,):
                raise EngineError(
                    f"layers behind blob {blob!r} read blob {side!r} too, which does not hold one "
                    f"item for each of its {count}, so they cannot run by themselves; take a "
                    "method that needs gradients only or runs the whole net, such as grad-cam or "
                    "score-cam", side)
        self._fit(len(value))
        return value, {side: None if side in self._constants else
                       (slice(None), chosen) if self._axes[side] else chosen
                       for side in self.sides}

    def shapes(self, count: int) -> Shapes:
        """Shapes of the blob and the sides with so many rows."""
        last = dict(self._subnet.shapes)
        for name in {self._blob, *self.sides} - self._constants:
            axis = self._axes.get(name, 0)
            last[name] = last[name][:axis] + (count,) + last[name][axis + 1:]
        return {name: last[name] for name in [self._blob] + self.sides}

    def _fit(self, count: int) -> None:
        """Raise an InputError where the layers cannot take so many rows."""
        given = self.shapes(count)
        if given != self._fitting:
            net = self._subnet.net.of(self.layers)
            self._subnet.check_parameters(net, shapes.infer(net, given))
            self._fitting = given

    def document(self, count: int) -> Document:
        """The layers as a net whose inputs are the blob and the sides, with so many rows."""
        edits, root = Edits(self._subnet.document), self._subnet.document.root
        kept = {id(layer.field) for layer in self.layers}
        for field in root.all("input") + root.all("input_shape") + root.all("input_dim"):
            edits.remove(field)
        for layer in Net.parse(self._subnet.document).layers:
            if id(layer.field) not in kept:
                edits.remove(layer.field)
        lines = ["input: {}\ninput_shape {{ {} }}\n".format(
            quoted(name), " ".join(f"dim: {size}" for size in shape))
            for name, shape in self.shapes(count).items()]
        return Document.parse("".join(lines) + edits.apply().text())


def _text(shape: Shape) -> str:
    return " x ".join(map(str, shape))
