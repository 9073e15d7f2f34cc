"""Which function writes the backward pass of which layer type."""

from typing import Callable, Dict, List, Optional, Sequence

from caffe_gradcam.engines.onnx.registry import Step, Unsupported

# What reaches each bottom; None for one that is not a value, such as a size.
Gradients = Sequence[Optional[str]]
Backward = Callable[[Step, List[Optional[str]]], Gradients]

BACKWARD: Dict[str, Backward] = {}


def backward(*types: str) -> Callable[[Backward], Backward]:
    """Register a function that writes the backward pass of layers of some types.

    The function takes a ``Step``, which is written already, and the name of the gradient at each
    top, None where none comes; it gives the names of the gradients at the bottoms.
    """
    def register(function: Backward) -> Backward:
        for name in types:
            BACKWARD[name] = function
        return function
    return register


Rule = Callable[[Step, str], str]


def single(*types: str) -> Callable[[Rule], Rule]:
    """``backward`` for layers with one bottom that counts and one top."""
    def register(function: Rule) -> Rule:
        def of_lists(step: Step, gradients: List[Optional[str]]) -> Gradients:
            assert gradients[0] is not None
            return [function(step, gradients[0])]
        backward(*types)(of_lists)
        return function
    return register


def rule_of(step: Step) -> Backward:
    """The function for a step's type; Unsupported where there is none."""
    kind = step.message.type
    if kind not in BACKWARD:
        raise Unsupported(f"layer {step.name} ({kind}) stands between the score and the layer to "
                          "explain, and no ONNX operators are known for its gradient", step.name)
    return BACKWARD[kind]
