"""Six hundred broken files: none of them ends in anything but an error that names it, and the rest of a batch goes on."""

import json
import logging
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import broken
from command_line import wordsight
from doubles import MODELS, save_tiny_lm, save_tiny_models, tiny_classifier, tiny_lm, tiny_translator
from wordsight.errors import CaptionError, ImageError, LabelError, ModelError, WordsightError
from wordsight.features.extraction import extract
from wordsight.features.heads import train_head
from wordsight.images.files import decode_image, read_image
from wordsight.images.labelled import read_labelled
from wordsight.images.sets import LabelledImages
from wordsight.images.sources import image_list
from wordsight.language.loading import load_language_model
from wordsight.translator.captions import read_captions, read_text
from wordsight.translator.streams import read_shards, store_shards

#: Always the same examples; a slow machine is no failure; temporary folders are shared by examples on purpose.
ALWAYS_ALIKE = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


BEGINNINGS = [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"II*\0", b"BM"]


def read_or_reason(reader: Callable[[Path], object], file: Path) -> object:
    """What a reader finds, or the text of the error that it may raise."""
    try:
        return reader(file)
    except (CaptionError, LabelError, ImageError) as error:
        return str(error)


def test_every_broken_image_is_named_and_every_other_one_explained(tmp_path):
    files = broken.images(tmp_path / "images")
    assert len(files) > 250
    found = extract(tiny_classifier(), files)
    assert sorted([*found.readable, *found.failures]) == list(range(len(files)))
    for row, reason in found.failures.items():
        assert repr(str(files[row])) in reason
        assert reason.endswith((".", "?"))
    readable = {files[row].name for row in found.readable}
    # What is right, or right but for its ending, its EXIF or its later frames, is no failure.
    assert {"jpg-named-png.png", "mode-I-16.png", "animated.gif", "animated-cut.gif", "exif-3.jpg"} <= readable
    assert not {name for name in readable if name.startswith(("bomb.", "page", "print", "archive", "pipe"))}


def test_a_folder_of_broken_images_on_the_command_line(tmp_path):
    files = broken.images(tmp_path / "images")
    save_tiny_models(tmp_path)
    ran = wordsight(tmp_path, "explain", "images", "--json", "--sentences", "2", *MODELS)
    assert ran.returncode == 1
    explained = [json.loads(line)["image"] for line in ran.stdout.splitlines()]
    listed = [file for file in files if file.name not in ("folder.png", "phone.heic") or file.is_file()]
    failed = ran.stderr.count(".png: '") + sum(
        ran.stderr.count(f".{kind}: '") for kind in (*broken.FORMATS, "heic") if kind != "png"
    )
    assert len(explained) + failed == len(listed)
    assert f"explained {len(explained)} of {len(listed)} images; {failed} failed" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_every_broken_table_is_named(tmp_path, cache, caplog):
    files = broken.tables(tmp_path / "tables")
    assert len(files) > 300
    classifier = tiny_classifier()
    read = refused = 0

    def shards(file: Path) -> None:
        store_shards(str(file), classifier, cache / "shards")
        read_shards(str(file), classifier, cache / "shards")

    for file in files:
        for reader in (read_captions, read_text, read_labelled, lambda file: read_labelled(file.parent), shards):
            if (reader is shards) != (file.suffix == ".tar") and reader is shards:
                continue
            found = read_or_reason(reader, file)
            read, refused = read + (not isinstance(found, str)), refused + isinstance(found, str)
            if isinstance(found, str):
                assert file.parent.name in found
            elif isinstance(found, LabelledImages):  # what it names may be missing, or no name at all
                extracted = extract(classifier, found.paths)
                assert len(extracted.readable) + len(extracted.failures) == len(found.paths)
    assert read > 300
    assert refused > 600


@ALWAYS_ALIKE
@given(
    content=st.binary(max_size=300),
    start=st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"II*\0", b"BM"]),
)
def test_any_bytes_are_an_image_or_an_image_error(content, start):
    found = read_or_reason(lambda name: decode_image(BytesIO(start + content), str(name)), Path("any.png"))
    assert found.startswith("any.png ") if isinstance(found, str) else found.mode == "RGB"


@ALWAYS_ALIKE
@given(content=st.binary(max_size=200), ending=st.sampled_from(["csv", "tsv", "txt", "json", "jsonl", "parquet", "tar"]))
def test_any_bytes_are_a_table_or_an_error_that_names_it(tmp_path, content, ending):
    file = tmp_path / f"any.{ending}"
    file.write_bytes(content)
    for reader in (read_captions, read_text, read_labelled):
        found = read_or_reason(reader, file)
        assert not isinstance(found, str) or file.name in found


