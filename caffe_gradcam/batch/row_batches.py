"""Explanations for data flows: a function from rows to rows, for Ray Data, Dask or plain loops."""

import dataclasses
import json
import os
import threading
from dataclasses import dataclass
from typing import (
    TYPE_CHECKING,
    Any,
    Dict,
    Iterable,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Union,
)

import numpy as np

from caffe_gradcam.asking.asker import Asking
from caffe_gradcam.batch.dependencies import resolved
from caffe_gradcam.batch.options import AUTO, Pipeline
from caffe_gradcam.batch.output import parts
from caffe_gradcam.batch.output.blocks import to_columns
from caffe_gradcam.batch.output.columns import Column, of_rows, to_rows
from caffe_gradcam.batch.output.rows import COLUMNS
from caffe_gradcam.batch.pipeline import decoding
from caffe_gradcam.batch.pipeline.lane import Lane
from caffe_gradcam.batch.sources.item import InputColumns, Item, from_columns
from caffe_gradcam.batch.sources.item_blocks import ItemBlock
from caffe_gradcam.engines.running import Running
from caffe_gradcam.explaining.asked_batches import checked
from caffe_gradcam.explaining.methods import usual_method
from caffe_gradcam.explaining.recipe import ModelChoice, Recipe
from caffe_gradcam.explaining.settings import Explaining
from caffe_gradcam.model import choices, fields
from caffe_gradcam.model.arrays import as_image, numbers_of
from caffe_gradcam.model.image_values import Range
from caffe_gradcam.model.model import LoadedModel
from prototxt_tools.errors import ImageError, QuestionError

if TYPE_CHECKING:
    from typing import NoReturn

    StrPath = Union[str, "os.PathLike[str]"]
    Names = Union[str, Iterable[str]]
    Size = Union[str, int, Sequence[int]]

# Keys of a row that hold an image; a row without them names a path.
_IMAGE_KEYS = ("image", "img", "jpg", "jpeg", "png", "webp", "bmp", "ppm", "tif", "tiff", "bytes")
# Pixel arrays of these shapes could be one image or many.
_LARGEST_CHANNELS = 4


