"""Checks, their settings and their results."""

import dataclasses
import importlib.util
import os
import sys
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

PASSED, FAILED, SKIPPED, TIMED_OUT = "passed", "failed", "skipped", "timed out"
# The folder of SqueezeNet v1.1 with its learned weights.
LEARNED = "squeezenet_v1.1"


@dataclasses.dataclass(frozen=True)
class Setting:
    """Where and how checks run.

    Attributes
    ----------
    device : str
        "cuda", or "cpu" in a dry run.
    is_dry : bool
        Whether this is a dry run: on the CPU, with tiny sizes.
    folder : str
        An empty folder for the check alone, removed after it.
    nets : str
        The folder of the nets that the check ``prepare`` writes.
    models : str or None
        A folder of model folders with learned weights.
    caffe : str or None
        A folder that holds pycaffe, or what scripts/bundle-cuda packs.
    seconds : float
        The time limit of the check.
    """

    device: str
    is_dry: bool
    folder: str
    nets: str
    models: Optional[str] = None
    caffe: Optional[str] = None
    seconds: float = 60.0

    @property
    def learned(self) -> Optional[str]:
        """The folder of SqueezeNet v1.1 with learned weights, ``models`` or inside it; or None."""
        for path in (self.models, self.models and os.path.join(self.models, LEARNED)):
            if path and os.path.basename(os.path.abspath(path)) == LEARNED and os.path.isdir(path):
                return os.path.abspath(path)
        return None


    @property
    def caffe_python(self) -> Optional[str]:
        """The Python that has pycaffe: this one or that of a bundle; None if there is none."""
        if self.caffe is None:
            return sys.executable if importlib.util.find_spec("caffe") else None
        bundled = os.path.join(self.caffe, "bin", "python")
        if os.path.exists(bundled):
            return bundled
        modules = [os.path.join(self.caffe, name) for name in ("caffe", "caffe.py")]
        return sys.executable if any(map(os.path.exists, modules)) else None


@dataclasses.dataclass(frozen=True)
class Check:
    """A check.

    Attributes
    ----------
    name : str
        The part before the first hyphen is its family.
    function : str
        ``module:name``; called with a ``Setting``, a ``Report`` and the arguments.
    limit : float
        Seconds.
    is_alone : bool
        Whether nothing else may run at the same time: it measures time or fills the memory.
    arguments : dict
    nets : tuple of str
        Keys of ``nets.NETS`` that ``prepare`` has to write for it.
    reason_to_skip : callable, optional
        Takes a ``Setting`` and returns a sentence on why the check cannot run there, or None.
    """

    name: str
    function: str
    limit: float
    is_alone: bool = False
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    nets: Tuple[str, ...] = ()
    reason_to_skip: Optional[Callable[[Setting], Optional[str]]] = None

    @property
    def family(self) -> str:
        return self.name.split("-")[0]


@dataclasses.dataclass(frozen=True)
class Result:
    """The result of a check.

    Attributes
    ----------
    status : str
        "passed", "failed", "skipped" or "timed out".
    reason : str
        One sentence; empty for a check that passed.
    seconds : float
    numbers : dict
        Name -> number or short text.
    tables : list of dict
        ``title``, ``columns`` and ``rows``.
    """

    name: str
    status: str
    reason: str = ""
    seconds: float = 0.0
    numbers: Dict[str, Any] = dataclasses.field(default_factory=dict)
    tables: List[Dict[str, Any]] = dataclasses.field(default_factory=list)
