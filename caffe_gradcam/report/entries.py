"""What a report shows: plain values, whatever they were made of."""

from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

Rectangle = Tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class MapEntry:
    """A map of an image.

    Attributes
    ----------
    question : str
    class_index : int or None
    class_name : str or None
    score, probability : float or None
    method, layer : str
    status : str
        "ok" or "empty".
    cam : numpy.ndarray or None
        h x w float32, signed; None where it is too large to be listed, or unusable.
    heat : numpy.ndarray or None
        h x w uint8: the heatmap on the image, 255 at its maximum; None where it is unusable.
    positive_mass, negative_mass : float or None
    outside : float or None
        The share of the heat outside the objects of the class, 0 to 1.
    boxes : list of (float, float, float, float)
        x, y, width and height in pixels of the image, around the objects of the class.
    position : dict
        Axis -> the step, prior or region of interest that it is about, or None.
    detected_box : list of float or None
        x, y, width and height in pixels of the image: the box that a detector found.
    sentence : str or None
        The caption of which a word, or the whole, is explained.
    """

    question: str
    class_index: Optional[int]
    class_name: Optional[str]
    score: Optional[float]
    probability: Optional[float]
    method: str
    layer: str
    status: str
    cam: Optional[np.ndarray] = None
    heat: Optional[np.ndarray] = None
    positive_mass: Optional[float] = None
    negative_mass: Optional[float] = None
    outside: Optional[float] = None
    boxes: Sequence[Rectangle] = ()
    position: Mapping[str, Optional[int]] = field(default_factory=dict)
    detected_box: Optional[Sequence[float]] = None
    sentence: Optional[str] = None


@dataclass(frozen=True, eq=False)
class ImageEntry:
    """An image of a report.

    Attributes
    ----------
    number : int
    id, path : str
    status : str
        "ok", "empty", "unreadable" or "failed".
    sha256, error, note : str or None
    true_label, predicted : int or None
    size : (int, int) or None
        Height and width in pixels.
    picture : bytes or None
        A JPEG file of the image, reduced.
    missing : str or None
        Why there is no picture.
    boxes : list of (float, float, float, float)
        x, y, width and height in pixels: objects that people marked.
    maps : list of MapEntry
    before : int or None
        In a comparison, the class with the highest score before.
    alike : float or None
        In a comparison, how similar the maps are: 0 to 1.
    """

    number: int
    id: str
    path: str
    status: str
    sha256: Optional[str] = None
    error: Optional[str] = None
    note: Optional[str] = None
    true_label: Optional[int] = None
    predicted: Optional[int] = None
    size: Optional[Tuple[int, int]] = None
    picture: Optional[bytes] = None
    missing: Optional[str] = None
    boxes: Sequence[Rectangle] = ()
    maps: Sequence[MapEntry] = ()
    before: Optional[int] = None
    alike: Optional[float] = None

    @property
    def is_wrong(self) -> bool:
        """Whether the true class is known, and is not the best one."""
        return self.true_label is not None and self.predicted is not None \
            and self.true_label != self.predicted

    @property
    def certainty(self) -> Optional[float]:
        """The probability of the class with the highest score, where a map is about it."""
        return next((entry.probability for entry in self.maps
                     if entry.class_index == self.predicted), None)


@dataclass(frozen=True)
class Fact:
    """A line of a table: what it is, its value, and where the value comes from."""

    name: str
    value: str
    source: str = ""


@dataclass(frozen=True)
class Section:
    """A table of facts under a heading."""

    heading: str
    facts: Sequence[Fact]


@dataclass(frozen=True, eq=False)
class Report:
    """What a report says besides its images.

    Attributes
    ----------
    title : str
    made_from : str
        One line below the title.
    summary : Summary
    class_names : dict
        Class -> name, of those that are known.
    sections : list of Section
    highlights : list of Section
        Sections that stand above the pictures.
    problems : list of str
        What is missing or damaged, one sentence each.
    """

    title: str
    made_from: str
    summary: Any
    class_names: Mapping[int, str] = field(default_factory=dict)
    sections: Sequence[Section] = ()
    problems: Sequence[str] = ()
    highlights: Sequence[Section] = ()

    def class_text(self, index: Optional[int]) -> str:
        """A class in words: its name, or its number."""
        if index is None:
            return ""
        return self.class_names.get(index) or f"class {index}"


def facts_of(values: Mapping[str, Any], sources: Optional[Mapping[str, str]] = None) -> List[Fact]:
    """A fact for each value that is not None; nested values by names joined with dots."""
    origins: Mapping[str, str] = sources or {}
    facts: List[Fact] = []
    for name, value in values.items():
        if isinstance(value, dict):
            nested: Dict[str, Any] = {f"{name}.{key}": inner for key, inner in value.items()}
            facts += facts_of(nested, origins)
        elif value is not None and value != []:
            facts.append(Fact(str(name), _text(value), origins.get(str(name), "")))
    return facts


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
