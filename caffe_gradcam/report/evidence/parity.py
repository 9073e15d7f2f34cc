"""Whether another engine gives the maps that a batch holds, on a few of its images."""

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from caffe_gradcam.asking.questions import Question
from caffe_gradcam.engines.opening import resolve_engine
from caffe_gradcam.engines.running import GRAPH_ENGINES
from caffe_gradcam.explaining.explainer import Explainer
from caffe_gradcam.explaining.explanation import Explanation
from caffe_gradcam.report import batch_model, lenient
from prototxt_tools.errors import EngineMissing, Outcome, QuestionError

if TYPE_CHECKING:
    from caffe_gradcam.explaining.recipe import Recipe
    from caffe_gradcam.report.output import Output

FORMAT = 1
IMAGES = 8
# Maps are kept in half precision, which moves them by up to 0.0005 of their size.
MAP_TOLERANCE, SCORE_TOLERANCE = 1e-3, 1e-4
# Engines that share neither the layers nor the library that computes them; the reference first.
_INDEPENDENT = (("caffe",), ("torch",), GRAPH_ENGINES)

_Key = Tuple[str, Optional[int], Tuple[Tuple[str, int], ...], str, str, Optional[str]]


@dataclass(frozen=True)
class MapParity:
    """A map of the batch beside that of the reference.

    Attributes
    ----------
    item : int
        The number of the image.
    id, sha256 : str
        Of the image.
    question, method, layer : str
    score, reference_score : float
    map_distance : float
        The relative L2 distance: that of the difference over that of the reference's map.
    """

    item: int
    id: str
    sha256: str
    question: str
    method: str
    layer: str
    score: float
    reference_score: float
    map_distance: float

    @property
    def score_distance(self) -> float:
        """The difference of the scores, relative to scores above 1."""
        return abs(self.score - self.reference_score) / max(1.0, abs(self.reference_score))

    @property
    def agrees(self) -> bool:
        """Whether map and score are within the tolerances; NaN is not."""
        return self.map_distance <= MAP_TOLERANCE and self.score_distance <= SCORE_TOLERANCE


_FIELDS = tuple(field.name for field in dataclasses.fields(MapParity))


@dataclass(frozen=True)
class Parity:
    """How a batch compares with another engine.

    Attributes
    ----------
    engine, precision : str
        Of the batch.
    reference : dict
        The description of the engine that it is compared with.
    images : int
        Those that were asked about.
    maps : list of MapParity
    """

    engine: str
    precision: str
    reference: Dict[str, str]
    images: int
    maps: Sequence[MapParity]

    @property
    def agreeing(self) -> int:
        """Maps that agree."""
        return sum(parity.agrees for parity in self.maps)

    @property
    def sentence(self) -> str:
        """What came out, in words."""
        return (f"{self.agreeing} of {len(self.maps)} maps of {self.images} images are the same "
                f"with the engine {self.reference.get('engine')} as with {self.engine}")

    def to_dict(self) -> Dict[str, Any]:
        """The comparison as JSON values."""
        return {
            "format": FORMAT, "engine": self.engine, "precision": self.precision,
            "reference": self.reference, "images": self.images, "agreeing": self.agreeing,
            "map_tolerance": MAP_TOLERANCE, "score_tolerance": SCORE_TOLERANCE,
            "maps": [{**dataclasses.asdict(parity), "score_distance": parity.score_distance,
                      "agrees": parity.agrees} for parity in self.maps]}


def reference_for(engine: str) -> str:
    """The engine to compare with: Caffe, or where that ran or is missing, an independent one.

    Raises
    ------
    EngineMissing
        None is installed.
    """
    for family in _INDEPENDENT:
        if engine not in family:
            for kind in family:
                if Outcome.of(resolve_engine, kind).ok:
                    return kind
    raise EngineMissing(f"no engine that is independent of {engine} is installed; pip install "
                        "torch, or use the image, which has Caffe", engine)


