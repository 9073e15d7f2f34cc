"""Gathers what is known of a model, and where each value comes from."""

import os
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Type,
    TypeVar,
    Union,
)

import numpy as np

from caffe_gradcam.model import blobs, folder, label_files, labels, readme
from caffe_gradcam.model.fields import READERS, is_nothing
from caffe_gradcam.model.preprocess import CHANNELS, LETTERBOX, Preprocessing
from prototxt_tools import shapes as blob_shapes
from prototxt_tools.errors import ModelError, WeightsError
from prototxt_tools.net.graph import Graph
from prototxt_tools.net.net import Input, Net
from prototxt_tools.text.document import Document

if TYPE_CHECKING:
    from caffe_gradcam.model.model import LoadedModel

    StrPath = Union[str, "os.PathLike[str]"]

Loaded = TypeVar("Loaded", bound="LoadedModel")
Default = Callable[[], Tuple[Any, str]]

# The mean colour of ImageNet's images, blue first, as BVLC's models use it.
IMAGENET_MEAN = (104.0, 117.0, 123.0)
# The origin of values that a caller or the command line gives.
GIVEN = "command line"


def load(kind: Type[Loaded], path: "StrPath", weights: "Optional[StrPath]",
         overrides: Mapping[str, Any]) -> Loaded:
    """Load a model; see ``LoadedModel.load``.

    Parameters
    ----------
    kind : type
        LoadedModel or a class derived from it.
    path, weights
        As there.
    overrides : dict
        Field -> value, or None where it is not given.
    """
    prototxt = folder.find_prototxt(os.fspath(path))
    model_folder = os.path.dirname(prototxt) or "."
    front = folder.read_front_matter(model_folder)
    section = readme.read(front, os.path.join(model_folder, folder.README))
    given = _Given(model_folder, section, overrides)
    weights_path = _find_weights(given, front, weights)
    document = Document.load(prototxt)
    graph = Graph(Net.parse(document).at("TEST"))
    score, link = blobs.score(graph, given.take("score", lambda: _default_score(given, graph)))
    inputs = blobs.image_inputs(graph, score)
    section.check_blobs(entry.blob for entry in inputs)
    input_shapes = {entry.blob: _input_shape(given, entry, len(inputs)) for entry in inputs}
    shapes = blob_shapes.infer(graph.net, input_shapes)
    chosen = given.take("layers", lambda: blobs.default_layers(graph, score, shapes, input_shapes))
    preprocessing = _Preprocessings(given, prototxt)
    end = graph.unknown_between(chosen, score, shapes)
    is_default = given.origins["layers"].startswith("found")
    if end is not None and is_default:
        given.warnings.append(
            f"{prototxt}: the shapes of blobs are unknown from layer {end.name} ({end.type}) on; "
            "the layer to draw is chosen when the net first runs, unless --layer names one")
    return kind(
        name=str(front.get("name") or graph.net.name
                 or os.path.basename(os.path.abspath(model_folder))),
        path=prototxt,
        weights=weights_path,
        prototxt=document.text(),
        graph=graph,
        shapes=shapes,
        inputs={blob: preprocessing.of(blob, shape) for blob, shape in input_shapes.items()},
        score=score,
        link=link,
        layers=tuple(blobs.checked_target(graph, score, shapes, name) for name in chosen),
        layers_are_certain=end is None or not is_default,
        class_names=_class_names(given, shapes.get(score), link),
        origins=given.origins,
        warnings=tuple(given.warnings),
    )


class _Given:
    """The values that a caller and a readme.md give, and where those taken came from."""

    def __init__(self, model_folder: str, section: readme.Section,
                 overrides: Mapping[str, Any]) -> None:
        self.folder = model_folder
        self.section = section
        self.overrides = overrides
        self.origins: Dict[str, str] = {}
        self.warnings: List[str] = list(section.warnings)

    def has(self, name: str, blob: Optional[str] = None) -> bool:
        """Whether the caller or the readme.md gives a field a value other than "none"."""
        value = self.overrides.get(name)
        return not is_nothing(self.section.value(name, blob)[1] if value is None else value)

    def take(self, name: str, default: Default, blob: Optional[str] = None) -> Any:
        """A field's value: the caller's, else the readme.md's, else what ``default`` finds."""
        value = self.overrides.get(name)
        if value is not None:
            self._note(name, blob, GIVEN)
            return _read(name, value)
        is_given, value = self.section.value(name, blob)
        if is_given:
            self._note(name, blob, folder.README)
            return _read(name, value, self.folder, self.section.path)
        value, origin = default()
        self._note(name, blob, origin)
        return value

    def _note(self, name: str, blob: Optional[str], origin: str) -> None:
        is_first = blob is None or name not in self.origins
        self.origins[name if is_first else f"{blob}.{name}"] = origin


def _read(name: str, value: Any, model_folder: str = "", path: str = "") -> Any:
    """The value of a field: of the caller's, or of a readme.md in a model's folder."""
    try:
        return READERS[name](value, model_folder)
    except ValueError as error:
        field = name.replace("_", "-")
        message = f"{path}: {field} {error}" if path else f"{field} {error}"
        raise ModelError(message, path or name) from None


