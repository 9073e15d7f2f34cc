"""What a deploy net does about constant data and about the targets of detectors' training."""

from typing import List, Set

from prototxt_tools.net.net import Layer, Net
from prototxt_tools.rewrite.result import Rewrite, describe_layer
from prototxt_tools.rewrite.text import braced, quoted, replace_message
from prototxt_tools.text.document import Document
from prototxt_tools.text.edits import Edits

# Python layers of py-faster-rcnn, by the class: they compare anchors or proposals with gt_boxes.
_ANCHOR_TARGETS = ("AnchorTargetLayer",)
_PROPOSAL_TARGETS = ("ProposalTargetLayer",)
_BATCHED = ("data_param", "hdf5_data_param", "image_data_param", "memory_data_param",
            "window_data_param")


def without_targets(document: Document) -> Rewrite:
    """Remove the layers of Faster R-CNN that need the true boxes of the training images.

    The layer that chooses proposals for training becomes a Split, since a deploy net classifies
    all proposals.
    """
    edits, notes = Edits(document), []
    for layer in Net.parse(document).layers:
        name = layer.message.python_param.layer if layer.type == "Python" else ""
        if name in _ANCHOR_TARGETS:
            edits.remove(layer.field)
            notes.append(f"removed {describe_layer(layer)}: its targets are for training")
        elif name in _PROPOSAL_TARGETS and layer.bottoms and layer.tops:
            replace_message(edits, layer.field, braced(
                "layer", "name: " + quoted(layer.name), 'type: "Split"',
                "bottom: " + quoted(layer.bottoms[0]), "top: " + quoted(layer.tops[0])))
            notes.append(f"made {describe_layer(layer)} a Split: {layer.tops[0]} are all of "
                         f"{layer.bottoms[0]}")
    return Rewrite(edits.apply() if notes else document, tuple(notes))


def batch_sizes(layers: List[Layer]) -> Set[int]:
    """The sizes of the batches that data layers give."""
    messages = [layer.message for layer in layers]
    return {getattr(getattr(message, name), "batch_size", 0)
            for message in messages for name in _BATCHED} - {0}


def with_single_images(edits: Edits, constants: List[Layer], batches: Set[int]) -> List[str]:
    """Let DummyData beside inputs of one image give one image as well; gives notes.

    That is so where its batch has the size of a data layer's batch; others stay.
    """
    notes = []
    for layer in constants:
        for parameters in layer.field.value.all("dummy_data_param"):
            sizes = [shape.value.first("dim") for shape in parameters.value.all("shape")]
            sizes += parameters.value.all("num")
            for size in sizes:
                if size is None or size.is_message or not size.value.text.isdigit():
                    continue
                count = int(size.value.text)
                if count in batches and count != 1:
                    edits.replace(size.value, "1")
                    notes.append(f"made the batch of {describe_layer(layer)} 1 instead of {count}")
                elif count != 1:
                    notes.append(f"left {describe_layer(layer)}: it gives {count} of its items, "
                                 "and the inputs 1")
    return notes
