"""What work by Ray has to keep to. Run by test_engines.py in a process of its own: with the shape checks of the tests the nested
functions of a classifier cannot be pickled.
"""

import dataclasses
import os
import signal
import sys
from pathlib import Path

import pytest
import ray
import torch
from PIL import Image

from doubles import prepare, tiny_classifier, tiny_lm, tiny_translator
from wordsight.audits.findings import Limits
from wordsight.audits.run import audit
from wordsight.classifiers.head import with_head
from wordsight.engines import RayEngine
from wordsight.errors import WordsightError
from wordsight.explain import Explainer
from wordsight.features.extraction import extract_stored
from wordsight.features.heads import fit_head
from wordsight.images.labelled import LabelledImages
from wordsight.sentences.sampling import Sampling


def setting(tmp_path):
    """150 images of two colours, three of them copies, and two that are no images: three chunks of features."""
    classifier, lm = tiny_classifier(), tiny_lm()
    paths, labels = [], []
    for i in range(150):
        path = tmp_path / f"{i}.png"
        Image.new("RGB", (16, 16), (255 - i, i // 2, 40) if i % 2 else (i // 3, 255 - i, 40)).save(path)
        paths.append(path)
        labels.append("red" if i % 2 else "green")
    for i in (0, 70, 149):
        paths.append(tmp_path / f"copy-{i}.png")
        paths[-1].write_bytes(paths[i].read_bytes())
        labels.append(labels[i])
    z = torch.stack([classifier.features_of(prepare(Image.open(path))[None])[0, 0] for path in paths])
    noisy = z + 0.3 * z.std(0) * torch.randn(z.shape, generator=torch.Generator().manual_seed(0))  # some are predicted wrong
    number = torch.tensor([classifier.labels.index(label) for label in labels])
    classifier = with_head(classifier, fit_head(noisy, number, classifier.labels, classifier))
    for i in (5, 80):
        paths[i].write_bytes(b"no image")
    translator, card = tiny_translator(classifier, lm)
    translator.to_prefix.weight.data *= 100  # features are small and alike here, sentences should not be
    return LabelledImages(paths, labels), Explainer(classifier, lm=lm, translator=(translator, card))


OPTIONS = {"sampling": Sampling(sentences=10), "limits": Limits(images=2)}


def an_audit_is_that_of_one_process(tmp_path):
    images, explainer = setting(tmp_path)
    alone = audit(explainer, images, store=tmp_path / "one", **OPTIONS)
    by_ray = audit(explainer, images, store=tmp_path / "ray", engine=RayEngine(actors=2), **OPTIONS)
    assert by_ray == alone  # to the last figure
    assert (by_ray.copies, len(by_ray.failures)) == (3, 2)
    names = [sorted(p.name for p in (tmp_path / store / "sentences").iterdir()) for store in ("one", "ray")]
    assert names[0] == names[1]  # the ordinary store: either engine goes on where the other stopped


def paths(folder: Path, count: int) -> list[Path]:
    for i in range(count):
        Image.new("RGB", (8, 8), (i % 256, i // 256, 7)).save(folder / f"{i}.png")
    return [folder / f"{i}.png" for i in range(count)]


def killing(classifier, marker: Path):
    """The classifier, whose first worker to meet image 130 is killed, as the kernel kills for memory."""
    alive = classifier.prepare

    def deadly(image):
        if image.getpixel((0, 0)) == (130, 0, 7) and not marker.exists():
            marker.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        return alive(image)

    return dataclasses.replace(classifier, prepare=deadly)


def a_killed_workers_work_is_done_again(tmp_path):
    classifier, marker = tiny_classifier(), tmp_path / "killed"
    images = paths(tmp_path, 200)
    done = []
    found = extract_stored(
        killing(classifier, marker), images, tmp_path / "store",
        engine=RayEngine(actors=2), on_images=lambda number, total: done.append(number),
    )  # fmt: skip
    assert int(marker.read_text()) != os.getpid()
    assert done == sorted(done)
    assert done[-1] == 200
    alone = extract_stored(classifier, images, tmp_path / "alone")
    assert found.readable == alone.readable == list(range(200))  # nothing lost, nothing doubled
    assert torch.equal(found.views, alone.views)


def an_interrupted_run_goes_on(tmp_path):
    classifier, images, asked = tiny_classifier(), paths(tmp_path, 200), []

    def cut(number, total):
        if number >= 64:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract_stored(classifier, images, tmp_path / "store", engine=RayEngine(actors=1), on_images=cut)
    found = extract_stored(classifier, images, tmp_path / "store", on_images=lambda number, _: asked.append(number))
    assert asked[0] >= 64  # what was done is not done again, by whatever engine
    assert torch.equal(found.views, extract_stored(classifier, images, tmp_path / "alone").views)


def an_error_of_the_work_comes_as_it_is(_):
    def work(part):
        raise WordsightError(f"part {part} cannot be done")

    with pytest.raises(WordsightError, match=r"^part 7 cannot be done$"):
        list(RayEngine(actors=1).run(work, [7]))


SCENARIOS = (
    an_audit_is_that_of_one_process,
    a_killed_workers_work_is_done_again,
    an_interrupted_run_goes_on,
    an_error_of_the_work_comes_as_it_is,
)

if __name__ == "__main__":
    torch.set_num_threads(1)  # as Ray's workers have: sums over several threads differ in the last digits
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error", object_store_memory=200 << 20)
    for scenario in SCENARIOS:
        folder = Path(sys.argv[1]) / scenario.__name__
        folder.mkdir()
        scenario(folder)
        print("done:", scenario.__name__)