CELLS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@ALWAYS_ALIKE
@given(rows=st.lists(st.lists(CELLS, min_size=1, max_size=4), min_size=1, max_size=5), separator=st.sampled_from(",;\t|"))
def test_any_cells_below_a_right_header(tmp_path, rows, separator):
    file = tmp_path / "cells.csv"
    header = separator.join(("image", "label", "caption"))
    file.write_text("\n".join([header, *(separator.join(row) for row in rows)]), encoding="utf-8", newline="")
    for reader in (read_captions, read_labelled):
        found = read_or_reason(reader, file)
        assert not isinstance(found, str) or file.name in found


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["image", "label", "caption", "id", "x"]), inner)
    ),
    max_leaves=8,
)


@ALWAYS_ALIKE
@given(first=JSON, second=JSON)
def test_any_json(tmp_path, first, second):
    images = [{"id": 1, "file_name": "a.png"}, first]
    texts = {
        "any.jsonl": f"{json.dumps({'image': first, 'label': second})}\n{json.dumps(second)}",
        "any.json": json.dumps({"images": images, "annotations": [{"image_id": 1, "caption": second}]}),
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        for reader in (read_captions, read_labelled):
            found = read_or_reason(reader, tmp_path / name)
            assert not isinstance(found, str) or name in found


# The faults that these files found, each by itself.


def test_a_name_that_is_too_long_is_a_missing_image(tmp_path):
    (tmp_path / "t.csv").write_text(f"image,label\nx\\{'b' * 5_000}.png,cat\n~/{'c' * 5_000}.png,cat\n")
    for path in read_labelled(tmp_path / "t.csv").paths:
        with pytest.raises(ImageError, match=r"does not exist\. An image file was wanted"):
            read_image(path)
    with pytest.raises(LabelError, match=r"cannot be read \(.*File name too long.*Wanted files that this user may read"):
        read_labelled("x" * 5_000)
    assert image_list("x" * 5_000) == ["x" * 5_000]  # named among the failures


def test_lines_of_json_end_at_line_feeds_alone_and_a_wrong_one_is_named(tmp_path):
    file = tmp_path / "t.jsonl"
    file.write_text('{"image": "a.png", "label": "a\u2028b"}\n{"image": "b.png", "label": "c"}\n', encoding="utf-8")
    assert read_labelled(file).labels == ["a\u2028b", "c"]
    for wrong in ("{", "[" * 100_000):
        file.write_text('{"image": "a.png", "label": "a"}\n' + wrong)
        with pytest.raises(LabelError, match=r"t\.jsonl cannot be read as a table \(line 2 is no JSON: .*\)\. Wanted UTF-8"):
            read_labelled(file)


@pytest.mark.parametrize("about", [b"[1]", b'"x"', b"{", b"[" * 100_000, b"\xe9"])
def test_a_sample_whose_json_is_broken_is_named_and_the_rest_of_the_shard_goes_on(tmp_path, cache, about, caplog):
    picture = broken.encoded(broken.noise(), "png")
    shard = tmp_path / "s.tar"
    with tarfile.open(shard, "w") as archive:
        samples = {"a.png": picture, "a.json": about, "b.png": picture, "b.json": b'{"label": "dog", "captions": ["a dog", 3]}'}
        for name, content in samples.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, BytesIO(content))
    found = read_labelled(shard)
    assert (found.labels, [*found.left_out.values()]) == (["dog"], ["it has no label; fill it in."])
    assert "The sample '/a' of " in next(iter(found.left_out))
    classifier = tiny_classifier()
    with caplog.at_level(logging.WARNING):
        store_shards(str(shard), classifier, cache)
    assert [one.captions for one in read_shards(str(shard), classifier, cache)] == [[["a dog."]]]
    assert "1 samples of" in caplog.text


@pytest.mark.parametrize(
    "about", ["5", "[]", "{", '{"info": 3}', '{"info": {"features": [1]}}', '{"info": {"features": {"label": {"names": 3}}}}']
)
def test_parquet_whose_class_names_are_broken_has_numbers(tmp_path, about):
    (tmp_path / "t.parquet").write_bytes(broken._parquet_about(about))
    assert read_labelled(tmp_path / "t.parquet").labels == ["1"]


