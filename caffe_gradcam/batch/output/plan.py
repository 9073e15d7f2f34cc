"""What an output folder is made of: the manifest, and a list of items for every part."""

import itertools
import json
import re
import time

from caffe_gradcam.batch.sources import item as items_
from caffe_gradcam.batch.output import lock
from prototxt_tools.errors import InputError

MANIFEST = "manifest.json"
FORMAT = 1
SHARD_SIZE = 1000
ITEMS, PARTS, OVERLAYS = "items", "parts", "overlays"
_PART = re.compile(r"part-(\d+)\.(parquet|jsonl)$")
_MANIFEST_FIELDS = ("items", "shard_size", "shards", "recipe", "source", "limit", "rows")


class Plan:
    """An output folder and its manifest.

    Attributes
    ----------
    folder : LocalFolder or UrlFolder
    manifest : dict
    """

    def __init__(self, folder, manifest):
        self.folder = folder
        self.manifest = manifest

    @classmethod
    def open(cls, folder):
        """The plan of an output that there is; raises InputError where there is none."""
        if not folder.exists(MANIFEST):
            raise InputError(f"{folder.path}: no batch's output; it has no {MANIFEST}")
        try:
            manifest = json.loads(folder.read(MANIFEST).decode("utf-8"))
            missing = [name for name in _MANIFEST_FIELDS if name not in manifest]
        except ValueError:
            missing = ["JSON"]
        if missing or manifest.get("format") != FORMAT:
            raise InputError("{}: not a manifest of this version of batch{}".format(
                folder.place(MANIFEST), ": no " + missing[0] if missing else ""))
        return cls(folder, manifest)

    @classmethod
    def make(cls, folder, items, source, recipe, shard_size=SHARD_SIZE, limit=None, rows="parquet"):
        """Write the list of every shard and, last of all, the manifest.

        Parameters
        ----------
        folder : LocalFolder or UrlFolder
        items : iterable of Item
        source : str
        recipe : dict
            All that rows depend on but the items; JSON values.
        shard_size : int
            Items of a part.
        limit : int, optional
            Take the first so many items alone.
        rows : str
            "parquet" or "npz": how parts are written.
        """
        folder.make("", ITEMS, PARTS)
        count = shards = 0
        items = itertools.islice(items, limit)
        while True:
            shard = [one._replace(number=count + index)
                     for index, one in enumerate(itertools.islice(items, shard_size))]
            if not shard:
                break
            folder.write(_items_name(shards), items_.dump(shard))
            count, shards = count + len(shard), shards + 1
        if not count:
            raise InputError(f"{source}: holds no images")
        plan = cls(folder, {
            "format": FORMAT, "created": _now(), "source": source, "limit": limit,
            "items": count, "shard_size": shard_size, "shards": shards, "rows": rows,
            "recipe": recipe, "runs": [], "counts": None,
        })
        plan.save()
        return plan

    def save(self):
        self.folder.write(MANIFEST, (json.dumps(self.manifest, indent=1) + "\n").encode("utf-8"))

    def check(self, **wanted):
        """Raise an InputError where the output was begun with something else.

        Parameters
        ----------
        **wanted
            Fields of the manifest and the values that this run would write.
        """
        for field, value in wanted.items():
            for name, ours, theirs in _pairs(field, value, self.manifest[field]):
                if ours != theirs:
                    raise InputError(
                        f"{self.folder.path}: was begun with {name} {_short(theirs)}, not {_short(ours)}; take another output, or --no-resume "
                        "to start anew")

    @property
    def shards(self):
        return self.manifest["shards"]

    def items(self, shard):
        """The items of a shard, in order."""
        name = _items_name(shard)
        return items_.load(self.folder.read(name), self.folder.place(name))

    def size(self, shard):
        """How many items a shard has."""
        size = self.manifest["shard_size"]
        return min(size, self.manifest["items"] - shard * size)

    def done(self):
        """The set of shards whose part is finished."""
        matches = map(_PART.match, self.folder.names(PARTS))
        return {int(match.group(1)) for match in matches if match}

    def is_done(self, shard):
        """Whether a shard's part is finished."""
        last = "parquet" if self.manifest["rows"] == "parquet" else "jsonl"
        return self.folder.exists(part_name(shard, last))

    def span(self, share=None):
        """The first shard of a share and the one after its last.

        Parameters
        ----------
        share : (int, int), optional
            The i-th of N, from 1; all without.
        """
        index, count = share or (1, 1)
        return self.shards * (index - 1) // count, self.shards * index // count

    def add_run(self, run, counts):
        """Note in the manifest what a run did, and what all parts hold if that is known."""
        with lock.manifest(self.folder):
            self.manifest = Plan.open(self.folder).manifest
            self.manifest["runs"].append(run)
            self.manifest["counts"] = counts or self.manifest["counts"]
            self.save()


def _items_name(shard):
    return f"{ITEMS}/items-{shard:06d}.jsonl"


def part_name(shard, extension):
    """``parts/part-000012.parquet``."""
    return f"{PARTS}/part-{shard:06d}.{extension}"


def _now():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _pairs(name, ours, theirs):
    if not isinstance(ours, dict):
        return [(name.replace("_", " "), ours, theirs)]
    return [(key.replace("_", " "), ours[key], theirs.get(key)) for key in sorted(ours)]


def _short(value):
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
