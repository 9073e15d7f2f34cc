"""Everything that is known of a net without running it, as plain data."""

from dataclasses import asdict

from prototxt_tools import shapes
from prototxt_tools.errors import InputError
from prototxt_tools.net.graph import Graph
from prototxt_tools.net.streams import stream_targets
from prototxt_tools.reports import check, cost, receptive


def describe(net, phase="TEST", stages=(), inputs=None):
    """A net as dicts and lists that JSON can hold.

    Parameters
    ----------
    net : prototxt_tools.net.net.Net
        With the layers of every phase.
    phase : str
    stages : iterable of str
    inputs : dict, optional
        Shapes by blob; see ``shapes.infer``.

    Returns
    -------
    dict
        ``name``, ``form``, ``phase``; ``inputs``; ``layers``, each with its blobs, shapes,
        parameters, multiply-adds and receptive field, null where unknown; ``outputs``;
        ``scores``, each with its targets; ``candidates`` (blobs with spatial extent);
        ``total``; and ``problems``: what stock Caffe has against the net.

    Raises
    ------
    InputError
        If ``inputs`` names a blob that the net does not have.
    """
    built = net.at(phase, stages)
    for blob in inputs or ():
        if blob not in built.blobs():
            raise InputError(f"the net has no blob {blob!r}")
    sizes = shapes.infer(built, inputs, problems=[])
    graph = Graph(built)
    return {
        "name": net.name,
        "form": net.form,
        "phase": phase,
        "inputs": [
            {"blob": entry.blob, "shape": _listed(sizes.get(entry.blob))} for entry in built.inputs
        ],
        "layers": _layers(built, sizes),
        "outputs": [{"blob": blob, "shape": _listed(sizes.get(blob))} for blob in built.outputs()],
        "scores": [_score(graph, score, sizes) for score in graph.scores()],
        "candidates": [_blob(candidate, sizes) for candidate in graph.candidates(sizes)],
        "total": asdict(cost.total(built, sizes)),
        "problems": check.problems(net, phase),
    }


def _layers(net, sizes):
    fields = receptive.fields(net, sizes)
    found = []
    for layer, spent in zip(net.layers, cost.costs(net, sizes)):
        entry = {
            "name": layer.name,
            "type": layer.type,
            "line": layer.field.line,
            "bottoms": layer.bottoms,
            "tops": layer.tops,
            "shapes": [_listed(sizes.get(top)) for top in layer.tops],
            "receptive_field": None,
        }
        entry.update(asdict(spent))
        seen = fields.get(layer.tops[0]) if layer.tops else None
        if seen is not None:
            entry["receptive_field"] = {name: list(axes) for name, axes in asdict(seen).items()}
        found.append(entry)
    return found


def _score(graph, score, sizes):
    found = graph.targets(score.blob, sizes)
    known = {target.blob for target in found}
    found += [target for target in stream_targets(graph, score.blob, sizes).values()
              if target.blob not in known]
    targets = [_blob(target, sizes) for target in found]
    return dict(_blob(score, sizes), link=score.link, targets=targets)


def _blob(found, sizes):
    return {"blob": found.blob, "shape": _listed(sizes.get(found.blob)), "reason": found.reason}


def _listed(shape):
    return None if shape is None else list(shape)
