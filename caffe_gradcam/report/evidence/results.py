"""What was made of a batch besides its report, and lies beside it: surveys and evaluations."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Dict, Iterator, List, Optional, Tuple

from caffe_gradcam.report import batch_model, lenient
from prototxt_tools.errors import InputError
from prototxt_tools.files import parse_json

if TYPE_CHECKING:
    from caffe_gradcam.report.output import Output

# The first file of each kind has the numbers, and so tells which model it is about.
SURVEY = ("survey.json", "survey.html")
EVALUATION = ("evaluate.json", "deletion.png", "insertion.png")
PROTOCOL = ("protocol.json",)


@dataclass(frozen=True)
class Results:
    """What lies beside a batch.

    Attributes
    ----------
    files : dict
        Kind -> the names of its files; kinds are ``SURVEY``, ``EVALUATION`` and ``PROTOCOL``.
    problems : list of str
        What is left out, and why.
    """

    files: Dict[Tuple[str, ...], List[str]]
    problems: List[str]

    def names(self) -> Iterator[str]:
        """All files."""
        for names in self.files.values():
            yield from names


def find(output: "Output") -> Results:
    """The results beside a batch that are about its model."""
    files: Dict[Tuple[str, ...], List[str]] = {}
    problems: List[str] = []
    for kind in (SURVEY, EVALUATION, PROTOCOL):
        if not output.has(kind[0]):
            continue
        problem = _problem(kind[0], output)
        if problem is None:
            files[kind] = [name for name in kind if output.has(name)]
        else:
            problems.append(problem)
    return Results(files, problems)


def _problem(name: str, output: "Output") -> Optional[str]:
    try:
        return about_another_model(name, output.read(name), output.manifest)
    except InputError as error:
        return f"{error}; it is left out"


def about_another_model(name: str, data: bytes, manifest: Dict[str, object]) -> Optional[str]:
    """Why a file of results does not belong to a batch, in a sentence; None where it does.

    Parameters
    ----------
    name : str
        What the sentence calls the file.
    data : bytes
        JSON with the SHA-256 of the prototxt and of the weights; without these, it is taken for
        one of the batch's own.
    manifest : dict
        The batch's.
    """
    try:
        values = parse_json(data.decode("utf-8"))
    except ValueError:
        return f"{name}: cannot be read as JSON; it is left out"
    if not isinstance(values, dict):
        return f"{name}: holds no results; it is left out"
    expected = batch_model.digests_of(lenient.mapping(manifest, "rows_depend_on"))
    for field, digest in batch_model.digests_of(values).items():
        if digest is not None and digest != expected[field]:
            return f"{name}: is about another model ({field} differs); it is left out"
    return None
