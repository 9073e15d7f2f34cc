"""The contract of the engines, and what they share before they run."""

import os
from typing import TYPE_CHECKING, Any, Dict, Iterable, Mapping, Optional, Sequence, Union

from prototxt_tools import layers
from prototxt_tools.errors import EngineError, QuestionError

if TYPE_CHECKING:
    import numpy as np

    from caffe_gradcam.model.preprocess import Preprocessing
    from prototxt_tools.net.net import Layer

    from .class_maps import MapRequest, PendingMaps
    from .on_device import OnDevice

RULES = ("gradient", "guided", "deconvnet")


class Engine:
    """Runs the part of a net that its scores and targets depend on.

    Engines are context managers. An engine answers one call at a time, and ``backward`` and
    ``forward_from`` refer to the last ``forward``. Calls may come from any thread, but must not
    overlap: threads that share an engine hold a lock from a ``forward`` to the last call that
    refers to it. A process that was forked from the one that opened the engine can neither use
    nor close it, and has to open its own.

    Attributes
    ----------
    description : dict
        What runs, for reports: ``engine``, ``version``, ``device`` and ``precision``, which is
        the precision that is really used.
    """

    def __init__(self) -> None:
        self.description: Dict[str, str] = {}
        self._process_id = os.getpid()
        self._is_closed = False

    def settle(self, rows: int) -> None:
        """From now on the last bits of what a batch gives do not depend on what ran before it.

        Otherwise an engine may run shapes in another way when they have come often.

        Parameters
        ----------
        rows : int
            Images of the batches that come often; others have a remainder of them.
        """

    def forward(self, inputs: "Mapping[str, np.ndarray]",
                keep: Iterable[str]) -> "Dict[str, np.ndarray]":
        """Run the net on a batch.

        Parameters
        ----------
        inputs : dict
            Input blob name -> array, float32, N x C x H x W (or what the input's shape says);
            any N. The arrays must not change before the last ``backward``.
        keep : iterable of str
            The blobs whose values are returned.

        Returns
        -------
        dict
            Blob name -> float32 array, the value the blob holds after all its in-place layers.

        Raises
        ------
        ImageError
            An input is missing.
        QuestionError
            The engine has no such blob.
        ModelError
            The net cannot take inputs of this shape.
        EngineFailed
            Caffe aborted, or the call took too long.
        OutOfMemory
            The memory does not hold this batch.
        """
        raise NotImplementedError

    def forward_from(self, blob: str, value: "np.ndarray", keep: Iterable[str],
                     rows: Optional[Sequence[int]] = None) -> "Dict[str, np.ndarray]":
        """Run what lies behind a blob again with another value in it, after a ``forward``.

        Nothing below the blob runs, and what the last ``forward`` left stays as it was: a
        ``backward`` gives what it gave before.

        Parameters
        ----------
        blob : str
            Any blob, an input too.
        value : array
            float32, M x the shape of the blob's rows; any M. It stands for the value that
            ``forward`` reports, after all in-place layers.
        keep : iterable of str
            The blobs whose values are returned; all depend on the blob.
        rows : sequence of int, optional
            For each row of the value the row of the last forward that it belongs to, from which
            other blobs come that the same layers read. Default: row i to row i, of as many.

        Returns
        -------
        dict
            Blob name -> float32 array of M rows.

        Raises
        ------
        QuestionError
            The shape does not fit, a blob of ``keep`` does not depend on this one, or a row is
            not there.
        EngineError
            No forward came before, or another blob that is needed is gone. That cannot be for
            the targets of the engine when scores are kept; for others it helps to ``keep`` it.
        """
        raise NotImplementedError

    def begin_maps(self, inputs: "Mapping[str, Union[np.ndarray, OnDevice]]",
                   request: "MapRequest") -> "Optional[PendingMaps]":
        """Begin to make maps of classes where the net runs, so that no blob has to leave it.

        Parameters
        ----------
        inputs : dict
            As for ``forward``. The arrays must not change before the result is there.
        request : MapRequest

        Returns
        -------
        PendingMaps or None
            None where the engine leaves that to ``forward`` and ``backward``. While a device
            computes, the next batch may be begun.

        Raises
        ------
        InputError
            As ``forward`` does.
        """
        return None

    def expect(self, array: "np.ndarray") -> None:
        """Inputs will lie in this array, which stays where it is: a device may read it itself."""

    def expect_pictures(self, preprocessing: "Preprocessing") -> None:
        """Have JPEGs decoded and prepared for an input where the net runs.

        Raises
        ------
        EngineError
            The engine cannot, or its decoder gives other pictures than OpenCV's.
        """
        raise EngineError(f"the {self.description.get('engine')} engine decodes no JPEGs; use "
                          "--decode cpu")

    def read_pictures(self, places: "np.ndarray", sizes: "np.ndarray") -> "OnDevice":
        """Decode and prepare JPEGs, after :meth:`expect_pictures`.

        Parameters
        ----------
        places : array
            N x C x h x w float32: of each image what the net reads, or the bytes of a JPEG at the
            beginning of its place. They must not change before the net has run.
        sizes : array
            N whole numbers: bytes of each JPEG, 0 for an image that is prepared.

        Returns
        -------
        OnDevice
            What :meth:`begin_maps` takes for the input.

        Raises
        ------
        ImageError
            Neither the device nor OpenCV can decode one of them.
        """
        raise NotImplementedError

    def backward(self, score: str, top_diff: "np.ndarray", targets: Iterable[str],
                 rule: str = "gradient") -> "Dict[str, np.ndarray]":
        """Propagate a gradient from a score blob to target blobs, after a ``forward``.

        It may be called several times after one forward; nothing carries over.

        Parameters
        ----------
        score : str
            One of the scores the engine was opened with.
        top_diff : array
            Gradient with respect to the score blob, of its shape: one-hot rows, say.
        targets : iterable of str
            Among the targets the engine was opened with.
        rule : str
            What the layers that rectify (``rectifies``) pass on: "gradient", their derivative;
            "guided", the derivative of the positive part of what comes down to them
            (Springenberg et al. 2015, "Striving for Simplicity"); "deconvnet", that positive
            part itself (Zeiler and Fergus 2014).

        Returns
        -------
        dict
            Target -> float32 array of its shape: the gradient of ``sum(score * top_diff)`` with
            respect to the value that ``forward`` reported for the blob (``gradient="post"``) or
            to the value before its in-place layers (``"pre-relu"``).

        Raises
        ------
        QuestionError
            The engine was not opened for this score or target, or there is no such rule.
        EngineError
            No gradient can reach a target.
        """
        raise NotImplementedError

    def mean_gradients(self, score: str, top_diff: "np.ndarray", targets: Iterable[str]
                       ) -> "Dict[str, np.ndarray]":
        """The mean of each channel's gradient, where that takes less than ``backward``.

        Parameters
        ----------
        score, top_diff, targets
            As for ``backward``.

        Returns
        -------
        dict
            Target -> N x C x 1 x 1 float32: the mean over the cells of what ``backward`` gives.
            Targets without a shorter way are left out.

        Raises
        ------
        QuestionError, EngineError
            As ``backward`` does.
        """
        return {}

    def replace_weights(self, weights: "Mapping[str, Sequence[np.ndarray]]") -> None:
        """Put other weights into layers; the next ``forward`` runs with them.

        Parameters
        ----------
        weights : dict
            Layer name -> list of arrays, as ``prototxt_tools.weights.load`` gives them.

        Raises
        ------
        WeightsError
            No such layer runs here, or the weights do not fit it, or are no numbers.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Free what the engine holds; further calls fail.

        In a process that was forked from the one that opened it, nothing happens.
        """
        if not self._is_closed and self.is_ours:
            self._is_closed = True
            self._free()

    @property
    def is_ours(self) -> bool:
        """Whether this process opened it, rather than one that this was forked from."""
        return os.getpid() == self._process_id

    def check_open(self) -> None:
        """Raise an EngineError where the engine can no longer be used, or not here."""
        if self._is_closed:
            raise EngineError("the engine is closed; open another one")
        if not self.is_ours:
            raise EngineError("the engine was opened before this process was forked; open another "
                              "one here")

    def _free(self) -> None:
        """Free what the engine holds."""

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()


def check_rule(rule: str) -> None:
    """Raise a QuestionError for a rule of ``Engine.backward`` that does not exist."""
    if rule not in RULES:
        raise QuestionError(f"there is no rule {rule!r}; known: {', '.join(RULES)}", rule)


def check_precision(precision: str, possible: Sequence[str], where: str) -> None:
    """Raise an EngineError for a precision that an engine does not have."""
    if precision not in possible:
        raise EngineError(f"{where} does not compute in {precision}; use {' or '.join(possible)}",
                          precision)


def precision_note(description: Mapping[str, str], precision: str) -> str:
    """A sentence where an engine computes in another precision than was asked for; else "".

    Parameters
    ----------
    description : dict
        Of the engine.
    precision : str
        The one that was asked for.
    """
    actual = description.get("precision", precision)
    if actual == precision:
        return ""
    return (f"{description['device']} has no arithmetic in {precision}, so "
            f"{description['engine']} computes in {actual}")


def rectifies(layer: "Layer") -> bool:
    """Whether the rules of ``Engine.backward`` apply to a layer: it cuts at 0."""
    return layers.of(layer.type).rectifies(layer.message)
