"""Put a layer type of Caffe's forks in the place of a well-known Python layer."""

import re
from typing import List, Optional

from prototxt_tools.net.net import Layer, Net
from prototxt_tools.rewrite.result import Rewrite, describe_layer
from prototxt_tools.text.document import Document
from prototxt_tools.text.edits import Edits

_MODULE, _LAYER = "rpn.proposal_layer", "ProposalLayer"
_NUMBER = r"['\"]?{}['\"]?\s*:\s*(\[[\d.,\s]*\]|\d+)"


def native(document: Document) -> Rewrite:
    """Let py-faster-rcnn's ProposalLayer, which is Python code, be a Proposal layer.

    Parameters
    ----------
    document : Document

    Returns
    -------
    Rewrite
        With a note for each such layer; a net without any is no error.

    Raises
    ------
    PrototxtError
        If the document does not define a net.
    """
    edits = Edits(document)
    notes: List[str] = []
    for layer in Net.parse(document).layers:
        parameters = proposal_parameters(layer)
        if parameters is None:
            continue
        tree = layer.field.value
        edits.replace(tree.first("type").value, '"Proposal"')
        edits.replace(tree.first("python_param"), f"proposal_param {{ {parameters} }}")
        notes.append(f"{describe_layer(layer)} is run natively, as a Proposal layer")
    return Rewrite(edits.apply(), tuple(notes))


def proposal_parameters(layer: Layer) -> Optional[str]:
    """The fields of ``proposal_param`` for a ProposalLayer; None for other layers."""
    if layer.type != "Python":
        return None
    param = layer.message.python_param
    if param.module != _MODULE or param.layer != _LAYER:
        return None
    stride = re.search(_NUMBER.format("feat_stride"), param.param_str)
    scales = re.search(_NUMBER.format("scales"), param.param_str)
    fields = [f"feat_stride: {stride.group(1)}"] if stride else []
    if scales:
        fields += [f"scale: {number}" for number in re.findall(r"[\d.]+", scales.group(1))]
    return " ".join(fields)
