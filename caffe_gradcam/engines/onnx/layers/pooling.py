"""Pooling with Caffe's window arithmetic (``pooling_layer.cpp``, ``spp_layer.cpp``)."""

from typing import List, Optional, Sequence, Tuple

import numpy as np

from caffe_gradcam.engines.onnx.registry import Step, translation
from caffe_gradcam.engines.onnx.writer import FLOAT
from prototxt_tools.layers.windows import pooled_size, pooling_windows, rounds_up

Pair = Sequence[int]
LOWEST = float(np.finfo(np.float32).min)


class Windows:
    """The windows of a pooling layer along both axes.

    Attributes
    ----------
    sizes : (int, int)
        Of the bottom.
    counts : (int, int)
        How many windows there are.
    kernel, stride, pad : (int, int)
    """

    def __init__(self, sizes: Pair, kernel: Pair, stride: Pair, pad: Pair, ceil: bool) -> None:
        self.sizes, self.kernel = list(sizes), list(kernel)
        self.stride, self.pad = list(stride), list(pad)
        self.counts = [pooled_size(*axis, ceil=ceil, clip=any(pad))
                       for axis in zip(sizes, kernel, stride, pad)]

    @classmethod
    def of(cls, step: Step) -> "Windows":
        """Those of a Pooling layer whose bottom has one size in every run."""
        param, sizes = step.message.pooling_param, step.bottoms[0].sizes(2)
        return cls(sizes, *pooling_windows(param, sizes), rounds_up(param))

    @property
    def ends(self) -> List[int]:
        """Bottom and right padding with which exactly these windows fit, 0 if none is needed."""
        return [max(0, (count - 1) * s + k - size - p) for size, count, k, s, p
                in zip(self.sizes, self.counts, self.kernel, self.stride, self.pad)]

    @property
    def is_global(self) -> bool:
        """Whether there is one window, which covers everything and nothing else."""
        return self.kernel == self.sizes and not any(self.pad)

    @property
    def pads_fit(self) -> bool:
        """Whether the padding is smaller than the kernel, as the operators expect."""
        return all(max(begin, end) < k
                   for begin, end, k in zip(self.pad, self.ends, self.kernel))

    def areas(self) -> Optional[np.ndarray]:
        """By what Caffe divides the sum of each window, if it is not always the kernel's area.

        Padding counts, but not what lies beyond it.
        """
        lengths = [np.array([min(i * s - p + k, size + p) - (i * s - p) for i in range(count)],
                            np.float32)
                   for size, count, k, s, p
                   in zip(self.sizes, self.counts, self.kernel, self.stride, self.pad)]
        areas: np.ndarray = lengths[0][:, np.newaxis] * lengths[1]
        return None if (areas == np.prod(self.kernel)).all() else areas


@translation("Pooling")
def pooling(step: Step) -> List[str]:
    x, param = step.bottoms[0], step.message.pooling_param
    if param.pool not in (param.AVE, param.MAX):
        raise step.refuse("stochastic pooling is random")
    if x.open_axes.intersection((2, 3)):
        return [_of_any_size(step)]
    windows = Windows.of(step)
    if param.pool == param.AVE:
        return [average(step, x.name, windows)]
    if len(step.tops) > 1:
        return _with_positions(step, windows)
    return [largest(step, x.name, windows)]


def largest(step: Step, value: str, windows: Windows) -> str:
    """The largest number of each window; where one holds nothing, Caffe leaves -FLT_MAX."""
    if windows.is_global:
        return step.op("GlobalMaxPool", value)
    value, pads = _padded(step, value, windows, LOWEST)
    return step.op("MaxPool", value, kernel_shape=windows.kernel, strides=windows.stride,
                   pads=pads)


def average(step: Step, value: str, windows: Windows) -> str:
    """The sum of each window divided by its area."""
    if windows.is_global:
        return step.op("GlobalAveragePool", value)
    value, pads = _padded(step, value, windows, 0)
    top = step.op("AveragePool", value, kernel_shape=windows.kernel, strides=windows.stride,
                  pads=pads, count_include_pad=1)
    areas = windows.areas()
    if areas is None:
        return top
    with np.errstate(divide="ignore"):
        factors = np.float32(np.prod(windows.kernel)) / areas
    if not np.isfinite(factors).all():
        raise step.refuse("it has windows outside the padded bottom, for which Caffe divides by 0")
    return step.op("Mul", top, factors)


def _padded(step: Step, value: str, windows: Windows, filling: float) -> Tuple[str, List[int]]:
    """The value and the pads to give to an operator; what is too much for it is added before."""
    pads = windows.pad + windows.ends
    if windows.pads_fit:
        return value, pads
    around = np.array([0, 0] + windows.pad + [0, 0] + windows.ends, np.int64)
    return step.op("Pad", value, around, np.float32(filling)), [0, 0, 0, 0]


def _with_positions(step: Step, windows: Windows) -> List[str]:
    """The largest numbers, and the index of each in its plane."""
    x = step.bottoms[0]
    if not windows.pads_fit:
        raise step.refuse("it gives positions of windows that lie in the padding")
    top, index = step.ops("MaxPool", 2, x, kernel_shape=windows.kernel, strides=windows.stride,
                          pads=windows.pad + windows.ends)
    # ONNX counts through the whole blob.
    plane = np.array(windows.sizes[0] * windows.sizes[1], np.int64)
    return [top, step.op("Cast", step.op("Mod", index, plane), to=FLOAT)]


def _of_any_size(step: Step) -> str:
    """Pooling of planes whose size is open: the operators round as Caffe does, if they clip."""
    param, x = step.message.pooling_param, step.bottoms[0]
    is_average = param.pool == param.AVE
    if param.global_pooling:
        return step.op("GlobalAveragePool" if is_average else "GlobalMaxPool", x)
    kernel, stride, pad = pooling_windows(param, x.shape[2:])
    ceil = rounds_up(param) and max(stride) > 1
    clips_alike = all(pad) or all(s <= k for s, k in zip(stride, kernel))
    if is_average and ceil or not clips_alike or any(2 * p > k for p, k in zip(pad, kernel)):
        raise step.refuse("what its last windows cover depends on the size of its bottom; export "
                          "it for one size")
    attributes = {"count_include_pad": 1} if is_average else {}
    return step.op("AveragePool" if is_average else "MaxPool", x, kernel_shape=kernel,
                   strides=stride, pads=pad + pad, ceil_mode=int(ceil), **attributes)


@translation("SPP")
def spatial_pyramid(step: Step) -> List[str]:
    x, param = step.bottoms[0], step.message.spp_param
    if param.pool not in (param.AVE, param.MAX):
        raise step.refuse("stochastic pooling is random")
    levels = []
    for level in range(param.pyramid_height):
        bins = 2 ** level
        kernel = [-(-size // bins) for size in x.sizes(2)]
        pad = [(k * bins - size + 1) // 2 for size, k in zip(x.sizes(2), kernel)]
        windows = Windows(x.sizes(2), kernel, kernel, pad, True)
        pool = largest if param.pool == param.MAX else average
        levels.append(pool(step, x.name, windows))
    if len(levels) == 1:
        return levels
    return [step.op("Concat", *(step.op("Flatten", level, axis=1) for level in levels), axis=1)]
