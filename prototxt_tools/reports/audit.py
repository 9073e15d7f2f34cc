"""What a stranger's net may do to you."""

import re
from typing import NamedTuple

from prototxt_tools import layers, shapes
from prototxt_tools.layers.sizes import volume

# By what the layer type has access to.
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


class Finding(NamedTuple):
    """Something a net may do beyond arithmetic.

    ``kind`` is "code", "file", "path", "size" or "name"; ``sentence`` names the layer and line;
    ``layer`` and ``type`` are empty where it is about the whole net.
    """

    layer: str
    type: str
    kind: str
    sentence: str


def audit(net):
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
    findings = []
    for layer in net.layers:
        findings += _deeds(layer) + _paths(layer)
    for phase in ("TEST", "TRAIN"):
        findings += [found for found in _sizes(net.at(phase)) if found not in findings]
    findings += _names(net)
    order = ["code", "file", "path", "size", "name"]
    return sorted(findings, key=lambda found: order.index(found.kind))


def _finding(layer, kind, deed):
    sentence = f"layer {layer.name} (line {layer.field.line}) of type {layer.type} {deed}"
    return Finding(layer.name, layer.type, kind, sentence)


def _deeds(layer):
    strings = [(field.name, field.string()) for field in _strings(layer.field.value)]
    files = [text for name, text in strings if name in _FILE_FIELDS and text]
    said = ": " + ", ".join(files) if files else ""
    access = layers.of(layer.type).access
    if access:
        kind, deed = _DEEDS[access]
        if kind == "code":
            said = "".join(": " + text for name, text in strings if name == "module")
        return [_finding(layer, kind, deed + said)]
    if layer.type.endswith("Data") and layer.type not in layers.TABLE:
        return [_finding(layer, "file", "may read files from the disk" + said)]
    return [_finding(layer, "file", "names files" + said)] if files else []


def _strings(message):
    """The string fields of a layer at any depth, but for the names of blobs and layers."""
    stack, found = [message], []
    while stack:
        for field in stack.pop():
            if field.is_message:
                stack.append(field.value)
            elif field.value.is_string and field.name not in _WORDS:
                found.append(field)
    return sorted(found, key=lambda field: field.start)


def _paths(layer):
    found = []
    for field in _strings(layer.field.value):
        text = field.string()
        place = " names the URL" if _URL.match(text) else " names a place outside its folder"
        if _URL.match(text) or (field.name in _FILE_FIELDS and _OUTSIDE.match(text)):
            sentence = "layer {} (line {}){} in {}: {}"
            sentence = sentence.format(layer.name, field.line, place, field.name, text)
            found.append(Finding(layer.name, layer.type, "path", sentence))
    return found


def _sizes(net):
    """Shapes that overflow, and gigabytes of weights or blobs, as far as shapes are known."""
    problems = []
    sizes = shapes.infer(net, problems=problems)
    weights = shapes.parameters(net, sizes, problems)
    found = [
        Finding("", "", "size", str(error))
        for error in problems
        if isinstance(error.__cause__, OverflowError)
    ]
    volumes = {name: sum(map(volume, blobs)) for name, blobs in weights.items()}
    for layer in net.layers:
        own = volumes.get(layer.name, 0)
        if own * _BYTES >= _MAX_WEIGHTS:
            found.append(_finding(layer, "size", f"has {_gigabytes(own)} of weights"))
    if sum(volumes.values()) * _BYTES >= _MAX_WEIGHTS and not found:
        took = _gigabytes(sum(volumes.values()))
        found.append(Finding("", "", "size", "the weights take " + took))
    values = sum(map(volume, sizes.values()))
    if values * _BYTES >= _MAX_BLOBS:
        found.append(Finding("", "", "size", "the blobs take " + _gigabytes(values)))
    return found


def _gigabytes(values):
    return f"{values * _BYTES / _GIGABYTE:.1f} GB"


def _names(net):
    """Names of blobs that are one as file names, and names that no file can have."""
    found, taken = [], {}
    for blob in net.blobs():
        shown = blob if blob.isprintable() else repr(blob)
        name = re.sub("[^a-z0-9.-]+", "_", blob.lower())
        other = taken.setdefault(name, shown)
        if other != shown:
            sentence = f"blobs {other} and {shown} would share the file name {name}"
            found.append(Finding("", "", "name", sentence))
        if not blob.isprintable() or _OUTSIDE.match(blob):
            found.append(Finding("", "", "name", f"blob {shown} leads out of a folder"))
    return found
