"""Fields of forks that no table has: which of them cannot change what a net computes."""

from typing import Iterator, List, Tuple

from prototxt_tools.net import schema
from prototxt_tools.net.net import Layer
from prototxt_tools.text.tree import Field, Message

# Fields that tell how a fork computes or trains, not what: message -> names, * for every message.
_IMMATERIAL = {
    "*": {"engine"},
    "NetParameter": {
        "default_forward_type", "default_backward_type", "default_forward_math",
        "default_backward_math", "default_conv_algos_override", "global_grad_scale",
        "global_grad_scale_adaptive", "bn_stats_batch_size", "version",
    },
    "LayerParameter": {"forward_type", "backward_type", "forward_math", "backward_math"},
    "ConvolutionParameter": {
        "cudnn_convolution_algo_seeker", "cudnn_math_override", "conv_algos_override",
        "cudnn_flavor", "mem_group_size",
    },
    "DataParameter": {"cache", "threads", "parser_threads"},
}
# Messages that speak of training, of when a layer exists, or of how data is read.
_TRAINING = {
    "FillerParameter", "LossParameter", "NetStateRule", "ParamSpec", "TransformationParameter",
}


def is_immaterial(message_name: str, field_name: str) -> bool:
    """Whether a field only chooses engines, number formats or algorithms."""
    names = _IMMATERIAL.get(message_name.replace("V1", ""), set())
    return field_name in _IMMATERIAL["*"] | names


def material(layer: Layer) -> List[Field]:
    """The fields of a layer that no table has and that may change what it computes.

    Fillers, and what only training reads, are not among them.
    """
    unknown = {id(field) for field in layer.unknown}
    name = "LayerParameter" if layer.form == "V2" else "V1LayerParameter"
    return [
        field for owner, field in _fields(name, layer.field.value)
        if id(field) in unknown and field.name != "type" and owner not in _TRAINING
        and not is_immaterial(owner, field.name) and not field.name.endswith("filler")
    ]


def _fields(message_name: str, tree: Message) -> Iterator[Tuple[str, Field]]:
    """Each field at any depth, with the name of its message, as far as the tables know it."""
    descriptors = schema.new(message_name).DESCRIPTOR.fields_by_name
    for field in tree:
        yield message_name, field
        descriptor = descriptors[field.name] if field.name in descriptors else None
        if field.is_message and descriptor is not None and descriptor.message_type is not None:
            yield from _fields(descriptor.message_type.name, field.value)
