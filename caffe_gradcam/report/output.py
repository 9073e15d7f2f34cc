"""From the output of a batch, of any version and in whatever state, to the entries of a report."""

import itertools
import os
import re
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, Iterable, Iterator, List, Optional, Tuple

import numpy as np

from caffe_gradcam import __version__
from caffe_gradcam.batch.output import checksums, lists, parts, rows
from caffe_gradcam.batch.output.plan import MANIFEST, PARTS, Plan, part_name
from caffe_gradcam.batch.output.rows import COLUMNS, STATUSES, Row
from caffe_gradcam.batch.sources.item import Item
from caffe_gradcam.batch.sources.reading import decode, fetch
from caffe_gradcam.batch.storage import TEMPORARY, open_folder
from caffe_gradcam.explaining.explanation import Explanation
from caffe_gradcam.model.arrays import Image
from caffe_gradcam.report import lenient, map_rows, thumbnails
from caffe_gradcam.report.entries import ImageEntry, MapEntry, Report
from caffe_gradcam.report.manifest_sections import sections
from caffe_gradcam.report.objects import Objects, ObjectsOfImages
from caffe_gradcam.report.summary import Summary
from prototxt_tools.errors import ImageError, InputError, QuestionError
from prototxt_tools.files import parse_json

_PART = re.compile(r"part-(\d{1,9})\.(parquet|jsonl)$")
_MAP_COLUMNS = ("cam",)

# The kind of each problem, and a sentence.
_Problems = List[Tuple[str, str]]


