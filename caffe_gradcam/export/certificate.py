"""What was compared, with what, and how it came out."""

import hashlib
import json
import math
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence

from caffe_gradcam import __version__
from caffe_gradcam.engines.onnx import libraries
from caffe_gradcam.export.change import Change
from caffe_gradcam.export.proof import Comparison, NotProven
from prototxt_tools.files import feed

FORMAT = 1


@dataclass(frozen=True, eq=False)
class Certificate:
    """A proof that a graph computes what its net computes.

    Attributes
    ----------
    net : str
        The net's name.
    hashes : dict
        "prototxt", "weights" and "graph" -> SHA-256 in hexadecimal.
    versions : dict
        Library -> version.
    engine : dict
        What the graph was compared with; see ``Engine.description``.
    inputs : list of dict
        What it ran on: a file with its hash, or how the numbers were made.
    blobs, outputs : list of Comparison
    notes : list of str
        What the graph does not leave open, and why.
    int8 : Change, optional
        Of a graph in int8, whose blobs are those of the same graph in fp32: what int8 changes.
    """

    net: str
    hashes: Mapping[str, str]
    versions: Mapping[str, str]
    engine: Mapping[str, str]
    inputs: Sequence[Mapping[str, Any]]
    blobs: Sequence[Comparison]
    outputs: Sequence[Comparison]
    notes: Sequence[str] = field(default_factory=list)
    int8: Optional[Change] = None

    @property
    def failures(self) -> List[Comparison]:
        """The comparisons that fail, in the order of the net."""
        return [comparison for comparison in [*self.blobs, *self.outputs]
                if not comparison.passes]

    @property
    def passes(self) -> bool:
        """Whether every comparison is within its tolerance."""
        return not self.failures

    def check(self) -> None:
        """Raise NotProven where something differs; the message names the first such blob."""
        if self.passes:
            return
        first = self.failures[0]
        raise NotProven(
            f"nothing is written: the exported graph differs from the {self.engine['engine']} "
            f"engine, first at {first.name} (relative error {first.error:.2g}, and at most "
            f"{first.tolerance:g} is allowed); {len(self.failures)} of "
            f"{len(self.blobs) + len(self.outputs)} values differ", first.name)

    def to_dict(self) -> Dict[str, Any]:
        """The certificate as JSON values."""
        values: Dict[str, Any] = {
            "format": FORMAT, "result": "pass" if self.passes else "fail", "net": self.net,
            "sha256": dict(self.hashes), "versions": dict(self.versions),
            "compared_with": dict(self.engine), "inputs": [dict(entry) for entry in self.inputs],
            "notes": list(self.notes),
            "blobs": {entry.name: _values(entry) for entry in self.blobs},
            "outputs": {entry.name: _values(entry) for entry in self.outputs},
        }
        return values if self.int8 is None else dict(values, int8=self.int8.to_dict())

    def to_json(self) -> bytes:
        """The certificate as a file holds it."""
        return (json.dumps(self.to_dict(), indent=1) + "\n").encode("utf-8")


def _values(comparison: Comparison) -> Dict[str, Any]:
    values = {"shape": list(comparison.shape), "tolerance": comparison.tolerance,
              # JSON has no infinity: that of values of other shapes.
              "relative_error": comparison.error if math.isfinite(comparison.error) else None}
    if comparison.layer_error is not None:
        values["layer_error"] = comparison.layer_error
    return values


def versions() -> Dict[str, str]:
    """The versions of what writes graphs and runs them."""
    modules = ("onnx", "onnxruntime", "numpy")
    imported = {name: __import__(name) if name == "numpy" else libraries.load(name)
                for name in modules}
    return {"caffe-gradcam": __version__,
            **{name: str(module.__version__) for name, module in imported.items()}}


def sha256_of(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: str) -> str:
    """SHA-256 of a file in hexadecimal."""
    digest = hashlib.sha256()
    feed(path, digest)
    return digest.hexdigest()
