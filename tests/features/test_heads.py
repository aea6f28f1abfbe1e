"""A last layer of one's own."""

import hashlib

import pytest
import torch
from PIL import Image

from doubles import tiny_classifier
from wordsight.classifiers.head import Head, load_head, save_head, with_head
from wordsight.errors import LabelError, ModelError
from wordsight.features.heads import fit_head, train_head
from wordsight.images.labelled import LabelledImages


def blobs(classifier, n: int = 90):
    generator = torch.Generator().manual_seed(0)
    label = torch.arange(n) % 3
    centres = 3 * torch.randn(3, classifier.features, generator=generator)
    return centres[label] + torch.randn(n, classifier.features, generator=generator), label


def test_it_is_the_logistic_regression_of_scikit_learn():
    from sklearn.linear_model import LogisticRegression

    classifier = tiny_classifier(features=5)
    z, label = blobs(classifier)
    head = fit_head(z, label, "abc", classifier, penalty=2.0)
    x = (z - z.mean(0)) / (z.std(0, correction=0) + 1e-3)
    theirs = LogisticRegression(C=0.5, tol=1e-8, max_iter=5000).fit(x.numpy(), label.numpy())
    expected = torch.from_numpy(theirs.predict_proba(x.numpy())).float()
    assert torch.allclose(head.logits(z).softmax(1), expected, atol=1e-3)


def test_importance_counts_images_several_times():
    classifier = tiny_classifier(features=4)
    z, label = blobs(classifier, 30)
    twice = fit_head(torch.cat([z, z[:10]]), torch.cat([label, label[:10]]), "abc", classifier)
    weights = torch.ones(30)
    weights[:10] = 2
    # Standardised alike, so that only the counting differs.
    assert torch.allclose(
        fit_head(z, label, "abc", classifier, importance=weights).logits(z).softmax(1), twice.logits(z).softmax(1), atol=0.02
    )


def test_a_classifier_with_it_predicts_its_labels_from_the_same_features():
    classifier = tiny_classifier(features=6)
    z, label = blobs(classifier)
    own = with_head(classifier, fit_head(z, label, ["x", "y", "z"], classifier))
    assert own.labels == ("x", "y", "z")
    assert own.fingerprint == classifier.fingerprint
    assert float((own.probabilities(z).argmax(1) == label).float().mean()) > 0.95


def test_it_is_kept_in_a_file(tmp_path):
    classifier = tiny_classifier(features=6)
    head = fit_head(*blobs(classifier), ["x", "y", "<b>"], classifier)
    save_head(tmp_path / "h.safetensors", head)
    again = load_head(tmp_path / "h.safetensors")
    assert torch.equal(again.weight, head.weight)
    assert (again.labels, again.classifier) == (("x", "y", "<b>"), "tiny")


def test_foreign_and_missing_heads_are_refused(tmp_path):
    classifier = tiny_classifier(features=6)
    head = Head(torch.zeros(2, 6), torch.zeros(2), ("a", "b"), "another", "0" * 64)
    with pytest.raises(ModelError, match="The head was made for the classifier 'another'"):
        with_head(classifier, head)
    with pytest.raises(ModelError, match="There is no head file"):
        load_head(tmp_path / "none.safetensors")
    (tmp_path / "x.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="is not a wordsight head"):
        load_head(tmp_path / "x.safetensors")


def test_one_class_is_refused():
    with pytest.raises(LabelError, match="4 images of 1 class came, wanted two classes or more"):
        fit_head(torch.randn(4, 6), torch.zeros(4, dtype=torch.long), ["a"], tiny_classifier(features=6))


@pytest.mark.parametrize("split", [None, "train"])
def test_a_head_keeps_a_test_part_aside_and_remembers_what_trained_it(tmp_path, split):
    """With the splits train, val and test: the split test if none is named, else a share of the one that is."""
    paths = [tmp_path / f"{i}.png" for i in range(30)]
    for i, path in enumerate(paths):
        Image.new("RGB", (8, 8), (8 * i, 255 * (i % 2), 40)).save(path)
    splits = ["train"] * 20 + ["val"] * 4 + ["test"] * 6
    images = LabelledImages(paths, ["cat" if i % 2 else "dog" for i in range(30)], None, splits)
    made = train_head(images, tiny_classifier(), split=split, store=tmp_path / "store")
    made.save(tmp_path / "h.safetensors")
    known = load_head(tmp_path / "h.safetensors").trained_on
    digests = [hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in paths]
    assert made.images + made.head.figures["held_out"] == (26 if split is None else 20)
    assert known == set(digests[:20]) if split is None else known < set(digests[:20])
    assert len(known) == made.images == (20 if split is None else 16)


def head_of(paths, labels, **options):
    return train_head(
        LabelledImages(list(paths), labels, left_out={"Row 7": "it has no label; fill it in."}), tiny_classifier(), **options
    )


def test_rows_that_were_left_out_are_among_the_failures(tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(4)]
    for i, path in enumerate(paths):
        Image.new("RGB", (8, 8), (60 * i, 255 * (i % 2), 40)).save(path)
    made = head_of([*paths, tmp_path / "gone.png"], ["a", "b", "a", "b", "b"], held_out=0, store=tmp_path / "store")
    assert list(made.failures) == ["Row 7", str(tmp_path / "gone.png")]


@pytest.mark.parametrize(
    ("there", "labels", "message"),
    [
        (0, ["a", "b"], r"None of the 2 images can be read; the first: '.*0\.png' does not exist"),
        (2, ["a", "a"], r"All 2 images have the label 'a', wanted two labels or more\. Give a folder for each class"),
        (
            1,
            ["a", "b"],
            r"Of 2 classes only 'a' has images that can be read, wanted two classes or more; the first that cannot: ",
        ),
        (5, ["a", "a", "a", "a", "b"], r"the first, 'b', has 1 in all, and needs one to train on and one to measure on"),
    ],
)
def test_classes_that_cannot_be_trained_on_are_named(tmp_path, there, labels, message):
    paths = [tmp_path / f"{i}.png" for i in range(len(labels))]
    for i, path in enumerate(paths[:there]):
        Image.new("RGB", (8, 8), (40 * i, 0, 40)).save(path)
    with pytest.raises(LabelError, match=message):
        head_of(paths, labels, held_out=0.6 if there == 5 else 0.0, seed=1, store=tmp_path / "store")
