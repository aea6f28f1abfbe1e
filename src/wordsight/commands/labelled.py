"""wordsight head, audit and mitigate: commands on labelled images."""

import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from tqdm import tqdm

from wordsight.audits import FALSE_DISCOVERY, LEAST_SEVERITY, LEAST_USED, SENTENCES
from wordsight.commands.shared import (
    Classifier,
    Data,
    Device,
    Lm,
    Memory,
    Seed,
    Translator,
    app,
    bar,
    download_bar,
    make_folder,
    name_failures,
)
from wordsight.sentences import MEMORY_MIB

if TYPE_CHECKING:
    from wordsight.audits.result import Audit


@app.command()
def head(
    data: Data,
    out: Annotated[Path, typer.Option(help="The head's file, .safetensors.")],
    classifier: Annotated[str, typer.Option(help="The classifier whose features it reads, named as for explain.")] = "starter",
    split: Annotated[str | None, typer.Option(help="Train on this split of the data. Default: all of it.")] = None,
    held_out: Annotated[float, typer.Option(min=0, max=0.9, help="Share of the images kept to measure accuracy on.")] = 0.2,
    penalty: Annotated[float, typer.Option(min=0, help="Of the squared weights; 1/C in scikit-learn.")] = 1.0,
    device: Device = "cpu",
    seed: Seed = 0,
) -> None:
    """Train a last layer for classes of your own on a classifier's features, in seconds. Use it as head:FILE."""
    from wordsight.classifiers.registry import named_classifier
    from wordsight.features.heads import train_head
    from wordsight.images.labelled import read_labelled
    from wordsight.translator.training import check_writable

    images = read_labelled(data, split=split)
    check_writable(out)
    with download_bar() as on_bytes:
        model = named_classifier(classifier, device=device, on_bytes=on_bytes)
    with bar("features", "image") as on_images:
        made = train_head(images, model, out, held_out=held_out, penalty=penalty, seed=seed, on_images=on_images)
    typer.echo(
        json.dumps(
            {
                "head": str(made.file),
                "labels": list(made.head.labels),
                "images": made.images,
                "left_out": len(made.failures),
                **made.head.figures,
            }
        )
    )
    name_failures(made.failures)
    if made.failures:
        raise typer.Exit(1)


@app.command()
def audit(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder for report.html, findings.json, words.csv, images.jsonl.")],
    classifier: Classifier = "starter",
    translator: Translator = None,
    lm: Lm = None,
    split: Annotated[str | None, typer.Option(help="Audit this split of the data. Default: all of it.")] = None,
    sentences: Annotated[int, typer.Option(min=1, help="Sentences sampled for each image.")] = SENTENCES,
    apart: Annotated[
        list[str] | None,
        typer.Option(help="A word that is no finding for any class, like the classes' names. Repeatable."),
    ] = None,
    false_discovery: Annotated[
        float, typer.Option(min=0, max=1, help="Benjamini-Hochberg rate of each step.")
    ] = FALSE_DISCOVERY,
    least_used: Annotated[
        float, typer.Option(min=0, max=1, help="Least mean cosine of a word that counts as used.")
    ] = LEAST_USED,
    least_severity: Annotated[
        float, typer.Option(min=0, max=1, help="Least gap between error shares of a finding.")
    ] = LEAST_SEVERITY,
    fail_on: Annotated[float | None, typer.Option(min=0, max=1, help="Exit with 1 if a finding is as severe as this.")] = None,
    memory: Memory = MEMORY_MIB,
    device: Device = "cpu",
    seed: Seed = 0,
) -> None:
    """Audit a classifier: words that its decisions use to their harm. Interrupted, it goes on."""
    from wordsight.audits.findings import Limits
    from wordsight.audits.run import audit_images, write_audit
    from wordsight.classifiers.coarse import fitting
    from wordsight.explain import Explainer
    from wordsight.images.labelled import read_labelled

    images = read_labelled(data, split=split)
    make_folder(out)
    with download_bar() as on_bytes:
        explainer = Explainer.load(classifier=classifier, lm=lm, translator=translator, device=device, on_bytes=on_bytes)
    class_map = Path(data) / "in_to_in9.json"
    explainer.classifier = fitting(explainer.classifier, images.labels, class_map if class_map.is_file() else None)
    bars = bar("features", "image"), bar("sentences", "image"), bar("heat maps", "image")
    with bars[0] as on_images, bars[1] as on_sentences, bars[2] as on_maps:
        found = audit_images(
            images,
            explainer,
            sentences=sentences,
            limits=Limits(false_discovery=false_discovery, used=least_used, severity=least_severity),
            apart=apart or (),
            memory=memory << 20,
            seed=seed,
            on_images=on_images,
            on_sentences=on_sentences,
            on_maps=on_maps,
        )
    # As a user names them, so that the report's commands can be run.
    models = [f"--{name} {shlex.quote(str(value))}" for name, value in (("translator", translator), ("lm", lm)) if value]
    found = replace(found, settings=found.settings | {"classifier": classifier, "data": data, "models": models})
    for file in write_audit(found, out):
        tqdm.write(f"wrote {file}", file=sys.stderr)
    typer.echo(_as_text(found))
    name_failures(found.failures)
    if fail_on is not None and any(finding.severity.value >= fail_on for finding in found.findings):
        typer.echo(f"--fail-on {fail_on}: a finding is as severe as that", err=True)
        raise typer.Exit(1)


