"""Take away what stands between the scores and the end of the net."""

import itertools

from prototxt_tools.net.net import Net
from prototxt_tools.rewrite.result import Rewrite, said
from prototxt_tools.text.edits import Edits

_STRIPPED = {
    "Softmax",
    "Sigmoid",
    "SoftmaxWithLoss",
    "SigmoidCrossEntropyLoss",
    "Accuracy",
}


def strip_softmax(document):
    """Remove every Softmax whose top is an output of the net, so that the scores are.

    A Sigmoid, a SoftmaxWithLoss and an Accuracy at the end go too. Grad-CAM starts from the
    scores before the Softmax: through a Softmax the gradient of a sure class is zero
    (Selvaraju et al. 2017, section 3).

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
        If the document is no net.
    """
    net = Net.parse(document)
    states = _states(net)
    edits, notes = Edits(document), []
    readers = {}  # blob -> the later layers that stay and read it, the first one last
    for layer in reversed(net.layers):
        if layer.type in _STRIPPED:
            reader = _reader(layer, readers, states)
            if reader is None:
                edits.remove(layer.field)
                notes.append(f"removed {said(layer)}")
                continue
            if layer.type == "Softmax":
                notes.append(f"left {said(layer)}: {said(reader)} reads it")
        for bottom in layer.bottoms:
            readers.setdefault(bottom, []).append(layer)
    return Rewrite(edits.apply(), notes[::-1])


def _reader(layer, readers, states):
    """The first later layer that reads the layer's tops in some state of the net, or None."""
    found = None
    for top in layer.tops:
        for other in reversed(readers.get(top, ())):
            if any(layer.meets(*state) and other.meets(*state) for state in states):
                if found is None or other.field.start < found.field.start:
                    found = other
                break
    return found


def _states(net):
    """Every phase, without stages and with each stage that the file names."""
    stages = {
        stage
        for layer in net.layers
        for rule in layer.field.value.all("include") + layer.field.value.all("exclude")
        if rule.is_message
        for stage in rule.value.strings("stage") + rule.value.strings("not_stage")
    }
    choices = [()] + [(stage,) for stage in sorted(stages)]
    return [(phase, stages, 0) for phase, stages in itertools.product(("TEST", "TRAIN"), choices)]
