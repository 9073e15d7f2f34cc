"""What happens at which layer: where autograd begins, and when a blob is no longer needed."""

import contextlib
from typing import Dict, List, Sequence, Set

from prototxt_tools.errors import EngineError
from prototxt_tools.net.net import Layer

from ..head import Head
from ..subnet import Subnet


def leaves(subnet: Subnet, gradient: str) -> Dict[int, List[str]]:
    """Layer index (-1: before all) -> the targets that hold their value after that layer.

    Which value is meant, ``gradient`` tells: the last one, or the one before in-place layers.
    """
    inputs = {entry.blob for entry in subnet.net.inputs}
    targets: Dict[int, List[str]] = {}
    for target in subnet.targets:
        writers = [index for index in subnet.graph.writers(target)
                   if subnet.net.layers[index].type != "Input"]
        if target in inputs:
            writers = [-1] + writers
        targets.setdefault(writers[-1 if gradient == "post" else 0], []).append(target)
    return targets


def last_use(layers: Sequence[Layer]) -> List[List[str]]:
    """For each layer, the blobs that no later layer reads."""
    last = {}
    for index, layer in enumerate(layers):
        for blob in layer.bottoms + layer.tops:
            last[blob] = index
    blobs: List[List[str]] = [[] for _ in layers]
    for blob, index in last.items():
        blobs[index].append(blob)
    return blobs


def kept(subnet: Subnet) -> Set[str]:
    """Blobs that every forward keeps: the scores, and what ``forward_from`` a target needs."""
    blobs = set(subnet.scores)
    for score, targets in subnet.reached.items():
        for target in targets:
            with contextlib.suppress(EngineError):
                blobs.update(Head(subnet, target, [score]).sides)
    return blobs
