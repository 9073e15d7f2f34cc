"""On what torch computes, and in which numbers."""

import os

import torch

from prototxt_tools.errors import EngineError

from .. import openvino_library
from ..contract import check_precision
from ..running import PRECISIONS, device_index
from . import trunk

HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}
# Layers whose tops stay in such numbers, so that half as many bytes move from layer to layer. All
# others, such as sums of squares, take and give float32.
SHORT = {"Convolution", "Deconvolution", "InnerProduct", "ReLU", "PReLU", "Pooling", "Eltwise",
         "Concat", "BatchNorm", "Scale", "Bias", "Dropout", "Split", "Flatten", "Reshape"}
# The first cards with arithmetic in tf32 and bf16: Ampere's. Older ones leave tf32 out silently.
_AMPERE = (8, 0)
# After these errors, CUDA refuses every further call of the process.
_FATAL_WORDS = (
    "an illegal memory access", "an illegal instruction", "device-side assert", "hardware stack",
    "misaligned address", "invalid program counter", "launch failure", "launch timed out",
    "uncorrectable ECC error", "uncorrectable NVLink error")
_IMPORTED_BY = os.getpid()


def is_forked() -> bool:
    """Whether this process was forked after torch had been imported."""
    return os.getpid() != _IMPORTED_BY


def survive_fork() -> None:
    """Compute with one thread in a process that was forked after torch had been imported.

    OpenMP's threads do not survive a fork, and a child that relies on them waits for ever.
    """
    if is_forked():
        torch.set_num_threads(1)


def find(name: str, precision: str) -> torch.device:
    """The device of a name.

    Raises
    ------
    EngineError
        It does not exist, or cannot compute in this precision.
    """
    index = device_index(name)
    check_precision(precision, ("fp32", "bf16") if index is None else PRECISIONS,
                    f"torch on {name}")
    if precision in HALVES and not hasattr(torch, "autocast"):
        raise EngineError(f"torch {torch.__version__} does not compute in {precision}; torch 1.10 "
                          "and newer do")
    if index is None:
        return torch.device("cpu")
    count = torch.cuda.device_count()
    if index >= count:
        devices = "1 CUDA device" if count == 1 else f"{count or 'no'} CUDA devices"
        raise EngineError(f"torch sees {devices} here, so there is no {name}", name)
    return torch.device("cuda", index)


def usable_precision(device: torch.device, precision: str) -> str:
    """The precision asked for, or "fp32" where the device has no arithmetic in it."""
    if device.type == "cpu":
        is_usable = precision != "bf16" or processor_has_bf16()
    else:
        is_usable = (precision not in ("tf32", "bf16")
                     or torch.cuda.get_device_capability(device) >= _AMPERE)
    return precision if is_usable else "fp32"


def processor_has_bf16() -> bool:
    """Whether this processor multiplies numbers in bf16; others only imitate it, slowly."""
    if trunk.VERSION:
        return openvino_library.has_bf16()
    try:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    except (AttributeError, RuntimeError):  # An old torch does not know.
        return False


def is_fatal(error: Exception) -> bool:
    """Whether CUDA is lost to the rest of this process after an error."""
    return "CUDA" in str(error) and any(words in str(error) for words in _FATAL_WORDS)


def set_tf32(precision: str) -> None:
    """Have products on CUDA take tf32 or, as in Caffe, full float32."""
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
