"""The options of a run that are not part of its recipe, as frozen values."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Optional, Tuple, Union

from caffe_gradcam.engines.running import device_index
from caffe_gradcam.model import choices
from prototxt_tools.errors import QuestionError

if TYPE_CHECKING:
    from caffe_gradcam.pictures.figures import FigureOptions

PART_SIZE = 1000
MOST_IMAGES, MOST_DECODERS, MOST_THREADS, MOST_SECONDS = 4096, 256, 1024, 1e6
RUNNERS = ("local", "ray")
AUTO, FULL, REDUCED, CARD = DECODINGS = "auto", "cpu", "reduced", "cuda"
OVERLAYS = ("none", "all", "wrong")
KINDS, FORMATS = ("side-by-side", "overlay"), ("png", "jpg", "webp")


@dataclass(frozen=True)
class Parts:
    """How the source is divided into parts, and which of them a run makes.

    Attributes
    ----------
    size : int, optional
        Images per part; without it, 1000, or what the output was started with.
    worker : (int, int), optional
        ``(i, n)``: this run is the i-th of n workers, counted from 1, and makes the i-th of n
        spans of the parts.
    limit : int, optional
        Take only the first images of the source.
    root : str, optional
        The folder that relative paths in a list start from.
    resume : bool
        Continue where an earlier run ended; otherwise what it wrote is removed.
    retry_failed : bool
        Explain images again that were unreadable or failed.
    add : bool
        Explain images too that the source lists only now; without it, such a source is refused.
    """

    size: Optional[int] = None
    worker: Optional[Tuple[int, int]] = None
    limit: Optional[int] = None
    root: Optional[str] = None
    resume: bool = True
    retry_failed: bool = False
    add: bool = False


@dataclass(frozen=True)
class Ray:
    """The actors of a Ray cluster.

    Attributes
    ----------
    actors : int, optional
        Nets in the cluster; without it, as many as fit.
    gpus, cpus : float, optional
        What each of them takes, for Ray's scheduler; parts of a GPU are possible.
    """

    actors: Optional[int] = None
    gpus: Optional[float] = None
    cpus: Optional[float] = None


@dataclass(frozen=True)
class Pipeline:
    """What reads images and runs the net.

    Attributes
    ----------
    batch : int
        Images that go through the net together.
    devices : tuple of str
        "cpu" or "cuda:N", each with a net of its own; none: the recipe's device. "cpu" alone
        stands for as many nets as there are cores for, ``threads`` each.
    decoders : int, optional
        Processes that read and decode images for all nets; without it, as many as there are
        cores.
    timeout : float
        Seconds that one batch may take before the net's process is stopped.
    runner : str
        "local", or "ray" for a cluster.
    ray : Ray
    threads : int, optional
        Threads with which each net computes; without it, one on the CPU, or more where memory has
        no room for a net on each core.
    decode : str
        What decodes JPEGs: "cpu", OpenCV; "reduced", OpenCV, at a half, a quarter or an eighth
        of their size where the net needs no more; "cuda", the card on which the net runs;
        "auto", the card where it can and there are fewer than 32 cores for each card, otherwise
        "cpu".

    Raises
    ------
    QuestionError
        No such runner, device or way to decode, or a number beyond its limit.
    """

    batch: int = 8
    devices: Tuple[str, ...] = ()
    decoders: Optional[int] = None
    timeout: float = 600.0
    runner: str = "local"
    ray: Ray = Ray()
    threads: Optional[int] = None
    decode: str = AUTO

    def __post_init__(self) -> None:
        choices.check([self.runner], RUNNERS, "runner")
        choices.check([self.decode], DECODINGS, "way to decode")
        for device in self.devices:
            device_index(device)
        if not 1 <= self.batch <= MOST_IMAGES:
            raise QuestionError(f"--batch {self.batch}: a batch has 1 to {MOST_IMAGES} images",
                                "--batch")
        if self.decoders is not None and not 1 <= self.decoders <= MOST_DECODERS:
            raise QuestionError(f"--decoders {self.decoders}: a run has 1 to {MOST_DECODERS} "
                                "decoders", "--decoders")
        if self.threads is not None and not 1 <= self.threads <= MOST_THREADS:
            raise QuestionError(f"--threads {self.threads}: a net has 1 to {MOST_THREADS} threads",
                                "--threads")
        if not 0 < self.timeout <= MOST_SECONDS:
            raise QuestionError(f"--timeout {self.timeout:g}: a batch may take more than 0 and at "
                                f"most {MOST_SECONDS:g} seconds", "--timeout")


def _figure_options() -> "FigureOptions":
    """The options that nobody chose. What draws is imported only where options are made: the
    processes of a run read no more than the names in this module."""
    from caffe_gradcam.pictures.figures import FigureOptions

    return FigureOptions()


@dataclass(frozen=True)
class Drawing:
    """Figures that are drawn during a run.

    Attributes
    ----------
    overlays : str or int
        "none", "all", "wrong" (the true label is not the best class), or a number of images from
        the first on.
    figures : FigureOptions
        How they look. Their ``heat_boxes`` are found for every row, drawn or not.

    Raises
    ------
    QuestionError
        No such choice, or figures that a batch does not draw.
    """

    overlays: Union[str, int] = "none"
    figures: "FigureOptions" = field(default_factory=_figure_options)

    def __post_init__(self) -> None:
        if isinstance(self.overlays, str):
            choices.check([self.overlays], OVERLAYS, "choice of overlays")
        choices.check([self.figures.kind], KINDS, "figure of a batch")
        choices.check([self.figures.format], FORMATS, "format of a batch's figures")


def check_clips(drawing: Drawing) -> None:
    """Raise a QuestionError for figures that are not drawn of clips."""
    if drawing.figures.heat_boxes is not None:
        raise QuestionError("--heat-boxes: boxes are found in the maps of single images, not of "
                            "clips", "--heat-boxes")
    if drawing.figures.kind != KINDS[0]:
        raise QuestionError(f"--figure {drawing.figures.kind}: clips are drawn as filmstrips",
                            "--figure")


@dataclass(frozen=True)
class Reporting:
    """What is shown of a run while it runs.

    Attributes
    ----------
    quiet : bool
        Show no progress.
    log_json : bool
        One JSON object on each line of standard error, instead of text.
    metrics : str, optional
        A file for Prometheus' textfile collector.
    command : tuple of str
        The command line, for the manifest.
    """

    quiet: bool = True
    log_json: bool = False
    metrics: Optional[str] = None
    command: Tuple[str, ...] = ()


@dataclass(frozen=True)
class Options:
    """All options of a run."""

    parts: Parts = Parts()
    pipeline: Pipeline = Pipeline()
    drawing: Drawing = field(default_factory=Drawing)
    reporting: Reporting = Reporting()
