"""The contract of the engines, and what they share before they run."""

import importlib.util
import re

from prototxt_tools.errors import EngineError, InputError

RULES = ("gradient", "guided", "deconvnet")
PRECISIONS = ("fp32", "tf32", "bf16", "fp16")
# What to do where the library of an engine is missing; "auto" takes the first that is there.
ADVICE = {"caffe": "pycaffe is not installed; use the image, or the torch engine",
          "torch": "torch is not installed; pip install torch"}


class Engine:
    """Runs the part of a net that its scores and targets depend on.

    Engines are context managers. They belong to the thread that opened them.

    Attributes
    ----------
    description : dict
        What runs, for reports: ``engine``, ``version``, ``device``.
    """

    description = {}

    def forward(self, inputs, keep):
        """Run the net on a batch.

        Parameters
        ----------
        inputs : dict
            Input blob name -> array, float32, N x C x H x W (or what the input's shape says);
            any N. The arrays must not change before the last ``backward``.
        keep : iterable of str
            The blobs wanted.

        Returns
        -------
        dict
            Blob name -> float32 array, the value the blob holds after all its in-place layers.

        Raises
        ------
        InputError
            An input is missing or has an impossible shape, or the engine has no such blob.
        """
        raise NotImplementedError

    def forward_from(self, blob, value, keep, rows=None):
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
            The blobs wanted; all depend on the blob.
        rows : sequence of int, optional
            For each row of the value the row of the last forward that it belongs to, from which
            other blobs come that the same layers read. Default: row i to row i, of as many.

        Returns
        -------
        dict
            Blob name -> float32 array of M rows.

        Raises
        ------
        InputError
            The shape does not fit, a blob wanted does not depend on this one, or a row is not
            there.
        EngineError
            No forward came before, or another blob that is needed is gone. That cannot be for
            the targets of the engine with scores wanted; for others it helps to ``keep`` it.
        """
        raise NotImplementedError

    def backward(self, score, top_diff, targets, rule="gradient"):
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
        EngineError
            No gradient can reach a target.
        """
        raise NotImplementedError

    def replace_weights(self, weights):
        """Put other weights into layers; the next ``forward`` runs with them.

        Parameters
        ----------
        weights : dict
            Layer name -> list of arrays, as ``prototxt_tools.weights.load`` gives them.

        Raises
        ------
        InputError
            No such layer runs here, or the weights do not fit it, or are no numbers.
        """
        raise NotImplementedError

    def close(self):
        """Free what the engine holds; further calls fail."""

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()


def open_engine(kind, prototxt, weights, scores, targets, gradient="post", device="cpu",
                verbose=False, timeout=None, allow_missing=False, trust=False, precision="fp32",
                isolated=True):
    """Open an engine for a net.

    Parameters
    ----------
    kind : str
        "caffe" (in a process of its own: where Caffe aborts, only that process dies), "torch",
        or "auto": Caffe where pycaffe is installed, else torch.
    prototxt : str
        Text of the user's deploy file; the engine rewrites it for itself.
    weights : str or os.PathLike
        A ``.caffemodel`` or ``.caffemodel.h5``.
    scores, targets : iterable of str
        Blobs that ``backward`` will start from and lead to.
    gradient : str
        "post" or "pre-relu"; see ``Engine.backward``.
    device : str
        "cpu", "cuda" or "cuda:N".
    verbose : bool
        Let what Caffe logs through to stderr.
    timeout : float, optional
        Seconds that one call may take in an engine with a process of its own.
    allow_missing : bool
        Fill the blobs of layers that have no weights as Caffe would, instead of refusing them.
    trust : bool
        Let layers that run Python code or touch files do so, instead of refusing the net.
    precision : str
        "fp32", as Caffe computes; in the torch engine also "tf32" (on CUDA), "bf16" and "fp16"
        (on CUDA): then matrix products and convolutions take shorter numbers, blobs do not.
    isolated : bool
        Whether Caffe gets a process of its own; False for one that may die with it.

    Returns
    -------
    Engine

    Raises
    ------
    InputError
        The engine is not installed, or the net, the weights or the blobs cannot be used.
    """
    if kind == "auto":
        kind = next((name for name in ADVICE if importlib.util.find_spec(name)), None)
        if kind is None:
            raise InputError("neither pycaffe nor torch is installed; pip install torch")
    arguments = {"prototxt": prototxt, "weights": weights, "scores": list(scores),
                 "targets": list(targets), "gradient": gradient, "device": device,
                 "allow_missing": allow_missing, "trust": trust, "precision": precision}
    if kind == "caffe" and isolated:
        from .isolated import IsolatedEngine

        return IsolatedEngine(kind, arguments, verbose=verbose, timeout=timeout)
    return open_here(kind, **arguments)


def open_here(kind, **arguments):
    """``open_engine`` in this very process; arguments as there."""
    if kind not in ADVICE:
        raise InputError(f"no engine {kind!r}; say auto, caffe or torch")
    if not importlib.util.find_spec(kind):
        raise InputError(ADVICE[kind])
    if kind == "caffe":
        from .pycaffe import PycaffeEngine

        return PycaffeEngine(**arguments)
    from .torch import TorchEngine

    return TorchEngine(**arguments)


def check_precision(precision, possible, where):
    """Raise an InputError for a precision that an engine does not have."""
    if precision not in PRECISIONS:
        raise InputError("no precision {!r}; say {}".format(precision, ", ".join(PRECISIONS)))
    if precision not in possible:
        raise EngineError("{} does not compute in {}; say {}".format(
            where, precision, " or ".join(possible)))


def device_index(device):
    """None for "cpu", N for "cuda:N", 0 for "cuda"; InputError for anything else."""
    match = re.match(r"cuda(?::(\d+))?$", device)
    if device != "cpu" and not match:
        raise InputError(f"no device {device!r}; say cpu, cuda or cuda:N")
    return int(match.group(1) or 0) if match else None


def check_rule(rule):
    """Raise an InputError for a rule of ``Engine.backward`` that there is not."""
    if rule not in RULES:
        raise InputError("no rule {!r}; say {}".format(rule, ", ".join(RULES)))


def rectifies(layer):
    """Whether the rules of ``Engine.backward`` apply to a layer: it cuts at 0.

    Parameters
    ----------
    layer : prototxt_tools.net.net.Layer
    """
    return layer.type in ("ReLU", "ReLU6") or (
        layer.type == "Clip" and layer.message.clip_param.min == 0)
