"""The readers of VOC, COCO and ILSVRC: what they find, and what they say of data that is not so."""

import json

import protocol_sets
import pytest

from caffe_gradcam.measuring.protocols import coco, difficulty, ilsvrc, voc, xml_annotations
from caffe_gradcam.measuring.protocols.subjects import Box, Polygons, Runs
from prototxt_tools.errors import InputError

BOMB = ('<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
        "<annotation><object><name>&b;</name></object></annotation>")
SIZE = "<size><width>8</width><height>8</height></size>"
OBJECT = ("<object><name>cat</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>5</xmax>"
          "<ymax>5</ymax></bndbox></object>")


def refusal(call, *arguments):
    with pytest.raises(InputError) as caught:
        call(*arguments)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize("data", ["", "VOCdevkit", "VOCdevkit/VOC2007"])
def test_voc_is_found_in_its_own_folder_or_above_it(tmp_path, data):
    base = protocol_sets.make_voc(tmp_path)
    subjects = voc.read(str(tmp_path / data)).subjects
    assert len(subjects) == 10  # Of eleven pictures, of which one shows nothing.
    assert subjects[0].path == str(base / "JPEGImages" / "000001.jpg")
    assert (subjects[0].name, subjects[0].size) == ("000001", (48, 64))


def test_voc_counts_pixels_from_1_and_gathers_the_objects_of_a_class(tmp_path):
    protocol_sets.make_voc(tmp_path)
    first, second = voc.read(str(tmp_path)).subjects[1].targets
    assert first.shapes == (Box(0, 0, 29, 20), Box(40, 30, 63, 47))
    assert (first.class_index, second.class_index) == (2, 3)
    assert not first.is_skipped  # one of its objects is easy to see


def test_voc_skips_a_class_all_of_whose_objects_are_difficult(tmp_path):
    protocol_sets.make_voc(tmp_path)
    assert [target.is_skipped for target in voc.read(str(tmp_path)).subjects[3].targets] == [
        False, True]


def test_a_limit_takes_the_first_images(tmp_path):
    protocol_sets.make_voc(tmp_path)
    assert [subject.name for subject in voc.read(str(tmp_path), limit=2).subjects] == [
        "000001", "000002"]


def test_a_list_of_difficult_images_is_followed(tmp_path):
    protocol_sets.make_voc(tmp_path)
    path = tmp_path / "difficult.txt"
    path.write_text("000001\t" + "\t".join("1" + "0" * 19) + "\n")
    flags = difficulty.read(str(path), 20)
    subjects = voc.read(str(tmp_path), flags).subjects
    assert [target.is_difficult for target in subjects[0].targets] == [True, False]
    assert subjects[1].targets[0].is_difficult  # As in TorchRay, for an image it does not list.


@pytest.mark.parametrize("text, message", [
    ("", "lists no images"), ("000001 1 0\n", ":1: expected the name of an image and 20 flags"),
    ("000001 " + "2 " * 20, ":1: expected"),
])
def test_a_list_of_another_form_is_refused(tmp_path, text, message):
    (tmp_path / "list.txt").write_text(text)
    assert message in refusal(difficulty.read, str(tmp_path / "list.txt"), 20)


def test_coco_orders_classes_and_images_by_their_ids(tmp_path):
    protocol_sets.make_coco(tmp_path)
    data = coco.read(str(tmp_path))
    assert data.class_names[:3] == ("category 1", "category 2", "category 3")
    assert data.class_names[9] == "category 11"
    assert [subject.name[-2:] for subject in data.subjects] == [
        "10", "09", "08", "07", "06", "05", "04", "03", "02", "01"]
    targets = data.subjects[-1].targets
    assert [target.class_index for target in targets] == list(range(0, 80, 10))
    assert [type(shape) for shape in targets[0].shapes] == [Polygons, Runs]