def _find_weights(given: _Given, front: Mapping[Any, Any], weights: "Optional[StrPath]") -> str:
    if weights is not None:
        given.origins["weights"] = GIVEN
        if not os.path.isfile(weights):
            raise WeightsError(f"{weights}: no such weights file", str(weights))
        return os.fspath(weights)
    path, given.origins["weights"] = folder.find_weights(given.folder, dict(front))
    sha1 = front.get("sha1")
    if sha1 and front.get("caffemodel") and folder.sha1_differs(path, sha1):
        given.warnings.append(f"{path}: its SHA-1 is not the one in {folder.README}; "
                              "these are other weights, or a broken download")
    return path


def _default_score(given: _Given, graph: Graph) -> Tuple[str, str]:
    scores = blobs.scores(graph)
    if len(scores) > 1 and scores[1].link == scores[0].link:
        others = ", ".join(score.blob for score in scores[1:])
        given.warnings.append(f"{scores[0].blob} is taken as the score blob; others: {others}; "
                              "choose with --score")
    return scores[0].blob, "found: " + scores[0].reason


def _input_shape(given: _Given, entry: Input, count: int) -> Tuple[int, ...]:
    """The shape of an input blob that holds one image."""
    size = given.take("size", lambda: (None, "found: the net's input" + "s" * (count > 1)),
                      entry.blob)
    shape = tuple(entry.shape or ())
    return (1, shape[1]) + (size or shape[2:])


class _Preprocessings:
    """How each input's images are prepared."""

    def __init__(self, given: _Given, prototxt: str) -> None:
        self.given = given
        self.transform = folder.find_transform(given.folder, prototxt)

    def of(self, blob: str, shape: Tuple[int, ...]) -> Preprocessing:
        """The preprocessing of an input blob of this shape."""
        channels, size = shape[1], (shape[2], shape[3])

        def take(name: str, default: Default) -> Any:
            return self.given.take(name, default, blob)

        origin = f"found: {channels} channel" + "s" * (channels > 1)
        order = take("channel_order", lambda: ("GRAY" if channels == 1 else "BGR", origin))
        if CHANNELS[order] != channels:
            raise ModelError(f"channel-order {order} has {CHANNELS[order]} channels, but the "
                             f"net's input has {channels}", blob)
        mean = take("mean", lambda: self._default_mean(channels))
        if mean is not None and mean.shape[0] not in (1, channels):
            raise ModelError(f"the mean has {mean.shape[0]} channels, but the net's input has "
                             f"{channels}; give --mean", blob)
        scale = take("scale", self._default_scale)
        resize, crop = self._resize_and_crop(blob, size)
        crops = take("crops", lambda: (1, "assumed: the middle"))
        return Preprocessing(size, order, mean, scale, resize, crop, crops)

    def _resize_and_crop(self, blob: str, size: Tuple[int, int]) -> Tuple[Any, Any]:
        """The whole image warped to the input, unless a resize or a crop is given."""
        whole: Tuple[Any, str] = (size, "assumed: the whole image, warped")
        if self.given.has("crop", blob):
            whole = (None, "assumed: cropped as it is")
        resize = self.given.take("resize", lambda: whole, blob)
        middle = (None, "assumed: nothing cut off") if resize in (size, None, LETTERBOX) else (
            size, "assumed: the middle")
        crop = self.given.take("crop", lambda: middle, blob)
        end = crop or resize
        if isinstance(end, tuple) and end != size:
            field = "crop" if crop else "resize"
            raise ModelError(f"{field} makes images of {end[0]}x{end[1]}, but the net's input is "
                             f"{size[0]}x{size[1]}", field)
        return resize, crop

    def _default_mean(self, channels: int) -> Tuple[Optional[np.ndarray], str]:
        transform = self.transform
        if transform is None:
            path = folder.find_mean(self.given.folder)
        elif transform.mean is not None:
            return transform.mean, "found: " + transform.file_name
        elif transform.mean_file is None:
            return None, f"found: {transform.file_name} subtracts none"
        else:
            path = folder.find_mean(self.given.folder, transform.mean_file)
        if path:
            return folder.read_mean(path), "found: " + os.path.basename(path)
        if channels == 1:
            return None, "assumed: none for grey"
        return np.array(IMAGENET_MEAN, np.float32), "assumed: BVLC's for ImageNet"

    def _default_scale(self) -> Tuple[float, str]:
        if self.transform is not None:
            return self.transform.scale, "found: " + self.transform.file_name
        return 1.0, "assumed: values from 0 to 255"


def _class_names(given: _Given, score_shape: Optional[Tuple[int, ...]], link: str
                 ) -> Optional[Tuple[str, ...]]:
    path = folder.find_labels(given.folder)
    default = (path, "found: " + os.path.basename(path)) if path else (None, "found: none")
    source = given.take("labels", lambda: default)
    if source is None:
        return None
    names = tuple(label_files.load(source)) if isinstance(source, str) else source
    count = score_shape[1] if score_shape and len(score_shape) > 1 else None
    problem = label_problem(names, count, link)
    if problem:
        file = source if isinstance(source, str) else "labels"
        given.warnings.append(f"{file}: {problem}")
        return None
    return names


def label_problem(names: Sequence[str], count: Optional[int], link: str) -> Optional[str]:
    """Why names cannot belong to so many scores, or None; see ``labels.are_sides``."""
    if count is None or len(names) == count or labels.are_sides(names, count, link):
        return None
    hints = {count - 1: "; a line for the background may be missing",
             count + 1: "; there may be a line for the background, an empty line or a heading too "
                        "many"}
    return (f"{len(names)} labels for {count} classes, so classes are shown as numbers"
            + hints.get(len(names), ""))
