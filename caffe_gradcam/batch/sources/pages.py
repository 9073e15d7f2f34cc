"""Image files of several pages: TIFFs, and animated GIFs, whose frames are pages here."""

import dataclasses
import logging
from typing import Iterator

from caffe_gradcam.batch.sources.item import Item
from caffe_gradcam.model import page_sizes

_logger = logging.getLogger(__name__)


def items(item: Item) -> Iterator[Item]:
    """An item for each page of an image file; the item itself where there is only one.

    Pages are counted by the file's own table of contents, without decoding them. A file that
    cannot be read is one item; reading it raises the error.
    """
    count = len(page_sizes.declared(item.path))
    if count < 2:
        yield item
        return
    _logger.warning("%s: has %d pages; each is an image of its own", item.path, count)
    for page in range(count):
        yield dataclasses.replace(
            item, id=f"{item.id}/page-{page + 1}", path=f"{item.path}/page-{page + 1}",
            archive=item.path, position=("page", page))
