"""Put a layer type of Caffe's forks in the place of a well-known Python layer."""

from typing import Any, List, Optional

from prototxt_tools.net.net import Layer, Net
from prototxt_tools.rewrite.result import Rewrite, describe_layer
from prototxt_tools.text.document import Document
from prototxt_tools.text.edits import Edits

_MODULE, _LAYER = "rpn.proposal_layer", "ProposalLayer"
_STRIDE = "feat_stride"
# Key of the layer's param_str -> field of proposal_param.
_FIELDS = {_STRIDE: _STRIDE, "scales": "scale", "ratios": "ratio"}


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
    """The fields of ``proposal_param`` for a ProposalLayer.

    Returns
    -------
    str or None
        None for other layers, and for one whose ``param_str`` has other contents than those that
        py-faster-rcnn and PVANET read.
    """
    if layer.type != "Python":
        return None
    param = layer.message.python_param
    if param.module != _MODULE or param.layer != _LAYER:
        return None
    values = _values(param.param_str)
    if not isinstance(values, dict) or not values.keys() <= _FIELDS.keys():
        return None
    fields = []
    for key, value in values.items():
        numbers = value if isinstance(value, list) and key != _STRIDE else [value]
        if not numbers or not all(map(_is_positive, numbers)):
            return None
        if key == _STRIDE and not isinstance(value, int):
            return None
        fields += [f"{_FIELDS[key]}: {number}" for number in numbers]
    return " ".join(fields)


def _values(text: str) -> Any:
    """What a ``param_str`` holds as YAML, as py-faster-rcnn reads it; None where it is not."""
    import yaml

    class Loader(yaml.SafeLoader):
        """Also reads tuples, which py-faster-rcnn's own files hold."""

    Loader.add_constructor("tag:yaml.org,2002:python/tuple", _sequence)
    try:
        return yaml.load(text, Loader) or {}  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


def _sequence(loader: Any, node: Any) -> Any:
    return loader.construct_sequence(node)


def _is_positive(value: Any) -> bool:
    return (isinstance(value, (int, float)) and not isinstance(value, bool)
            and 0 < value < float("inf"))
