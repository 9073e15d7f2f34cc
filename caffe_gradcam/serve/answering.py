"""The model behind the server: one net, which answers one request after the other."""

import base64
import threading
from collections import OrderedDict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Dict, Tuple

import numpy as np

from caffe_gradcam.asking.context import likeliest
from caffe_gradcam.explaining.explainer import Explainer
from caffe_gradcam.explaining.methods import METHODS
from caffe_gradcam.explaining.settings import Explaining
from caffe_gradcam.model import images
from caffe_gradcam.pictures import figures, outputs
from caffe_gradcam.pictures.render import Look
from caffe_gradcam.report import thumbnails
from caffe_gradcam.report.page import map_data
from caffe_gradcam.serve import lanes
from caffe_gradcam.serve.asked import Asked
from prototxt_tools.errors import ImageError, QuestionError

if TYPE_CHECKING:
    from caffe_gradcam.engines.running import Running
    from caffe_gradcam.explaining.explanation import Result
    from caffe_gradcam.model.model import LoadedModel

_OPEN = 3  # nets that stay open, with other methods or layers each
_TOP = 10
_SIDE = 1024


@dataclass(frozen=True, eq=False)
class Answer:
    """What the net said about a request.

    Attributes
    ----------
    image : numpy.ndarray
        H x W x 3 uint8, blue first: what was explained, the whole image or a part.
    result : Result
    """

    image: np.ndarray
    result: "Result"


class Answering:
    """Answers requests, one at a time, whichever threads they come from.

    Parameters
    ----------
    model : LoadedModel
    running : Running
    model_path : str
        What command lines call the model.
    """

    def __init__(self, model: "LoadedModel", running: "Running", model_path: str) -> None:
        if len(model.inputs) > 1:
            raise QuestionError("serve needs a net with one input; explain takes the others")
        self.model, self.model_path = model, model_path
        self._running = running
        self._explainers: "OrderedDict[Explaining, Explainer]" = OrderedDict()
        self._lock = threading.Lock()

    def prepare(self) -> None:
        """Open the net for the usual method, so that the first answer does not wait for that; or
        raise the error that keeps it from running."""
        with self._lock:
            self._explainer(Explaining())

    def close(self) -> None:
        """Close what is open, after the request in work."""
        with self._lock:
            for explainer in self._explainers.values():
                explainer.close()
            self._explainers.clear()

    def answer(self, asked: Asked) -> Answer:
        """Explain the picture of a request; raises InputError."""
        image = images.decode(asked.image, "the image")
        if asked.crop is not None:
            x, y, width, height = asked.crop
            if x + width > image.shape[1] or y + height > image.shape[0]:
                raise ImageError("the crop {},{},{},{} reaches beyond the image of {}x{}".format(
                    *asked.crop + image.shape[1::-1]))
            image = np.ascontiguousarray(image[y:y + height, x:x + width])
        questions = asked.questions(self.model)
        explaining = Explaining(asked.methods, asked.layers, samples=asked.samples)
        with self._lock:
            outcome, = self._explainer(explaining).explain([image], questions)
        return Answer(image, outcome.unwrap())

    def _explainer(self, explaining: Explaining) -> Explainer:
        """An open Explainer; the one that was not used for longest gives way to a new one."""
        if explaining not in self._explainers:
            self._explainers[explaining] = Explainer.open(self.model, explaining, self._running)
        self._explainers.move_to_end(explaining)
        while len(self._explainers) > _OPEN:
            self._explainers.popitem(last=False)[1].close()
        return self._explainers[explaining]

    def to_json(self, asked: Asked, answer: Answer) -> Dict[str, Any]:
        """An answer as JSON values."""
        result, (height, width) = answer.result, answer.image.shape[:2]
        picture = thumbnails.to_jpeg(answer.image, _SIDE)
        return {
            "model": self.model.name, "size": [height, width], "crop": asked.crop,
            "picture": base64.b64encode(picture).decode("ascii"),
            "top": [self._class(index, result) for index in likeliest(
                result.scores, result.probabilities, self.model.layout)[:_TOP]],
            "maps": [dict(map_data(thumbnails.of_explanation(explanation)),
                          class_name=explanation.class_name)
                     for explanation in result.explanations],
            "command": asked.command(self.model_path)}

    def _class(self, index: int, result: "Result") -> Dict[str, Any]:
        probabilities = result.probabilities
        return {"class": int(index), "class_name": self.model.class_name(int(index)),
                "score": float(result.scores[index]),
                "probability": None if probabilities is None else float(probabilities[index])}

    def to_png(self, asked: Asked, answer: Answer) -> bytes:
        """The figure of an answer: a grid where there are several maps."""
        explanations = answer.result.explanations
        figure = figures.grid(answer.image, explanations, Look()) if len(explanations) > 1 else (
            figures.draw_explanation(answer.image, explanations[0]))
        return figures.encode("figure.png", figure)

    def to_npz(self, asked: Asked, answer: Answer) -> bytes:
        """The arrays of the first map of an answer."""
        return outputs.encode_arrays(answer.result.explanations[0], answer.result.scores)

    def description(self) -> Dict[str, Any]:
        """What a page needs to know of the model, as JSON values."""
        model = self.model
        net_layers = model.graph.net.layers
        crossings = iter(lanes.arrange(lanes.reads_of(net_layers)))
        return {
            "name": model.name, "score": model.score, "layers": list(model.layers),
            "class_names": None if model.class_names is None else list(model.class_names),
            "score_map": _has_extent(model.shapes.get(model.score, ())),
            "methods": [{"name": name, "cost": method.cost}
                        for name, method in METHODS.items()],
            "net": [{"name": layer.name, "type": layer.type, "blobs": [
                {"name": top, "shape": list(model.shapes.get(top, ())),
                 "has_map": _has_extent(model.shapes.get(top, ())),
                 **asdict(next(crossings))}
                for top in layer.tops]} for layer in net_layers]}


def _has_extent(shape: Tuple[int, ...]) -> bool:
    return len(shape) == 4 and shape[2] * shape[3] > 1
