"""From what became of whole batches to the columns of a part."""

from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from caffe_gradcam.batch.output.columns import (
    Bytes,
    Column,
    Digests,
    Numbers,
    Texts,
    Values,
    joined_texts,
)
from caffe_gradcam.batch.output.rows import (
    COLUMNS,
    POSITIONS,
    STATUSES,
    all_printable,
    pack_all,
    printable,
)
from caffe_gradcam.batch.sources.item_blocks import ItemBlock, ItemColumns
from caffe_gradcam.explaining.columns import (
    AskedClass,
    Explanations,
    geometry_of,
    group_key,
    merged,
)
from caffe_gradcam.explaining.explanation import Explanation
from caffe_gradcam.pictures.boxes import find

_NO_CLASS = _NO_INDEX = -1


@dataclass(frozen=True, eq=False)
class Block:
    """What became of the images of a batch.

    Attributes
    ----------
    items : ItemBlock
    sha256 : numpy.ndarray
        N of "S64": of the bytes of each image, empty where they could not be read.
    true_labels : list of (int or None)
    without : dict
        Position -> status and error, of images without explanations: "unreadable" or "failed";
        or "empty" and None where there is nothing to explain, which a note tells.
    predicted : numpy.ndarray
        N int32; -1 where there is none.
    groups : list of Explanations
    notes : dict
        Position -> note of a batch that was smaller than usual.
    frames : dict
        Position -> which frames of a clip the net saw.
    """

    items: ItemBlock
    sha256: np.ndarray
    true_labels: Sequence[Optional[int]]
    without: Dict[int, Tuple[str, Optional[str]]]
    predicted: np.ndarray
    groups: List[Explanations] = field(default_factory=list)
    notes: Dict[int, str] = field(default_factory=dict)
    frames: Mapping[int, Sequence[int]] = field(default_factory=dict)

    def statuses(self) -> Dict[str, int]:
        """Status -> images; one with several rows counts as ok if one of them is."""
        counts = dict.fromkeys(STATUSES, 0)
        for status, _ in self.without.values():
            counts[status] += 1
        is_ok = np.zeros(len(self.items), bool)
        for group in self.groups:
            is_ok[group.images[group.is_ok]] = True
        counts["ok"] = int(is_ok.sum())
        counts["empty"] += len(self.items) - len(self.without) - counts["ok"]
        return counts


def to_columns(items: ItemColumns, blocks: Sequence[Block],
               heat_boxes: Optional[float] = None) -> Dict[str, Column]:
    """The columns of rows, one for each image and explanation, in the order of the images.

    Parameters
    ----------
    items : ItemColumns
        Of all blocks.
    blocks : sequence of Block
    heat_boxes : float, optional
        Find boxes around everything that is at least this part of the heatmap's maximum.

    Returns
    -------
    dict
        With all of ``COLUMNS``.
    """
    starts = np.cumsum([0] + [len(block.items) for block in blocks])
    failed = np.array([start + position for start, block in zip(starts, blocks)
                       for position in sorted(block.without)], np.int64)
    groups = _groups(starts, blocks)
    images = np.concatenate([group.images for group in groups] + [failed]).astype(np.int64)
    order = np.argsort(images, kind="mergesort")
    columns: Dict[str, Column] = _of_explanations(groups, len(failed))
    columns["heat_boxes"] = _heat_boxes(groups, len(failed), heat_boxes)
    reasons = [_printable(block.without[position][1]) for block in blocks
               for position in sorted(block.without)]
    columns["error"] = Texts([None, *reasons], np.concatenate([
        np.zeros(len(images) - len(failed), np.int32), np.arange(1, len(failed) + 1)]))
    columns["status"] = _statuses(blocks, groups)
    columns = {name: column.take(order) for name, column in columns.items()}
    columns.update((name, column.take(images[order]))
                   for name, column in _of_images(items, blocks).items())
    return {name: columns[name] for name in COLUMNS}


def _groups(starts: np.ndarray, blocks: Sequence[Block]) -> List[Explanations]:
    """The explanations of all blocks, with positions among all images; those of an image stay in
    their order, since groups of a lower rank come first."""
    alike: Dict[Tuple[int, Tuple[object, ...]], List[Explanations]] = {}
    for start, block in zip(starts.tolist(), blocks):
        for rank, group in enumerate(block.groups):
            alike.setdefault((rank, group_key(group)), []).append(
                group.at(np.arange(start, start + len(block.items))))
    return [merged(groups) for _, groups in sorted(alike.items(), key=lambda entry: entry[0][0])]


