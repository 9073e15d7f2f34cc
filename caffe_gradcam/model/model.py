"""Prototxt + weights + preprocessing + labels = Model."""

import difflib
import os
from typing import Dict, List, NamedTuple, Optional

import numpy as np

from caffe_gradcam.model import blobs, fields, folder, labels
from caffe_gradcam.model.geometry import Placement
from caffe_gradcam.model.preprocess import CHANNELS, LETTERBOX, Preprocessing
from prototxt_tools import shapes as blob_shapes
from prototxt_tools.errors import InputError
from prototxt_tools.net.graph import Graph
from prototxt_tools.net.net import Net
from prototxt_tools.net.streams import stream_targets
from prototxt_tools.reports import receptive
from prototxt_tools.text.document import Document

# The mean colour of ImageNet's pictures, blue first, as BVLC's models use it.
IMAGENET_MEAN = (104.0, 117.0, 123.0)

# What a `gradcam:` section may say; those of `input` stand in a mapping of their own.
READERS = {
    "size": fields.pair,
    "channel_order": fields.channel_order,
    "mean": fields.mean,
    "scale": fields.scale,
    "resize": fields.resize,
    "crop": fields.crop,
    "crops": fields.crops,
    "score": fields.name,
    "target": fields.name_list,
    "labels": fields.path,
}
OF_INPUT = ("size", "channel_order", "mean", "scale", "resize", "crop", "crops")


class _Fields(NamedTuple):
    """What there is to know of a model; see :class:`Model`."""

    name: str
    path: str
    weights: str
    prototxt: str
    graph: Graph
    shapes: Dict[str, tuple]
    inputs: Dict[str, Preprocessing]
    score: str
    link: str
    targets: List[str]
    labels: Optional[List[str]]
    origins: Dict[str, str]
    warnings: List[str]


class Model(_Fields):
    """A net with all that is needed to show it a photograph and to read its answer.

    Attributes
    ----------
    name : str
    path, weights : str
        The prototxt and the caffemodel.
    prototxt : str
        The text of the prototxt, as it is.
    graph : prototxt_tools.net.graph.Graph
        Of the net in phase TEST.
    shapes : dict
        Blob name to shape, as far as known without running.
    inputs : dict
        Each blob that holds a picture -> its Preprocessing.
    score : str
        The blob of scores, one per class, before any Softmax.
    link : str
        What makes probabilities of scores: "softmax", "sigmoid" or "none".
    targets : list of str
        The blobs whose maps are drawn.
    labels : list of str or None
        One per class.
    origins : dict
        Field name to where its value comes from: "readme.md", "command line", "found: ..." or
        "assumed: ...".
    warnings : list of str
        What does not fit together, but may be meant.
    """

    @classmethod
    def load(cls, path, weights=None, **overrides):
        """Load a model folder, or a bare prototxt with its weights.

        Parameters
        ----------
        path : str or os.PathLike
            A folder with a deploy.prototxt, a .caffemodel and, if the author was kind, a
            readme.md in the Model Zoo's form with a ``gradcam:`` section; or a prototxt, beside
            which the same is looked for.
        weights : str or os.PathLike, optional
            Instead of the folder's.
        **overrides
            ``size, channel_order, mean, scale, resize, crop, crops, score, target, labels``:
            each goes before what is found; None counts as not given, "none" as none.

        Returns
        -------
        Model

        Raises
        ------
        InputError
            Anything that does not fit, in a sentence that says what to do.
        """
        return _Loader(os.fspath(path), weights, overrides).load()

    @property
    def input(self):
        """The first input blob, for most nets the only one."""
        return next(iter(self.inputs))

    @property
    def preprocessing(self):
        """The preprocessing of the first input."""
        return self.inputs[self.input]

    def input_of(self, blob):
        """The input blob whose picture a blob shows: the first of those that it depends on."""
        if blob in self.inputs:
            return blob
        return blobs.sources(self.graph, blob, self.inputs)[0]

    def placements(self, names):
        """Where some blobs' cells look, if their receptive fields say so: see ``Placement``.

        Returns
        -------
        dict
            Blob -> Placement or None.
        """
        fields = receptive.fields(self.graph.net, self.shapes)
        return {blob: Placement.of_field(
            fields.get(blob), self.shapes[self.input_of(blob)][2:]) for blob in names}

    def explain(self, images, classes=("top:1",), method="grad-cam", targets=None,
                engine="auto", **options):
        """What the net looked at in some images, for notebooks and scripts.

        The engine stays open for the next call, as long as method, targets and options are the
        same.

        Parameters
        ----------
        images : one or a list of str, os.PathLike or numpy.ndarray
            Image files; or H x W x 3 uint8 arrays, blue first. For nets with several inputs
            dicts of them.
        classes : one or a sequence of int, str or question
            Numbers, labels, and what else ``questions.parse`` reads: ``"top:3"``,
            ``"tabby versus tiger cat"``; or questions of ``caffe_gradcam.asking.questions``.
        method : str or sequence of str
            Names of ``METHODS``.
        targets : one or a sequence of str, optional
            Blobs or layers; without, the model's own.
        engine, **options
            See ``Explainer.open``.

        Returns
        -------
        list of Explanation
            By image, within an image by class, method and target; each with its photograph.

        Raises
        ------
        InputError
            See ``Explainer.open``; or an image cannot be explained.
        """
        from caffe_gradcam.explaining.session import explain

        return explain(self, images, classes, method, targets, dict(options, engine=engine))

    def with_targets(self, names):
        """The same model with the maps of other layers or blobs; InputError for bad ones."""
        checked = [blobs.checked_target(self.graph, self.score, self.shapes, name)
                   for name in names]
        return self._replace(targets=checked)

    @property
    def class_count(self):
        """The number of classes, or None where it is not known before the net has run."""
        shape = self.shapes.get(self.score)
        return None if shape is None else (shape[1] if len(shape) > 1 else 1)

    def label(self, index):
        """The label of a class, or None."""
        known = self.labels is not None and index < len(self.labels)
        return self.labels[index] if known else None

    def find_class(self, text):
        """The index of the class that a number or a label means; see ``labels.find``."""
        return labels.find(text, self.labels, self.class_count)


