"""What a net from an unknown source may do beyond arithmetic."""

import re
from dataclasses import dataclass
from typing import Dict, List

from prototxt_tools import layers, shapes
from prototxt_tools.errors import PrototxtError
from prototxt_tools.layers.sizes import volume
from prototxt_tools.net.net import Layer, Net
from prototxt_tools.text.tree import Field, Message

# Access of the layer type -> kind of finding, and what the layer does.
_DEEDS = {
    "code": ("code", "runs Python code named by the file"),
    "database": ("file", "reads a database from the disk"),
    "files": ("file", "reads files from the disk"),
    "output": ("file", "writes a file to the disk"),
}
_FILE_FIELDS = {"source", "mean_file", "meanfile", "root_folder", "file_name"}
_WORDS = {"name", "type", "bottom", "top", "stage", "not_stage"}
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_OUTSIDE = re.compile(r"/|\\\\|~|[A-Za-z]:[/\\]|\.\.(?:[/\\]|$)|.*[/\\]\.\.(?:[/\\]|$)")
_BYTES = 4
_GIGABYTE = 1 << 30
_MAX_WEIGHTS, _MAX_BLOBS = _GIGABYTE, 8 * _GIGABYTE


@dataclass(frozen=True)
class Finding:
    """Something a net may do beyond arithmetic.

    ``kind`` is "code", "file", "path", "size" or "name"; ``sentence`` names the layer and line;
    ``layer`` and ``type`` are empty where it is about the whole net.
    """

    layer: str
    type: str
    kind: str
    sentence: str


def audit(net: Net) -> List[Finding]:
    """What in a net runs code, touches files, takes gigabytes or confuses file names.

    Parameters
    ----------
    net : prototxt_tools.net.net.Net
        With the layers of every phase, or at one.

    Returns
    -------
    list of Finding
        Code first, then files, paths, sizes and names; each in the order of the file.
    """
    findings: List[Finding] = []
    for layer in net.layers:
        findings += _deeds(layer) + _paths(layer)
    for phase in ("TEST", "TRAIN"):
        findings += [finding for finding in _sizes(net.at(phase)) if finding not in findings]
    findings += _names(net)
    order = ["code", "file", "path", "size", "name"]
    return sorted(findings, key=lambda finding: order.index(finding.kind))


def _finding(layer: Layer, kind: str, deed: str) -> Finding:
    sentence = f"layer {layer.name} (line {layer.field.line}) of type {layer.type} {deed}"
    return Finding(layer.name, layer.type, kind, sentence)


def _deeds(layer: Layer) -> List[Finding]:
    strings = [(field.name, field.string()) for field in _strings(layer.field.value)]
    files = [text for name, text in strings if name in _FILE_FIELDS and text]
    names = ": " + ", ".join(files) if files else ""
    layer_type = layers.of(layer.type)
    if layer_type.access:
        kind, deed = _DEEDS[layer_type.access]
        if kind == "code":
            names = "".join(": " + text for name, text in strings if name == "module")
        return [_finding(layer, kind, deed + names)]
    if layer_type.is_data and layer.type not in layers.TABLE:
        return [_finding(layer, "file", "may read files from the disk" + names)]
    return [_finding(layer, "file", "names files" + names)] if files else []


def _strings(message: Message) -> List[Field]:
    """The string fields of a layer at any depth, except for the names of blobs and layers."""
    stack, fields = [message], []
    while stack:
        for field in stack.pop():
            if field.is_message:
                stack.append(field.value)
            elif field.value.is_string and field.name not in _WORDS:
                fields.append(field)
    return sorted(fields, key=lambda field: field.start)


def _paths(layer: Layer) -> List[Finding]:
    findings = []
    for field in _strings(layer.field.value):
        text = field.string()
        is_url = bool(_URL.match(text))
        if is_url or (field.name in _FILE_FIELDS and _OUTSIDE.match(text)):
            what = "the URL" if is_url else "a path outside its folder"
            sentence = (f"layer {layer.name} (line {field.line}) names {what} in "
                        f"{field.name}: {text}")
            findings.append(Finding(layer.name, layer.type, "path", sentence))
    return findings


def _sizes(net: Net) -> List[Finding]:
    """Shapes that overflow, and gigabytes of weights or blobs, as far as shapes are known."""
    problems: List[PrototxtError] = []
    sizes = shapes.infer(net, problems=problems)
    weights = shapes.parameters(net, sizes, problems)
    findings = [
        Finding("", "", "size", str(error))
        for error in problems
        if isinstance(error.__cause__, OverflowError)
    ]
    volumes = {name: sum(map(volume, blobs)) for name, blobs in weights.items()}
    for layer in net.layers:
        count = volumes.get(layer.name, 0)
        if count * _BYTES >= _MAX_WEIGHTS:
            findings.append(_finding(layer, "size", f"has {_gigabytes(count)} of weights"))
    total = sum(volumes.values())
    if total * _BYTES >= _MAX_WEIGHTS and not findings:
        findings.append(Finding("", "", "size", "the weights take " + _gigabytes(total)))
    values = sum(map(volume, sizes.values()))
    if values * _BYTES >= _MAX_BLOBS:
        findings.append(Finding("", "", "size", "the blobs take " + _gigabytes(values)))
    return findings


def _gigabytes(values: int) -> str:
    return f"{values * _BYTES / _GIGABYTE:.1f} GB"


def _names(net: Net) -> List[Finding]:
    """Names of blobs that are one as file names, and names that no file can have."""
    findings = []
    blobs_by_name: Dict[str, str] = {}
    for blob in net.blobs():
        shown = blob if blob.isprintable() else repr(blob)
        name = re.sub("[^a-z0-9.-]+", "_", blob.lower())
        other = blobs_by_name.setdefault(name, shown)
        if other != shown:
            sentence = f"blobs {other} and {shown} would share the file name {name}"
            findings.append(Finding("", "", "name", sentence))
        if not blob.isprintable() or _OUTSIDE.match(blob):
            findings.append(Finding("", "", "name", f"blob {shown} leads out of a folder"))
    return findings
