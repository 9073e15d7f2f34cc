"""Inputs that lie where the net runs."""

from dataclasses import dataclass
from typing import Any, Tuple

import numpy as np


@dataclass(frozen=True, eq=False)
class OnDevice:
    """An input blob on an engine's device, which :meth:`Engine.begin_maps` takes for an array.

    Attributes
    ----------
    value : torch.Tensor or numpy.ndarray
        N x C x h x w float32.
    """

    value: Any

    @property
    def shape(self) -> Tuple[int, ...]:
        return tuple(self.value.shape)

    def part(self, start: int, stop: int) -> "OnDevice":
        """The images from one position up to another."""
        return OnDevice(self.value[start:stop])

    def array(self) -> np.ndarray:
        """The blob as an array of its own."""
        value = self.value if isinstance(self.value, np.ndarray) else self.value.cpu().numpy()
        return np.array(value, np.float32)