class Output:
    """The output of a batch.

    What this version does not understand, and what is missing or damaged, is left out and
    described in :attr:`problems`.

    Parameters
    ----------
    path : str
        A folder or a URL.
    boxes, masks : str, optional
        A file of the objects' boxes, or of their masks: see :class:`ObjectsOfImages`.

    Attributes
    ----------
    manifest : dict
        Empty where it cannot be read.

    Raises
    ------
    InputError
        There is neither a manifest nor a part; or the file of boxes or masks cannot be
        read.
    """

    def __init__(self, path: str, boxes: Optional[str] = None,
                 masks: Optional[str] = None) -> None:
        self._folder = open_folder(path)
        self._sentences: List[str] = []
        self._counted: "Counter[str]" = Counter()
        self._reading = threading.Lock()
        self._is_current, self.manifest = self._read_manifest()
        self._plan = Plan(self._folder, self.manifest)
        self._parts = self._find_parts()
        if not self.manifest and not self._parts:
            raise InputError(f"{path}: not the output of a batch; there is no {MANIFEST}, and "
                             "there are no parts", path)
        self.class_names = self._read_class_names()
        self._objects = ObjectsOfImages(boxes, masks, self._find_class)

    @property
    def path(self) -> str:
        """The folder or URL."""
        return self._folder.path

    @property
    def problems(self) -> List[str]:
        """What is missing, damaged or not understood, one sentence each; of what was read."""
        return self._sentences + [
            sentence if count == 1 else f"{sentence} (and {count - 1} more like this)"
            for sentence, count in self._grouped()]

    def entries(self, side: Optional[int] = None) -> Iterator[ImageEntry]:
        """The images in order, with their names and numbers.

        Parameters
        ----------
        side : int, optional
            With maps, and with pictures whose longer side is at most this many pixels.

        Raises
        ------
        QuestionError
            With maps, of an output about clips.
        """
        if side is not None:
            self._refuse_clips()
        self._counted.clear()
        for number, extension in self._parts:
            try:
                part_rows = self._rows(number, extension, with_maps=side is not None)
            except InputError as error:
                self._count("", f"{error}; its images are not in this report")
                continue
            yield from self._of_part(number, part_rows, side)

    def explanations(self, numbers: Optional[Iterable[int]] = None
                     ) -> Iterator[Tuple[ImageEntry, Explanation]]:
        """Each map that can be read, at full size, and its image without a picture; of all images,
        or of those with these numbers; raises a QuestionError for an output about clips."""
        self._refuse_clips()
        wanted = None if numbers is None else set(numbers)
        self._counted.clear()
        for number, extension in self._parts:
            try:
                part_rows = self._rows(number, extension, with_maps=True)
            except InputError as error:
                self._count("", f"{error}; its maps are left out")
                continue
            for row in part_rows:
                if row.get("question") is None or (
                        wanted is not None and row.get("item") not in wanted):
                    continue
                try:
                    explanation = map_rows.explanation_of(row)
                except InputError as error:
                    self._count("map", f"{error} and is left out")
                    continue
                yield self._entry([row]), explanation

    def _refuse_clips(self) -> None:
        depends = lenient.mapping(self.manifest, "rows_depend_on")
        if lenient.mapping(depends, "clips"):
            raise QuestionError(
                f"{self.path}: holds maps of clips, which `caffe-gradcam render` draws as "
                "filmstrips; of the reports there is only the table, --csv", self.path)

    def images(self, numbers: Iterable[int]) -> Iterator[Tuple[int, Image, str]]:
        """Some images at full size, as an Explainer takes them, each with its number before it and
        the input blob of its maps after it; images that are gone or have changed are left out."""
        wanted = set(numbers)
        for number, extension in self._parts:
            try:
                part_rows = self._rows(number, extension, with_maps=False)
            except InputError:
                continue  # Its images are no entries either.
            items = self._items(number)
            for row in {row.get("item"): row for row in part_rows}.values():
                if row.get("item") in wanted:
                    item = items.get(row["item"]) or Item.of(lenient.text(row.get("path")))
                    try:
                        image = self._whole_image(item, row)
                        yield row["item"], image, lenient.text(row.get("input"))
                    except InputError as error:
                        self._count("image", f"{error}; it was not asked about again")

    def report(self, summary: Summary, title: Optional[str] = None) -> Report:
        """What there is to say besides the images, of what was read until now."""
        model = lenient.mapping(self.manifest, "rows_depend_on").get("model") or "the net"
        made_from = [os.path.basename(os.path.normpath(self.path)), self.manifest.get("created"),
                     f"report of caffe-gradcam {__version__}"]
        return Report(title or f"What {model} looked at",
                      " · ".join(str(text) for text in made_from if text), summary,
                      self.class_names, sections(self.manifest), self.problems)

    def files(self) -> Iterator[Tuple[str, bytes]]:
        """The name and the bytes of the manifest, the lists, the parts and their checksums."""
        if self._folder.exists(MANIFEST):
            yield MANIFEST, self._folder.read(MANIFEST)
        for folder in (checksums.FOLDER, lists.FOLDER, PARTS):
            for name in self._folder.names(folder):
                if not name.startswith(TEMPORARY):
                    yield f"{folder}/{name}", self._folder.read(f"{folder}/{name}")

    def has(self, name: str) -> bool:
        """Whether there is a file of this name beside the batch's own."""
        return self._folder.exists(name)

    def read(self, name: str) -> bytes:
        """Such a file; raises InputError where it cannot be read."""
        return self._folder.read(name)

    def write(self, name: str, data: bytes) -> None:
        """Write a file of a report beside the batch's own."""
        self._folder.write(name, data)

    def size(self) -> int:
        """About how many images :meth:`entries` gives."""
        sizes = self.manifest.get("part_sizes")
        if isinstance(sizes, list) and all(isinstance(size, int) for size in sizes):
            return sum(sizes[number] for number, _ in self._parts if number < len(sizes))
        return sum(1 for _ in self.entries())

    def _read_manifest(self) -> Tuple[bool, Dict[str, Any]]:
        """Whether it is one of this version, and what it holds."""
        try:
            return True, Plan.open(self._folder).manifest
        except InputError as error:
            self._sentences.append(f"{error}; this report shows what can be read")
        try:
            manifest = parse_json(self._folder.read(MANIFEST).decode("utf-8"))
        except (InputError, ValueError):
            return False, {}
        return False, manifest if isinstance(manifest, dict) else {}

    def _find_parts(self) -> List[Tuple[int, str]]:
        """The number and the extension of each part, in order."""
        names = set(self._folder.names(PARTS))
        if self._is_current:
            finished = names & checksums.names(self._folder)
            planned, done = self._plan.parts, len(self._plan.done())
            if done < planned:
                self._sentences.append(
                    f"{planned - done} of {planned} parts are not finished; their images are not "
                    "in this report")
            names = finished
        matches = [match for match in map(_PART.match, sorted(names)) if match]
        return sorted({int(match.group(1)): match.group(2) for match in matches}.items())

    def _rows(self, number: int, extension: str, with_maps: bool) -> List[Row]:
        """The rows of a part; raises InputError."""
        columns = [name for name in COLUMNS if with_maps or name not in _MAP_COLUMNS]
        if self._is_current:
            return parts.read(self._plan, number, columns)
        data = self._folder.read(part_name(number, extension))
        name = part_name(number, extension)
        try:
            return lenient.parquet_rows(data, columns) if extension == "parquet" else [
                row for row in map(parse_json, data.decode("utf-8").splitlines())
                if isinstance(row, dict)]
        except Exception as error:  # whatever pyarrow raises for another program's file
            raise InputError(f"{name}: this part cannot be read ({type(error).__name__})",
                             name) from None

    def _of_part(self, number: int, part_rows: List[Row], side: Optional[int]
                 ) -> Iterator[ImageEntry]:
        groups = [(number, list(group)) for number, group in itertools.groupby(
            part_rows, key=lambda row: row.get("item"))]
        if side is None:
            yield from (self._entry(group) for _, group in groups)
            return
        items = self._items(number)

        def with_picture(group: Tuple[Any, List[Row]]) -> Tuple[ImageEntry, _Problems]:
            problems: _Problems = []
            entry = self._with_picture(group[1], items.get(group[0]), side or 0, problems)
            return entry, problems

        with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
            for entry, problems in threads.map(with_picture, groups):
                for problem in problems:
                    self._count(*problem)
                yield entry

    def _items(self, number: int) -> Dict[Any, Item]:
        """The items of a part by number; none where the list cannot be read."""
        try:
            return {item.number: item for item in self._plan.items(number)}
        except InputError as error:
            self._count("", f"{error}; images are looked for at the paths in the rows")
            return {}

    def _entry(self, group: List[Row], **fields: Any) -> ImageEntry:
        row = group[0]
        statuses = [str(other.get("status")) for other in group]
        fields.setdefault("maps", [map_rows.without_heat(other) for other in group
                                   if other.get("question") is not None])
        return ImageEntry(
            lenient.index(row.get("item")) or 0, lenient.text(row.get("id")),
            lenient.text(row.get("path")),
            next((status for status in STATUSES if status in statuses), statuses[0]),
            lenient.text_or_none(row.get("sha256")), lenient.text_or_none(row.get("error")),
            lenient.text_or_none(row.get("note")), lenient.index(row.get("true_label")),
            lenient.index(row.get("predicted")), lenient.image_size(row), **fields)

    def _with_picture(self, group: List[Row], item: Optional[Item], side: int,
                      problems: "_Problems") -> ImageEntry:
        row = group[0]
        path = lenient.text(row.get("path"))
        objects: Dict[int, Objects] = {}
        try:
            objects = self._objects.of(path, lenient.image_size(row))
        except InputError as error:
            problems.append(("objects", f"{error}; its objects are not shown"))
        fields: Dict[str, Any] = {
            "boxes": [box for several in objects.values() for box in several.boxes]}
        fields["maps"] = [_map_of(other, objects, problems) for other in group
                          if other.get("question") is not None]
        try:
            image = self._image(item or Item.of(path), row)
            fields["picture"] = thumbnails.to_jpeg(image, side)
        except InputError as error:
            fields["missing"] = str(error)
            if row.get("status") not in rows.BAD:
                problems.append(("image", f"{error}; its picture is not shown"))
        return self._entry(group, **fields)

    def _whole_image(self, item: Item, row: Row) -> Image:
        """The image, or one for each input; raises InputError where it is gone or changed."""
        with self._reading:  # LMDB opens a file once in a process.
            fetched = fetch(item)
        sha256 = row.get("sha256")
        if sha256 is not None and fetched.sha256 != sha256:
            raise ImageError(f"{item.path}: has changed since it was explained", item.path)
        return decode(item, fetched)

    def _image(self, item: Item, row: Row) -> np.ndarray:
        """The image that the rows are about; raises InputError where it is gone or changed."""
        image = self._whole_image(item, row)
        if isinstance(image, dict):
            image = image.get(lenient.text(row.get("input"))) or next(iter(image.values()))
        size = lenient.image_size(row)
        if size is not None and image.shape[:2] != size:
            raise ImageError(f"{item.path}: is {image.shape[0]}x{image.shape[1]}, and was "
                             f"{size[0]}x{size[1]} when it was explained", item.path)
        return image

    def _read_class_names(self) -> Dict[int, str]:
        names = lenient.mapping(self.manifest, "model").get("class_names")
        by_index = {index: str(name) for index, name in enumerate(names)} \
            if isinstance(names, list) else {}
        if by_index or not self._parts:
            return by_index
        for entry in self.entries():
            by_index.update((shown.class_index, shown.class_name) for shown in entry.maps
                            if shown.class_index is not None and shown.class_name)
        return by_index

    def _find_class(self, text: str) -> int:
        if re.match(r"\d{1,9}$", text):
            return int(text)
        for index, name in self.class_names.items():
            if text in (name, *name.split(", ")):
                return index
        raise QuestionError(f"no class is called {text!r}", text)

    def _count(self, kind: str, sentence: str) -> None:
        """Remember a problem; of those of one kind, the first is told, and the number."""
        self._counted[kind + "\0" + sentence] += 1

    def _grouped(self) -> Iterator[Tuple[str, int]]:
        totals: "Counter[str]" = Counter()
        first: Dict[str, str] = {}
        for key, count in self._counted.items():
            kind, _, sentence = key.partition("\0")
            group = kind or sentence
            totals[group] += count
            first.setdefault(group, sentence)
        return ((first[group], count) for group, count in totals.items())


def _map_of(row: Row, objects: Dict[int, Objects], problems: _Problems) -> MapEntry:
    try:
        return map_rows.with_heat(row, objects)
    except InputError as error:
        problems.append(("map", f"{error} and is not shown"))
        return map_rows.without_heat(row)
