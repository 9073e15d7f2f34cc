"""Prototxt + weights + preprocessing + class names = LoadedModel."""

import dataclasses
import os
from dataclasses import dataclass
from types import MappingProxyType
from typing import (
    TYPE_CHECKING,
    Any,
    Dict,
    Iterable,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Type,
    TypeVar,
    Union,
)

from caffe_gradcam.model import blobs, choices, input_kinds, layouts, loading, naming
from caffe_gradcam.model import labels as class_labels
from caffe_gradcam.model.array_inputs import ArrayInput
from caffe_gradcam.model.caption_files import CaptionFiles
from caffe_gradcam.model.clips import Clip
from caffe_gradcam.model.fields import READERS
from caffe_gradcam.model.geometry import Placement
from caffe_gradcam.model.given import GIVEN
from caffe_gradcam.model.layouts import ScoreLayout
from caffe_gradcam.model.preprocess import Preprocessing
from prototxt_tools.net.graph import Graph
from prototxt_tools.net.net import Net
from prototxt_tools.reports import receptive
from prototxt_tools.text.document import Document

if TYPE_CHECKING:
    from typing import NoReturn

    import numpy as np

    StrPath = Union[str, "os.PathLike[str]"]
    Size = Union[str, int, Sequence[int]]

Loaded = TypeVar("Loaded", bound="LoadedModel")
NO_SIZES: "Mapping[str, Sequence[int]]" = MappingProxyType({})
Shape = Tuple[int, ...]


