"""OpenVINO without its telemetry."""

import sys
from typing import Any, Dict, Optional


def load() -> Any:
    """The module ``openvino``.

    Its telemetry is left out: it would report each conversion to a server, from a process that it
    forks while threads run. Such a process can hang for ever, and a batch with it, since it keeps
    the pipes of the net's process open.

    Raises
    ------
    ImportError
        OpenVINO is not installed.
    """
    modules: Dict[str, Optional[Any]] = sys.modules  # type: ignore[assignment]
    # An import of it then fails, and OpenVINO does without.
    modules.setdefault("openvino_telemetry", None)
    import openvino

    return openvino
