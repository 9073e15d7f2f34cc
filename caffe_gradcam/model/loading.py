"""Gathers what is known of a model, and where each value comes from."""

import dataclasses
import os
from typing import (
    TYPE_CHECKING,
    Any,
    Dict,
    Mapping,
    Optional,
    Tuple,
    Type,
    TypeVar,
    Union,
)

from caffe_gradcam.model import (
    array_files,
    array_inputs,
    blobs,
    detectors,
    fields,
    folder,
    input_kinds,
    layouts,
    naming,
    readme,
    training,
)
from caffe_gradcam.model.array_inputs import ArrayInput
from caffe_gradcam.model.clips import Clip
from caffe_gradcam.model.defaults import Defaults
from caffe_gradcam.model.given import GIVEN, Given
from caffe_gradcam.model.input_kinds import InputKinds
from caffe_gradcam.model.layouts import ScoreLayout
from caffe_gradcam.model.words import Vocabulary
from prototxt_tools import rewrite
from prototxt_tools import shapes as blob_shapes
from prototxt_tools.errors import ModelError, QuestionError, WeightsError, shortened
from prototxt_tools.net.graph import Graph
from prototxt_tools.net.net import Net
from prototxt_tools.text.document import Document

if TYPE_CHECKING:
    from caffe_gradcam.model.model import LoadedModel

    StrPath = Union[str, "os.PathLike[str]"]

Loaded = TypeVar("Loaded", bound="LoadedModel")


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
    prototxt, front, given = _opened(path, overrides)
    document = Document.load(prototxt)
    weights_path = _find_weights(given, front, weights)
    defaults = Defaults(given, prototxt)
    document = _with_sizes(given, _deployed(given, defaults, document, weights_path))
    graph = Graph(Net.parse(document).at("TEST"))
    score, link = blobs.score(graph, given.take("score", lambda: _default_score(given, graph)))
    kinds = input_kinds.find(graph, score)
    given.section.check_blobs(kinds.pictures, kinds.arrays)
    pictures = {name: _picture_shape(given, name, shape, len(kinds.pictures))
                for name, shape in kinds.pictures.items()}
    arrays = {blob: detectors.with_image_size(spec, pictures)
              for blob, spec in _arrays(given, kinds, prototxt).items()}
    input_shapes = kinds.blob_shapes(pictures)
    shapes = blob_shapes.infer(graph.net, input_shapes)
    items = layouts.item_axes(graph, input_shapes, {blob: spec.item_axis
                                                    for blob, spec in arrays.items()})
    layout, class_names = _layout(
        (given, defaults), graph, (score, link), shapes, layouts.find(
            graph, score, shapes, link, items))
    chosen = given.take("layers", lambda: blobs.default_layers(graph, score, shapes, pictures))
    end = graph.unknown_between(chosen, score, shapes)
    is_default = given.origins["layers"].startswith("found")
    if end is not None and is_default:
        given.warnings.append(
            f"{prototxt}: the shapes of blobs are unknown from layer {end.name} ({end.type}) on; "
            "the layer to draw is chosen when the net first runs, unless --layer names one")
    _warn_of_batch_statistics(given, graph, score, prototxt)
    return kind(
        name=str(front.get("name") or graph.net.name or _folder_name(given)),
        path=prototxt,
        weights=weights_path,
        prototxt=document.text(),
        graph=graph,
        shapes=shapes,
        inputs={name: defaults.preprocessing(name, shape) for name, shape in pictures.items()},
        arrays=arrays,
        slices=kinds.slices,
        clips={name: _with_stride(given, name, clip) for name, clip in kinds.clips.items()},
        score=score,
        link=link,
        layout=layout,
        item_axes=items,
        layers=tuple(blobs.checked_target(graph, score, shapes, name) for name in chosen),
        layers_are_certain=end is None or not is_default,
        class_names=class_names,
        origins=given.origins,
        warnings=tuple(given.warnings),
        caption_files=given.section.caption,
    )


def _opened(path: "StrPath", overrides: Mapping[str, Any]
            ) -> Tuple[str, Mapping[Any, Any], Given]:
    """The prototxt's path, the folder's front matter, and what is given for the model."""
    prototxt = folder.find_prototxt(
        _checked_path(path, "a model must be the path of a folder or a prototxt"))
    model_folder = os.path.dirname(prototxt) or "."
    front = folder.read_front_matter(model_folder)
    section = readme.read(front, os.path.join(model_folder, folder.README))
    return prototxt, front, Given(model_folder, section, overrides)


def _checked_path(path: Any, expected: str) -> str:
    try:
        return os.fsdecode(path)
    except TypeError:
        raise ModelError(f"{expected}, not {shortened(repr(path))}", str(path)) from None


def _folder_name(given: Given) -> str:
    return os.path.basename(os.path.abspath(given.folder))


def _arrays(given: Given, kinds: InputKinds, prototxt: str) -> Dict[str, ArrayInput]:
    """The array inputs, with their words and their values where these are given."""
    arrays = {blob: _with_default(given, _with_words(given, spec))
              for blob, spec in kinds.arrays.items()}
    return _with_text(given.overrides.get("text"), arrays, prototxt)


def _layout(sources: Tuple[Given, Defaults], graph: Graph, score: Tuple[str, str],
            shapes: Mapping[str, Tuple[int, ...]], layout: ScoreLayout
            ) -> Tuple[ScoreLayout, Optional[Tuple[str, ...]]]:
    """The layout of the score and of its link, completed, and the names of its classes."""
    (given, defaults), (blob, link) = sources, score
    count = layout.count(shapes.get(blob))
    return naming.named(given, defaults.info.labels, layout, count, link,
                        naming.is_yolo(graph, blob, layout))


