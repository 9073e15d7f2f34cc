"""What an output holds, and whether it is whole."""

from caffe_gradcam.batch.output import parts
from caffe_gradcam.batch.output.rows import COLUMNS, STATUSES, unpack
from prototxt_tools.errors import InputError


def count(plan, shards=None):
    """Images by status in the finished parts.

    Parameters
    ----------
    plan : Plan
    shards : iterable of int, optional
        All that are finished without.

    Returns
    -------
    dict
        Status -> images; "rows" -> rows. An image with several rows counts as ok if one is.
    """
    counts = dict.fromkeys(STATUSES, 0)
    rows = 0
    for shard in sorted(plan.done() if shards is None else shards):
        best = {}
        for row in parts.read(plan, shard, ("item", "status")):
            rows += 1
            if best.get(row["item"]) != "ok":
                best[row["item"]] = row["status"]
        for status in best.values():
            counts[status] += 1
    return dict(counts, rows=rows)


def has_bad(plan, shard):
    """Whether a finished part holds images that could not be explained."""
    return any(row["status"] in ("unreadable", "failed")
               for row in parts.read(plan, shard, ("status",)))


def problems(plan):
    """What is wrong with an output, one sentence each: damaged or foreign parts, missing or
    doubled images, maps that do not fit their rows. A part that is still to come is no problem.
    """
    found = []
    for shard in sorted(plan.done()):
        name = f"part {shard}"
        if shard >= plan.shards:
            found.append(f"{name}: belongs to no list of items")
            continue
        try:
            found += [f"{name}: {one}" for one in _of_part(
                parts.read(plan, shard), plan.items(shard))]
        except InputError as error:
            found.append(str(error))
    return found


def _of_part(rows, items):
    if [one.number for one in items] != list(dict.fromkeys(row["item"] for row in rows)):
        yield f"its rows are not those of the {len(items)} images of its list"
        return
    for row in rows:
        place = "row of image {}".format(row["item"])
        if set(row) != set(COLUMNS) or row["status"] not in STATUSES:
            yield f"{place}: no row of this version"
        elif row["status"] in ("ok", "empty"):
            for one in _of_map(row):
                yield f"{place}: {one}"
        elif not row["error"]:
            yield "{}: {} without a reason".format(place, row["status"])


def _of_map(row):
    try:
        cam = unpack(row)
    except (ValueError, TypeError):
        yield "the map does not have the shape {}".format(row["cam_shape"])
        return
    if not row["positive_mass"] >= 0 or not row["negative_mass"] >= 0:
        yield "a mass is negative"
    # Half precision, of values in [-1, 1]: half a unit in the last place is 2 ** -12 of it.
    tolerance = cam.size * row["cam_scale"] * 2.0 ** -11 + 1e-30
    mass = row["positive_mass"] - row["negative_mass"]
    if abs(float(cam.sum(dtype="float64")) - mass) > tolerance:
        yield "the map's sum is not the one of its masses"
    if row["status"] == "ok" and not cam.max() > 0:
        yield "ok, but nothing in the map is positive"
