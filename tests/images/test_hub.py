"""Hugging Face datasets as people save and publish them."""

import io
import logging
import sys

import datasets
import pytest
from PIL import Image

from wordsight.errors import LabelError
from wordsight.features.extraction import extract_stored
from wordsight.images.files import read_image
from wordsight.images.labelled import read_labelled


@pytest.fixture(autouse=True)
def _quiet(cache):
    """A cache of its own, and no bars."""
    datasets.disable_progress_bars()


def image(colour, kind="PNG"):
    written = io.BytesIO()
    Image.new("RGB", (4, 4), colour).save(written, kind)
    return written.getvalue()


RED, BLUE, PHOTO = image("red"), image("blue"), image("green", "JPEG")


def embedded(*contents):
    return [None if content is None else {"bytes": content, "path": None} for content in contents]


def dataset(images, *, label=None, **columns):
    """A dataset with the columns image and label (cat and dog in turn), of given types where a pair (values, type) comes."""
    label = label or ([i % 2 for i in range(len(images))], datasets.ClassLabel(names=["cat", "dog"]))
    given = {"image": (images, datasets.Image()), "label": label, **columns}
    return datasets.Dataset.from_dict(
        {name: values for name, (values, _) in given.items()},
        features=datasets.Features({name: kind for name, (_, kind) in given.items()}),
    )


STRING = datasets.Value("string")


def published(monkeypatch, **parts):
    """A dataset on the Hub; returns what load_dataset is called with."""
    calls = []

    def load_dataset(*given, **options):
        calls.append((given, options))
        return datasets.DatasetDict(parts)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return calls


def test_a_dataset_on_disk(tmp_path, cache):
    dataset(embedded(RED, PHOTO)).save_to_disk(tmp_path / "saved")
    found = read_labelled(tmp_path / "saved")
    assert (found.labels, found.groups, found.splits) == (["cat", "dog"], None, None)
    assert [path.name for path in found.paths] == ["image-000000.png", "image-000001.jpg"]
    assert {path.parent.parent for path in found.paths} == {cache / "datasets"}
    assert [path.read_bytes() for path in found.paths] == [RED, PHOTO]  # as they were, not encoded again
    assert read_image(found.paths[0]).getpixel((0, 0)) == (255, 0, 0)
    with pytest.raises(LabelError, match=r"There is no split 'train'; the data has: none\."):
        read_labelled(tmp_path / "saved", split="train")


def test_the_images_of_a_dataset_are_written_once_and_mended(tmp_path):
    dataset(embedded(RED, BLUE)).save_to_disk(tmp_path / "saved")
    first = read_labelled(tmp_path / "saved").paths
    written = first[1].stat().st_mtime_ns
    first[0].write_bytes(RED[:10])
    assert read_labelled(tmp_path / "saved").paths == first
    assert first[0].read_bytes() == RED
    assert first[1].stat().st_mtime_ns == written
    assert sorted(first[0].parent.iterdir()) == first  # no half-written file beside them
    dataset(embedded(BLUE, RED)).save_to_disk(tmp_path / "other")
    other = read_labelled(tmp_path / "other").paths
    assert other[0] not in first
    assert other[0].read_bytes() == BLUE


def test_parts_are_splits_and_only_the_one_asked_for_is_written(tmp_path, cache):
    parts = {"train": dataset(embedded(RED, BLUE)), "validation": dataset(embedded(PHOTO)), "odd one": dataset(embedded(RED))}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "saved")
    found = read_labelled(tmp_path / "saved", split="val")
    assert (found.labels, found.splits) == (["cat"], ["val"])
    assert [path.name for path in (cache / "datasets").rglob("*.*")] == ["validation-000000.jpg"]
    found = read_labelled(tmp_path / "saved")
    assert found.splits == ["train", "train", "val", "odd one"]
    assert [path.name for path in found.paths[1:]] == ["train-000001.png", "validation-000000.jpg", "odd_one-000000.png"]
    with pytest.raises(LabelError, match="There is no split 'test'; the data has: odd one, train, val"):
        read_labelled(tmp_path / "saved", split="test")
    assert read_labelled(tmp_path / "saved" / "train").splits is None


def test_one_part_alone_is_a_split_only_if_asked_for(tmp_path):
    datasets.DatasetDict({"train": dataset(embedded(RED, BLUE))}).save_to_disk(tmp_path / "saved")
    assert read_labelled(tmp_path / "saved").splits is None
    assert read_labelled(tmp_path / "saved", split="train").splits == ["train", "train"]


def test_string_and_number_labels_and_groups(tmp_path):
    where = (["1", "0"], datasets.ClassLabel(names=["land", "water"]))
    dataset(embedded(RED, BLUE), label=(["a bird", "NA"], STRING), group=where).save_to_disk(tmp_path / "saved")
    found = read_labelled(tmp_path / "saved")
    assert (found.labels, found.groups) == (["a bird", "NA"], ["water", "land"])
    numbers = ([7, 8], datasets.Value("int64"))
    dataset(embedded(RED, BLUE), label=numbers, group=numbers).save_to_disk(tmp_path / "numbers")
    found = read_labelled(tmp_path / "numbers")
    assert (found.labels, found.groups) == (["7", "8"], ["7", "8"])


