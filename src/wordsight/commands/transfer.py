"""wordsight transfer"""

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wordsight.commands.progress import progress
from wordsight.commands.shared import Device, Lm, Seed, app, find, name_failures, writing
from wordsight.errors import CaptionError

if TYPE_CHECKING:
    from wordsight.explain import Explainer
    from wordsight.runtime import OnProgress
    from wordsight.words.agreement import Agreement


@app.command()
def transfer(
    images: Annotated[list[str], typer.Option(help="Image files, folders, or glob patterns; no captions needed. Repeatable.")],
    classifier: Annotated[str, typer.Option(help="The new classifier, named as for explain.")],
    out: Annotated[Path, typer.Option(help="The new translator's file, .safetensors.")],
    from_: Annotated[str, typer.Option("--from", help="starter, or the translator file to start from.")] = "starter",
    from_classifier: Annotated[str, typer.Option(help="The classifier that --from was made for.")] = "starter",
    lm: Lm = None,
    device: Device = "auto",
    seed: Seed = 0,
    captions: Annotated[
        Path | None, typer.Option(help="Captions of some of the images: how well do the words agree, before and after?")
    ] = None,
    max_captioned: Annotated[
        int, typer.Option(min=1, help="Captioned images to explain for that, at most; the transfer does not see them.")
    ] = 100,
) -> None:
    """Make a translator for a new classifier from unlabelled images, by ridge regression between the features."""
    from wordsight.classifiers.registry import load_classifier
    from wordsight.explain import Explainer
    from wordsight.language.devices import chosen_device
    from wordsight.models import starter_translator
    from wordsight.storage import check_writable
    from wordsight.translator.captions import read_captions
    from wordsight.translator.checkpoint import load_translator
    from wordsight.translator.transfer import transfer_translator

    paths, failed = find(images)
    check_writable(out)
    device = chosen_device(device)
    pair = starter_translator() if from_ == "starter" else load_translator(from_)
    people = read_captions(captions) if captions is not None else {}
    captioned = [path for path in paths if path.name in people][:max_captioned]
    if captions is not None and not captioned:
        raise CaptionError(
            f"None of the {len(paths)} images has a caption in {captions}. Name images by their file names there."
        )
    paths = [path for path in paths if path not in captioned]
    with progress() as on_progress:
        old = load_classifier(from_classifier, device=device, on_progress=on_progress)
        new = load_classifier(classifier, device=device, on_progress=on_progress)
        before = Explainer(old, translator=pair, lm=lm, device=device, on_progress=on_progress)
    with progress() as on_progress:
        made = transfer_translator(pair, old, new, paths, seed=seed, on_progress=on_progress)
        with writing(out):
            made.save(out)
        entry: dict[str, object] = {"translator": str(out), "r2": round(made.r2, 4), "penalty": made.penalty}
        if made.words:
            # How much of what the old classifier tells apart the new one does, by word: a word below 0 it does not hold.
            entry["words_r2_median"] = round(statistics.median(made.words.values()), 4)
            entry["words_not_held"] = sum(share <= 0 for share in made.words.values())
        entry |= {"images": made.images, "left_out": len(made.failures) + len(failed)}
        if captioned:
            after = Explainer(new, translator=out, lm=before.models.lm, device=device)
            for name, explainer in (("before", before), ("after", after)):
                entry[name] = vars(caption_agreement(explainer, captioned, people, on_progress=on_progress))
    typer.echo(json.dumps(entry))
    name_failures(made.failures)
    if made.failures or failed:
        raise typer.Exit(1)


def caption_agreement(
    explainer: "Explainer",
    images: Sequence[Path],
    captions: Mapping[str, list[str]],
    *,
    sentences: int = 64,
    on_progress: "OnProgress",
) -> "Agreement":
    """How well an explainer's words agree with captions, by file name, of images that it should not have seen."""
    from wordsight.explain import Explanation
    from wordsight.sentences.sampling import Sampling
    from wordsight.words.agreement import agreement

    results = explainer.explain_each(images, Sampling(sentences=sentences), on_progress=on_progress)
    return agreement({r.image: r.top(20) for r in results if isinstance(r, Explanation)}, captions)
