"""What a net answers about one image: its scores, and the seeds of the questions about it."""

from dataclasses import dataclass
from typing import List, Optional, Sequence, Union

import numpy as np

from caffe_gradcam.asking.context import Context
from caffe_gradcam.asking.questions import Question, resolve
from caffe_gradcam.asking.seeds import Seed, score_vectors, sides, to_probabilities
from caffe_gradcam.model import labels
from caffe_gradcam.model.geometry import Geometry, Placement, Region
from caffe_gradcam.model.model import LoadedModel
from prototxt_tools.errors import QuestionError

Asked = Union[int, Question]


@dataclass(frozen=True, eq=False)
class Answer:
    """What is to be explained of one image.

    Attributes
    ----------
    scores : numpy.ndarray
        One per class.
    probabilities : numpy.ndarray or None
        One per class.
    seeds : list of Seed
    values : list of float
        Of the seeds.
    context : Context
        What the questions were resolved against.
    """

    scores: np.ndarray
    probabilities: Optional[np.ndarray]
    seeds: List[Seed]
    values: List[float]
    context: Context

    @property
    def predicted(self) -> int:
        """The class with the highest score; where steps, priors or regions have scores of their
        own, the likeliest at any of them, without the background of a detector."""
        if self.context.open_axes:
            return self.context.best(1)[0][0]
        return int(np.argmax(self.scores))

    def probability(self, seed: Seed) -> Optional[float]:
        """Of the class that a seed is about, at the step that it is about; None without one."""
        index = seed.class_index
        if self.probabilities is None or index is None:
            return None
        if not self.context.open_axes:
            return float(self.probabilities[index])
        probabilities = self.context.at_position(seed.position).class_probabilities
        return None if probabilities is None else float(probabilities[index])


def ask(model: LoadedModel, scores: np.ndarray, geometries: Sequence[Geometry],
        placement: Optional[Placement], questions: Sequence[Asked]) -> Answer:
    """Resolve the questions about one image.

    Parameters
    ----------
    model : LoadedModel
    scores : numpy.ndarray
        V x K [x positions], a row for each crop of the image; see ``ScoreLayout.rows``.
    geometries : sequence of Geometry
        Of the crops.
    placement : Placement or None
        Where the cells of a map of scores lie.
    questions : sequence of int or Question

    Raises
    ------
    QuestionError
        The scores have no answer to a question.
    """

    def cells_of(region: Region) -> np.ndarray:
        if len(geometries) > 1:
            raise QuestionError("a region cannot be asked about in ten crops; use one crop")
        cells: np.ndarray = geometries[0].cells_of(region, scores.shape[-2:], placement)
        return cells

    vectors = score_vectors(scores)
    two_sided = labels.are_sides(model.class_names, vectors.shape[1], model.link)
    context = Context(mean_row(scores, model), model.link, model.class_name, cells_of, two_sided,
                      model.layout)
    seeds = resolve(questions, context)
    values = [float(seed.values(scores).mean()) for seed in seeds]
    if context.open_axes:
        return Answer(context.class_scores, context.class_probabilities, seeds, values, context)
    vectors = score_vectors(sides(scores)) if two_sided else vectors
    probabilities = to_probabilities(vectors, model.link)
    return Answer(vectors.mean(axis=0),
                  None if probabilities is None else probabilities.mean(axis=0),
                  seeds, values, context)


def by_image(scores: np.ndarray, images: int, rows: int, model: LoadedModel) -> np.ndarray:
    """The scores of each image.

    Parameters
    ----------
    scores : numpy.ndarray
        N x K [x positions], as ``Pass.scores``.
    images, rows : int
        How many images went in, as how many rows: each may have several crops.
    model : LoadedModel

    Returns
    -------
    numpy.ndarray
        Images x crops x K [x positions].

    Raises
    ------
    QuestionError
        The net gives another number of rows, as one does that finds regions in an image.
    """
    if len(scores) != rows:
        given = f"{rows} row{'s' * (rows > 1)}"
        raise QuestionError(f"blob {model.score} holds {len(scores)} rows of scores where {given} "
                            "went in, since the net finds regions by itself; use --detections for "
                            "a map of each box", model.score)
    return scores.reshape((images, rows // images) + scores.shape[1:])


def mean_row(scores: np.ndarray, model: LoadedModel) -> np.ndarray:
    """The mean over an image's crops: K scores, or K x positions where there are several."""
    mean: np.ndarray = scores.mean(axis=0, dtype=np.float64).astype(np.float32)
    has_positions = mean.ndim > 1 and mean[0].size > 1
    return mean if has_positions or model.layout.indexed else mean.reshape(-1)