def test_the_only_class_label_is_the_label_and_a_format_does_not_matter(tmp_path):
    where = ([1, 1], datasets.ClassLabel(names=["land", "water"]))
    made = dataset(embedded(RED, BLUE), group=where).rename_columns({"label": "species", "image": "photograph"})
    made.with_format("numpy", columns=["species"]).save_to_disk(tmp_path / "saved")
    found = read_labelled(tmp_path / "saved")
    assert (found.labels, found.groups) == (["cat", "dog"], ["water", "water"])
    assert len(found.paths) == 2


def test_by_name_files_stay_where_they_are(tmp_path, cache, monkeypatch):
    (tmp_path / "a.png").write_bytes(RED)
    calls = published(
        monkeypatch, train=dataset([str(tmp_path / "a.png"), str(tmp_path / "gone.png")]), test=dataset(embedded(BLUE))
    )
    found = read_labelled("hf:someone/birds")
    assert found.paths[:2] == [tmp_path / "a.png", tmp_path / "gone.png"]
    assert found.splits == ["train", "train", "test"]
    assert [path.name for path in (cache / "datasets").rglob("*.*")] == ["test-000000.png"]
    read_labelled("hf:someone/birds:small")
    assert [given for given, _ in calls] == [("someone/birds", None), ("someone/birds", "small")]
    assert all(options == {"trust_remote_code": False} for _, options in calls)


def test_rows_without_an_image_are_named_and_the_rest_goes_on(tmp_path):
    from doubles import tiny_classifier

    rows = [*embedded(RED, None, b"no image"), {"bytes": None, "path": str(tmp_path / "gone.png")}]
    made = datasets.Dataset.from_dict({"image": rows, "label": ["a"] * 4})
    made = made.cast(datasets.Features({"image": datasets.Image(), "label": STRING}))
    with pytest.MonkeyPatch.context() as patch:
        published(patch, train=made)
        found = read_labelled("hf:someone/birds")
    assert [path.name for path in found.paths] == ["train-000000.png", "train-000001.no-image", "train-000002", "gone.png"]
    extracted = extract_stored(tiny_classifier(), found.paths, tmp_path / "features")
    assert extracted.readable == [0]
    reasons = ["train-000001.no-image' is empty (0 bytes)", "train-000002' is not an image", "gone.png' does not exist"]
    assert [reason in extracted.failures[i] for i, reason in enumerate(reasons, start=1)] == [True] * 3


def test_a_part_without_any_label_is_left_out(monkeypatch, caplog):
    hidden = dataset(embedded(BLUE), label=([-1], datasets.ClassLabel(names=["cat", "dog"])))
    published(monkeypatch, train=dataset(embedded(RED, PHOTO)), test=hidden)
    with caplog.at_level(logging.WARNING):
        found = read_labelled("hf:someone/birds")
    assert (found.labels, found.splits) == (["cat", "dog"], None)
    assert "The split test of hf:someone/birds has no labels and is left out" in caplog.text
    with pytest.raises(
        LabelError, match=r"The split test of hf:someone/birds has rows without label, 1 of 1, and no row is left. Fill them in"
    ):
        read_labelled("hf:someone/birds", split="test")


ONE = embedded(RED)
CLASSES = datasets.ClassLabel(names=["a", "b"])


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (
            dataset(ONE).remove_columns("image"),
            r"saved has no column of type Image; it has: label \(ClassLabel\)\. Wanted one: if a column holds paths or bytes "
            r"of images, make it one with dataset\.cast_column\(column, datasets\.Image\(\)\) and save that\.",
        ),
        (
            dataset(ONE, mask=(ONE, datasets.Image())),
            r"saved has 2 columns of type Image, image, mask; wanted one\. Take the others out with dataset\.remove_columns",
        ),
        (
            dataset(ONE).rename_column("label", "kind").cast_column("kind", datasets.Value("int64")),
            r"saved has no column label and 0 of type ClassLabel; it has: image \(Image\), kind \(int64\)\. Wanted label, or "
            r"one ClassLabel\. Name yours so with dataset\.rename_column\(column, 'label'\) and save that\.",
        ),
        (
            dataset(ONE, fine=([1], CLASSES)).rename_column("label", "coarse"),
            r"no column label and 2 of type ClassLabel; it has: image \(Image\), coarse \(ClassLabel\), fine \(ClassLabel\)",
        ),
        (
            dataset(ONE, label=([["a", "b"]], datasets.Sequence(STRING))),
            r"saved has \w+ in its column label, wanted one string, number or ClassLabel an image\. Make it one with",
        ),
        (dataset(embedded(RED, BLUE), label=([None, ""], STRING)), "saved has rows without label, 2 of 2, and no row is left"),
        (
            dataset(ONE, group=([None], STRING)),
            "saved has rows without group, 1 of 1, and no row is left. Fill them in, or take the column out",
        ),
        (
            datasets.DatasetDict({"train": dataset(ONE, group=(["x"], STRING)), "test": dataset(ONE)}),
            r"The split test of .*saved lacks the column group, which other splits have\. Add it, or take it out of all",
        ),
    ],
)
def test_datasets_that_cannot_be_used_are_named(tmp_path, cache, made, message):
    made.save_to_disk(tmp_path / "saved")
    with pytest.raises(LabelError, match=message):
        read_labelled(tmp_path / "saved")
    assert not cache.exists()


