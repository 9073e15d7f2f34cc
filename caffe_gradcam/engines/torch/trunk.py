"""The layers below the lowest target, compiled by OpenVINO: they need no gradient."""

import warnings
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import torch

from caffe_gradcam.engines import openvino_library
from caffe_gradcam.engines.versions import of_distribution
from prototxt_tools.net.net import Layer

from .registry import tops_of

Weights = Mapping[str, List[torch.Tensor]]
# The shapes of all inputs.
Shapes = Tuple[Tuple[int, ...], ...]

VERSION = of_distribution("openvino")
# Compiling takes seconds, so a shape of input has to come more often than this before it pays.
PATIENCE = 4
# Compiled shapes that are kept: that of a batch, and that of the one left over at the end.
KEPT = 2
# How far compiled layers may be from the ones they were made of (relative L2 distance).
TOLERANCE = {"fp32": 1e-4, "bf16": 0.1}


class Trunk:
    """What comes before a net's lowest target.

    Parameters
    ----------
    layers : list of prototxt_tools.net.net.Layer
        All layers up to where autograd begins.
    weights : dict
        Layer name -> list of tensors.
    inputs, outputs : list of str
        Blobs that are fed, and blobs that the layers write and others need.
    precision : str
        "fp32" or "bf16".

    Attributes
    ----------
    failure : str or None
        Why OpenVINO cannot run these layers, if that has shown.
    rows : int or None
        Compile shapes of so many rows, or a multiple, when they first come, and no others: then
        what a batch gives does not depend on what ran before it.
    """

    def __init__(self, layers: Sequence[Layer], weights: Weights, inputs: List[str],
                 outputs: List[str], precision: str) -> None:
        self._module = Layers(layers, weights, inputs, outputs)
        self._inputs, self._outputs = inputs, outputs
        self._hidden = {top for layer in layers for top in layer.tops} - set(inputs + outputs)
        self._precision = precision
        self._seen: Dict[Shapes, int] = {}
        self._requests: Dict[Shapes, Any] = {}
        self.failure: Optional[str] = None
        self.rows: Optional[int] = None

    def gives(self, keep: Sequence[str]) -> bool:
        """Whether none of some blobs is known only inside."""
        return self._hidden.isdisjoint(keep)

    def run(self, blobs: Mapping[str, torch.Tensor]) -> Optional[Dict[str, torch.Tensor]]:
        """Run the layers on the inputs among some blobs.

        Returns
        -------
        dict or None
            Output -> tensor, which the next run overwrites; None where the layers are to be run
            one by one, since they cannot be compiled or these shapes are too rare.
        """
        tensors = [blobs[name] for name in self._inputs]
        shapes = tuple(tuple(tensor.shape) for tensor in tensors)
        self._seen[shapes] = self._seen.get(shapes, 0) + 1
        if self.failure or not self._comes_often(shapes):
            return None
        if shapes not in self._requests:
            if not self._pays(shapes):
                return None
            try:
                self._compile(shapes, tensors)
            except Exception as error:  # OpenVINO's own errors have no common parent.
                self.failure = str(error).strip().split("\n")[0]
                return None
        results = self._requests[shapes].infer(
            [tensor.numpy() for tensor in tensors], share_inputs=True, share_outputs=True)
        return {name: laid_out(torch.from_numpy(results[index]))
                for index, name in enumerate(self._outputs)}

    def _comes_often(self, shapes: Shapes) -> bool:
        if self.rows is not None:
            return all(shape and shape[0] % self.rows == 0 for shape in shapes)
        return self._seen[shapes] > PATIENCE

    def _pays(self, shapes: Shapes) -> bool:
        """Whether there is room for one more; or it comes twice as often as one that is kept.

        Where several shapes take turns, each would be compiled again and again.
        """
        return (self.rows is not None or len(self._requests) < KEPT
                or self._seen[shapes] > 2 * self._seen[self._rarest()])

    def _rarest(self) -> Shapes:
        return min(self._requests, key=lambda shapes: self._seen[shapes])

    def forget(self) -> None:
        """Let go what was compiled: the weights have changed."""
        self._seen, self._requests = {}, {}

    def _compile(self, shapes: Shapes, tensors: Sequence[torch.Tensor]) -> None:
        openvino, hint = openvino_library.load(), openvino_library.HINTS[self._precision]
        generator = torch.Generator().manual_seed(0)
        example = tuple(torch.rand(shape, generator=generator) for shape in shapes)
        with torch.no_grad(), warnings.catch_warnings():
            # Tracing warns of every size it takes for constant; here they are.
            warnings.simplefilter("ignore")
            traced = torch.jit.trace(self._module, example, check_trace=False)
            model = openvino_library.converted(traced, example)
        if len(model.inputs) != len(tensors):
            raise ValueError("not every input reaches the target")
        model.reshape({port: list(shape) for port, shape in zip(model.inputs, shapes)})
        compiled = openvino.Core().compile_model(model, "CPU", dict(
            openvino_library.SETTINGS, INFERENCE_PRECISION_HINT=hint,
            INFERENCE_NUM_THREADS=torch.get_num_threads()))
        actual = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
        if actual != hint:
            raise ValueError(f"it would compute in {actual} instead of {self._precision}")
        request = compiled.create_infer_request()
        self._compare(request, tensors if self.rows is None else _samples(shapes))
        while len(self._requests) >= KEPT:
            del self._requests[self._rarest()]
        self._requests[shapes] = request

    def _compare(self, request: Any, tensors: Sequence[torch.Tensor]) -> None:
        """Raise a ValueError where the layers give something else when they run one by one.

        Tracing takes whatever a layer computes outside torch, as ArgMax does, for constant.
        """
        results = request.infer([tensor.numpy() for tensor in tensors])
        with torch.no_grad():
            expected = self._module(*tensors)
        for index, tensor in enumerate(expected):
            distance = float((torch.from_numpy(results[index]) - tensor).norm())
            if not distance <= TOLERANCE[self._precision] * float(tensor.norm()):
                blob = self._outputs[index]
                raise ValueError(f"its values of blob {blob} are not those of torch")


def _samples(shapes: Shapes) -> List[torch.Tensor]:
    """Values like those of images, the same each time, and not those of the trace."""
    generator = torch.Generator().manual_seed(1)
    return [255 * torch.rand(shape, generator=generator) - 128 for shape in shapes]


def laid_out(tensor: torch.Tensor) -> torch.Tensor:
    """The blob as the engine's kernels lie, without which the head takes twice the time."""
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor


class Layers(torch.nn.Module):
    """Layers of a net as a module, which is what OpenVINO converts."""

    def __init__(self, layers: Sequence[Layer], weights: Weights, inputs: List[str],
                 outputs: List[str]) -> None:
        super().__init__()
        self._layers = [layer for layer in layers if layer.type != "Input"]
        self._weights = {layer.name: weights[layer.name] for layer in layers}
        self._inputs, self._outputs = inputs, outputs
        self.eval()

    def forward(self, *tensors: torch.Tensor) -> Tuple[torch.Tensor, ...]:
        blobs = dict(zip(self._inputs, tensors))
        for layer in self._layers:
            bottoms = [blobs[bottom] for bottom in layer.bottoms]
            tops = tops_of(layer, bottoms, self._weights[layer.name])
            blobs.update(zip(layer.tops, tops))
        return tuple(blobs[name] for name in self._outputs)