def test_parquet_with_damaged_pages_is_named(tmp_path):
    picture = broken.encoded(broken.noise(), "png")
    table = pd.DataFrame({"image": [{"bytes": picture, "path": None}] * 50, "label": [f"class {i}" for i in range(50)]})
    table.to_parquet(tmp_path / "t.parquet")
    content = bytearray((tmp_path / "t.parquet").read_bytes())
    place = content.index(b"class 0")
    content[place - 60 : place + 60] = bytes(range(120))
    (tmp_path / "t.parquet").write_bytes(content)
    with pytest.raises(LabelError, match=r"t\.parquet cannot be read as Parquet \(.*\)\. Write or download it again\."):
        read_labelled(tmp_path / "t.parquet")


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("content", ["[]", "3", "{", ""])
def test_a_language_model_with_a_broken_file_is_one_error(tmp_path, file, content):
    save_tiny_lm(tmp_path)
    (tmp_path / file).write_text(content)
    with pytest.raises(ModelError, match=r"Cannot load the language model '.*Give --lm a folder with config\.json"):
        load_language_model(tmp_path)


def test_json_that_is_nested_too_deeply(tmp_path):
    from wordsight.classifiers.coarse import read_class_map
    from wordsight.mitigation.target import read_target

    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(LabelError, match=r"deep\.json cannot be read as a class map"):
        read_class_map(tmp_path / "deep.json")
    with pytest.raises(WordsightError, match=r"deep\.json cannot be read as findings"):
        read_target(str(tmp_path / "deep.json"))


def test_held_out_names_that_are_not_utf_8(tmp_path):
    (tmp_path / "dev.txt").write_bytes(b"caf\xe9.png\n")
    ran = wordsight(tmp_path, "train", "--captions", "c.csv", "--images", ".", "--out", "o", "--dev", "dev.txt")
    assert ran.returncode == 2
    assert "--dev dev.txt cannot be read" in " ".join(ran.stderr.replace("│", " ").split())


def test_captions_without_images_at_a_name_with_a_nul():
    with pytest.raises(CaptionError, match=r"Cannot read the captions .*embedded null byte"):
        read_text("a\0.txt")


@pytest.fixture
def classes(tmp_path):
    """Images of red and green, and a class of which none can be read."""
    for label, colour in (("green", (20, 220, 20)), ("red", (220, 20, 20))):
        (tmp_path / "classes" / label).mkdir(parents=True)
        for shade in range(12):
            image = broken.Image.new("RGB", (9, 9), tuple(value + shade for value in colour))
            image.save(tmp_path / "classes" / label / f"{label}{shade}.png")
    (tmp_path / "classes" / "phone").mkdir()
    for number in range(2):
        (tmp_path / "classes" / "phone" / f"{number}.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    return tmp_path / "classes"


def test_a_class_of_heic_files_alone_is_left_out_and_named_by_every_reader(classes, cache):
    from wordsight.audits.observations import observe
    from wordsight.models import Models
    from wordsight.sentences.sampling import Sampling

    classifier, lm = tiny_classifier(labels=("green", "red")), tiny_lm()
    images = read_labelled(classes)
    trained = train_head(images, classifier)
    assert (list(trained.head.labels), len(trained.failures)) == (["green", "red"], 2)
    observed = observe(images, Models(classifier, lm, *tiny_translator(classifier, lm)), Sampling(sentences=2))
    assert (len(observed.names), set(observed.images.labels)) == (24, {"green", "red"})
    assert set(observed.failures) == set(trained.failures)
    for name, reason in observed.failures.items():
        assert f"'{name}' is a HEIC image, which needs the package pillow-heif" in reason


def test_a_class_that_the_classifier_lacks_is_refused_as_soon_as_one_image_of_it_can_be_read(classes, cache):
    from wordsight.audits.observations import observe
    from wordsight.models import Models
    from wordsight.sentences.sampling import Sampling

    broken.Image.new("RGB", (9, 9)).save(classes / "phone" / "2.png")
    classifier, lm = tiny_classifier(labels=("green", "red")), tiny_lm()
    models = Models(classifier, lm, *tiny_translator(classifier, lm))
    with pytest.raises(LabelError, match="1 of 3 labels are none of the classifier's 2 classes: 'phone'"):
        observe(read_labelled(classes), models, Sampling(sentences=2))
    unreadable = LabelledImages(sorted((classes / "phone").glob("*.heic")), ["phone", "phone"])
    with pytest.raises(LabelError, match="1 of 1 labels are none of the classifier's 2 classes: 'phone'"):
        observe(unreadable, models, Sampling(sentences=2))


def test_labels_that_are_not_utf_8_are_decoded_or_escaped(tmp_path):
    (tmp_path / "t.jsonl").write_text(
        r'{"image": "a.png", "label": "gr\udcc3\udcb6sse"}' + "\n" + r'{"image": "b.png", "label": "\udcf6"}'
    )
    assert read_labelled(tmp_path / "t.jsonl").labels == ["grösse", r"\udcf6"]
