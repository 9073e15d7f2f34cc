"""Explanations for data flows: a function from rows to rows, for Ray Data, Dask or plain loops."""

import json
import threading

import numpy as np

from caffe_gradcam.batch.output import parts
from caffe_gradcam.batch import spec
from caffe_gradcam.batch.sources.item import from_columns
from caffe_gradcam.batch.pipeline.lane import Lane
from caffe_gradcam.batch.output.rows import COLUMNS, of_outcome

# The net of the last call, kept open for the next: key, lane.
_kept = [None, None]
_guard = threading.Lock()


def explain_batch(rows, model, weights=None, overrides=None, asking=None, engine="auto",
                  explainer=None, engine_options=None, device="cpu", workers=1, batch=8,
                  timeout=600.0, boxes=None):
    """Explain images that rows name.

    The net's process stays open for the next call with the same arguments. Ray Data::

        ds.map_batches(explain_batch, batch_format="pyarrow", fn_kwargs={"model": "models/x"})

    Dask: ``bag.map_partitions(explain_batch, model="models/x")``.

    Parameters
    ----------
    rows : list of dict, dict of columns, pandas.DataFrame or pyarrow.Table
        ``path``, and any of ``id``, ``label``, ``class``, ``question``, ``box``.
    model, weights, overrides, asking, engine, explainer, engine_options
        As for ``run``.
    device : str
    workers : int
        Decoders.
    batch, timeout, boxes
        As for ``run``.

    Returns
    -------
    rows
        Of the kind that came in, with the columns of a part: one row per image and explanation.
        ``item`` is the image's place among the rows.

    Raises
    ------
    InputError
        A row without a path, or an engine that does not open.
    """
    explained = spec.make(model, weights, overrides, engine, asking, explainer,
                          **engine_options or {})
    items = [from_columns(row, f"row {index}")._replace(number=index)
             for index, row in enumerate(_to_dicts(rows))]
    cut = [items[start:start + batch] for start in range(0, len(items), batch)]
    with _guard:
        lane = _lane(explained, device, workers, batch, timeout)
        try:
            made = [row for _, outcomes in lane.outcomes((None, one) for one in cut)
                    for outcome in outcomes for row in of_outcome(outcome, boxes)]
        except BaseException:
            # Answers that are still to come fit no question.
            _forget()
            raise
    return _like(rows, made)


def _lane(explained, *arguments):
    key = json.dumps([explained, arguments], sort_keys=True)
    if _kept[0] != key:
        _forget()
        _kept[:] = key, Lane(explained, *arguments)
    return _kept[1]


def _forget():
    lane = _kept[1]
    _kept[:] = None, None
    if lane is not None:
        lane.close()


def _to_dicts(rows):
    if hasattr(rows, "to_pylist"):
        return rows.to_pylist()
    if hasattr(rows, "to_dict"):
        return [{name: None if _is_missing(value) else value for name, value in row.items()}
                for row in rows.to_dict("records")]
    if isinstance(rows, dict):
        return [dict(zip(rows, values)) for values in zip(*rows.values())]
    return list(rows)


def _is_missing(value):
    return isinstance(value, float) and np.isnan(value)


def _like(rows, made):
    """The rows made, in the form of those given."""
    if hasattr(rows, "to_pylist"):
        return parts.to_table(made)
    if hasattr(rows, "to_dict"):
        return type(rows)(made, columns=list(COLUMNS))
    if isinstance(rows, dict):
        return {name: _column([row[name] for row in made]) for name in COLUMNS}
    return made


def _column(values):
    column = np.empty(len(values), object)
    column[:] = values
    return column
