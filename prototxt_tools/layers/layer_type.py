"""The record of what is known of a layer type, and the table of these records."""

import difflib
import re
from dataclasses import dataclass
from typing import Callable, Dict, FrozenSet, List, Optional, Tuple

from prototxt_tools.layers.sizes import Message, Shapes, Tops
from prototxt_tools.layers.spans import Span

ShapeRule = Callable[[Message, Shapes, int], Tops]
BlobsRule = Callable[[Message, Shapes], Tops]
ReceptiveRule = Callable[[Message, List[List[Span]], Shapes], Optional[List[Span]]]
CostRule = Callable[[Message, Shapes, Shapes, Shapes], int]
ArityRule = Callable[[Message], Tuple[str, str]]

ROLES = {
    "": "makes new features, or nothing is known of it",
    "convolution": "makes each channel of all channels around a cell, with learned weights",
    "linear": "makes each number of all numbers of its bottom, with learned weights",
    "activation": "changes each number by itself",
    "rectifier": "an activation that cuts at 0, so that guided back-propagation applies to it",
    "channelwise": "shifts and scales each channel by itself",
    "normalization": "divides by statistics of neighbouring cells or channels",
    "pooling": "thins out the cells of each channel",
    "resize": "resizes each channel",
    "carrier": "moves or selects numbers without changing them",
    "identity": "passes all numbers on, in their order",
    "join": "puts its bottoms together",
    "sum": "combines its bottoms number by number",
    "link": "turns scores into probabilities",
    "loss": "compares scores with labels",
    "judge": "measures or discards blobs and gives nothing that further layers need",
    "decision": "turns scores into the class that they are highest for",
    "images": "fills its first top with images that transform_param describes",
    "data": "fills its tops from outside",
    "constant": "fills its tops, also in a deploy net",
}
_CARRYING = {"pooling", "carrier", "identity"}
_CLASS_KEEPING = _CARRYING | {
    "activation", "rectifier", "channelwise", "resize", "sum", "link",
}  # fmt: skip


