"""How much each word of a question mattered: gradient times input of its embedding.

For a word whose embedding is e, the product of e and the gradient of what is explained with respect
to it: what the word adds to the score, to first order (Ancona et al. 2018, "Towards Better
Understanding of Gradient-based Attribution Methods", section 2).
"""

from dataclasses import dataclass
from typing import Dict, List, Mapping, Sequence, Tuple

import numpy as np

from caffe_gradcam.asking.seeds import Seed
from caffe_gradcam.explaining.passes import Pass, Seeds
from caffe_gradcam.model.array_inputs import ArrayInput
from caffe_gradcam.model.model import LoadedModel


@dataclass(frozen=True)
class WordRelevance:
    """What a word of an input added to an answer.

    Attributes
    ----------
    text : str
        The word, or its number where the words have no names.
    position : int
        In the input, from 0.
    relevance : float
        Positive where the word speaks for the answer.
    """

    text: str
    position: int
    relevance: float


# For each image, or row of a batch.
Words = List[Tuple[WordRelevance, ...]]


def embedded_blobs(model: LoadedModel) -> Dict[str, str]:
    """Each input of words -> the blob that holds their embeddings, if the score depends on it."""
    graph = model.graph
    blobs: Dict[str, str] = {}
    needed = graph.ancestors([model.score])
    for name, spec in model.arrays.items():
        for index in graph.readers(name):
            layer = graph.net.layers[index]
            if spec.word_count is not None and layer.type == "Embed" and index in needed:
                blobs.setdefault(name, layer.tops[0])
    return blobs


def of_batch(batch: Pass, seeds: Seeds, embedded: Mapping[str, str]
             ) -> Words:
    """The words of each row of a batch, for one question of each.

    Parameters
    ----------
    batch : Pass
        It keeps the embeddings, and its engine can propagate to them.
    seeds : sequence of (Seed or None)
    embedded : dict
        See :func:`embedded_blobs`.

    Returns
    -------
    list of tuple of WordRelevance
        In the order of the words; zeros behind the last word of a sentence are left out.
    """
    rows: Words = [()] * len(seeds)
    for name, blob in embedded.items():
        spec = batch.model.arrays[name]
        products = (batch.gradients(seeds, blob) * batch.blobs[blob]).sum(axis=-1)
        numbers = batch.inputs[name]
        for row, seed in enumerate(seeds):
            if seed is not None:
                rows[row] += _words(_item(numbers, row, spec), _item(products, row, spec), spec)
    return rows


def of_questions(batch: Pass, seeds: Sequence[Sequence[Seed]], views: int,
                 embedded: Mapping[str, str]) -> List[Words]:
    """For each question by rank, the words of each image.

    Parameters
    ----------
    batch, embedded
        As for :func:`of_batch`.
    seeds : sequence of sequence of Seed
        For each image its questions.
    views : int
        The rows of the batch that belong to an image.
    """
    if not embedded:
        return []
    words = []
    for rank in range(max(map(len, seeds))):
        asked = [of_image[rank] if rank < len(of_image) else None
                 for of_image in seeds for _ in range(views)]
        words.append(of_batch(batch, asked, embedded)[::views])
        batch.forget()
    return words


def _item(value: np.ndarray, row: int, spec: ArrayInput) -> np.ndarray:
    """The numbers of one item of a batch."""
    if spec.item_axis is None:
        return value.reshape(-1)
    item: np.ndarray = np.take(value, row, axis=spec.item_axis).reshape(-1)
    return item


def _words(numbers: np.ndarray, products: np.ndarray, spec: ArrayInput
           ) -> Tuple[WordRelevance, ...]:
    written = np.flatnonzero(numbers)
    count = int(written[-1]) + 1 if len(written) else 0
    return tuple(WordRelevance(_name(int(number), spec), position, float(product))
                 for position, (number, product) in enumerate(
                     zip(numbers[:count], products[:count])))


def _name(number: int, spec: ArrayInput) -> str:
    return str(number) if spec.words is None else spec.words.name(number)
