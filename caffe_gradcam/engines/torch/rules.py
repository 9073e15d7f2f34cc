"""What layers that rectify pass on in a backward pass."""

import contextlib

import torch


class Rule:
    """The rule of the backward pass that runs: one of ``base.RULES``."""

    def __init__(self):
        self.name = "gradient"

    @contextlib.contextmanager
    def set(self, name):
        """Have another rule for a while."""
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
    def forward(ctx, rule, bottom, top):
        ctx.rule = rule
        return top.view_as(top)

    @staticmethod
    def backward(ctx, gradient):
        if ctx.rule.name == "gradient":
            return None, None, gradient
        positive = gradient.clamp(min=0)
        if ctx.rule.name == "guided":
            return None, None, positive
        return None, positive, None
