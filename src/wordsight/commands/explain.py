"""wordsight explain"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from tqdm import tqdm

from wordsight.commands.progress import progress
from wordsight.commands.shared import (
    Classifier,
    Device,
    Lm,
    Memory,
    OwnImages,
    Seed,
    Translator,
    app,
    find,
    load_explainer,
    make_folder,
    sampling_of,
    writing,
)
from wordsight.errors import WordsightError
from wordsight.storage import shortened
from wordsight.words import SOURCES

if TYPE_CHECKING:
    from wordsight.explain import Explainer, Explanation


@app.command()
def explain(
    images: Annotated[list[str], typer.Argument(help="Image files, folders, or glob patterns.", metavar="IMAGE|FOLDER|GLOB")],
    classifier: Classifier = "starter",
    own_images: OwnImages = None,
    sentences: Annotated[int, typer.Option(min=1, help="Sentences sampled for each image; thousands work.")] = 100,
    precision: Annotated[
        float | None, typer.Option(help="Sample on until every word's 95% interval is at most this far to either side.")
    ] = None,
    words: Annotated[
        str,
        typer.Option(help="Where word rates come from: sentences, head (the word head: milliseconds, no sentences), or both."),
    ] = "both",
    top: Annotated[int, typer.Option(min=1, help="Words shown; JSON always holds at least 50.")] = 20,
    out: Annotated[Path | None, typer.Option(help="Write word cloud, bar chart and overview as PNG, and JSON, here.")] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(help="A word to locate: heat maps as PNG, beside the class's. Needs --out. Repeatable."),
    ] = None,
    json_lines: Annotated[bool, typer.Option("--json", help="One JSON object a line on stdout, nothing else.")] = False,
    top_p: Annotated[float, typer.Option(help="Nucleus: the share of probability that stays at each token, in (0, 1].")] = 0.9,
    temperature: Annotated[float, typer.Option(help="Divides the logits; above 0.")] = 1.0,
    max_tokens: Annotated[int, typer.Option(min=1, help="The longest sentence, in tokens.")] = 24,
    mode: Annotated[str, typer.Option(help="stratified (rates vary less), or exact: like independent samples.")] = "stratified",
    seed: Seed = 0,
    translator: Translator = None,
    lm: Lm = None,
    device: Device = "auto",
    memory: Memory = None,
) -> None:
    """Explain images: what the classifier's features hold, as words with rates."""
    sampling = sampling_of(
        sentences=sentences,
        top_p=top_p,
        temperature=temperature,
        max_tokens=max_tokens,
        mode=mode,
        precision=precision,
        seed=seed,
    )
    if words not in SOURCES:
        raise typer.BadParameter(f"--words is '{words}', wanted one of: {', '.join(SOURCES)}.")
    if where and words == "head":
        raise typer.BadParameter("--where needs sentences and came with --words head; leave one of them out.")
    if where and out is None:
        raise typer.BadParameter("--where came without --out; name the folder for the heat maps.")
    paths, failed = find(images)
    if out is not None:
        _refuse_to_overwrite(paths, out)
    explainer = load_explainer(classifier, own_images, translator, lm, device, memory)
    from wordsight.explain import Failure

    total = len(paths) + len(failed)
    explained, stems = 0, set()
    with progress() as on_progress:
        for result in explainer.explain_each(paths, sampling, words=words, on_progress=on_progress):
            if isinstance(result, Failure):
                failed.append(result.reason)
                tqdm.write(f"{result.image}: {result.reason}", file=sys.stderr)
                continue
            explained += 1
            text = result.to_json(words=max(50, top)) if json_lines else _as_text(result, top)
            tqdm.write(text, file=sys.stdout)
            if out is not None:
                with writing(out):
                    stem = _write_figures(result, out, stems, top)
                    if where:
                        maps = len(where) + 1

                        def on_map(done: int, *, before: int = (explained - 1) * maps, total: int = len(paths) * maps) -> None:
                            on_progress("heat maps", before + done, total)

                        failed += _write_maps(explainer, result, where, out / f"{stem}.where.png", on_map)
    if failed or total > 1:
        typer.echo(f"explained {explained} of {total} images" + (f"; {len(failed)} failed" if failed else ""), err=True)
    if failed:
        raise typer.Exit(1)


def _refuse_to_overwrite(paths: list[Path], out: Path) -> None:
    """Make the output folder, and refuse it if a file to be written would replace an image to be explained."""
    make_folder(out)
    sources = {path.resolve() for path in paths}
    for path in paths:
        for ending in ("words", "bars", "cloud", "where"):
            target = (out / f"{shortened(path.stem)}.{ending}.png").resolve()
            if target in sources:
                raise WordsightError(f"--out {out} would replace {target}, which is to be explained. Give another folder.")


def _as_text(result: "Explanation", top: int) -> str:
    lines = [result.image, "  classifier: " + ", ".join(f"{p.label} {p.probability:.0%}" for p in result.prediction[:3])]
    lines.append(f"  {'word':<16}{'rate':>6}  {'95% interval':<14}{'lift':>6}  from       ({result.sentences} sentences)")
    for score in result.table[:top]:
        lift = f"{score.lift:+.1f}" if score.lift is not None else ""
        lines.append(f"  {score.word:<16}{score.rate:>6.1%}  {score.low:>5.1%} - {score.high:<6.1%}{lift:>6}  {score.source}")
    return "\n".join([*lines, *(f'  "{sentence}"' for sentence in result.examples), ""])


def _write_maps(
    explainer: "Explainer", result: "Explanation", words: list[str], file: Path, on_map: Callable[[int], None]
) -> list[str]:
    """Write heat maps of the words and of the predicted class; returns the reasons for words that have none."""
    from wordsight.features.extraction import open_rgb
    from wordsight.report.plots import heat_maps, save

    panels, reasons = [], []
    for done, word in enumerate(words):
        on_map(done)
        try:
            panels.append((f"\u201c{word}\u201d", explainer.word_map(result, word).values))
        except WordsightError as error:
            reasons.append(f"{result.image}: {error}")
            tqdm.write(reasons[-1], file=sys.stderr)
    on_map(len(words))
    try:
        of_class = explainer.class_map(result)
        panels.append((f"class {of_class.about}", of_class.values))
    except WordsightError as error:
        reasons.append(f"{result.image}: {error}")
        tqdm.write(reasons[-1], file=sys.stderr)
    on_map(len(words) + 1)
    if panels:
        save(heat_maps(open_rgb(result.source), panels, title=result.image), file)
    return reasons


def _write_figures(result: "Explanation", out: Path, stems: set[str], top: int) -> str:
    """Write the figures and the line of JSON of one explanation; returns what their names begin with."""
    from wordsight.report.plots import bar_chart, save, word_cloud

    stem = base = shortened(Path(result.image).stem)
    number = 1
    while stem in stems:
        number += 1
        stem = f"{base}-{number}"
    stems.add(stem)
    save(word_cloud(result.table, title=result.image), out / f"{stem}.cloud.png")
    save(bar_chart(result.table, title=result.image, top=top), out / f"{stem}.bars.png")
    save(result.plot(), out / f"{stem}.words.png")
    with (out / "explanations.jsonl").open("w" if len(stems) == 1 else "a", encoding="utf-8") as file:
        file.write(result.to_json() + "\n")  # line by line, so that an interrupted run keeps what it has
    return stem
