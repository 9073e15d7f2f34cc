"""Nets of a single layer, to run on two devices."""

from dataclasses import dataclass
from typing import Any, Dict, List, Tuple

import definitions
import numpy as np
from layer_cases import fill, net_text

# For layers without a bottom: a blob beside them that gradients can reach.
BESIDE = """
layer { name: "b0_input" type: "Input" top: "b0_input" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "b0" type: "Scale" bottom: "b0_input" top: "b0" scale_param { axis: 0 num_axes: 0 } }
"""
SUM = 'layer { name: "sum" type: "Eltwise" bottom: "b0" bottom: "t0" top: "sum" }\n'


# Type, parameters, bottoms (shapes or arrays) and number of tops; see ``layer_cases``.
Case = Tuple[str, str, List[Any], int]


@dataclass(frozen=True, eq=False)
class LayerNet:
    """A net of a single layer, its bottoms, and the blobs to begin and end gradients at."""

    text: str
    bottoms: Dict[str, np.ndarray]
    scores: Tuple[str, ...]
    targets: Tuple[str, ...]

    @property
    def inputs(self) -> Dict[str, np.ndarray]:
        """What to feed: targets have a layer of their own below them."""
        return {name + "_input" * (name in self.targets): array
                for name, array in self.bottoms.items()}


def layer_net(name: str, case: Case, all_targets: bool = True) -> LayerNet:
    """The net of a case; its bottoms are the same wherever it is made.

    Without ``all_targets``, bottoms of indices or marks are none: Caffe refuses their gradients.
    """
    kind, parameters, shapes, count = case
    rng = np.random.RandomState(len(name))
    bottoms = {f"b{index}": fill(shape, rng) for index, shape in enumerate(shapes)}
    tops = [f"t{index}" for index in range(count)]
    targets = [blob for blob, shape in zip(bottoms, shapes)
               if all_targets or not isinstance(shape, np.ndarray)]
    text = net_text(kind, parameters, bottoms, tops, targets)
    if not bottoms:
        beside = {"b0": fill((2, 3), rng)}
        return LayerNet(BESIDE + text + SUM, beside, ("sum",), ("b0",))
    return LayerNet(text, bottoms, tuple(tops), tuple(targets))


def layer_weights(net: LayerNet) -> Dict[str, List[np.ndarray]]:
    """Its learned blobs, which are the same wherever they are made."""
    values: Dict[str, List[np.ndarray]] = definitions.random_weights(net.text)
    for target in net.targets:
        values[target] = [np.ones_like(array) for array in values[target]]
    if len(values.get("it", ())) == 4:
        values["it"][3] = np.abs(values["it"][3]) + np.float32(0.3)  # BN's variance
    return values
