"""What rectifying layers pass on in a backward pass."""

import contextlib
from typing import Any, Iterator, Optional, Tuple

import torch


class Rule:
    """The rule of the backward pass that runs: one of ``contract.RULES``."""

    def __init__(self) -> None:
        self.name = "gradient"

    @contextlib.contextmanager
    def set(self, name: str) -> Iterator[None]:
        """Use another rule within a ``with`` block."""
        self.name = name
        try:
            yield
        finally:
            self.name = "gradient"


class Gate(torch.autograd.Function):
    """The top of a layer, as it is; on the way back it sends a gradient into the layer or past it.

    One graph serves all the rules, since the rule is looked up when the gradient comes.
    """

    @staticmethod
    def forward(ctx: Any, rule: Rule, bottom: torch.Tensor,  # type: ignore[override]
                top: torch.Tensor) -> torch.Tensor:
        ctx.rule = rule
        return top.view_as(top)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Tuple[  # type: ignore[override]
            None, Optional[torch.Tensor], Optional[torch.Tensor]]:
        if ctx.rule.name == "gradient":
            return None, None, gradient
        positive = gradient.clamp(min=0)
        if ctx.rule.name == "guided":
            return None, None, positive
        return None, positive, None