def _as_text(found: "Audit") -> str:
    from wordsight.audits.explained import little_explained

    looked = len({word.label for word in found.words})
    lines = [
        f"{len(found.images)} images, {found.accuracy:.1%} predicted right; {len(found.findings)} findings in the "
        f"{looked} classes with enough images"
    ]
    for finding in found.findings:
        about, gap = finding.about, finding.severity
        lines.append(f"{about.label}: {about.word}")
        lines.append(f"  severity {gap.value:.0%} ({gap.low:.0%} to {gap.high:.0%}), rate {about.rate.value:.0%}")
        groups = [f"{g.label} {'with' if g.present else 'without'} it {g.accuracy:.0%} of {g.images}" for g in finding.groups]
        lines.append("  right: " + "; ".join(groups))
    for place in found.places:
        if place.remarkable:
            lines.append(
                f"{place.label}: the heat maps lie at one place (they agree to {place.agreement.value:.2f}, more than in other "
                "classes), as if there were a stamp; see the report"
            )
    for one in found.explained:
        if one.remarkable:
            lines.append(
                f"{one.label}: the words explain {one.share.value:.0%} of its score ({one.share.low:.0%} to "
                f"{one.share.high:.0%}), less than of other classes; what decides it may have no word"
            )
    if little := little_explained(found.explained):
        lines.append(little)
    return "\n".join(lines)


@app.command()
def mitigate(
    data: Data,
    finding: Annotated[str, typer.Option(help="findings.json of an audit (its first finding), or a word, with --label.")],
    out: Annotated[Path, typer.Option(help="The better head's file, .safetensors; use it as head:FILE.")],
    method: Annotated[str, typer.Option(help="reweight, mask, project or reweight+project.")] = "reweight+project",
    label: Annotated[str | None, typer.Option(help="The class whose decisions use the word.")] = None,
    classifier: Classifier = "starter",
    translator: Translator = None,
    lm: Lm = None,
    held_out: Annotated[float, typer.Option(min=0.05, max=0.5, help="Share of images to measure on, without splits.")] = 0.3,
    sentences: Annotated[int, typer.Option(min=1, help="Sentences sampled for each image.")] = SENTENCES,
    memory: Memory = MEMORY_MIB,
    device: Device = "cpu",
    seed: Seed = 0,
) -> None:
    """Make a head that no longer hangs on a word; exit with 1 if the worst group is not better for it."""
    from wordsight.explain import Explainer
    from wordsight.images.labelled import read_labelled
    from wordsight.mitigation.run import mitigate, read_finding, to_json
    from wordsight.translator.training import check_writable

    target = read_finding(finding, label)
    images = read_labelled(data)
    check_writable(out)
    with download_bar() as on_bytes:
        explainer = Explainer.load(classifier=classifier, lm=lm, translator=translator, device=device, on_bytes=on_bytes)
    with bar("features", "image") as on_images, bar("sentences", "image") as on_sentences:
        mitigation = mitigate(
            images,
            explainer,
            target,
            out,
            method=method,
            held_out=held_out,
            sentences=sentences,
            memory=memory << 20,
            seed=seed,
            on_images=on_images,
            on_sentences=on_sentences,
        )
    typer.echo(to_json(mitigation, out))
    groups = "the data's groups" if mitigation.true_groups else f"label and '{mitigation.word}' present or not"
    change = f"worst group ({groups}) {mitigation.before.worst:.1%} -> {mitigation.after.worst:.1%}"
    change += f", average {mitigation.before.average:.1%} -> {mitigation.after.average:.1%}"
    typer.echo(f"{change}: {'better' if mitigation.better else 'NOT better; keep the head you have'}", err=True)
    if not mitigation.better:
        raise typer.Exit(1)
