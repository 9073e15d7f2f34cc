"""The result of a rewrite."""

from dataclasses import dataclass, replace
from typing import Any, Callable, Tuple, TypeVar

from prototxt_tools.net.net import Layer
from prototxt_tools.text.document import Document

AnyRewrite = TypeVar("AnyRewrite", bound="Rewrite")


@dataclass(frozen=True, eq=False)
class Rewrite:
    """A changed document, with one sentence about each thing that was done or left alone.

    Attributes
    ----------
    document : Document
    notes : tuple of str
        Notes on what could not be changed begin with "left".
    """

    document: Document
    notes: Tuple[str, ...] = ()

    def then(self, step: Callable[..., AnyRewrite], *arguments: Any,
             **keywords: Any) -> AnyRewrite:
        """Apply another rewrite to the document; the notes of both come one after the other.

        Parameters
        ----------
        step : callable
            A rewrite, which takes a document first.
        *arguments, **keywords
            What the rewrite takes besides.

        Examples
        --------
        >>> Rewrite(document).then(deploy).then(batch_size, 1).then(force_backward).document
        """
        later = step(self.document, *arguments, **keywords)
        return replace(later, notes=self.notes + later.notes)


def describe_layer(layer: Layer) -> str:
    """A layer as notes name it: its type, name and line."""
    name = " " + layer.name if layer.name else ""
    return f"{layer.type}{name} (line {layer.field.line})"
