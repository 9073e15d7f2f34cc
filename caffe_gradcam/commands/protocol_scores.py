"""The scores of a protocol beside the rows of its batch: a file for each part, made once."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Optional, Tuple

from caffe_gradcam.batch.output import checksums, parts
from caffe_gradcam.batch.output.rows import BAD, Row, to_explanation
from caffe_gradcam.measuring.protocols.scores import Score
from prototxt_tools.errors import InputError, Outcome
from prototxt_tools.files import parse_json

if TYPE_CHECKING:
    from caffe_gradcam.batch.output.plan import Plan
    from caffe_gradcam.measuring.protocols.protocol import Scorer

FOLDER = "scores"


@dataclass(frozen=True)
class PartScores:
    """What a part came to.

    Attributes
    ----------
    scores : tuple of Score
    failures : tuple of (str, str)
        Path and reason of each image without maps or with maps that cannot be scored.
    """

    scores: Tuple[Score, ...]
    failures: Tuple[Tuple[str, str], ...]


def update(plan: "Plan", numbers: Iterable[int], scorer: "Scorer", settings: str) -> None:
    """Score those of some finished parts whose scores are missing, or were made otherwise.

    Parameters
    ----------
    plan : Plan
    numbers : iterable of int
    scorer : Scorer
    settings : str
        All that scores depend on beside the rows.

    Raises
    ------
    InputError
        A part is damaged, or a file cannot be written.
    """
    plan.folder.make(FOLDER)
    for number in numbers:
        origin = _origin(plan, number, settings)
        if _stored(plan, number, origin) is not None:
            continue
        part = _scored(parts.read(plan, number), scorer)
        entries = {"origin": origin, "failures": part.failures, "scores": [
            [score.image, score.group, score.method, score.layer, dict(score.values)]
            for score in part.scores]}
        plan.folder.write(_name(number), (json.dumps(entries) + "\n").encode("ascii"))


def collect(plan: "Plan", settings: str) -> Optional[PartScores]:
    """The scores of all parts; None where one is not finished or not scored yet."""
    if len(plan.done()) < plan.parts:
        return None
    scores: List[Score] = []
    failures: List[Tuple[str, str]] = []
    for number in range(plan.parts):
        entries = _stored(plan, number, _origin(plan, number, settings))
        if entries is None:
            return None
        scores += [Score(*values) for values in entries["scores"]]
        failures += [(path, reason) for path, reason in entries["failures"]]
    return PartScores(tuple(scores), tuple(failures))


def _scored(rows: List[Row], scorer: "Scorer") -> PartScores:
    items: Dict[str, List[Row]] = {}
    for row in rows:
        items.setdefault(row["id"], []).append(row)
    scores: List[Score] = []
    failures: List[Tuple[str, str]] = []
    for item_id, members in items.items():
        bad = next((row for row in members if row["status"] in BAD), None)
        if bad is not None:
            failures.append((bad["path"], bad["error"]))
            continue
        outcome = Outcome.of(scorer.score, item_id, list(map(to_explanation, members)))
        if outcome.error is not None:
            failures.append((members[0]["path"], str(outcome.error)))
        else:
            scores += outcome.unwrap()
    return PartScores(tuple(scores), tuple(failures))


def _origin(plan: "Plan", number: int, settings: str) -> Dict[str, str]:
    """What the scores of a part were made of."""
    return {"settings": settings, "rows": checksums.text_of(plan.folder, parts.last_name(
        plan, number))}


def _stored(plan: "Plan", number: int, origin: Dict[str, str]) -> Any:
    """The content of a part's file, where it is there and of this origin; else None."""
    if not plan.folder.exists(_name(number)):
        return None
    try:
        entries = parse_json(plan.folder.read(_name(number)).decode("ascii"))
    except (ValueError, InputError):
        return None
    return entries if isinstance(entries, dict) and entries.get("origin") == origin else None


def _name(number: int) -> str:
    return f"{FOLDER}/part-{number:06d}.json"
