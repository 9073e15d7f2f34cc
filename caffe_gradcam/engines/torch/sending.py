"""Inputs on their way to the device."""

from typing import Any

import numpy as np
import torch


class Sender:
    """Copies arrays to a device while it computes on others.

    Parameters
    ----------
    device : torch.device
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        # Copies have a stream of their own, so that they hide behind the batch before.
        self._stream: Any = torch.cuda.Stream(device) if device.type == "cuda" else None

    def expect(self, array: np.ndarray) -> None:
        """Arrays to send will lie in this one, which stays where it is.

        Its pages are pinned, so that the device reads them without a copy in between. Where the
        driver refuses, arrays are copied into pinned memory first, as all others are.
        """
        if self._stream is not None:
            with torch.cuda.device(self._device):
                torch.cuda.cudart().cudaHostRegister(array.ctypes.data, array.nbytes, 0)

    def send(self, array: np.ndarray) -> torch.Tensor:
        """The array on the device, on its way while this process goes on."""
        tensor = torch.from_numpy(array)
        if self._stream is None:
            return tensor
        # Otherwise the memory is pinned for the first card, which takes half a gigabyte of it.
        with torch.cuda.device(self._device), torch.cuda.stream(self._stream):
            if not tensor.is_pinned():
                tensor = tensor.pin_memory()
            sent = tensor.to(self._device, non_blocking=True)
        current = torch.cuda.current_stream(self._device)
        current.wait_stream(self._stream)
        sent.record_stream(current)
        return sent