def explain_batch(
    rows: Any,
    model: "StrPath",
    weights: "Optional[StrPath]" = None,
    *,
    size: "Optional[Size]" = None,
    channel_order: Optional[str] = None,
    mean: Union[None, str, float, Sequence[float]] = None,
    scale: Union[None, str, float] = None,
    resize: "Optional[Size]" = None,
    crop: "Optional[Size]" = None,
    crops: Union[None, str, int] = None,
    value_range: Union[None, str, Sequence[float]] = None,
    stride: Union[None, str, int] = None,
    score: Optional[str] = None,
    labels: "Union[None, StrPath, Sequence[str]]" = None,
    outputs: "Union[None, StrPath, Sequence[str]]" = None,
    classes: "Union[int, str, Iterable[Union[int, str]]]" = (),
    at: Optional[Tuple[int, int, int, int]] = None,
    mask: Optional[str] = None,
    like: Optional[str] = None,
    cosine: bool = False,
    probability: bool = False,
    counterfactual: bool = False,
    step: Optional[int] = None,
    prior: Optional[int] = None,
    text: Optional[str] = None,
    detections: bool = False,
    min_score: Optional[float] = None,
    edge: Optional[str] = None,
    caption: bool = False,
    sentence: Optional[str] = None,
    beam: Optional[int] = None,
    method: "Optional[Names]" = None,
    layers: "Names" = (),
    fuse: Optional[str] = None,
    gradient: str = "post",
    placement: str = "centres",
    samples: Optional[int] = None,
    batch_statistics: bool = False,
    engine: str = "auto",
    device: str = "cpu",
    precision: str = "fp32",
    trust: bool = False,
    allow_missing: bool = False,
    ignore_unknown_fields: bool = False,
    verbose: bool = False,
    plugins: "Names" = (),
    color: str = "BGR",
    batch: int = 8,
    decoders: int = 1,
    decode: str = AUTO,
    timeout: float = 600.0,
    heat_boxes: Optional[float] = None,
    **unknown: "NoReturn"
) -> Any:
    """Explain the images of some rows.

    The net's process stays open for the next call with the same keywords. Ray Data::

        ds.map_batches(explain_batch, batch_format="pyarrow", fn_kwargs={"model": "models/x"})

    Dask: ``bag.map_partitions(explain_batch, model="models/x")``.

    Parameters
    ----------
    rows : list, dict of columns, pandas.DataFrame or pyarrow.Table
        Each row is a path, an image as ``caffe_gradcam.model.arrays.as_image`` takes it, or a
        mapping with a ``path`` or an ``image``, and any of ``id``, ``true_label`` (or
        ``label``), ``class``, ``question`` and ``box``. For nets with several inputs, a mapping
        with an image for each, or a path; of inputs that are no pictures an array, a file or a
        number. For nets that take clips, a path, or a sequence of as many frames as the net
        takes, which stand under ``frames`` in a mapping.
    model, weights, size, channel_order, mean, scale, resize, crop, crops, value_range, stride,
    score, labels, outputs
        See ``Model.load``.
    classes, at, mask, like, cosine, probability, counterfactual, step, prior, detections,
    min_score, edge, caption, sentence, beam
        See ``caffe_gradcam.asking.asker.Asking``.
    text : str, optional
        The question that the net reads beside each image.
    method, layers, fuse, gradient, placement, samples, batch_statistics
        See ``caffe_gradcam.explaining.settings.Explaining``.
    engine, device, precision, trust, allow_missing, ignore_unknown_fields, verbose, plugins
        See ``caffe_gradcam.engines.running.Running``.
    color : str
        "BGR" or "RGB": the order of the channels in arrays and tensors.
    batch : int
        Images that go through the net together.
    decoders : int
        Processes that read and decode images.
    decode : str
        What decodes JPEGs: "auto", "cpu", "reduced" or "cuda"; see
        ``caffe_gradcam.batch.options.Pipeline``.
    timeout : float
        Seconds that one batch may take.
    heat_boxes : float, optional
        Find boxes around everything that is at least this part of a heatmap's maximum.

    Returns
    -------
    list of dict, dict of columns, pandas.DataFrame or pyarrow.Table
        Of the kind that came in, with the columns of a part: one row per image and explanation,
        or one that says why an image has none. ``item`` is the image's position among the rows.

    Raises
    ------
    InputError
        Rows of an unknown kind, an unknown keyword, or a model, a question or an engine that
        cannot be used.
    """
    choices.check_keywords("explain_batch", unknown, _KEYWORDS)
    recipe = Recipe(
        ModelChoice(os.fspath(model), None if weights is None else os.fspath(weights), {
            "size": size, "channel_order": channel_order, "mean": mean, "scale": scale,
            "resize": resize, "crop": crop, "crops": crops,
            "value_range": value_range, "stride": stride, "score": score, "labels": labels,
            "outputs": outputs, "text": text}),
        Asking(_texts(classes), at, mask, like, cosine, probability, counterfactual,
               caption=caption, sentence=sentence, beam=beam, detections=detections,
               min_score=min_score, edge=edge, step=step, prior=prior),
        Explaining(_texts(method or usual_method(detections)), _texts(layers), fuse, gradient,
                   placement, samples, batch_statistics),
        Running(engine, device, precision, trust, allow_missing, ignore_unknown_fields,
                verbose=verbose, plugins=_texts(plugins)))
    reading = _Reading(color, None if value_range is None else _checked(value_range))
    return _like(rows, _explain(recipe, Pipeline(batch, (), decoders, timeout, decode=decode),
                                (_listed(rows), reading), heat_boxes))


_KEYWORDS = tuple(explain_batch.__annotations__)[1:-2]


