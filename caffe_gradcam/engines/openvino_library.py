"""OpenVINO and NNCF without their telemetry, and the settings with which OpenVINO computes."""

import sys
from typing import Any, Dict, Optional, Sequence

# How graphs compute one batch after the other. OpenVINO would pin its threads to the first cores,
# in every process to the same: two nets of one thread each would share one core.
SETTINGS: Dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": False}
# Precision -> what OpenVINO calls it.
HINTS = {"fp32": "f32", "bf16": "bf16"}


def load() -> Any:
    """The module ``openvino``, without its telemetry.

    Raises
    ------
    ImportError
        OpenVINO is not installed.
    """
    leave_telemetry_out()
    import openvino

    return openvino


def has_bf16() -> bool:
    """Whether this processor has arithmetic in bf16 for OpenVINO."""
    return "BF16" in load().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def converted(traced: Any, example: Sequence[Any]) -> Any:
    """A traced module of torch as an ``openvino.Model``.

    ``openvino.convert_model`` would do it with the level of the root logger raised, and put the
    level and the handlers back in the end: messages of other threads would be lost meanwhile, and
    all later ones where two threads convert at a time, or where the conversion fails.

    Parameters
    ----------
    traced : torch.jit.ScriptModule
    example : sequence of torch.Tensor
        Inputs with which it was traced.

    Raises
    ------
    Exception
        OpenVINO has no translation for an operator; its errors have no common parent.
    """
    openvino = load()
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    frontend = openvino.frontend.FrontEndManager().load_by_framework("pytorch")
    decoder = TorchScriptPythonDecoder(traced, example_input=tuple(example))
    return frontend.convert(frontend.load(decoder))


def leave_telemetry_out() -> None:
    """Let OpenVINO and NNCF, which are not imported yet, do without their telemetry.

    It would report each conversion to a server, from a process that it forks while threads run.
    Such a process can hang for ever, and a batch with it, since it keeps the pipes of the net's
    process open.
    """
    modules: Dict[str, Optional[Any]] = sys.modules  # type: ignore[assignment]
    # An import of it then fails, which both expect.
    modules.setdefault("openvino_telemetry", None)
