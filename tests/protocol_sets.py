"""Made-up data sets in the formats of VOC, COCO and ILSVRC, of ten small pictures each."""

import json

import cv2
import numpy as np

from caffe_gradcam.measuring.protocols import voc

COUNT = 10
WIDTH, HEIGHT = 64, 48
SYNSETS = [f"n{number:08d}" for number in range(1, 21)]


def picture(path, index):
    """A noisy picture, of which a quarter is bright in one colour."""
    pixels = np.random.RandomState(index).randint(0, 60, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    y, x = index % 2 * HEIGHT // 2, index // 2 % 2 * WIDTH // 2
    pixels[y:y + HEIGHT // 2, x:x + WIDTH // 2, index % 3] = 230
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels)


def xml(name, objects):
    """An annotation; objects are (class, xmin, ymin, xmax, ymax, difficult)."""
    marked = "".join(
        "<object><name>{}</name><difficult>{}</difficult><bndbox><xmin>{}</xmin><ymin>{}</ymin>"
        "<xmax>{}</xmax><ymax>{}</ymax></bndbox></object>".format(
            kind, difficult, *edges) for kind, *edges, difficult in objects)
    return (f"<annotation><filename>{name}.jpg</filename><size><width>{WIDTH}</width>"
            f"<height>{HEIGHT}</height><depth>3</depth></size>{marked}</annotation>")


def voc_objects(index):
    """Each picture has two classes: one with two objects, and a small one."""
    first, second = voc.CLASSES[2 * index], voc.CLASSES[2 * index + 1]
    objects = [(first, 1, 1, 30, 20 + index, 0), (first, 41, 31, 64, 48, index % 2),
               (second, 5 * index + 1, 40, 5 * index + 10, 47, 0)]
    if index == 3:  # All objects of its second class are hard to see.
        objects[2] = objects[2][:5] + (1,)
    if index == 9:  # That class again, so that each class counts somewhere.
        objects.append((voc.CLASSES[7], 20, 20, 24, 23, 0))
    return objects


def make_voc(root):
    """VOC 2007's test images in ``root/VOCdevkit/VOC2007``; the last picture shows nothing."""
    base = root / "VOCdevkit" / "VOC2007"
    for folder in ("Annotations", "ImageSets/Main", "JPEGImages"):
        (base / folder).mkdir(parents=True)
    names = [f"{index + 1:06d}" for index in range(COUNT + 1)]
    for index, name in enumerate(names):
        picture(base / "JPEGImages" / (name + ".jpg"), index)
        objects = voc_objects(index) if index < COUNT else []
        (base / "Annotations" / (name + ".xml")).write_text(xml(name, objects))
    (base / "ImageSets" / "Main" / "test.txt").write_text("\n".join(names) + "\n")
    return base


def make_coco(root, categories=80):
    """COCO 2014's validation images, of which each shows eight categories."""
    ids = [number + number // 10 for number in range(1, categories + 1)]  # with gaps, as COCO's
    images, annotations = [], []
    for index in range(COUNT + 1):  # The last one shows nothing.
        name = f"COCO_val2014_{index + 1:012d}.jpg"
        picture(root / "val2014" / name, index)
        images.append({"id": 100 - index, "file_name": name, "width": WIDTH, "height": HEIGHT})
    for index in range(categories):
        image = images[index % COUNT]["id"]
        x, y = index % 8 * 7, index // 8 * 4
        outlines = [[x, y, x + 6.5, y + 0.5, x + 6, y + 3, x, y + 4]]
        if index % 3 == 0:  # in two parts
            outlines.append([x + 8, 40, x + 9.5, 40, x + 9, 44])
        annotations.append({"id": index, "image_id": image, "category_id": ids[index],
                            "iscrowd": 0, "segmentation": outlines})
        if index % 5 == 0:
            start, inside = HEIGHT * (60 - index // 2), 5 + index
            annotations.append({
                "id": 1000 + index, "image_id": image, "category_id": ids[index], "iscrowd": 1,
                "segmentation": {"size": [HEIGHT, WIDTH], "counts": [
                    start, inside, WIDTH * HEIGHT - start - inside]}})
    document = {"images": images, "annotations": annotations, "categories": [
        {"id": number, "name": f"category {number}"} for number in reversed(ids)]}
    (root / "annotations").mkdir()
    (root / "annotations" / "instances_val2014.json").write_text(json.dumps(document))
    return root


def ilsvrc_objects(index):
    objects = [(SYNSETS[index], 0, 0, 31, 23, 0)]
    return objects + [(SYNSETS[index], 32, 24, 63, 47, 0)] * (index % 2)


def make_ilsvrc(root):
    """ILSVRC 2012's validation images of twenty classes in ``root/ILSVRC``."""
    base = root / "ILSVRC"
    (base / "Annotations/CLS-LOC/val").mkdir(parents=True)
    for index in range(COUNT):
        name = f"ILSVRC2012_val_{index + 1:08d}"
        picture(base / "Data/CLS-LOC/val" / (name + ".JPEG"), index)
        (base / "Annotations/CLS-LOC/val" / (name + ".xml")).write_text(
            xml(name, ilsvrc_objects(index)))
    (root / "LOC_synset_mapping.txt").write_text(
        "".join(f"{synset} kind {number}, other\n" for number, synset in enumerate(SYNSETS)))
    return base
