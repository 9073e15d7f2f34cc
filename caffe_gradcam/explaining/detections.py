"""Explanations of detections: a heatmap for each box that a detector finds.

ODAM's way (Zhao and Chan, "ODAM: Gradient-based Instance-specific Visual Explanations for Object
Detection", ICLR 2023): the gradient of a number that belongs to one box, its confidence or one of
its edges, with respect to the layer that the box was read from.
"""

from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from caffe_gradcam.engines.contract import Engine
from caffe_gradcam.engines.opening import open_engine
from caffe_gradcam.engines.running import NetToRun, Running
from caffe_gradcam.explaining.box_questions import BoxQuestion, wired
from caffe_gradcam.explaining.detectors import Detection, Detector
from caffe_gradcam.explaining.detectors.similarity import Similarity
from caffe_gradcam.explaining.explanation import Explanation
from caffe_gradcam.explaining.memory import in_parts
from caffe_gradcam.explaining.methods import (
    BOX_METHODS,
    METHODS,
    Method,
    checked_maps,
    usual_method,
)
from caffe_gradcam.explaining.rounds import Job, Window, in_rounds, window_of
from caffe_gradcam.explaining.settings import Explaining
from caffe_gradcam.model.geometry import Geometry
from caffe_gradcam.model.model import LoadedModel
from caffe_gradcam.model.preprocess import Prepared, prepare
from prototxt_tools.errors import ImageError, Outcome, QuestionError

Image = Union[np.ndarray, Mapping[str, np.ndarray]]

_EXPLAINING, _RUNNING = Explaining((usual_method(of_boxes=True),)), Running()
_METHODS: Dict[str, Method] = dict(METHODS, **BOX_METHODS)
_QUESTION = BoxQuestion()


