"""The net that is exported, and what is known of it."""

import base64
import json
import os
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Tuple

import numpy as np

from caffe_gradcam.engines.onnx.net import outputs_of
from caffe_gradcam.explaining.recipe import ModelChoice
from caffe_gradcam.export.certificate import sha256_of, sha256_of_file
from caffe_gradcam.model import folder, training
from caffe_gradcam.model.model import LoadedModel
from caffe_gradcam.model.preprocess import Preprocessing
from prototxt_tools.errors import ModelError
from prototxt_tools.net.net import Net
from prototxt_tools.text.document import Document

Shape = Tuple[int, ...]

# What the keys of the graph's metadata begin with.
PREFIX = "caffe_gradcam."


@dataclass(frozen=True, eq=False)
class NetSource:
    """A net with its weights.

    Attributes
    ----------
    name, weights : str
        ``weights`` is the path of a file.
    prototxt : str
        The text of the deploy net.
    model : LoadedModel or None
        None where the net has no scores that a model could be explained by.
    hashes : dict
        "prototxt" and "weights" -> SHA-256.
    license : str
        What the folder's readme.md says of it; "" for nothing.
    path : str, optional
        The file of the prototxt.
    """

    name: str
    prototxt: str
    weights: str
    model: Optional[LoadedModel]
    hashes: Mapping[str, str]
    license: str = ""
    path: Optional[str] = None

    @classmethod
    def load(cls, choice: ModelChoice) -> "NetSource":
        """The net of a folder or a prototxt, whether it has scores or not.

        Raises
        ------
        ModelError, WeightsError
            The files cannot be used.
        """
        try:
            model = choice.load()
        except ModelError as error:
            return cls._without_scores(choice, error)
        return cls(model.name, model.prototxt, model.weights, model, _hashes(model.prototxt,
                   model.weights), _license(model.path), model.path)

    @classmethod
    def _without_scores(cls, choice: ModelChoice, error: ModelError) -> "NetSource":
        """The bare net, where it can run without scores and preprocessing being known."""
        path = folder.find_prototxt(choice.path)
        document = Document.load(path)
        net = Net.parse(document)
        if choice.overrides or training.needs_deploying(net) or not all(
                entry.shape and min(entry.shape) > 0 for entry in net.inputs):
            raise error
        weights = choice.weights or folder.find_weights(os.path.dirname(path) or ".", {})[0]
        text = document.text()
        return cls(net.name or os.path.basename(path), text, weights, None,
                   _hashes(text, weights), _license(path), path)

    @property
    def outputs(self) -> List[str]:
        """The blobs that the net ends in."""
        return outputs_of(self._net())

    @property
    def input_shapes(self) -> Dict[str, Shape]:
        """Input blob -> shape: the batch of the file, the size that the model is used with."""
        net = self._net()
        shapes = {entry.blob: tuple(entry.shape or ()) for entry in net.inputs}
        if self.model is not None:
            shapes.update({blob: shapes[blob][:1] + tuple(self.model.shapes[blob][1:])
                           for blob in self.model.inputs})
        return shapes

    def _net(self) -> Net:
        return Net.parse(Document.parse(self.prototxt, self.path)).at("TEST")

    def before_detections(self) -> List[str]:
        """The blobs that the first DetectionOutput layer reads: locations, confidences, priors.

        Raises
        ------
        ModelError
            The net has no such layer.
        """
        for layer in self._net().layers:
            if layer.type == "DetectionOutput":
                return list(layer.bottoms)
        raise ModelError.about(self.name, "the net has no DetectionOutput layer to cut before")

    def metadata(self) -> Dict[str, str]:
        """What the graph carries with it: texts, most of them JSON."""
        values: Dict[str, Any] = {"sha256": dict(self.hashes)}
        if self.license:
            values["license"] = self.license
        if self.model is not None:
            values.update({
                "score": self.model.score, "link": self.model.link,
                "targets": list(self.model.layers), "labels": self.model.class_names,
                "preprocessing": {blob: preprocessing_values(preprocessing)
                                  for blob, preprocessing in self.model.inputs.items()}})
        return {PREFIX + key: json.dumps(value) for key, value in values.items()}


def preprocessing_values(preprocessing: Preprocessing) -> Dict[str, Any]:
    """How images are prepared, as JSON values; a mean image is base64 of float32 numbers."""
    mean = None if preprocessing.mean is None else np.asarray(preprocessing.mean, np.float32)
    values: Dict[str, Any] = {
        "size": list(preprocessing.size), "channel_order": preprocessing.channel_order,
        "scale": preprocessing.scale, "resize": preprocessing.resize,
        "crop": preprocessing.crop, "mean": None if mean is None else mean.tolist()}
    if mean is not None and mean.ndim == 3:
        values["mean"] = {"shape": list(mean.shape),
                          "float32": base64.b64encode(mean.tobytes()).decode("ascii")}
    return values


def _hashes(prototxt: str, weights: str) -> Dict[str, str]:
    return {"prototxt": sha256_of(prototxt.encode("utf-8")), "weights": sha256_of_file(weights)}


def _license(prototxt: str) -> str:
    front = folder.read_front_matter(os.path.dirname(prototxt) or ".")
    return str(front.get("license") or "")