@dataclass(frozen=True)
class LayerType:
    """What the tools and the engines need to know of a layer type.

    Only the name is required. Without a shape rule, the shapes behind such a layer are unknown.

    Attributes
    ----------
    name : str
        The V2 name, such as ``InnerProduct``.
    shape : callable, optional
        ``shape(message, bottoms, count)`` gives the shapes of the ``count`` tops from those of
        the bottoms, None where one is unknown. ``message`` is the ``LayerParameter`` with Caffe's
        defaults. Raises ValueError with a sentence where the layer cannot be built.
        ``same_shape`` is the rule of layers whose top has the shape of their first bottom.
    receptive : callable, optional
        ``receptive(message, spans, shapes)`` gives the spans of a top along the spatial axes, or
        None. ``spans`` holds a list of ``Span``, one per spatial axis, for each bottom that sees
        the input; ``shapes`` holds these bottoms' shapes, then the top's. See ``pointwise``,
        ``whole`` and ``windowed``.
    role : str
        A key of ``ROLES``: what the layer does to scores and features.
    blobs : callable, optional
        ``blobs(message, bottoms)`` gives the shapes of the learned blobs, in the order of Caffe's
        ``layer.blobs``, None for those that the definition leaves out.
    multiply_adds : callable, optional
        ``multiply_adds(message, bottoms, tops, blobs)``, given shapes; None for a layer without
        matrix products.
    bottoms, tops : str
        How many it takes: "1" exactly one, "1+" one or more, "1-2" one or two.
    arity : callable, optional
        ``arity(message)`` gives ``bottoms`` and ``tops`` where they depend on the parameters.
    value_bottoms : int, optional
        How many bottoms, from the first, have values that reach the tops; the others only give
        positions or sizes. None means all.
    link : str, optional
        What turns the scores that the layer reads into probabilities: "softmax", "sigmoid" or
        "none". None for a layer that does not read scores.
    inner_link : str
        For a loss that computes probabilities internally the type that computes them:
        "Softmax" for SoftmaxWithLoss.
    rectifies_if : callable, optional
        ``rectifies_if(message)`` tells whether a rectifier cuts at 0; without it, every one does.
    fillers : tuple, optional
        For each learned blob the field of its filler and the value if there is no filler, or None
        for a blob that always starts with zeros.
    parameters : str
        The field of ``LayerParameter`` that holds what the type needs, such as
        ``convolution_param``.
    access : str
        What the layer does beyond arithmetic: "code" runs code named by the file, "database" and
        "files" read from the disk, "output" writes to it. Empty for nothing.
    is_stock : bool
        Whether BVLC Caffe's master has it.
    """

    name: str
    shape: Optional[ShapeRule] = None
    receptive: Optional[ReceptiveRule] = None
    role: str = ""
    blobs: Optional[BlobsRule] = None
    multiply_adds: Optional[CostRule] = None
    bottoms: str = "0+"
    tops: str = "0+"
    arity: Optional[ArityRule] = None
    value_bottoms: Optional[int] = None
    link: Optional[str] = None
    inner_link: str = ""
    rectifies_if: Optional[Callable[[Message], bool]] = None
    fillers: Optional[Tuple[Optional[Tuple[str, float]], ...]] = None
    parameters: str = ""
    access: str = ""
    is_stock: bool = False

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a layer type needs a name")
        if self.role not in ROLES:
            roles = ", ".join(filter(None, ROLES))
            raise ValueError(
                f"layer type {self.name}: no role {self.role!r}; the roles are {roles}")

    @property
    def carries(self) -> bool:
        """Whether it moves or thins out values without making new features."""
        return self.role in _CARRYING

    @property
    def keeps_classes(self) -> bool:
        """Whether its top has one channel per class where its bottom has."""
        return self.role in _CLASS_KEEPING

    @property
    def joins(self) -> bool:
        """Whether branches meet in it."""
        return self.role in ("join", "sum")

    @property
    def judges(self) -> bool:
        """Whether it only measures what a net computes, so that a deploy net does not need it.

        For types that are not in the table the name decides.
        """
        if self.name in TABLE:
            return self.role in ("loss", "judge")
        return bool(_JUDGING_NAME.search(self.name))

    @property
    def is_data(self) -> bool:
        """Whether it fills blobs with data that a deploy net gets from its user.

        For types that are not in the table the name decides.
        """
        if self.name in TABLE:
            return self.role in ("images", "data")
        return self.name.endswith("Data")

    def rectifies(self, message: Message) -> bool:
        """Whether a layer of the type, with these parameters, cuts at 0."""
        return self.role == "rectifier" and (self.rectifies_if is None
                                             or self.rectifies_if(message))


_JUDGING_NAME = re.compile("Loss|Accuracy|Eval|Silence|Annotator")
TABLE: Dict[str, LayerType] = {}


def register(layer_type: LayerType) -> LayerType:
    """Add a layer type to the table, or replace its record.

    From then on shapes, receptive fields, costs, the scores and targets of ``Graph``, ``inspect``
    and the engines use it.

    Examples
    --------
    >>> from prototxt_tools import layers
    >>> layers.register(layers.LayerType(
    ...     "Mish", shape=layers.same_shape, receptive=layers.pointwise, role="activation"))
    """
    TABLE[layer_type.name] = layer_type
    return layer_type


def stock_types() -> FrozenSet[str]:
    """The names of the layer types that BVLC Caffe's master has."""
    return frozenset(layer_type.name for layer_type in TABLE.values() if layer_type.is_stock)


def of(name: str) -> LayerType:
    """The record of a layer type; for an unknown type one that has only the name."""
    return TABLE.get(name) or LayerType(name or "(no type)")


def similar(name: str) -> str:
    """The type in the table that is meant by a name with other capitals or a slip; "" for none.

    Examples
    --------
    >>> similar("INNER_PRODUCT"), similar("concat")
    ('InnerProduct', 'Concat')
    """
    if not name or name in TABLE:
        return ""
    plain = {_plain(known): known for known in TABLE}
    near = difflib.get_close_matches(_plain(name), plain, 1, 0.9)
    return plain[near[0]] if near else ""


def _plain(name: str) -> str:
    return name.replace("_", "").lower()
