"""Remove what stands between the scores and the end of the net."""

import itertools
from typing import Dict, List, Optional, Set, Tuple

from prototxt_tools import layers
from prototxt_tools.net.net import Layer, Net
from prototxt_tools.rewrite.result import Rewrite, describe_layer
from prototxt_tools.text.document import Document
from prototxt_tools.text.edits import Edits

# Phase, stages and level, by which Caffe chooses the layers of a net.
State = Tuple[str, Tuple[str, ...], int]


def strip_softmax(document: Document) -> Rewrite:
    """Remove every Softmax whose top is an output of the net, so that the scores are outputs.

    A Sigmoid, a SoftmaxWithLoss and an Accuracy at the end are removed, too. Grad-CAM starts from
    the scores before the Softmax: through a Softmax the gradient of a class with a probability
    close to 1 is nearly zero (Selvaraju et al. 2017, section 3).

    Parameters
    ----------
    document : Document

    Returns
    -------
    Rewrite
        A Softmax that later layers read stays, with a note. A net without any is no error.

    Raises
    ------
    PrototxtError
        If the document does not define a net.
    """
    net = Net.parse(document)
    states = _states(net)
    edits = Edits(document)
    notes: List[str] = []
    # Blob -> the remaining layers that read it, the last one first.
    readers: Dict[str, List[Layer]] = {}
    for layer in reversed(net.layers):
        if _is_stripped(layer):
            reader = _first_reader(layer, readers, states)
            if reader is None:
                edits.remove(layer.field)
                notes.append(f"removed {describe_layer(layer)}")
                continue
            if layer.type == "Softmax":
                notes.append(f"left {describe_layer(layer)}: {describe_layer(reader)} reads it")
        for bottom in layer.bottoms:
            readers.setdefault(bottom, []).append(layer)
    return Rewrite(edits.apply(), tuple(reversed(notes)))


def _is_stripped(layer: Layer) -> bool:
    """Whether it turns scores into probabilities, by itself or inside a loss, or judges them."""
    layer_type = layers.of(layer.type)
    return layer_type.role == "link" or bool(layer_type.inner_link) or layer.type == "Accuracy"


def _first_reader(layer: Layer, readers: Dict[str, List[Layer]],
                  states: List[State]) -> Optional[Layer]:
    """The first later layer that reads a top of the layer in some state of the net, or None."""
    candidates = []
    for top in layer.tops:
        for reader in reversed(readers.get(top, [])):
            if any(layer.meets(*state) and reader.meets(*state) for state in states):
                candidates.append(reader)
                break
    return min(candidates, key=lambda reader: reader.field.start, default=None)


def _states(net: Net) -> List[State]:
    """Both phases, each without stages and with each single stage that the file names."""
    stages: Set[str] = {
        stage
        for layer in net.layers
        for rule in layer.rules
        if rule.is_message
        for stage in rule.value.strings("stage") + rule.value.strings("not_stage")
    }
    choices: List[Tuple[str, ...]] = [()]
    choices += [(stage,) for stage in sorted(stages)]
    return [(phase, choice, 0) for phase, choice in itertools.product(("TEST", "TRAIN"), choices)]