class _Kept:
    """The lane of the last call, which is kept open for the next."""

    def __init__(self) -> None:
        self.guard = threading.Lock()
        self.lane: Optional[Lane] = None
        self._key = ""

    def open(self, recipe: Recipe, pipeline: Pipeline) -> Lane:
        """The lane for a recipe, of an earlier call or new."""
        key = json.dumps([os.getpid(), recipe.to_dict(), dataclasses.asdict(pipeline)])
        if self.lane is None or self._key != key:
            self.close()
            model = checked(recipe, recipe.model.load())
            recipe = resolved(recipe)
            pipeline = decoding.settled(pipeline, recipe.running, model)
            self.lane, self._key = Lane(recipe, model, pipeline), key
        return self.lane

    def close(self) -> None:
        """End the processes of the lane."""
        lane, self.lane = self.lane, None
        if lane is not None:
            lane.close()


_kept = _Kept()


@dataclass(frozen=True)
class _Reading:
    """How rows are read: the order of the channels of arrays, and the range of their values."""

    color: str
    value_range: Optional[Range]


def _explain(recipe: Recipe, pipeline: Pipeline, rows: Tuple[List[Any], _Reading],
             heat_boxes: Optional[float]) -> Dict[str, Column]:
    """The columns of the rows of items."""
    listed, reading = rows
    if not listed:
        return of_rows([], list(COLUMNS))
    with _kept.guard:
        lane = _kept.open(recipe, pipeline)
        if lane.model.clips and heat_boxes is not None:
            raise QuestionError("heat_boxes: boxes are found in the maps of single images, not of "
                                "clips", "heat_boxes")
        everything = ItemBlock(given=_items(listed, reading, lane.model))
        batches = [(None, everything.part(start, start + pipeline.batch))
                   for start in range(0, len(listed), pipeline.batch)]
        try:
            blocks = [block for _, block in lane.results(batches)]
        except BaseException:
            # Answers that are still to come would be taken for those to the next call.
            _kept.close()
            raise
    return to_columns(everything.columns(), blocks, heat_boxes)


def _checked(value_range: Any) -> Optional[Range]:
    try:
        return fields.value_range(value_range)
    except ValueError as error:
        raise QuestionError(f"value_range {error}", "value_range") from None


def _items(rows: List[Any], reading: _Reading, model: LoadedModel) -> List[Item]:
    """An item for each row; where it has no image, one that says why."""
    items = []
    for number, row in enumerate(rows):
        name = f"row {number}"
        try:
            item = _item(row, name, reading, model)
        except ImageError as error:
            item = Item.of(_path(row) or name, error=str(error))
        items.append(dataclasses.replace(item, number=number))
    return items


def _item(row: Any, name: str, reading: _Reading, model: LoadedModel) -> Item:
    if not isinstance(row, Mapping):
        row = {"path": os.fspath(row)} if isinstance(row, (str, os.PathLike)) else {"image": row}
    inputs = InputColumns.of(model)
    if model.clips:
        return _clip(row, name, reading)
    key = next((key for key in _IMAGE_KEYS if row.get(key) is not None), None)
    path = _path(row) or name
    columns = dict(row)
    if key is not None:
        columns.update(path=path, image=_image(row[key], reading, path, (model, model.input)))
    for blob in inputs.names if inputs.needs_columns or key is None else inputs.optional:
        if row.get(blob) is not None:
            columns[blob] = _of_input(row[blob], reading, f"{path}, input {blob}", (model, blob))
    item = from_columns(columns, name, inputs)
    return dataclasses.replace(item, input_paths=tuple(
        (blob, inputs.located(blob, text, str)) for blob, text in item.input_paths))