def compare(output: "Output", recipe: "Recipe", reference: Optional[str] = None) -> Parity:
    """Explain a few images of a batch again with another engine, and compare.

    Parameters
    ----------
    output : Output
    recipe : Recipe
        The output's.
    reference : str, optional
        The engine; without it, as :func:`reference_for` says.

    Raises
    ------
    InputError
        The model has changed or cannot be opened, there is no other engine, the batch asks about
        boxes or captions, or no image can be asked about again.
    """
    if recipe.asking.detections or recipe.asking.is_caption:
        raise QuestionError("maps of detections and captions are not compared between engines")
    batch_model.check_unchanged(output, recipe)
    depends = lenient.mapping(output.manifest, "rows_depend_on")
    engine = lenient.text(depends.get("engine")) or recipe.running.engine
    running = dataclasses.replace(recipe.running, engine=reference or reference_for(engine),
                                  device="cpu", precision="fp32")
    stored = _stored(output, _selected(output))
    with dataclasses.replace(recipe, running=running).open() as explainer:
        maps, images = _compared(output, explainer, recipe.asker(explainer).questions(), stored)
        description = {name: str(value) for name, value in explainer.engine.description.items()}
    if not maps:
        raise QuestionError("no map of the batch could be made again: its images are gone or have "
                            "changed, or they had questions of their own")
    return Parity(engine, lenient.text(depends.get("precision")), description, images, maps)


def _selected(output: "Output") -> List[int]:
    """The numbers of up to ``IMAGES`` images with maps, at even distances."""
    numbers = [entry.number for entry in output.entries() if entry.maps]
    step = max(1.0, len(numbers) / IMAGES)
    return [numbers[int(index * step)] for index in range(min(len(numbers), IMAGES))]


def _stored(output: "Output", numbers: Iterable[int]
            ) -> Dict[int, Dict[_Key, Tuple[str, str, Explanation]]]:
    """Number of an image -> its maps in the batch, each with the image's id and SHA-256."""
    stored: Dict[int, Dict[_Key, Tuple[str, str, Explanation]]] = {}
    for entry, explanation in output.explanations(numbers):
        stored.setdefault(entry.number, {})[_key(explanation)] = (
            entry.id, entry.sha256 or "", explanation)
    return stored


def _compared(output: "Output", explainer: Explainer, questions: Sequence[Question],
              stored: Dict[int, Dict[_Key, Tuple[str, str, Explanation]]]
              ) -> Tuple[List[MapParity], int]:
    """The comparison of each map that the reference makes too, and the number of images."""
    maps, images = [], 0
    for number, image, _ in output.images(stored):
        outcome, = explainer.explain([image], questions)
        again = {_key(explanation): explanation
                 for explanation in (outcome.unwrap().explanations if outcome.ok else ())}
        images += 1
        maps += [
            MapParity(number, image_id, sha256, kept.question, kept.method, kept.layer or "",
                      float(kept.score), float(again[key].score),
                      distance(kept.cam, again[key].cam))
            for key, (image_id, sha256, kept) in stored[number].items() if key in again]
    return maps, images


def _key(explanation: Explanation) -> _Key:
    return (explanation.question, explanation.class_index, tuple(explanation.position),
            explanation.method, explanation.layer or "", explanation.input)


def distance(values: np.ndarray, expected: np.ndarray) -> float:
    """The L2 distance of two maps relative to the size of the second; infinite where their shapes
    differ."""
    if values.shape != expected.shape:
        return float("inf")
    size = float(np.linalg.norm(expected.astype(np.float64)))
    difference = float(np.linalg.norm(values.astype(np.float64) - expected))
    return difference / size if size else difference


def contradictions(values: Mapping[str, Any], pictures: Mapping[str, Any]) -> List[str]:
    """What a comparison says that is not so, one sentence each.

    Parameters
    ----------
    values : dict
        Of :meth:`Parity.to_dict`, from a file.
    pictures : dict
        Image -> its SHA-256, of the batch.
    """
    maps = values.get("maps")
    if values.get("format") != FORMAT or not isinstance(maps, list):
        return ["parity.json: is not a comparison of engines that this version understands"]
    problems, agreeing = [], 0
    for entry in maps:
        try:
            map_parity = MapParity(**{name: entry[name] for name in _FIELDS})
            agrees = map_parity.agrees
        except (TypeError, KeyError, IndexError, ValueError):
            return ["parity.json: an entry is damaged"]
        agreeing += agrees
        if pictures.get(map_parity.id) != map_parity.sha256:
            problems.append(f"parity.json: {map_parity.id} is not an image of the batch")
        if agrees != entry.get("agrees"):
            problems.append(f"parity.json: {map_parity.id}: 'agrees' does not follow from the "
                            "distances")
    if agreeing != values.get("agreeing"):
        problems.append("parity.json: the number of maps that agree is wrong")
    return problems