def test_rows_without_label_or_group_are_named_and_the_rest_goes_on(tmp_path, cache):
    rows = dataset(embedded(RED, BLUE, PHOTO), label=(["a", None, "b"], STRING), group=(["x", "y", ""], STRING))
    rows.save_to_disk(tmp_path / "saved")
    found = read_labelled(tmp_path / "saved")
    assert (found.labels, found.groups, len(found.paths)) == (["a"], ["x"], 1)
    assert found.left_out == {
        f"Row 1 of {tmp_path / 'saved'}": "it has no label; fill it in.",
        f"Row 2 of {tmp_path / 'saved'}": "it has no group; fill it in.",
    }
    assert read_labelled(dataset(embedded(RED, BLUE), label=([0, -1], CLASSES))).labels == ["a"]


def test_a_dataset_without_rows_is_named(monkeypatch):
    published(monkeypatch, train=dataset([], label=([], STRING)))
    with pytest.raises(
        LabelError, match=r"hf:someone/birds has no images\. Give a folder .* or a table or dataset with rows\."
    ):
        read_labelled("hf:someone/birds")


def test_a_damaged_folder_is_named(tmp_path):
    dataset(ONE).save_to_disk(tmp_path / "saved")
    next((tmp_path / "saved").glob("*.arrow")).write_bytes(b"half")
    message = (
        r"saved cannot be read as a Hugging Face dataset \(\w+: .*\)\. Wanted a folder as save_to_disk writes it; write or copy"
    )
    with pytest.raises(LabelError, match=message):
        read_labelled(tmp_path / "saved")


def test_the_fingerprint_that_came_with_the_data_leads_nowhere_else(tmp_path, cache):
    dataset(ONE).save_to_disk(tmp_path / "saved")
    state = tmp_path / "saved" / "state.json"
    state.write_text(state.read_text().replace('"_fingerprint": "', '"_fingerprint": "../../'))
    assert read_labelled(tmp_path / "saved").paths[0].parent.parent == cache / "datasets"


def test_a_cache_that_cannot_be_written_is_named(tmp_path, cache):
    dataset(ONE).save_to_disk(tmp_path / "saved")
    cache.write_text("a file, not a folder")
    message = (
        r"The images of .*saved cannot be written to .* \(.*\)\. Make room there, or name another folder .* WORDSIGHT_CACHE"
    )
    with pytest.raises(LabelError, match=message):
        read_labelled(tmp_path / "saved")


def test_without_the_package_it_says_what_to_install(tmp_path, monkeypatch):
    dataset(ONE).save_to_disk(tmp_path / "saved")
    monkeypatch.setitem(sys.modules, "datasets", None)
    monkeypatch.delitem(sys.modules, "wordsight.images.hub", raising=False)
    for source in (tmp_path / "saved", "hf:someone/birds"):
        message = r"is a Hugging Face dataset, and the package datasets, .* Install it: pip install 'wordsight\[datasets\]'\."
        with pytest.raises(LabelError, match=message):
            read_labelled(source)


@pytest.mark.parametrize("name", ["hf:", "hf:birds", "hf:../birds", "hf:/etc/birds", "hf:a/b/c", "hf:a/b:", "hf:https://a/b"])
def test_what_is_no_name_is_refused(name):
    message = (
        r"is no name of a Hugging Face dataset, wanted hf:owner/name or hf:owner/name:config\. For a dataset on disk, give"
    )
    with pytest.raises(LabelError, match=message):
        read_labelled(name)


def test_a_folder_of_the_same_name_is_not_taken_for_the_dataset(tmp_path, monkeypatch):
    (tmp_path / "someone" / "birds").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        LabelError, match=r"but someone/birds is here, too, and would be read in its place\. Give it without 'hf:'"
    ):
        read_labelled("hf:someone/birds")


def test_a_dataset_that_cannot_be_loaded_is_named(monkeypatch):
    def unreachable(*_, **__):
        raise ConnectionError("Couldn't reach 'someone/birds'\n on the Hub (OfflineModeIsEnabled)")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    message = (
        r"'hf:someone/birds' cannot be loaded from the Hugging Face Hub \(ConnectionError: Couldn't reach 'someone/birds' on "
        r"the Hub \(OfflineModeIsEnabled\)\)\. Wanted hf:owner/name or .*: check the spelling and the network, log in with 'hf "
        r"auth login' if it is not public, or give a folder that save_to_disk wrote\."
    )
    with pytest.raises(LabelError, match=message):
        read_labelled("hf:someone/birds")