def _clip(row: Mapping[str, Any], name: str, reading: _Reading) -> Item:
    """The item of a clip: a path, or its frames under "frames"."""
    columns, path = dict(row), _path(row) or name
    frames = columns.pop("frames", columns.pop("image", None))
    if frames is None:
        return from_columns(columns, name)
    if isinstance(frames, (str, bytes, Mapping)) or not hasattr(frames, "__iter__"):
        raise ImageError(f"{path}: a clip is a path, or as many frames as the net takes", path)
    pictures = [as_image(frame, reading.color, name=f"{path}, frame {number}",
                         value_range=reading.value_range)
                for number, frame in enumerate(frames, 1)]
    return from_columns(dict(columns, path=path, image=pictures), name)


def _of_input(value: Any, reading: _Reading, name: str, place: Tuple[LoadedModel, str]) -> Any:
    """The value of one input: a path, a number and a text stay what they are."""
    model, blob = place
    if isinstance(value, (str, os.PathLike, int, float)) and not isinstance(value, bool):
        return value
    if blob in model.inputs:
        return _image(value, reading, name, place)
    return as_image({blob: value}, inputs=(blob,), name=name, numbers=numbers_of(model))[blob]


def _path(row: Any) -> Optional[str]:
    """Where a row says that its image came from."""
    for mapping in (row, row.get("image")) if isinstance(row, Mapping) else ():
        if isinstance(mapping, Mapping) and isinstance(mapping.get("path"), str):
            return str(mapping["path"])
    return None


def _image(value: Any, reading: _Reading, name: str, place: Tuple[LoadedModel, str]
           ) -> Union[bytes, "np.ndarray"]:
    """Encoded images stay what they are, for the decoders; others become pixels."""
    model, blob = place
    if isinstance(value, Mapping) and isinstance(value.get("bytes"), (bytes, bytearray)):
        value = value["bytes"]
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    image = as_image(value, reading.color, (blob,), name, reading.value_range, numbers_of(model))
    assert isinstance(image, np.ndarray)
    return image


def _listed(rows: Any) -> List[Any]:
    """The rows, whatever holds them."""
    if hasattr(rows, "to_pylist"):
        return list(rows.to_pylist())
    if hasattr(rows, "to_dict") and hasattr(rows, "columns"):
        return [{name: None if _is_missing(value) else value for name, value in row.items()}
                for row in rows.to_dict("records")]
    if isinstance(rows, Mapping):
        for name, column in rows.items():
            _check_many(column, f"column {name!r}")
        if len({len(column) for column in rows.values()}) > 1:
            raise QuestionError("the columns of the rows have different lengths")
        return [dict(zip(rows, values)) for values in zip(*rows.values())]
    _check_many(rows, "rows")
    return list(rows)


def _check_many(values: Any, name: str) -> None:
    """Refuse a single value, and an array that could be one."""
    is_one = isinstance(values, (str, bytes, os.PathLike)) or not hasattr(values, "__iter__")
    if not is_one and isinstance(values, np.ndarray) and values.dtype.kind not in "OSU":
        is_one = values.ndim == 2 and name == "rows" or (
            values.ndim == 3 and values.shape[2] <= _LARGEST_CHANNELS)
    if is_one or isinstance(values, Mapping):
        raise QuestionError(f"{name} must be several: put a single image into a list")


def _is_missing(value: Any) -> bool:
    return isinstance(value, float) and np.isnan(value)


def _texts(values: Any) -> Tuple[str, ...]:
    if isinstance(values, (str, int)) or not hasattr(values, "__iter__"):
        values = [values]
    return tuple(str(value) for value in values)


def _like(rows: Any, columns: Mapping[str, Column]) -> Any:
    """A table in the form of the rows that were given."""
    if hasattr(rows, "to_pylist"):
        return parts.to_table(columns)
    if hasattr(rows, "to_dict") and hasattr(rows, "columns"):
        return type(rows)(to_rows(columns), columns=list(COLUMNS))
    if isinstance(rows, Mapping):
        return {name: _column(column.to_list()) for name, column in columns.items()}
    return to_rows(columns)


def _column(values: List[Any]) -> "np.ndarray":
    column = np.empty(len(values), object)
    column[:] = values
    return column