def _of_images(items: ItemColumns, blocks: Sequence[Block]) -> Dict[str, Column]:
    """What all rows of an image have in common."""
    labels = [label for block in blocks for label in block.true_labels]
    predicted = np.concatenate([block.predicted for block in blocks])
    notes = joined_texts([_notes(block) for block in blocks])
    return {
        "item": Numbers(np.array(items.numbers, np.int64)),
        "id": Texts.all_different(all_printable(items.ids)),
        "path": Texts.all_different(all_printable(items.paths)),
        "sha256": Digests(np.concatenate([block.sha256 for block in blocks])),
        "true_label": Numbers(np.array([0 if label is None else label for label in labels],
                                       np.int32),
                              np.array([label is None for label in labels], bool)),
        "predicted": Numbers(predicted, predicted == _NO_CLASS),
        "note": notes,
        "box": Values([None if box is None else list(box) for box in items.boxes]),
        "frames": Values([list(block.frames[position]) if position in block.frames else None
                          for block in blocks for position in range(len(block.items))]),
    }


def _notes(block: Block) -> Texts:
    codes = np.zeros(len(block.items), np.int32)
    for code, position in enumerate(block.notes, 1):
        codes[position] = code
    return Texts([None, *map(printable, block.notes.values())], codes)


def _of_explanations(groups: Sequence[Explanations], failed: int) -> Dict[str, Column]:
    """What each explanation has of its own; images that failed come last, without any."""
    cams, shapes, scales, positive, negative = _maps(groups, failed)
    classes = np.concatenate([_class_indices(group)[group.codes] for group in groups] + [
        np.full(failed, _NO_CLASS, np.int32)]).astype(np.int32)
    probabilities = _floats(groups, failed, lambda group: group.probabilities)
    geometries = np.concatenate([group.geometries for group in groups] + [np.zeros((failed, 6))])
    columns: Dict[str, Column] = {axis: _indices(groups, failed, axis) for axis in POSITIONS}
    columns.update({
        "question": _texts(groups, failed, lambda group: [
            printable(asked.text) for asked in group.asked], lambda group: group.codes),
        "class": Numbers(classes, classes == _NO_CLASS),
        "class_name": _texts(groups, failed, lambda group: [
            _printable(asked.class_name) for asked in group.asked], lambda group: group.codes),
        "sentence": _texts(groups, failed, lambda group: [
            _printable(asked.sentence) for asked in group.asked], lambda group: group.codes),
        "detected_box": _of_asked(groups, failed, lambda asked: asked.box and list(asked.box)),
        "words": _of_asked(groups, failed, lambda asked: [
            printable(word.text) for word in asked.words] or None),
        "word_relevances": _of_asked(groups, failed, lambda asked: [
            word.relevance for word in asked.words] or None),
        "score": Numbers(*_and_missing(groups, failed, _floats(
            groups, failed, lambda group: group.scores).astype(np.float32))),
        "probability": Numbers(probabilities.astype(np.float32), np.isnan(probabilities)),
        "method": _texts(groups, failed, lambda group: [group.method]),
        "layer": _texts(groups, failed, lambda group: [group.layer]),
        "cam": cams, "cam_shape": shapes, "cam_scale": scales,
        "positive_mass": positive, "negative_mass": negative,
        "input": _texts(groups, failed, lambda group: [group.input]),
        "image_size": Numbers(*_and_missing(groups, failed, geometries[:, :2].astype(np.int32))),
        "rectangle": Numbers(*_and_missing(groups, failed, geometries[:, 2:])),
        "placement": _placements(groups, failed),
    })
    return columns


def _statuses(blocks: Sequence[Block], groups: Sequence[Explanations]) -> Texts:
    ok, empty = STATUSES.index("ok"), STATUSES.index("empty")
    codes = [np.where(group.is_ok, ok, empty) for group in groups]
    codes.append(np.array([STATUSES.index(block.without[position][0]) for block in blocks
                           for position in sorted(block.without)], np.int64))
    return Texts(STATUSES, np.concatenate(codes).astype(np.int32))


