"""Inputs on their way to the device."""

from typing import Any, Callable, Union

import numpy as np
import torch

from ..on_device import OnDevice


class Sender:
    """Copies arrays to a device while it computes on others.

    Parameters
    ----------
    device : torch.device
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        # Copies have a stream of their own, so that they hide behind the batch before.
        self._stream: Any = torch.cuda.Stream(device) if device.type == "cuda" else None

    def expect(self, array: np.ndarray) -> None:
        """Arrays to send will lie in this one, which stays where it is.

        Its pages are pinned, so that the device reads them without a copy in between. Where the
        driver refuses, arrays are copied into pinned memory first, as all others are.
        """
        if self._stream is not None:
            with torch.cuda.device(self.device):
                torch.cuda.cudart().cudaHostRegister(array.ctypes.data, array.nbytes, 0)

    def send(self, array: Union[np.ndarray, OnDevice]) -> torch.Tensor:
        """The array on the device, on its way while this process goes on."""
        if isinstance(array, OnDevice):
            tensor: torch.Tensor = array.value
            return tensor
        return self.made(lambda: self._sent(torch.from_numpy(array)))

    def made(self, function: Callable[[], torch.Tensor]) -> torch.Tensor:
        """What a function makes on the device, beside what that computes meanwhile."""
        if self._stream is None:
            return function()
        # Otherwise the memory is pinned for the first card, which takes half a gigabyte of it.
        with torch.cuda.device(self.device), torch.cuda.stream(self._stream):
            made = function()
        current = torch.cuda.current_stream(self.device)
        current.wait_stream(self._stream)
        made.record_stream(current)
        return made

    def _sent(self, tensor: torch.Tensor) -> torch.Tensor:
        if self._stream is None:
            return tensor
        if not tensor.is_pinned():
            tensor = tensor.pin_memory()
        return tensor.to(self.device, non_blocking=True)
