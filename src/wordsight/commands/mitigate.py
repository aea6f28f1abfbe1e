"""wordsight mitigate"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wordsight.audits import SENTENCES
from wordsight.commands.progress import progress
from wordsight.commands.shared import (
    Classifier,
    Data,
    Device,
    Lm,
    Memory,
    OwnImages,
    Seed,
    SentencesOption,
    Translator,
    app,
    load_explainer,
    name_failures,
    sampling_of,
    writing,
)
from wordsight.errors import WordsightError
from wordsight.mitigation import LEAST, METHODS, VERDICTS
from wordsight.words import SOURCES

if TYPE_CHECKING:
    from wordsight.mitigation.result import Mitigation


#: Exit statuses; 2 is an error.
EXITS: dict[str, int] = dict(zip(VERDICTS, (0, 1, 3), strict=True))


@app.command()
def mitigate(
    data: Data,
    finding: Annotated[str, typer.Option(help="findings.json of an audit (its first finding), or a word, with --label.")],
    out: Annotated[Path, typer.Option(help="The new head's file, .safetensors; use it as head:FILE.")],
    method: Annotated[str, typer.Option(help=f"{', '.join(METHODS[:-1])} or {METHODS[-1]}.")] = "reweight+project",
    label: Annotated[str | None, typer.Option(help="The class whose decisions use the word.")] = None,
    report: Annotated[
        Path | None, typer.Option(help="Folder for an audit of the new head, with the change in its report.html.")
    ] = None,
    classifier: Classifier = "starter",
    own_images: OwnImages = None,
    words: Annotated[
        str | None,
        typer.Option(
            help="Where the word's rates come from: head (the word head: seconds), sentences, or both. Default: head if it knows "
            "the word, else sentences."
        ),
    ] = None,
    held_out: Annotated[float, typer.Option(min=0.05, max=0.5, help="Share of images to measure on, without splits.")] = 0.3,
    sentences: SentencesOption = SENTENCES,
    seed: Seed = 0,
    translator: Translator = None,
    lm: Lm = None,
    device: Device = "auto",
    memory: Memory = None,
) -> None:
    """Make a head whose decisions use a word less; exit with 0 if the worst group is better, 1 without evidence, 3 if worse."""
    from wordsight.images.labelled import read_labelled
    from wordsight.mitigation.run import check_method
    from wordsight.mitigation.run import mitigate as run
    from wordsight.mitigation.target import read_target
    from wordsight.storage import check_writable

    check_method(method)
    if words is not None and words not in SOURCES:
        raise typer.BadParameter(f"--words is '{words}', wanted one of: {', '.join(SOURCES)}.")
    sampling = sampling_of(sentences=sentences, seed=seed)
    target = read_target(finding, label)
    images = read_labelled(data)
    check_writable(out)
    explainer = load_explainer(classifier, own_images, translator, lm, device, memory)
    with progress() as on_progress:
        result = run(
            explainer,
            images,
            target,
            method=method,
            words=words,
            held_out=held_out,
            sampling=sampling,
            on_progress=on_progress,
        )
        with writing(out, lambda: result.to_json(head=out)):
            result.save(out)
        if report is not None:
            try:
                name_failures(write_report(explainer, images, result, out, report, sampling, on_progress))
            except (WordsightError, OSError) as error:  # the head is made and measured all the same
                typer.echo(f"no report in {report}: {error}", err=True)
    typer.echo(result.to_json(head=out))
    typer.echo(_as_text(result), err=True)
    name_failures(result.failures)
    if result.verdict != VERDICTS[0]:
        raise typer.Exit(EXITS[result.verdict])


def write_report(explainer, images, result: "Mitigation", head: Path, folder: Path, sampling, on_progress) -> dict[str, str]:
    """Audit the new head on the same images and write it with the mitigation into a folder; returns images left out."""
    from wordsight.audits.run import audit
    from wordsight.classifiers.head import with_head
    from wordsight.explain import Explainer

    models = explainer.models
    assert result.head is not None
    after = Explainer(
        with_head(models.classifier, result.head, spec=f"head:{head}"),
        translator=(models.translator, models.card),
        lm=models.lm,
        device=models.classifier.device,
        memory=models.memory,
    )
    found = audit(after, images, sampling=sampling, on_progress=on_progress)
    found.save(folder, mitigations=[result])
    return found.failures


def _as_text(result: "Mitigation") -> str:
    groups = "the data's groups" if result.true_groups else f"label and '{result.word}' present or not"
    worst, average = (
        f"{old:.1%} -> {new:.1%} ({100 * change.low:+.1f} to {100 * change.high:+.1f} points)"
        for old, new, change in (
            (result.before.worst, result.after.worst, result.worst_change),
            (result.before.average, result.after.average, result.average_change),
        )
    )
    text = f"worst group ({groups}) {worst}, average {average}: {result.verdict}"
    if result.verdict != VERDICTS[0]:
        text += "; keep the head you have"
    if result.too_small:
        name, images = min(result.too_small.items(), key=lambda item: item[1])
        text += (
            f". {len(result.too_small)} groups have fewer than {LEAST} images that neither head nor finding has seen, and do not "
            f"count (the smallest is {name} with {images}): wanted {LEAST - images} more of it"
        )
    return text
