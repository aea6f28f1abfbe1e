"""wordsight audit"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from tqdm import tqdm

from wordsight.audits import FALSE_DISCOVERY, MIN_SEVERITY, MIN_USED, SENTENCES
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
    checked,
    load_explainer,
    make_folder,
    name_failures,
    sampling_of,
    writing,
)

if TYPE_CHECKING:
    from wordsight.audits.findings import Finding
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
    device: Device = "auto",
    memory: Memory = None,
) -> None:
    """Audit a classifier: words that its decisions use to their harm. An interrupted audit goes on where it was."""
    from wordsight.audits.findings import Limits
    from wordsight.audits.parquet import write_parquet
    from wordsight.audits.run import audit as run
    from wordsight.engines import engine_named
    from wordsight.images.labelled import read_labelled
    from wordsight.language.devices import chosen_device
    from wordsight.words.joined import check_source

    sampling = sampling_of(sentences=sentences, seed=seed)
    if words is not None:
        checked(lambda: check_source(words))
    device = chosen_device(device)
    where = engine_named(engine, device=device)
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
    """The report's first lines as text, with each finding, each word that is untested, and each class's power."""
    from wordsight.audits.lines import power_line, untested_line
    from wordsight.report.summary import summary

    looked_at, found, *others, next_step = summary(result)
    lines = [looked_at.text, found.text]
    for finding in result.leading:
        lines += _finding_lines(finding, [other.about.word for other in result.along(finding)])
    lines += [untested_line(one) for one in result.untested]
    lines += [f"{line.about}: {line.text}" for line in others if line.about != "Untested"]  # these are named above
    lines += [power_line(power) for power in result.power]
    return "\n".join([*lines, f"{next_step.about}: {next_step.text}", f"  {next_step.command}"])


def _finding_lines(finding: "Finding", along: list[str]) -> list[str]:
    about, gap = finding.about, finding.severity
    groups = [
        f"{group.label} {'with' if group.present else 'without'} it {group.accuracy:.0%} of {group.images}"
        for group in finding.groups
    ]
    lines = [
        f"{about.label}: {about.word}",
        f"  severity {gap.value:.0%} ({gap.low:.0%} to {gap.high:.0%}), rate {about.rate.value:.0%}",
        f"  accuracy: {'; '.join(groups)}",
    ]
    return lines + ([f"  goes along with it, without evidence of its own: {', '.join(along)}"] if along else [])
