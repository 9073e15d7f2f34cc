"""Shared memory in which decoders lay the images of a batch side by side, as the net reads them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Dict, Optional, Tuple

import numpy as np

from caffe_gradcam.model.preprocess import CHANNELS
from caffe_gradcam.processes.memory import ALIGNMENT, SharedMemory

if TYPE_CHECKING:
    from caffe_gradcam.model.model import LoadedModel


@dataclass(frozen=True)
class Layout:
    """What a batch takes.

    Attributes
    ----------
    images : int
        The most images of a batch.
    shapes : tuple of (str, tuple of int)
        Input blob, and what one image is for it: V x C x h x w, V crops or frames.
    """

    images: int
    shapes: Tuple[Tuple[str, Tuple[int, ...]], ...]

    @classmethod
    def of(cls, model: "LoadedModel", images: int) -> "Layout":
        """The layout for the inputs of a net."""
        shapes = []
        for name, values in model.inputs.items():
            views = model.clips[name].length if name in model.clips else values.crops
            channels = CHANNELS.get(values.channel_order, values.channels)
            shapes.append((name, (views, channels) + tuple(values.size)))
        return cls(images, tuple(shapes))

    @property
    def size(self) -> int:
        """Bytes of a batch."""
        return sum(self._size_of(shape) for _, shape in self.shapes)

    def views(self, memory: SharedMemory, slot: int) -> Dict[str, np.ndarray]:
        """The arrays of a batch: input blob -> images x V x C x h x w float32."""
        offset, views = slot * memory.size, {}
        for name, shape in self.shapes:
            views[name] = memory.view(offset, "<f4", (self.images,) + shape)
            offset += self._size_of(shape)
        return views

    def _size_of(self, shape: Tuple[int, ...]) -> int:
        size = 4 * self.images * int(np.prod(shape))
        return -(-size // ALIGNMENT) * ALIGNMENT


class BatchMemory:
    """Slots for batches in one block of shared memory.

    Parameters
    ----------
    layout : Layout
    count : int
        Slots.
    descriptor : int, optional
        Of the block that another process made, inherited from it.
    """

    def __init__(self, layout: Layout, count: int, descriptor: Optional[int] = None) -> None:
        self.layout, self.count = layout, count
        self._memory = SharedMemory(count, layout.size, descriptor)

    @property
    def descriptor(self) -> int:
        return self._memory.descriptor

    @property
    def arguments(self) -> Tuple[Layout, int, int]:
        """What another process that inherits the descriptor opens it with."""
        return self.layout, self.count, self.descriptor

    @property
    def array(self) -> np.ndarray:
        """All of it, as bytes."""
        return self._memory.view(0, "u1", (self._memory.count * self._memory.size,))

    def images(self, slot: int) -> Dict[str, np.ndarray]:
        """The arrays of a slot: input blob -> images x V x C x h x w float32."""
        return self.layout.views(self._memory, slot)

    def close(self) -> None:
        """Give the memory back; other processes keep theirs until they end."""
        self._memory.close()
