"""The plan of an output folder: its manifest, and a list of items for every part."""

import hashlib
import itertools
import json
import re
import time
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Set, Tuple

from caffe_gradcam.batch.options import PART_SIZE
from caffe_gradcam.batch.output import checksums, lists, lock
from caffe_gradcam.batch.output.lease import Claim
from caffe_gradcam.batch.sources.item import Item
from caffe_gradcam.batch.storage import Folder
from prototxt_tools.errors import InputError, shortened
from prototxt_tools.files import parse_json

MANIFEST = "manifest.json"
FORMAT = 4
MOST_PARTS = 1 << 31
PARTS, OVERLAYS = "parts", "overlays"
_PART = re.compile(r"part-(\d+)\.(parquet|jsonl)$")
_MANIFEST_FIELDS = ("source", "limit", "items", "part_size", "part_sizes", "items_digest",
                    "part_format", "recipe", "rows_depend_on", "runs", "counts")


@dataclass(frozen=True)
class Content:
    """What an output is made of: fields of its manifest.

    Attributes
    ----------
    source : str
    recipe : dict
        ``Recipe.to_dict()``.
    rows_depend_on : dict
        Everything that rows depend on besides the items; JSON values.
    limit : int, optional
        Only so many items of the source.
    part_size : int, optional
        Items per part.
    model : dict
        What reports tell of the model besides: "class_names", and "origins", where each value of
        the preprocessing comes from. JSON values.
    """

    source: str
    recipe: Mapping[str, Any]
    rows_depend_on: Mapping[str, Any]
    limit: Optional[int] = None
    part_size: Optional[int] = None
    model: Mapping[str, Any] = field(default_factory=dict)


