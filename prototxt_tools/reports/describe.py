"""Everything that is known of a net without running it, as plain data."""

from dataclasses import asdict
from typing import Any, Dict, Iterable, List, Optional, Sequence, Union

from prototxt_tools import layers, shapes
from prototxt_tools.errors import InputError
from prototxt_tools.net import fork_fields
from prototxt_tools.net.graph import Candidate, Graph, Score, Target
from prototxt_tools.net.net import Net
from prototxt_tools.net.streams import stream_targets
from prototxt_tools.reports import check, cost, receptive
from prototxt_tools.shapes import Shapes


def describe(net: Net, phase: str = "TEST", stages: Iterable[str] = (),
             inputs: Optional[Shapes] = None) -> Dict[str, Any]:
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
        ``unknown_shapes``: the layers from which on shapes are unknown, each with the reason;
        ``total``; ``problems``: what stock Caffe refuses about the net; and ``notes``: what is
        easily overlooked, such as layers that share a name.

    Raises
    ------
    InputError
        If ``inputs`` names a blob that the net does not have.
    """
    built = net.at(phase, stages)
    for blob in inputs or ():
        if blob not in built.blobs():
            raise InputError(f"the net has no blob {blob!r}", blob)
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
        "unknown_shapes": list(map(asdict, shapes.unknown(built, sizes))),
        "total": asdict(cost.total(built, sizes)),
        "problems": check.problems(net, phase),
        "notes": notes(built),
    }


def notes(net: Net) -> List[str]:
    """What is easily overlooked in a net at one phase, in sentences."""
    sentences = []
    for name, group in shapes.namesakes(net).items():
        lines = " and ".join(str(layer.field.line) for layer in group)
        sentences.append(
            f"{len(group)} layers with weights are named {name} (lines {lines}): Caffe copies all "
            "weights of that name into the first")
    for layer in net.layers:
        for field in fork_fields.material(layer) if layers.of(layer.type).blobs or (
                layers.of(layer.type).shape) else ():
            sentences.append(f"{field.name} in {layer.name} (line {field.line}) is not understood "
                             "and may change what the layer computes")
    return sentences


def _layers(net: Net, sizes: Shapes) -> List[Dict[str, Any]]:
    fields = receptive.fields(net, sizes)
    entries = []
    for layer, layer_cost in zip(net.layers, cost.costs(net, sizes)):
        entry: Dict[str, Any] = {
            "name": layer.name,
            "type": layer.type,
            "line": layer.field.line,
            "bottoms": layer.bottoms,
            "tops": layer.tops,
            "shapes": [_listed(sizes.get(top)) for top in layer.tops],
            "receptive_field": None,
        }
        entry.update(asdict(layer_cost))
        field = fields.get(layer.tops[0]) if layer.tops else None
        if field is not None:
            entry["receptive_field"] = {name: list(axes) for name, axes in asdict(field).items()}
        entries.append(entry)
    return entries


def _score(graph: Graph, score: Score, sizes: Shapes) -> Dict[str, Any]:
    targets = {target.blob: target for target in graph.targets(score.blob, sizes)}
    for target in stream_targets(graph, score.blob, sizes).values():
        targets.setdefault(target.blob, target)
    entries = [_blob(target, sizes) for target in targets.values()]
    return dict(_blob(score, sizes), link=score.link, targets=entries)


def _blob(entry: Union[Candidate, Score, Target], sizes: Shapes) -> Dict[str, Any]:
    return {"blob": entry.blob, "shape": _listed(sizes.get(entry.blob)), "reason": entry.reason}


def _listed(shape: Optional[Sequence[int]]) -> Optional[List[int]]:
    return None if shape is None else list(shape)