def test_ilsvrc_takes_its_classes_from_the_list_of_synsets(tmp_path):
    base = protocol_sets.make_ilsvrc(tmp_path)
    data = ilsvrc.read(str(tmp_path))
    assert data.class_names[:2] == ("kind 0, other", "kind 1, other")
    assert data.subjects[1].targets[0].shapes == (Box(0, 0, 31, 23), Box(32, 24, 63, 47))
    assert data.subjects[1].targets[0].class_index == 1
    assert data.subjects[0].path == str(
        base / "Data/CLS-LOC/val" / "ILSVRC2012_val_00000001.JPEG")


def test_ilsvrc_follows_its_list_of_images_where_there_is_one(tmp_path):
    base = protocol_sets.make_ilsvrc(tmp_path)
    (base / "ImageSets/CLS-LOC").mkdir(parents=True)
    (base / "ImageSets/CLS-LOC/val.txt").write_text(
        "ILSVRC2012_val_00000004 1\nILSVRC2012_val_00000002 2\n")
    assert [subject.name[-1] for subject in ilsvrc.read(str(tmp_path)).subjects] == ["4", "2"]


@pytest.mark.parametrize("text, message", [
    ("", "not XML"), ("<annotation>", "not XML"), ("<html/>", "<html>, not <annotation>"),
    (BOMB, "has a document type"),
    ('<?xml version="1.0" encoding="utf-7"?><annotation/>', "height is missing"),
    ('<?xml version="1.0" encoding="zlib"?><annotation/>', "height is missing"),
    ("<annotation>" + "<a>" * 140000 + "</a>" * 140000 + "</annotation>", "height is missing"),
    ('<!DOCTYPE annotation SYSTEM "file:///etc/passwd"><annotation/>', "has a document type"),
    ("<annotation/>", "height is missing"),
    (f"<annotation>{SIZE.replace('8', '0')}</annotation>", "no image has 0x0 pixels"),
    (f"<annotation>{SIZE}<object/></annotation>", "object 1 has no name"),
    (f"<annotation>{SIZE}{OBJECT.replace('5', 'x')}</annotation>", "object 1: xmax must be a"),
    (f"<annotation>{SIZE}{OBJECT.replace('5', '0')}</annotation>", "ends before it begins"),
    (f"<annotation>{SIZE}{OBJECT.replace('5', '1e300')}</annotation>", "beyond any image"),
    (f"<annotation>{SIZE}{OBJECT.replace('1', '70').replace('5', '90')}</annotation>",
     "object 1: its box lies outside the image of 8x8 pixels"),
    (f"<annotation>{SIZE}{OBJECT.replace('1', '-9').replace('5', '-2')}</annotation>",
     "object 1: its box lies outside the image"),
])
def test_unusable_xml_is_explained_in_one_sentence(tmp_path, text, message):
    path = tmp_path / "a.xml"
    path.write_text(text)
    sentence = refusal(xml_annotations.read, str(path))
    assert message in sentence and sentence.startswith(str(path))


def test_xml_that_is_too_large_is_not_read(tmp_path):
    (tmp_path / "a.xml").write_text(f"<annotation>{SIZE}{' ' * (1 << 20)}</annotation>")
    assert "more than the 1048576 that are read" in refusal(
        xml_annotations.read, str(tmp_path / "a.xml"))


def test_a_class_that_voc_does_not_have_is_named(tmp_path):
    base = protocol_sets.make_voc(tmp_path)
    (base / "Annotations/000002.xml").write_text(f"<annotation>{SIZE}{OBJECT}</annotation>"
                                                 .replace("cat", "unicorn"))
    assert "000002.xml: 'unicorn' is not a class of VOC 2007" in refusal(voc.read, str(tmp_path))


def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path):
    base = protocol_sets.make_voc(tmp_path)
    (base / "ImageSets/Main/test.txt").write_text("000001\n../../secret\n")
    assert "test.txt:2: '../../secret' is not the plain name of a file" in refusal(
        voc.read, str(tmp_path))


