"""What a stranger's net may do to you."""

from typing import NamedTuple

_EXECUTES = {"Python": "runs Python code named by the file"}
_READS = {
    "Data": "reads a database from the disk",
    "ImageData": "reads files from the disk",
    "HDF5Data": "reads files from the disk",
    "WindowData": "reads files from the disk",
    "HDF5Output": "writes a file to the disk",
    "InfogainLoss": "reads a file from the disk",
}


class Finding(NamedTuple):
    """Something a net does beyond arithmetic; ``sentence`` names the layer and line."""

    layer: str
    type: str
    sentence: str


def audit(net):
    """The layers that run code or touch files.

    Parameters
    ----------
    net : prototxt_tools.net.Net

    Returns
    -------
    list of Finding
    """
    findings = []
    for layer in net.layers:
        deed = _EXECUTES.get(layer.type) or _READS.get(layer.type)
        if deed is None and layer.type.endswith("Data") and layer.message.HasField(
            "transform_param"
        ):
            deed = "reads files from the disk"
        if deed:
            sentence = "layer {} (line {}) of type {} {}".format(
                layer.name, layer.field.line, layer.type, deed
            )
            findings.append(Finding(layer.name, layer.type, sentence))
    return findings