class Plan:
    """An output folder and its manifest.

    Attributes
    ----------
    folder : LocalFolder or UrlFolder
    manifest : dict
    claim : Claim
        Checked before a part is written.
    """

    def __init__(self, folder: Folder, manifest: Dict[str, Any]) -> None:
        self.folder = folder
        self.manifest = manifest
        self.claim = Claim(folder.path)

    @classmethod
    def open(cls, folder: Folder) -> "Plan":
        """The plan of an existing output; raises InputError where there is none."""
        if not folder.exists(MANIFEST):
            raise InputError(f"{folder.path}: not the output of a batch; there is no {MANIFEST}",
                             folder.path)
        data = folder.read(MANIFEST)
        try:
            manifest = parse_json(data.decode("utf-8"))
            missing = [name for name in _MANIFEST_FIELDS if name not in manifest]
            is_other = manifest.get("format") != FORMAT
        except (ValueError, AttributeError, TypeError):
            missing, is_other = ["JSON object"], True
        if missing or is_other:
            path = folder.locate(MANIFEST)
            detail = f": no {missing[0]}" if missing else ""
            raise InputError(f"{path}: not a manifest of this version of batch{detail}", path)
        if data != _manifest_bytes(manifest):
            path = folder.locate(MANIFEST)
            raise InputError(f"{path}: this manifest is damaged: its SHA-256 is not the one that "
                             "it holds; restore it, or start over with --no-resume", path)
        return cls(folder, manifest)

    @classmethod
    def make(cls, folder: Folder, items: Iterable[Item], content: Content,
             part_format: str = "parquet") -> "Plan":
        """Write the list of every part and, last of all, the manifest.

        Parameters
        ----------
        folder : LocalFolder or UrlFolder
        items : iterable of Item
        content : Content
        part_format : str
            "parquet" or "npz": how parts are written.
        """
        folder.make("", checksums.FOLDER, lists.FOLDER, PARTS)
        part_size = content.part_size or PART_SIZE
        written = lists.write(folder, itertools.islice(items, content.limit), part_size)
        if not written.sizes:
            raise InputError(f"{content.source}: there are no images in it", content.source)
        plan = cls(folder, {
            "format": FORMAT, "created": _now(), "source": content.source, "limit": content.limit,
            "items": sum(written.sizes), "items_digest": written.digest, "part_size": part_size,
            "part_sizes": written.sizes, "part_format": part_format,
            "recipe": content.recipe, "rows_depend_on": content.rows_depend_on,
            "model": content.model, "runs": [], "counts": None,
        })
        plan.save()
        return plan

    def save(self) -> None:
        """Write the manifest."""
        self.folder.write(MANIFEST, _manifest_bytes(self.manifest))

    def check(self, content: Content) -> None:
        """Raise an InputError where the output was started with something else."""
        fields = {"source": content.source, "limit": content.limit, **content.rows_depend_on}
        if content.part_size is not None:
            fields["part_size"] = content.part_size
        theirs = {**self.manifest["rows_depend_on"], **{
            name: self.manifest[name] for name in ("source", "limit", "part_size")}}
        for name, ours in fields.items():
            if ours != theirs.get(name):
                raise InputError(
                    f"{self.folder.path}: was started with {name.replace('_', ' ')} "
                    f"{_short(theirs.get(name))}, not {_short(ours)}; choose another output, or "
                    "--no-resume to start over", self.folder.path)

    def check_source(self, read_items: Callable[[], Iterable[Item]], add: bool) -> None:
        """Compare the source with the lists of items, and add what is new if that is asked for.

        The caller holds the manifest's lock.

        Parameters
        ----------
        read_items : callable
            Gives the source's items, as often as it is called.
        add : bool
            List new items in further parts; parts that exist stay as they are.

        Raises
        ------
        InputError
            The source lists other images, labels or questions than it did.
        """
        limit = self.manifest["limit"]

        def items() -> Iterator[Item]:
            return itertools.islice(iter(read_items()), limit)

        if lists.digest(items()) == self.manifest["items_digest"]:
            return
        difference = lists.difference(
            (item for part in range(self.parts) for item in self.items(part)), items())
        if difference.gone is not None or not add:
            raise self._changed(difference)
        written = lists.write(self.folder, difference.new, self.manifest["part_size"], self.parts,
                              self.manifest["items"])
        self.manifest.update(
            items=self.manifest["items"] + len(difference.new),
            items_digest=lists.sum_of(self.manifest["items_digest"], written.digest),
            part_sizes=self.manifest["part_sizes"] + written.sizes, counts=None)
        self.save()

    def _changed(self, difference: lists.Difference) -> InputError:
        source, path = self.manifest["source"], self.folder.path
        if difference.gone is None:
            return InputError(
                f"{source}: lists {len(difference.new)} images that it did not list when {path} "
                f"was started, such as {difference.new[0].path}; explain them too with --add, or "
                "choose another output", source)
        return InputError(
            f"{source}: no longer lists what it did when {path} was started, such as "
            f"{difference.gone.path} with its label and questions; restore it, choose another "
            "output, or start over with --no-resume", source)

    @property
    def parts(self) -> int:
        """The number of parts, finished or not."""
        return len(self.manifest["part_sizes"])

    def items(self, part: int) -> List[Item]:
        """The items of a part, in order."""
        return lists.read(self.folder, part)

    def size(self, part: int) -> int:
        """How many items a part has."""
        size: int = self.manifest["part_sizes"][part]
        return size

    def done(self) -> Set[int]:
        """The numbers of the parts that are finished."""
        written = checksums.names(self.folder).intersection(self.folder.names(PARTS))
        matches = map(_PART.match, written)
        return {int(match.group(1)) for match in matches if match}

    def is_done(self, part: int) -> bool:
        """Whether a part is finished."""
        return part in self.done()

    def parts_of(self, worker: Optional[Tuple[int, int]] = None) -> range:
        """The numbers of a worker's parts, the i-th of n from 1; without one, all."""
        index, count = worker or (1, 1)
        return range(self.parts * (index - 1) // count, self.parts * index // count)

    def add_run(self, run: Mapping[str, Any], counts: Optional[Mapping[str, int]]) -> None:
        """Record in the manifest what a run did and, if known, what all parts hold."""
        with lock.manifest(self.folder) as claim:
            self.manifest = Plan.open(self.folder).manifest
            self.manifest["runs"].append(run)
            self.manifest["counts"] = counts or self.manifest["counts"]
            claim.check()
            self.save()


def _manifest_bytes(manifest: Mapping[str, Any]) -> bytes:
    """A manifest as its file holds it, with the SHA-256 of the rest as its last field."""
    rest = {name: value for name, value in manifest.items() if name != "sha256"}
    digest = hashlib.sha256(json.dumps(rest).encode("ascii")).hexdigest()
    return (json.dumps(dict(rest, sha256=digest), indent=1) + "\n").encode("ascii")


def part_name(part: int, extension: str) -> str:
    """``parts/part-000012.parquet``."""
    return f"{PARTS}/part-{part:06d}.{extension}"


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _short(value: Any) -> str:
    return shortened(value if isinstance(value, str) else json.dumps(value))
