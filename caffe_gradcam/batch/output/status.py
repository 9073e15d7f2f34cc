"""What an output holds, and whether it is whole."""

from typing import Dict, Iterable, Iterator, List, Optional, Tuple

from caffe_gradcam.batch.output import parts
from caffe_gradcam.batch.output.plan import Plan
from caffe_gradcam.batch.output.rows import BAD, COLUMNS, STATUSES, Row, unpack
from caffe_gradcam.batch.sources.item import Item
from prototxt_tools.errors import InputError


def count(plan: Plan, numbers: Optional[Iterable[int]] = None) -> Dict[str, int]:
    """Images by status in the finished parts.

    Parameters
    ----------
    plan : Plan
    numbers : iterable of int, optional
        Of finished parts; without it, all of them.

    Returns
    -------
    dict
        Status -> images; "rows" -> rows. An image with several rows counts as ok if one is.
    """
    counts = dict.fromkeys(STATUSES, 0)
    rows = 0
    for number in sorted(plan.done() if numbers is None else numbers):
        best: Dict[int, str] = {}
        for row in parts.read(plan, number, ("item", "status")):
            rows += 1
            if best.get(row["item"]) != "ok":
                best[row["item"]] = row["status"]
        for status in best.values():
            counts[status] += 1
    return dict(counts, rows=rows)


def accuracy(plan: Plan, worker: Optional[Tuple[int, int]] = None) -> Tuple[int, int]:
    """How many images of known true label the net got right, and how many have one.

    Of the finished parts of a worker, I of N; without it, of all.
    """
    right = labelled = 0
    for number in sorted(plan.done().intersection(plan.parts_of(worker))):
        answers = {row["item"]: row["predicted"] == row["true_label"]
                   for row in parts.read(plan, number, ("item", "true_label", "predicted"))
                   if row["true_label"] is not None and row["predicted"] is not None}
        right, labelled = right + sum(answers.values()), labelled + len(answers)
    return right, labelled


def has_bad(plan: Plan, number: int) -> bool:
    """Whether a finished part holds images that could not be explained."""
    return any(row["status"] in BAD for row in parts.read(plan, number, ("status",)))


def problems(plan: Plan) -> List[str]:
    """What is wrong with an output, one sentence each: damaged or foreign files, missing or
    repeated images, maps that do not fit their rows. A part that is still to come is no problem.
    """
    done = plan.done()
    sentences = [f"part {number}: belongs to no list of items"
                 for number in sorted(done) if number >= plan.parts]
    for number in range(plan.parts):
        try:
            items = plan.items(number)
            if number in done:
                sentences += [f"part {number}: {problem}" for problem in _of_part(
                    parts.read(plan, number), items)]
        except InputError as error:
            sentences.append(str(error))
    return sentences


def _of_part(rows: List[Row], items: List[Item]) -> Iterator[str]:
    if [item.number for item in items] != list(dict.fromkeys(row["item"] for row in rows)):
        yield f"its rows are not those of the {len(items)} images of its list"
        return
    for row in rows:
        row_name = f"row of image {row['item']}"
        if set(row) != set(COLUMNS) or row["status"] not in STATUSES:
            yield f"{row_name}: not a row of this version"
        elif row["question"] is not None:
            for problem in _of_map(row):
                yield f"{row_name}: {problem}"
        elif not row["note" if row["status"] == "empty" else "error"]:
            yield f"{row_name}: {row['status']} without a reason"


def _of_map(row: Row) -> Iterator[str]:
    try:
        cam = unpack(row)
    except (ValueError, TypeError):
        yield f"the map does not have the shape {row['cam_shape']}"
        return
    if not row["positive_mass"] >= 0 or not row["negative_mass"] >= 0:
        yield "a mass is negative"
    # Half precision, of values in [-1, 1]: half a unit in the last place is 2 ** -12 of it.
    tolerance = cam.size * row["cam_scale"] * 2.0 ** -11 + 1e-30
    mass = row["positive_mass"] - row["negative_mass"]
    if abs(float(cam.sum(dtype="float64")) - mass) > tolerance:
        yield "the sum of the map is not that of its masses"
    if row["status"] == "ok" and not cam.max() > 0:
        yield "its status is ok, but nothing in the map is positive"
