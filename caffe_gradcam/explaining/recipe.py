"""What to explain and how, as one frozen value.

The command line, Python calls and files (``--config``) all make a :class:`Recipe`; batches, reports
and manifests store it, and it is enough to repeat a run.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Dict, Mapping, Optional, Tuple, Type, TypeVar

from caffe_gradcam.engines.running import Running
from prototxt_tools.errors import QuestionError

Part = TypeVar("Part")

FORMAT = 1


@dataclass(frozen=True)
class ModelChoice:
    """Which model, and what is given instead of what its folder says.

    Attributes
    ----------
    path : str
        A model folder, a prototxt, or the name of a public model.
    weights : str, optional
        A weights file.
    overrides : dict
        Values for ``Model.load``'s keywords: ``size, channel_order, mean, scale, resize, crop,
        crops, score, layers, labels``. JSON values.
    """

    path: str
    weights: Optional[str] = None
    overrides: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Asking:
    """What is asked about each image.

    Attributes
    ----------
    classes : tuple of str
        Texts that ``caffe_gradcam.asking.grammar`` reads; none: the class with the highest score.
    at : (int, int, int, int), optional
        x, y, width, height in pixels of the image, for nets with a map of scores.
    mask : str, optional
        The path of a mask of the image's size, likewise.
    like : str, optional
        The path of an image whose score blob the others are compared with.
    cosine : bool
        Compare with ``like`` by the cosine instead of the dot product.
    probability : bool
        Ask for the class's probability instead of its score.
    counterfactual : bool
        Ask what speaks against the class.
    """

    classes: Tuple[str, ...] = ()
    at: Optional[Tuple[int, int, int, int]] = None
    mask: Optional[str] = None
    like: Optional[str] = None
    cosine: bool = False
    probability: bool = False
    counterfactual: bool = False


@dataclass(frozen=True)
class Explaining:
    """How it is explained.

    Attributes
    ----------
    methods : tuple of str
        Names of ``METHODS``.
    layers : tuple of str
        Layers or blobs whose maps are drawn; none: the model's own target blobs.
    fuse : str, optional
        "mean", "max" or "product": one map of all layers.
    gradient : str
        "post", "pre-relu" or "positive".
    placement : str
        "centres" or "stretch".
    samples : int, optional
        Noisy copies, masks or steps, for methods that take some.
    """

    methods: Tuple[str, ...] = ("grad-cam",)
    layers: Tuple[str, ...] = ()
    fuse: Optional[str] = None
    gradient: str = "post"
    placement: str = "centres"
    samples: Optional[int] = None


@dataclass(frozen=True)
class Recipe:
    """A model, what is asked, how it is explained, and on what it runs."""

    model: ModelChoice
    asking: Asking = Asking()
    explaining: Explaining = Explaining()
    running: Running = Running()

    def to_dict(self) -> Dict[str, Any]:
        """The recipe as JSON values."""
        values = dataclasses.asdict(self)
        return {"format": FORMAT, **json.loads(json.dumps(values))}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Recipe":
        """The recipe that :meth:`to_dict` or a configuration file describes.

        Raises
        ------
        QuestionError
            An unknown key, or a value of the wrong type.
        """
        sections = dict(values)
        if sections.pop("format", FORMAT) != FORMAT:
            raise QuestionError(f"this configuration has another format than {FORMAT}")
        parts: Dict[str, Any] = {}
        for part in dataclasses.fields(cls):
            parts[part.name] = sections.pop(part.name, None)
        if sections:
            raise QuestionError(f"unknown section {sorted(sections)[0]!r} in the configuration")
        return cls(_part(ModelChoice, "model", parts["model"]),
                   _part(Asking, "asking", parts["asking"]),
                   _part(Explaining, "explaining", parts["explaining"]),
                   _part(Running, "running", parts["running"]))

    def digest(self) -> str:
        """SHA-256 of the recipe, in hexadecimal; file names carry the first eight digits."""
        text = json.dumps(self.to_dict(), sort_keys=True)
        return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _part(kind: Type[Part], name: str, values: Optional[Mapping[str, Any]]) -> Part:
    """One section of a recipe; lists become tuples."""
    values = dict(values or {})
    allowed = [entry.name for entry in dataclasses.fields(kind)]  # type: ignore[arg-type]
    for key in values:
        if key not in allowed:
            raise QuestionError(f"unknown key {name}.{key} in the configuration; known are "
                                + ", ".join(allowed))
    try:
        return kind(**{key: tuple(value) if isinstance(value, list) else value
                       for key, value in values.items()})
    except TypeError as error:
        raise QuestionError(f"the configuration's section {name}: {error}") from None