class DetectionExplainer:
    """A detector on an engine.

    Parameters
    ----------
    model : LoadedModel
    engine : caffe_gradcam.engines.contract.Engine
        Opened with the detector's heads and the layers in ``sources``.
    explaining : Explaining
    question : BoxQuestion
    detector : Detector
    sources : dict
        Head -> the layers at which its boxes are explained.
    """

    def __init__(self, model: LoadedModel, engine: Engine, explaining: Explaining,
                 question: BoxQuestion, detector: Detector,
                 sources: Mapping[str, Tuple[str, ...]]) -> None:
        self.model, self.engine, self.explaining = model, engine, explaining
        self.question, self.detector = question, detector
        self._sources = sources
        layers = {layer for several in self._sources.values() for layer in several}
        self._placements = (model.placements(layers) if explaining.placement == "centres"
                            else dict.fromkeys(layers))
        self._layers = sorted(layers - set(model.inputs))

    @classmethod
    def open(cls, model: LoadedModel, explaining: Explaining = _EXPLAINING,
             question: BoxQuestion = _QUESTION, running: Running = _RUNNING
             ) -> "DetectionExplainer":
        """Open an engine for a model: ``with DetectionExplainer.open(model) as explainer``.

        The net runs up to the numbers that boxes are chosen by; what follows, which stock Caffe
        lacks, is done here, so that every engine lists the same boxes.

        Raises
        ------
        QuestionError
            The net lists no boxes, a method does not explain boxes, a layer is unknown, or the
            model merges ten crops.
        ModelError, WeightsError, EngineError
            See ``open_engine``.
        """
        detector, sources = wired(model, explaining, question)
        targets = tuple(dict.fromkeys(
            layer for several in sources.values() for layer in several))
        engine = open_engine(
            NetToRun(model.prototxt, model.weights, detector.heads, targets,
                     explaining.engine_gradient, model.path), running)
        try:
            return cls(model, engine, explaining, question, detector, sources)
        except BaseException:
            engine.close()
            raise

    def __enter__(self) -> "DetectionExplainer":
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def close(self) -> None:
        """Close the engine."""
        self.engine.close()

    def explain(self, images: Sequence[Image]) -> List[Outcome[List[Explanation]]]:
        """The boxes in some images, each with its heatmap.

        Parameters
        ----------
        images : sequence of numpy.ndarray or dict
            As for ``Explainer.explain``.

        Returns
        -------
        list of Outcome
            One per image: explanations by box, the surest first, and within a box by method and
            layer; none where nothing is found. Or why the image cannot be explained.
        """
        return self.explain_prepared([
            Outcome.of(prepare, image, self.model.inputs, self.model.arrays)
            for image in images])

    def explain_prepared(self, prepared: Sequence[Outcome[Prepared]]
                         ) -> List[Outcome[List[Explanation]]]:
        """As :meth:`explain`, for images that were prepared elsewhere."""
        prepared = [image.then(self._of_the_nets_size) for image in prepared]
        outcomes: List[Outcome[List[Explanation]]] = [
            Outcome(error=image.error) for image in prepared]
        good = [index for index, image in enumerate(prepared) if image.ok]
        batches = [[index] for index in good] if self._one_by_one else [good]
        for batch in batches:
            parts = Outcome.of(in_parts, lambda part: self._explain(
                [prepared[index].unwrap() for index in part]), batch)
            results = ([explanations for part in parts.unwrap() for explanations in part]
                       if parts.ok else [Outcome(error=parts.error)] * len(batch))
            for index, explanations in zip(batch, results):
                outcomes[index] = explanations
        return outcomes

    def find(self, blobs: Mapping[str, np.ndarray]) -> List[List[Detection]]:
        """The boxes in each row of a batch of input blobs."""
        return self.detector.find(self.forward(blobs), self.question.min_score)

    def forward(self, blobs: Mapping[str, np.ndarray], layers: Sequence[str] = ()
                ) -> Dict[str, np.ndarray]:
        """What the detector needs of a batch of input blobs, and what some layers hold."""
        keep = dict.fromkeys([*self.detector.heads, *self.detector.kept, *layers])
        values = dict(blobs)
        values.update(self.engine.forward(blobs, [blob for blob in keep if blob not in blobs]))
        return values

    @property
    def _one_by_one(self) -> bool:
        return self.detector.one_by_one or (
            self.model.depends_on_batch and not self.explaining.batch_statistics)

    def _of_the_nets_size(self, image: Prepared) -> Prepared:
        """The image; an ImageError for another size than the one that the priors were made for."""
        for name, preprocessing in self.model.inputs.items():
            size = image.blobs[name].shape[2:]
            if size != tuple(preprocessing.size):
                raise ImageError(
                    "the image is {}x{} after resize and crop, and boxes are found in {}x{} only; "
                    "leave --resize out".format(*size, *preprocessing.size), name)
        return image

    def _explain(self, prepared: List[Prepared]) -> List[Outcome[List[Explanation]]]:
        inputs = {name: np.concatenate([image.blobs[name] for image in prepared])
                  for name in prepared[0].blobs}
        values = self.forward(inputs, self._layers)
        errors = self._errors(values, len(prepared))
        if errors:
            # Gradients are those of the images that the engine holds, so the others run alone.
            others = [image for row, image in enumerate(prepared) if row not in errors]
            explained = iter(self._explain(others) if others else ())
            return [Outcome(error=errors[row]) if row in errors else next(explained)
                    for row in range(len(prepared))]
        detections = self.detector.find(values, self.question.min_score)
        maps: Dict[Tuple[int, int, str, str], np.ndarray] = {}
        self._add_gradient_maps(maps, detections, values)
        self._add_masked_maps(maps, detections, inputs)
        return [Outcome.of(self._explanations, row, detections[row], prepared[row], values, maps)
                for row in range(len(prepared))]

    def _errors(self, values: Mapping[str, np.ndarray], count: int) -> Dict[int, QuestionError]:
        """The images whose heads are not finite."""
        errors: Dict[int, QuestionError] = {}
        for head in self.detector.heads:
            # Where rows of a head are regions, there is one image.
            is_finite = np.isfinite(values[head].reshape(count, -1)).all(axis=1)
            for row in np.flatnonzero(~is_finite):
                errors.setdefault(int(row), QuestionError(
                    f"blob {head} holds NaN or infinity; check the weights, the mean and the "
                    "scale", head))
        return errors

    def _add_gradient_maps(self, maps: Dict[Tuple[int, int, str, str], np.ndarray],
                           detections: List[List[Detection]], values: Mapping[str, np.ndarray]
                           ) -> None:
        """The maps of methods that need one backward pass, several boxes in each."""
        methods = [name for name in self.explaining.methods
                   if "similarities" not in _METHODS[name].needs]
        for group in in_rounds(self._jobs(detections, values)) if methods else ():
            targets = list(dict.fromkeys(layer for job in group for layer in job.layers))
            head = group[0].head
            diff = np.zeros(values[head].shape, np.float32)
            for job in group:
                for term in job.terms:
                    diff.reshape(len(diff), -1)[term.row, term.offset] += term.weight
            gradients = self.engine.backward(head, diff, targets)
            for job in group:
                for layer in job.layers:
                    arguments = self._evidence(job, layer, values, gradients[layer])
                    for name in methods:
                        method = _METHODS[name]
                        cams = method.function(**{need: arguments[need] for need in method.needs})
                        height, width = values[layer].shape[2:]
                        maps[job.row, job.rank, name, layer] = checked_maps(
                            name, cams, (1, height, width))

    def _evidence(self, job: Job, layer: str, values: Mapping[str, np.ndarray],
                  gradients: np.ndarray) -> Dict[str, np.ndarray]:
        """What a method may need, for one box at one layer."""
        of_image = slice(job.row, job.row + 1)
        of_box = gradients[of_image]
        if job.window is not None:
            top, left, bottom, right = job.window
            of_box = np.zeros_like(of_box)
            of_box[:, :, top:bottom, left:right] = gradients[of_image, :, top:bottom, left:right]
        if self.explaining.gradient == "positive":
            of_box = np.maximum(of_box, 0)
        return {"activations": values[layer][of_image], "gradients": of_box,
                "inputs": values[self.model.input_of(layer)][of_image]}

    def _jobs(self, detections: List[List[Detection]], values: Mapping[str, np.ndarray]
              ) -> List[Job]:
        """A job for each box whose heatmap needs a gradient."""
        jobs = []
        for row, boxes in enumerate(detections):
            for rank, box in enumerate(boxes):
                terms = box.terms[self.question.aspect]
                head = terms[0].head
                layers = self._sources[head]
                window: Optional[Window] = None
                if len(layers) == 1 and not self.detector.one_by_one:
                    window = window_of(self.model.graph, head, layers[0], terms,
                                       values[head].shape[1:], values[layers[0]].shape[2:])
                jobs.append(Job(row, rank, head, terms, tuple(layers), window))
        return jobs

    def _add_masked_maps(self, maps: Dict[Tuple[int, int, str, str], np.ndarray],
                         detections: List[List[Detection]], inputs: Mapping[str, np.ndarray]
                         ) -> None:
        """The maps of D-RISE, which runs the net on masked images."""
        names = [name for name in self.explaining.methods
                 if "similarities" in _METHODS[name].needs]
        for name in names:
            method, source = _METHODS[name], self.model.input
            for row, boxes in enumerate(detections):
                if not boxes:
                    continue
                # Rows of regions are not images, but then there is only one image.
                of_image = inputs if self.detector.one_by_one else {
                    blob: value[row:row + 1] for blob, value in inputs.items()}
                similarity = Similarity(self, of_image, boxes)
                cams = method.function(
                    inputs=np.repeat(of_image[source], len(boxes), axis=0),
                    similarities=similarity.values,
                    samples=self.explaining.samples or method.samples)
                height, width = inputs[source].shape[2:]
                for rank, cam in enumerate(checked_maps(name, cams, (len(boxes), height, width))):
                    maps[row, rank, name, source] = cam[np.newaxis]

    def _explanations(self, row: int, detections: List[Detection], prepared: Prepared,
                      values: Mapping[str, np.ndarray],
                      maps: Mapping[Tuple[int, int, str, str], np.ndarray]) -> List[Explanation]:
        explanations = []
        for rank, detection in enumerate(detections):
            for (_, _, name, layer), cams in sorted(
                    ((key, cams) for key, cams in maps.items() if key[:2] == (row, rank)),
                    key=lambda entry: self._order(entry[0])):
                explanations.append(self._explanation(
                    (rank, detection), (name, layer), cams[0], prepared, values))
        return explanations

    def _order(self, key: Tuple[int, int, str, str]) -> Tuple[int, str]:
        return self.explaining.methods.index(key[2]), key[3]

    def _explanation(self, ranked: Tuple[int, Detection], drawn: Tuple[str, str], cam: np.ndarray,
                     prepared: Prepared, values: Mapping[str, np.ndarray]) -> Explanation:
        (rank, detection), (method, layer) = ranked, drawn
        class_name = self.detector.class_name(self.model.class_names, detection.class_index)
        text = f"{detection.class_index} {class_name}" if class_name else str(detection.class_index)
        text += f" at box {rank + 1}"
        if self.question.aspect != "confidence":
            text = f"{text}, {self.question.aspect} edge"
        if not np.isfinite(cam).all():
            raise QuestionError(f"the map of {text} at {layer} by {method} holds NaN or infinity",
                                method)
        source = self.model.input_of(layer)
        geometry = prepared.geometries[source][0]
        terms = detection.terms[self.question.aspect]
        score = float(sum(term.weight * values[term.head].reshape(len(values[term.head]), -1)[
            term.row, term.offset] for term in terms))
        rectangle = on_image(detection.box, geometry)
        if self.question.aspect != "confidence":
            x, y, width, height = rectangle
            score = {"left": x, "top": y, "right": x + width,
                     "bottom": y + height}[self.question.aspect]
        return Explanation(
            question=text, class_index=detection.class_index, class_name=class_name, score=score,
            probability=detection.score, method=method, layer=layer, cam=np.array(cam, np.float32),
            geometry=geometry,
            placement=None if _METHODS[method].at_input else self._placements.get(layer),
            input=source, box=rectangle, position=((self.detector.axis, detection.prior),))


def on_image(box: np.ndarray, geometry: Geometry) -> Tuple[float, float, float, float]:
    """x, y, width and height of a box in pixels of the image, cut off at its edges.

    Parameters
    ----------
    box : numpy.ndarray
        Left, top, right and bottom as fractions of the net's input.
    geometry : Geometry
        Which part of the image the input shows.
    """
    x0, y0, x1, y1 = geometry.rectangle
    height, width = geometry.image_size
    left, right = sorted(np.clip(x0 + box[[0, 2]] * (x1 - x0), 0, width).tolist())
    top, bottom = np.clip(y0 + box[[1, 3]] * (y1 - y0), 0, height).tolist()
    return left, top, right - left, bottom - top