@dataclass(frozen=True, eq=False, repr=False)
class LoadedModel:
    """A net with all that is needed to show it an image and to read its answer.

    Attributes
    ----------
    name : str
    path, weights : str
        The prototxt and the caffemodel.
    prototxt : str
        The text of the prototxt, unchanged.
    graph : prototxt_tools.net.graph.Graph
        Of the net in phase TEST.
    shapes : dict
        Blob name to shape, as far as known without running.
    inputs : dict
        Each picture that the net takes -> its Preprocessing: the name is that of the input blob,
        or, where pictures are stacked in one blob, that of the slice.
    arrays : dict
        Each input blob that takes other numbers -> its ArrayInput.
    slices : dict
        Input blob -> the names of the pictures that are stacked in it.
    clips : dict
        Each of ``inputs`` that takes the frames of a clip -> its Clip.
    score : str
        The blob of scores, one per class, before any Softmax.
    link : str
        What makes probabilities of scores: "softmax", "sigmoid" or "none".
    layout : ScoreLayout
        Which axis of the score blob holds the classes, and what the others are.
    item_axes : dict
        Blob -> the axis along which it holds the images of a batch; None where it cannot hold
        several.
    layers : tuple of str
        The blobs whose maps are drawn.
    layers_are_certain : bool
        False where they were chosen although the shapes of later blobs are unknown: see
        :meth:`with_shapes`.
    class_names : tuple of str, or None
        One per class; None also where the labels do not fit the number of classes.
    origins : dict
        Field to where its value comes from: "readme.md", "command line", "found: ..." or
        "assumed: ...". Fields are named as the keywords of :meth:`load`, and those of inputs
        after the first as BLOB.FIELD.
    warnings : tuple of str
        What does not fit together, but may be meant.
    caption_files : CaptionFiles, optional
        The files of a net that describes images in words, where the folder names them.
    """

    name: str
    path: str
    weights: str
    prototxt: str
    graph: Graph
    shapes: Mapping[str, Shape]
    inputs: Mapping[str, Preprocessing]
    arrays: Mapping[str, ArrayInput]
    slices: Mapping[str, Sequence[str]]
    clips: Mapping[str, Clip]
    score: str
    link: str
    layout: ScoreLayout
    item_axes: Mapping[str, Optional[int]]
    layers: Tuple[str, ...]
    layers_are_certain: bool
    class_names: Optional[Tuple[str, ...]]
    origins: Mapping[str, str]
    warnings: Tuple[str, ...]
    caption_files: Optional[CaptionFiles] = None

    @classmethod
    def load(
        cls: Type[Loaded],
        path: "StrPath",
        weights: "Optional[StrPath]" = None,
        *,
        size: "Optional[Size]" = None,
        channel_order: Optional[str] = None,
        mean: "Union[None, str, float, Sequence[float], os.PathLike[str], np.ndarray]" = None,
        scale: Union[None, str, float] = None,
        resize: "Optional[Size]" = None,
        crop: "Optional[Size]" = None,
        crops: Union[None, str, int] = None,
        value_range: Union[None, str, Sequence[float]] = None,
        stride: Union[None, str, int] = None,
        text: Optional[str] = None,
        score: Optional[str] = None,
        layers: Union[None, str, Sequence[str]] = None,
        labels: "Union[None, StrPath, Sequence[str]]" = None,
        outputs: "Union[None, StrPath, Sequence[str]]" = None,
        **unknown: "NoReturn"
    ) -> Loaded:
        """Load a model folder, or a bare prototxt with its weights.

        The keywords go before what the folder specifies or implies; None means not given, and
        "none" means none.

        Parameters
        ----------
        path : str or os.PathLike
            A folder with a deploy.prototxt, a .caffemodel and, if its author wrote one, a
            readme.md in the Model Zoo's form with a ``gradcam:`` section; or a prototxt, whose
            folder is then searched in the same way.
        weights : str or os.PathLike, optional
            Instead of the folder's.
        size : str, int or (int, int), optional
            Height and width of the net's input, for nets that work at other sizes:
            ``(96, 128)``, ``"96x128"``, ``96``.
        channel_order : str, optional
            "BGR", "RGB" or "GRAY".
        mean : float, sequence of float, numpy.ndarray, str or os.PathLike, optional
            Subtracted: one number for all channels, one per channel, an array of C x h x w, or
            a .npy or .binaryproto file; in the net's channel order and the range 0..255.
        scale : float, optional
            Multiplied after the mean was subtracted.
        resize : str, int or (int, int), optional
            Height and width; the length of the short side; "letterbox"; or "none".
        crop : str, int or (int, int), optional
            Height and width of the net's crop, or "none".
        crops : int, optional
            1 or 10.
        value_range : (float, float), optional
            The values that become 0 and 255 in images of more than 8 bits per channel:
            ``(0, 4095)``; without it, see ``caffe_gradcam.model.image_values``.
        stride : int or str, optional
            Of nets that take clips: every how many frames one is taken, or "even" for frames
            spread over the whole clip.
        text : str, optional
            What the net reads beside each image, in words: "what is left of the five?".
        score : str, optional
            The score blob, or the layer that writes it.
        layers : str or sequence of str, optional
            The layers or blobs whose maps are drawn.
        labels : str, os.PathLike or sequence of str, optional
            A file of class names, or the names: see ``caffe_gradcam.model.label_files``.
        outputs : str, os.PathLike or sequence of str, optional
            Likewise, for numbers that are no scores of classes: a regression, landmarks.

        Returns
        -------
        LoadedModel
            Or the class that this is called on.

        Raises
        ------
        ModelError, WeightsError, QuestionError
            Something does not fit; the message tells what to do. Or an unknown keyword.
        """
        choices.check_keywords("Model.load", unknown, ["weights"] + list(READERS))
        overrides = dict(
            size=size, channel_order=channel_order, mean=mean, scale=scale, resize=resize,
            crop=crop, crops=crops, value_range=value_range, stride=stride, text=text,
            score=score, layers=layers, labels=labels, outputs=outputs)
        return loading.load(cls, path, weights, overrides)

    def __repr__(self) -> str:
        """One line: the inputs, the score, the layers."""
        inputs = ", ".join(
            f"{blob} {values.size[0]}x{values.size[1]} {values.channel_order}"
            for blob, values in self.inputs.items())
        count = "" if self.class_count is None else f" ({self.class_count} classes)"
        return (f"<{type(self).__name__} {self.name!r}: {inputs} -> {self.score}{count}, "
                f"layer {', '.join(self.layers)}>")

    def __getstate__(self) -> Dict[str, Any]:
        """Without the graph, which is made again from the prototxt."""
        return {name: value for name, value in self.__dict__.items() if name != "graph"}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        net = Net.parse(Document.parse(self.prototxt, self.path))
        self.__dict__["graph"] = Graph(net.at("TEST"))

    @property
    def input(self) -> str:
        """The first input blob, for most nets the only one."""
        return next(iter(self.inputs))

    @property
    def preprocessing(self) -> Preprocessing:
        """The preprocessing of the first input."""
        return self.inputs[self.input]

    def input_of(self, blob: str) -> str:
        """The input blob whose image a blob shows: the first of those that it depends on."""
        if blob in self.inputs:
            return blob
        return blobs.sources(self.graph, blob, self.inputs)[0]

    def fields(self) -> Dict[str, receptive.Field]:
        """The receptive fields of blobs, where they are known."""
        return receptive.fields(self.graph.net, dict(self.shapes))

    def placements(self, names: Iterable[str],
                   fields: Optional[Mapping[str, receptive.Field]] = None,
                   sizes: "Mapping[str, Sequence[int]]" = NO_SIZES,
                   ) -> Dict[str, Optional[Placement]]:
        """Where some blobs' cells look, where their receptive fields are known.

        Parameters
        ----------
        names : iterable of str
        fields : dict, optional
            Of :meth:`fields`, by those who ask often.
        sizes : dict
            Picture -> height and width, where these are not those of :attr:`inputs`.

        Returns
        -------
        dict
            Blob -> Placement or None.
        """
        fields = self.fields() if fields is None else fields
        sources = {blob: self.input_of(blob) for blob in names}
        return {blob: Placement.of_field(fields.get(blob), sizes.get(
            source, self.shapes[source][2:])) for blob, source in sources.items()}

    def with_layers(self: Loaded, names: Iterable[str]) -> Loaded:
        """The same model with the maps of other layers or blobs; QuestionError for bad ones."""
        layers = tuple(blobs.checked_target(self.graph, self.score, self.shapes, name)
                       for name in names)
        origins = dict(self.origins, layers=GIVEN)
        return dataclasses.replace(self, layers=layers, layers_are_certain=True, origins=origins)

    def with_shapes(self: Loaded, shapes: Mapping[str, Shape]) -> Loaded:
        """The same model with the shapes that an engine found, and layers chosen by them.

        Parameters
        ----------
        shapes : dict
            Blob name to shape, of one image; those of blobs that an engine does not hold may be
            absent.

        Returns
        -------
        LoadedModel
            Its layers are certain; they differ from this one's where this one's were not.
        """
        complete = dict(self.shapes, **shapes)
        layers, origins = self.layers, dict(self.origins)
        if not self.layers_are_certain:
            layers, origins["layers"] = blobs.default_layers(
                self.graph, self.score, complete, self.inputs)
        changed = dataclasses.replace(self, shapes=complete, layers=layers, origins=origins,
                                      layers_are_certain=True)
        changed = dataclasses.replace(changed, layout=changed.layout_in(complete))
        problem = naming.label_problem(self.class_names or (), changed.class_count, self.link)
        if self.class_names and problem:
            return dataclasses.replace(changed, class_names=None,
                                       warnings=self.warnings + (f"labels: {problem}",))
        return changed

    def layout_in(self, shapes: Mapping[str, Shape]) -> ScoreLayout:
        """The layout of the score blob, where blobs have these shapes."""
        if self.score in self.shapes:
            return self.layout
        found = layouts.find(self.graph, self.score, shapes, self.link, self.item_axes)
        return dataclasses.replace(found, kind=self.layout.kind)

    def net_inputs(self, values: "Mapping[str, np.ndarray]") -> "Dict[str, np.ndarray]":
        """What the input blobs of the net hold, for values of ``inputs`` and ``arrays``."""
        return input_kinds.joined(values, self.slices)

    @property
    def items_share(self) -> bool:
        """Whether several images can go through the net together."""
        axes = [self.item_axes.get(blob, 0) for blob in self.layers]
        return (self.item_axes.get(self.score, 0) is not None and set(axes) == {0}
                and all(spec.item_axis is not None for spec in self.arrays.values()))

    @property
    def depends_on_batch(self) -> bool:
        """Whether what the net computes of an image depends on the other images of the batch."""
        return bool(blobs.batch_statistics(self.graph, self.score))

    @property
    def class_count(self) -> Optional[int]:
        """The number of classes, or None where it is not known before the net has run.

        One score with two class names tells two classes apart.
        """
        return 2 if self.has_two_sides else self._score_count

    @property
    def has_two_sides(self) -> bool:
        """Whether one score speaks for the second of two classes and against the first."""
        return class_labels.are_sides(self.class_names, self._score_count, self.link)

    @property
    def _score_count(self) -> Optional[int]:
        return self.layout.count(self.shapes.get(self.score))

    def class_name(self, index: int) -> Optional[str]:
        """The name of a class, or None."""
        names = self.class_names
        return names[index] if names is not None and 0 <= index < len(names) else None

    def find_class(self, text: str) -> int:
        """The index of the class that a number or a name means; see ``labels.find``."""
        return class_labels.find(text, self.class_names, self.class_count, self.layout.noun)