def _maps(groups: Sequence[Explanations], failed: int) -> Tuple[Column, ...]:
    """The columns cam, cam_shape, cam_scale, positive_mass and negative_mass."""
    packed = [pack_all(group.cams) for group in groups]
    lengths = np.concatenate([np.full(len(group.cams), 2 * group.cams[0].size, np.int64)
                              for group in groups] + [np.zeros(failed)]).astype(np.int64)
    ends = np.cumsum(lengths)
    data = np.concatenate([cells.reshape(-1).view(np.uint8) for cells, _ in packed] + [
        np.zeros(0, np.uint8)])
    # Maps of a clip have one axis more, for time.
    axes = groups[0].cams.ndim - 1 if groups else 2
    shapes = np.concatenate([np.tile(group.cams.shape[1:], (len(group.cams), 1))
                             for group in groups] + [np.zeros((failed, axes))]).astype(np.int32)
    scales = np.concatenate([scale for _, scale in packed] + [np.zeros(failed)])
    masses = [_floats(groups, failed, lambda group, sign=sign: _mass(  # type: ignore[misc]
        sign * group.cams)) for sign in (1, -1)]
    numbers = [Numbers(*_and_missing(groups, failed, values))
               for values in (shapes, scales.astype(np.float32), *masses)]
    return (Bytes(data, ends - lengths, ends), *numbers)


def _mass(cams: np.ndarray) -> np.ndarray:
    """The sum of the positive cells of each map."""
    sums: np.ndarray = np.maximum(cams, 0).reshape(len(cams), -1).sum(axis=1, dtype=np.float64)
    return sums


def _placements(groups: Sequence[Explanations], failed: int) -> Numbers:
    rows, missing = [np.zeros((failed, 4))], [np.ones(failed, bool)]
    for group in reversed(groups):
        count, placement = len(group.images), group.placement
        numbers = (0.0,) * 4 if placement is None else placement.rows + placement.columns
        rows.insert(0, np.tile(np.array(numbers, np.float64), (count, 1)))
        missing.insert(0, np.full(count, placement is None, bool))
    return Numbers(np.concatenate(rows), np.concatenate(missing))


def _heat_boxes(groups: Sequence[Explanations], failed: int, threshold: Optional[float]) -> Column:
    if threshold is None:
        return Values([None] * (sum(len(group.images) for group in groups) + failed))
    return Values([[list(box.rectangle) for box in find(explanation.heatmap, threshold)]
                   for group in groups for explanation in _explanations(group)] + [None] * failed)


def _explanations(group: Explanations) -> List[Explanation]:
    """The explanations of a group one by one."""
    return [Explanation(
        question=asked.text, class_index=asked.class_index, class_name=asked.class_name,
        score=float(group.scores[index]), probability=None, method=group.method,
        layer=group.layer, cam=group.cams[index],
        geometry=geometry_of(group.geometries[index]), placement=group.placement,
        input=group.input, box=asked.box)
        for index, asked in enumerate(group.asked[code] for code in group.codes.tolist())]


def _of_asked(groups: Sequence[Explanations], failed: int,
              value: Callable[[AskedClass], Optional[List[Any]]]) -> Values:
    """A list of values for each question; None where it has none."""
    values: List[Any] = []
    for group in groups:
        different = list(map(value, group.asked))
        values += [different[code] for code in group.codes.tolist()]
    return Values(values + [None] * failed)


def _indices(groups: Sequence[Explanations], failed: int, axis: str) -> Numbers:
    """The step, prior or region that each explanation is about."""
    indices = np.concatenate([
        np.array([dict(asked.position).get(axis, _NO_INDEX) for asked in group.asked],
                 np.int32)[group.codes] for group in groups
    ] + [np.full(failed, _NO_INDEX, np.int32)])
    return Numbers(indices, indices == _NO_INDEX)


def _class_indices(group: Explanations) -> np.ndarray:
    return np.array([_NO_CLASS if asked.class_index is None else asked.class_index
                     for asked in group.asked])


def _floats(groups: Sequence[Explanations], failed: int,
            values: Callable[[Explanations], np.ndarray]) -> np.ndarray:
    return np.concatenate([values(group) for group in groups]
                          + [np.full(failed, np.nan, np.float64)])


def _and_missing(groups: Sequence[Explanations], failed: int, values: np.ndarray
                 ) -> Tuple[np.ndarray, Optional[np.ndarray]]:
    """Values, and which are missing: those of images that failed."""
    if not failed:
        return values, None
    return values, np.arange(len(values)) >= len(values) - failed


def _printable(text: Optional[str]) -> Optional[str]:
    return None if text is None else printable(text)


def _texts(groups: Sequence[Explanations], failed: int,
           texts: Callable[[Explanations], List[Any]],
           codes: Callable[[Explanations], np.ndarray] = lambda group: np.zeros(
               len(group.images), np.int32)) -> Texts:
    """A text for each explanation; images that failed have none."""
    return joined_texts([Texts(texts(group), codes(group)) for group in groups] + [
        Texts([None], np.zeros(failed, np.int32))])