def _warn_of_batch_statistics(given: Given, graph: Graph, score: str, prototxt: str) -> None:
    """Warn where images of a batch influence each other."""
    restless = blobs.batch_statistics(graph, score)
    if restless:
        layers = (f"BatchNorm layer {restless[0]} normalises" if len(restless) == 1 else
                  f"{len(restless)} BatchNorm layers, {restless[0]} first, normalise")
        given.warn(
            f"{prototxt}: {layers} by the statistics of each batch (use_global_stats: false) "
            "instead of the learned ones; so each image goes through the net alone, unless "
            "--batch-statistics is given")


def _deployed(given: Given, defaults: Defaults, document: Document, weights: str) -> Document:
    """The document itself, or a deploy net of it where it is a training net."""
    net = Net.parse(document)
    if not training.needs_deploying(net):
        return document
    size = given.take("size", lambda: (defaults.input_size(), "found: the training net's files"))
    document, sentence = training.deployed(document, weights, size, defaults.input_channels())
    given.warn(sentence)
    return document


def _with_sizes(given: Given, document: Document) -> Document:
    """The document with the size that is given for inputs whose own is open, such as -1."""
    sizes = {}
    for entry in Net.parse(document).inputs:
        if len(entry.shape or ()) == 4 and min(entry.shape or ()) < 1:
            size = given.take("size", lambda: (None, "found: the net's input"), entry.blob)
            if size is not None:
                sizes[entry.blob] = size
    return rewrite.fill_open_sizes(document, sizes).document if sizes else document


def _find_weights(given: Given, front: Mapping[Any, Any], weights: "Optional[StrPath]") -> str:
    if weights is not None:
        given.origins["weights"] = GIVEN
        path = _checked_path(weights, "weights must be the path of a file")
        if not os.path.isfile(path):
            raise WeightsError.about(path, "no such weights file")
        return path
    path, given.origins["weights"] = folder.find_weights(given.folder, dict(front))
    if given.origins["weights"].startswith(folder.NEWEST):
        given.warn(f"{path}: taken as {given.origins['weights'][len('found: '):]}; give "
                   "--weights for another")
    sha1 = front.get("sha1")
    if sha1 and front.get("caffemodel") and folder.sha1_differs(path, sha1):
        given.warnings.append(f"{path}: its SHA-1 is not the one in {folder.README}; "
                              "these are other weights, or a broken download")
    return path


def _default_score(given: Given, graph: Graph) -> Tuple[str, str]:
    scores = blobs.scores(graph)
    behind = detectors.score_behind(graph, scores[0].blob)
    if behind is not None:
        return behind, f"found: the boxes in {scores[0].blob} are chosen by it"
    if len(scores) > 1 and scores[1].link == scores[0].link:
        others = ", ".join(score.blob for score in scores[1:])
        given.warnings.append(f"{scores[0].blob} is taken as the score blob; others: {others}; "
                              "choose with --score")
    return scores[0].blob, "found: " + scores[0].reason


def _picture_shape(given: Given, name: str, shape: Tuple[int, ...], count: int
                   ) -> Tuple[int, ...]:
    """The shape of one picture, of the size that is given or of the net's own."""
    size = given.take("size", lambda: (None, "found: the net's input" + "s" * (count > 1)), name)
    return (1, shape[1]) + tuple(size or shape[2:])


def _with_text(text: Optional[str], arrays: Dict[str, ArrayInput], path: str
               ) -> Dict[str, ArrayInput]:
    """The array inputs, where a text is given for the only one that takes words."""
    if text is None:
        return arrays
    readers = [spec for spec in arrays.values() if spec.words is not None]
    if len(readers) != 1:
        counted = [blob for blob, spec in arrays.items() if spec.word_count is not None]
        advice = (f"name the words of input {counted[0]} in readme.md, under gradcam: inputs: "
                  f"{counted[0]}: words" if counted and not readers else "give each by INPUT=TEXT"
                  if readers else "no Embed layer reads an input")
        raise QuestionError(f"{path}: a question in words needs one input of words, and the net "
                            f"has {len(readers)}; {advice}", "--ask-text")
    spec = dataclasses.replace(readers[0], default=array_inputs.fit(text, readers[0], ""))
    return dict(arrays, **{spec.blob: spec})


def _with_stride(given: Given, name: str, clip: Clip) -> Clip:
    """A clip with the stride that is given, or the usual one."""
    usual = (clip.stride, "assumed: one frame after the other" if clip.stride else
             "assumed: spread evenly over the clip")
    return dataclasses.replace(clip, stride=given.take("stride", lambda: usual, name))


def _with_words(given: Given, spec: ArrayInput) -> ArrayInput:
    """An array input with the words whose numbers it takes, where the readme.md lists them."""
    is_given, value = given.section.value("words", spec.blob)
    if not is_given:
        return spec
    name = f"{given.section.path}: gradcam.inputs.{spec.blob}.words"
    if spec.word_count is None:
        raise ModelError(f"{name}: no Embed layer reads this input", given.section.path)
    try:
        path = fields.file(value, given.folder)
    except ValueError as error:
        raise ModelError(f"{name} {error}", given.section.path) from None
    return dataclasses.replace(spec, words=Vocabulary.read(path, spec.word_count))


def _with_default(given: Given, spec: ArrayInput) -> ArrayInput:
    """An array input with the value that the readme.md gives it."""
    is_given, value = given.section.value("value", spec.blob)
    if not is_given:
        return spec
    path = given.section.path
    if isinstance(value, str) and spec.words is None:
        value = array_files.read_in_folder(value, given.folder, path)
    given.origins[f"{spec.blob}.value"] = folder.README
    default = array_inputs.fit(value, spec, f"{path}: gradcam.inputs.{spec.blob}.value")
    return dataclasses.replace(spec, default=default)