class _Loader:
    """Gathers a model's fields, and where each comes from."""

    def __init__(self, path, weights, overrides):
        unknown = sorted(set(overrides) - set(READERS))
        if unknown:
            raise TypeError(f"unknown field {unknown[0]}")
        self.prototxt = folder.find_prototxt(path)
        self.folder = os.path.dirname(self.prototxt) or "."
        self.folder_name = os.path.basename(os.path.abspath(self.folder))
        self.front = folder.read_front_matter(self.folder)
        self.readme = os.path.join(self.folder, folder.README)
        self.overrides = overrides
        self.given = self.read_section()
        self.origins, self.warnings = {}, []
        self.weights = self.find_weights(weights)
        self.transform = folder.find_transform(self.folder, self.prototxt)

    def load(self):
        document = Document.load(self.prototxt)
        graph = Graph(Net.parse(document).at("TEST"))
        score, link = blobs.score(graph, self.take("score", lambda: self.default_score(graph)))
        sources = blobs.pictures(graph, score)
        sizes = self.sizes(sources)
        shapes = blob_shapes.infer(graph.net, sizes)
        targets = self.take("target", lambda: _default_targets(graph, score, shapes, sizes))
        return Model(
            name=str(self.front.get("name") or graph.net.name or self.folder_name),
            path=self.prototxt,
            weights=self.weights,
            prototxt=document.text(),
            graph=graph,
            shapes=shapes,
            inputs={name: self.preprocessing(shape) for name, shape in sizes.items()},
            score=score,
            link=link,
            targets=[blobs.checked_target(graph, score, shapes, name) for name in targets],
            labels=self.labels(shapes.get(score)),
            origins=self.origins,
            warnings=self.warnings,
        )

    def sizes(self, sources):
        """Input blob -> its shape, with one picture."""
        def found():
            return None, "found: the net's input" + ("s" if len(sources) > 1 else "")

        size = self.take("size", found)
        return {one.blob: (1, one.shape[1]) + (size or tuple(one.shape[2:])) for one in sources}

    def read_section(self):
        """The ``gradcam:`` section of the front matter, flattened."""
        section = self.mapping("gradcam", self.front.get("gradcam"))
        of_input = self.mapping("gradcam.input", section.pop("input", None))
        self.check_keys("gradcam.input", of_input, OF_INPUT)
        own = [name for name in READERS if name not in OF_INPUT]
        self.check_keys("gradcam", section, own + ["input"])
        return dict(section, **of_input)

    def mapping(self, place, value):
        if value is not None and not isinstance(value, dict):
            raise InputError(f"{self.readme}: {place} wants lines of `key: value`")
        return dict(value or {})

    def check_keys(self, place, section, known):
        for key in section:
            if key not in known:
                near = difflib.get_close_matches(str(key), known, 1)
                hint = f"did you mean {near[0]}?" if near else "known: " + ", ".join(known)
                raise InputError(f"{self.readme}: unknown key {place}.{key}; {hint}")

    def take(self, name, default):
        """A field's value: the user's, else the author's, else what ``default`` finds."""
        if self.overrides.get(name) is not None:
            value, place, origin = self.overrides[name], "", "command line"
        elif name in self.given:
            value, place, origin = self.given[name], self.readme + ": ", folder.README
        else:
            value, self.origins[name] = default()
            return value
        self.origins[name] = origin
        try:
            return READERS[name](value, self.folder if place else "")
        except ValueError as error:
            raise InputError("{}{} {}".format(place, name.replace("_", "-"), error)) from None

    def find_weights(self, weights):
        if weights is not None:
            self.origins["weights"] = "command line"
            if not os.path.isfile(weights):
                raise InputError(f"{weights}: no such weights file")
            return os.fspath(weights)
        path, self.origins["weights"] = folder.find_weights(self.folder, self.front)
        sha1 = self.front.get("sha1")
        if sha1 and self.front.get("caffemodel") and folder.sha1_differs(path, sha1):
            self.warnings.append(
                f"{path}: its SHA-1 is not the one in {folder.README}; other weights, or a broken download"
            )
        return path

    def default_score(self, graph):
        scores = blobs.scores(graph)
        if len(scores) > 1 and scores[1].link == scores[0].link:
            others = ", ".join(score.blob for score in scores[1:])
            self.warnings.append(
                f"{scores[0].blob} is taken as the score blob; others: {others}; choose with --score"
            )
        return scores[0].blob, "found: " + scores[0].reason

    def preprocessing(self, shape):
        channels, size = shape[1], tuple(shape[2:])
        found = "found: {} channel{}".format(channels, "s" if channels > 1 else "")
        order = self.take("channel_order", lambda: ("GRAY" if channels == 1 else "BGR", found))
        if CHANNELS[order] != channels:
            raise InputError(
                f"channel-order {order} has {CHANNELS[order]} channels, but the net's input has {channels}"
            )
        mean = self.take("mean", lambda: self.default_mean(channels))
        if mean is not None and mean.shape[0] not in (1, channels):
            raise InputError(
                f"the mean has {mean.shape[0]} channels, but the net's input has {channels}; give --mean"
            )
        scale = self.take("scale", self.default_scale)
        resize, crop = self.resize_and_crop(size)
        crops = self.take("crops", lambda: (1, "assumed: the middle"))
        return Preprocessing(size, order, mean, scale, resize, crop, crops)

    def resize_and_crop(self, size):
        """The whole picture warped to the input, unless somebody says how it is cut out."""
        is_cropped = self.overrides.get("crop") or self.given.get("crop")
        whole = (None, "assumed: cropped as it is") if is_cropped else (
            size, "assumed: the whole picture, warped"
        )
        resize = self.take("resize", lambda: whole)
        middle = (None, "assumed: nothing cut off") if resize in (size, None, LETTERBOX) else (
            size, "assumed: the middle"
        )
        crop = self.take("crop", lambda: middle)
        end = crop or resize
        if isinstance(end, tuple) and end != size:
            raise InputError(
                "{} makes pictures of {}x{}, but the net's input is {}x{}".format(
                    "crop" if crop else "resize", end[0], end[1], *size
                )
            )
        return resize, crop

    def default_mean(self, channels):
        transform, file = self.transform, None
        if transform is None:
            file = folder.find_mean(self.folder)
        elif transform.mean is not None:
            return transform.mean, "found: " + transform.file
        elif transform.mean_file is None:
            return None, f"found: {transform.file} subtracts none"
        else:
            file = folder.find_mean(self.folder, transform.mean_file)
        if file:
            return folder.read_mean(file), "found: " + os.path.basename(file)
        if channels == 1:
            return None, "assumed: none for grey"
        return np.array(IMAGENET_MEAN, np.float32), "assumed: BVLC's for ImageNet"

    def default_scale(self):
        if self.transform is not None:
            return self.transform.scale, "found: " + self.transform.file
        return 1.0, "assumed: values from 0 to 255"

    def labels(self, score_shape):
        found = folder.find_labels(self.folder)
        default = (found, "found: " + os.path.basename(found)) if found else (None, "found: none")
        path = self.take("labels", lambda: default)
        if path is None:
            return None
        known = labels.load(path)
        count = score_shape[1] if score_shape and len(score_shape) > 1 else len(known)
        if len(known) != count:
            self.warnings.append(
                f"{path}: {len(known)} labels for {count} classes"
            )
        return known


def _default_targets(graph, score, shapes, inputs):
    """The best target or, where the net has several inputs, the best of each input's own."""
    own = stream_targets(graph, score, shapes) if len(inputs) > 1 else {}
    if own:
        reason = "found: the last blob with spatial extent of each input's stream"
        return list(dict.fromkeys(target.blob for target in own.values())), reason
    best = blobs.targets(graph, score, shapes)[0]
    return [best.blob], "found: " + best.reason
