"""wordsight audit"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from tqdm import tqdm

from wordsight.audits import FALSE_DISCOVERY, MIN_SEVERITY, MIN_USED, SENTENCES
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
    checked,
    load_explainer,
    make_folder,
    name_failures,
    progress,
    sampling_of,
    writing,
)
from wordsight.sentences import MEMORY_MIB

if TYPE_CHECKING:
    from wordsight.audits.result import Audit


@app.command()
def audit(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder for report.html, findings.json, words.csv, images.jsonl.")],
    classifier: Classifier = "starter",
    own_images: OwnImages = None,
    split: Annotated[str | None, typer.Option(help="Audit this split of the data. Default: all of it.")] = None,
    sentences: SentencesOption = SENTENCES,
    words: Annotated[
        str | None,
        typer.Option(
            help="Where words come from: head (the translator's word head, seconds for a thousand images; sentences only for the "
            "findings' examples), sentences (of every image) or both. Default: head, if the translator has one."
        ),
    ] = None,
    apart: Annotated[
        list[str] | None,
        typer.Option(help="A word that is no finding for any class, like the classes' names. Repeatable."),
    ] = None,
    false_discovery: Annotated[
        float, typer.Option(min=0, max=1, help="Benjamini-Hochberg rate of each step.")
    ] = FALSE_DISCOVERY,
    min_used: Annotated[
        float, typer.Option(min=0, help="Minimum reliance of a word that counts as used, in deviations of the class's logit.")
    ] = MIN_USED,
    min_severity: Annotated[
        float, typer.Option(min=0, max=1, help="Minimum gap between shares of errors of a finding.")
    ] = MIN_SEVERITY,
    engine: Annotated[
        str,
        typer.Option(
            help="Where features and sentences are made: local, or ray (this machine's processors or a cluster's; images.parquet is "
            "written, too)."
        ),
    ] = "local",
    fail_on: Annotated[
        float | None, typer.Option(min=0, max=1, help="Exit with 1 if the severity of a finding reaches this.")
    ] = None,
    seed: Seed = 0,
    translator: Translator = None,
    lm: Lm = None,
    device: Device = "cpu",
    memory: Memory = MEMORY_MIB,
) -> None:
    """Audit a classifier: words that its decisions use to their harm. An interrupted audit goes on where it was."""
    from wordsight.audits.findings import Limits
    from wordsight.audits.parquet import write_parquet
    from wordsight.audits.run import audit as run
    from wordsight.engines import engine_named
    from wordsight.images.labelled import read_labelled
    from wordsight.words.joined import check_source

    sampling = sampling_of(sentences=sentences, seed=seed)
    where = engine_named(engine, device=device)
    if words is not None:
        checked(lambda: check_source(words))
    images = read_labelled(data, split=split)
    make_folder(out)
    explainer = load_explainer(classifier, own_images, translator, lm, device, memory)
    limits = Limits(false_discovery=false_discovery, used=min_used, severity=min_severity)
    with progress() as on_progress:
        result = run(
            explainer,
            images,
            words=words,
            sampling=sampling,
            limits=limits,
            apart=apart or (),
            engine=where,
            on_progress=on_progress,
        )
    with writing(out, lambda: as_text(result)):
        written = result.save(out)
        if engine != "local":
            written.append(write_parquet(result.images, out / "images.parquet"))
    for file in written:
        tqdm.write(f"wrote {file}", file=sys.stderr)
    typer.echo(as_text(result))
    name_failures(result.failures)
    if fail_on is not None and any(finding.severity.value >= fail_on for finding in result.findings):
        typer.echo(f"--fail-on {fail_on}: the severity of a finding reaches it", err=True)
        raise typer.Exit(1)
    if result.failures:
        raise typer.Exit(1)


def as_text(result: "Audit") -> str:
    """The findings, and what no word explains, as lines of text."""
    from wordsight.audits.explained import little_explained
    from wordsight.audits.lines import power_line, unclear_line, untested_line

    tested = len({word.label for word in result.words})
    lines = [
        f"{len(result.images)} images, {result.accuracy:.1%} predicted right; {len(result.findings)} findings in the {tested} "
        "classes with enough images"
    ]
    if result.copies:
        lines.append(f"{result.copies} images are copies of others, identical or nearly, and were left out")
    for finding in result.leading:
        about, gap = finding.about, finding.severity
        lines.append(f"{about.label}: {about.word}")
        lines.append(f"  severity {gap.value:.0%} ({gap.low:.0%} to {gap.high:.0%}), rate {about.rate.value:.0%}")
        groups = [
            f"{group.label} {'with' if group.present else 'without'} it {group.accuracy:.0%} of {group.images}"
            for group in finding.groups
        ]
        lines.append("  accuracy: " + "; ".join(groups))
        if along := [other.about.word for other in result.along(finding)]:
            lines.append(f"  found with it, without evidence of their own: {', '.join(along)}")
    lines += [untested_line(one) for one in result.untested]
    lines += [power_line(power) for power in result.power]
    lines += [unclear_line(label) for label in result.unclear]
    for focus in result.focus:
        if focus.remarkable:
            lines.append(
                f"{focus.label}: the heat maps lie at one position (they agree to {focus.agreement.value:.2f}, more than in "
                "other classes), as they would for a stamp; see the report"
            )
    for explained in result.explained:
        if explained.remarkable:
            share = explained.share
            lines.append(
                f"{explained.label}: the words explain {share.value:.0%} of its logit ({share.low:.0%} to {share.high:.0%}), "
                "less than of other classes; what decides may have no word in captions"
            )
    if little := little_explained(result.explained):
        lines.append(little)
    return "\n".join(lines)
