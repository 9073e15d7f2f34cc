"""Gathers what is known of a model, and where each value comes from."""

import os
from typing import (
    TYPE_CHECKING,
    Any,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Type,
    TypeVar,
    Union,
)

from caffe_gradcam.model import blobs, detectors, folder, label_files, labels, readme, training
from caffe_gradcam.model.defaults import Defaults
from caffe_gradcam.model.given import GIVEN, Given
from prototxt_tools import rewrite
from prototxt_tools import shapes as blob_shapes
from prototxt_tools.errors import WeightsError
from prototxt_tools.net.graph import Graph
from prototxt_tools.net.net import Input, Net
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
    prototxt = folder.find_prototxt(os.fspath(path))
    model_folder = os.path.dirname(prototxt) or "."
    front = folder.read_front_matter(model_folder)
    section = readme.read(front, os.path.join(model_folder, folder.README))
    given = Given(model_folder, section, overrides)
    weights_path = _find_weights(given, front, weights)
    defaults = Defaults(given, prototxt)
    document = _deployed(given, defaults, Document.load(prototxt), weights_path)
    document = _with_sizes(given, document)
    graph = Graph(Net.parse(document).at("TEST"))
    score, link = blobs.score(graph, given.take("score", lambda: _default_score(given, graph)))
    inputs = blobs.image_inputs(graph, score)
    section.check_blobs(entry.blob for entry in inputs)
    input_shapes = {entry.blob: _input_shape(given, entry, len(inputs)) for entry in inputs}
    shapes = blob_shapes.infer(graph.net, input_shapes)
    chosen = given.take("layers", lambda: blobs.default_layers(graph, score, shapes, input_shapes))
    end = graph.unknown_between(chosen, score, shapes)
    is_default = given.origins["layers"].startswith("found")
    if end is not None and is_default:
        given.warnings.append(
            f"{prototxt}: the shapes of blobs are unknown from layer {end.name} ({end.type}) on; "
            "the layer to draw is chosen when the net first runs, unless --layer names one")
    restless = blobs.batch_statistics(graph, score)
    if restless:
        layers = (f"BatchNorm layer {restless[0]} normalises" if len(restless) == 1 else
                  f"{len(restless)} BatchNorm layers, {restless[0]} first, normalise")
        given.warn(
            f"{prototxt}: {layers} by the statistics of each batch (use_global_stats: false) "
            "instead of the learned ones; so each image goes through the net alone, unless "
            "--batch-statistics is given")
    return kind(
        name=str(front.get("name") or graph.net.name
                 or os.path.basename(os.path.abspath(model_folder))),
        path=prototxt,
        weights=weights_path,
        prototxt=document.text(),
        graph=graph,
        shapes=shapes,
        inputs={blob: defaults.preprocessing(blob, shape)
                for blob, shape in input_shapes.items()},
        score=score,
        link=link,
        layers=tuple(blobs.checked_target(graph, score, shapes, name) for name in chosen),
        layers_are_certain=end is None or not is_default,
        class_names=_class_names(given, defaults.info.labels, shapes.get(score), link),
        origins=given.origins,
        warnings=tuple(given.warnings),
    )


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
        if not os.path.isfile(weights):
            raise WeightsError(f"{weights}: no such weights file", str(weights))
        return os.fspath(weights)
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
    detectors.check_default_score(graph, scores[0].blob)
    if len(scores) > 1 and scores[1].link == scores[0].link:
        others = ", ".join(score.blob for score in scores[1:])
        given.warnings.append(f"{scores[0].blob} is taken as the score blob; others: {others}; "
                              "choose with --score")
    return scores[0].blob, "found: " + scores[0].reason


def _input_shape(given: Given, entry: Input, count: int) -> Tuple[int, ...]:
    """The shape of an input blob that holds one image."""
    size = given.take("size", lambda: (None, "found: the net's input" + "s" * (count > 1)),
                      entry.blob)
    shape = tuple(entry.shape or ())
    return (1, shape[1]) + (size or shape[2:])


def _class_names(given: Given, file_name: Optional[str], score_shape: Optional[Tuple[int, ...]],
                 link: str) -> Optional[Tuple[str, ...]]:
    path = folder.find_labels(given.folder, file_name)
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