@pytest.mark.parametrize("change, message", [
    (lambda document: document.pop("categories"), "categories must be a list"),
    (lambda document: document["images"][0].update(width="wide"),
     "an entry's width must be a whole number, not 'wide'"),
    (lambda document: document["images"][0].update(height=0), "no image has 0x64 pixels"),
    (lambda document: document["images"][0].update(file_name="../x.jpg"), "not the plain name"),
    (lambda document: document["images"][0].update(id=99), "images: the id 99 comes twice"),
    (lambda document: document["images"][0].update(
        file_name=document["images"][1]["file_name"]), "000000000002 twice"),
    (lambda document: document["categories"][1].update(
        id=document["categories"][0]["id"]), "categories: the id 88 comes twice"),
    (lambda document: document["annotations"][0].update(category_id=999), "no category 999"),
    (lambda document: document["annotations"][0].update(segmentation=[[1, 2]]), "must be outlines"),
    (lambda document: document["annotations"][0].update(segmentation=[[1e9, 2, 3, 4, 5, 6]]),
     "must be outlines"),
    (lambda document: document["annotations"][1].update(
        segmentation={"size": [48, 64], "counts": [5, 10 ** 9]}), "runs must be whole numbers"),
    (lambda document: document["annotations"][1].update(
        segmentation={"size": [48, 64], "counts": "0123"}), "runs must be whole numbers"),
])
def test_unusable_json_of_coco_is_explained_in_one_sentence(tmp_path, change, message):
    protocol_sets.make_coco(tmp_path)
    path = tmp_path / "annotations" / "instances_val2014.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    sentence = refusal(coco.read, str(tmp_path))
    assert message in sentence and sentence.startswith(str(path))


@pytest.mark.parametrize("text, message", [
    ("[" * 100000, "not a JSON file"),
    ("{", "not a JSON file"), ("[]", "must hold a JSON object, with images")])
def test_json_of_coco_that_is_broken_is_explained_in_one_sentence(tmp_path, text, message):
    protocol_sets.make_coco(tmp_path)
    path = tmp_path / "annotations" / "instances_val2014.json"
    path.write_text(text)
    sentence = refusal(coco.read, str(tmp_path))
    assert message in sentence and sentence.startswith(str(path))


def test_an_image_that_is_listed_twice_is_refused(tmp_path):
    base = protocol_sets.make_voc(tmp_path)
    (base / "ImageSets/Main/test.txt").write_text("000001\n000002\n000001\n")
    assert "test.txt: lists the image 000001 twice" in refusal(voc.read, str(tmp_path))


@pytest.mark.parametrize("reader, message", [
    (voc, "test.txt"), (coco, "instances_val2014.json"), (ilsvrc, "CLS-LOC/val")])
def test_a_folder_without_the_data_set_is_refused_with_what_was_expected(tmp_path, reader, message):
    sentence = refusal(reader.read, str(tmp_path))
    assert "not the folder of this data set: there is no" in sentence and message in sentence
    assert "there is no such folder" in refusal(reader.read, str(tmp_path / "nowhere"))


def test_a_missing_folder_of_images_or_list_of_synsets_is_named(tmp_path):
    base = protocol_sets.make_ilsvrc(tmp_path)
    (tmp_path / "LOC_synset_mapping.txt").unlink()
    assert "neither LOC_synset_mapping.txt nor synset_words.txt" in refusal(
        ilsvrc.read, str(tmp_path))
    (base / "Data").rename(tmp_path / "elsewhere")
    assert f"{base}/Data/CLS-LOC/val: there is no such folder" in refusal(
        ilsvrc.read, str(tmp_path))


def test_a_list_of_synsets_without_names_is_refused(tmp_path):
    protocol_sets.make_ilsvrc(tmp_path)
    (tmp_path / "LOC_synset_mapping.txt").write_text("\n".join(protocol_sets.SYNSETS))
    assert "must give WordNet's number and the class's name" in refusal(ilsvrc.read, str(tmp_path))


def test_a_missing_annotation_is_named(tmp_path):
    base = protocol_sets.make_voc(tmp_path)
    (base / "Annotations/000003.xml").unlink()
    assert "Annotations/000003.xml: no such file" in refusal(voc.read, str(tmp_path))
