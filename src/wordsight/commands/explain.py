"""wordsight explain"""

import sys
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from wordsight.commands.shared import (
    Classifier,
    Device,
    Lm,
    Memory,
    Seed,
    Translator,
    app,
    bar,
    checked,
    download_bar,
    find,
    make_folder,
)
from wordsight.errors import WordsightError
from wordsight.sentences import MEMORY_MIB


@app.command()
def explain(
    images: Annotated[list[str], typer.Argument(help="Image files, folders, or glob patterns.", metavar="IMAGE|FOLDER|GLOB")],
    sentences: Annotated[int, typer.Option(min=1, help="Sentences sampled for each image; thousands work.")] = 500,
    top_p: Annotated[float, typer.Option(help="Nucleus: the share of probability kept at each token, in (0, 1].")] = 0.9,
    temperature: Annotated[float, typer.Option(help="Divides the logits; above 0.")] = 1.0,
    max_tokens: Annotated[int, typer.Option(min=1, help="Tokens a sentence at most.")] = 24,
    mode: Annotated[str, typer.Option(help="stratified (rates vary less), or exact: like independent samples.")] = "stratified",
    precision: Annotated[
        float | None, typer.Option(help="Sample on until every word's 95% interval is at most this far to either side.")
    ] = None,
    memory: Memory = MEMORY_MIB,
    seed: Seed = 0,
    translator: Translator = None,
    classifier: Classifier = "starter",
    lm: Lm = None,
    device: Device = "cpu",
    top: Annotated[int, typer.Option(min=1, help="Words shown; JSON always holds at least 50.")] = 20,
    out: Annotated[Path | None, typer.Option(help="Write word cloud, bar chart and overview as PNG, and JSON, here.")] = None,
    where: Annotated[
        list[str] | None, typer.Option(help="A word to locate: heat maps as PNG, beside the class's. Needs --out. Repeatable.")
    ] = None,
    json_lines: Annotated[bool, typer.Option("--json", help="One JSON object a line on stdout, nothing else.")] = False,
) -> None:
    """Explain photographs: what the classifier's features hold, as words with rates."""
    from wordsight.explain import Explainer, Explanation
    from wordsight.sentences.sampling import Sampling

    sampling = checked(lambda: Sampling(top_p=top_p, temperature=temperature, max_tokens=max_tokens, mode=mode))
    if precision is not None and not 0 < precision < 1:
        raise typer.BadParameter(f"--precision is {precision}, wanted a number between 0 and 1, for instance 0.02.")
    if where and out is None:
        raise typer.BadParameter("--where came without --out; name the folder for the heat maps.")
    paths, failed = find(images)
    if out is not None:
        _refuse_to_overwrite(paths, out)
    with download_bar() as on_bytes:
        explainer = Explainer.load(classifier=classifier, lm=lm, translator=translator, device=device, on_bytes=on_bytes)
    explained, asked = 0, len(paths) + len(failed)
    taken: set[str] = set()
    with bar("sentences", "sentence") as on_sentences:
        for result in explainer.explain_each(
            paths,
            sentences=sentences,
            sampling=sampling,
            precision=precision,
            memory=memory << 20,
            seed=seed,
            on_sentences=on_sentences,
        ):
            if not isinstance(result, Explanation):
                failed.append(result.reason)
                tqdm.write(f"{result.image}: {result.reason}", file=sys.stderr)
                continue
            explained += 1
            if out is not None:
                stem = _write_pictures(result, out, taken, top)
                if where:
                    failed += _write_maps(explainer, result, where, out / f"{stem}.where.png", sentences, sampling, seed)
            text = result.to_json(words=max(50, top)) if json_lines else _as_text(result, top)
            tqdm.write(text, file=sys.stdout)
    if failed or asked > 1:
        typer.echo(f"explained {explained} of {asked} images" + (f"; {len(failed)} failed" if failed else ""), err=True)
    if failed:
        raise typer.Exit(1)


def _refuse_to_overwrite(paths: list[Path], out: Path) -> None:
    """Make the output folder, and refuse it if a picture to be written would replace one to be explained."""
    make_folder(out)
    here = {path.resolve() for path in paths}
    for path in paths:
        for ending in ("words", "bars", "cloud", "where"):
            target = (out / f"{path.stem}.{ending}.png").resolve()
            if target in here:
                raise WordsightError(f"--out {out} would replace {target}, which is to be explained. Give another folder.")


def _as_text(result, top: int) -> str:
    lines = [result.image, "  classifier: " + ", ".join(f"{p.label} {p.probability:.0%}" for p in result.prediction[:3])]
    lines.append(f"  {'word':<16}{'rate':>6}  {'95% interval':<14}{'lift':>6}   ({result.sentences} sentences)")
    for s in result.table[:top]:
        lift = f"{s.lift:+.1f}" if s.lift is not None else ""
        lines.append(f"  {s.word:<16}{s.rate:>6.1%}  {s.low:>5.1%} - {s.high:<6.1%}{lift:>6}")
    return "\n".join([*lines, *(f'  "{sentence}"' for sentence in result.examples), ""])


def _write_maps(explainer, result, words: list[str], file: Path, sentences: int, sampling, seed: int) -> list[str]:
    """Write heat maps of the words and of the predicted class; returns the reasons for words that have none."""
    from wordsight.features.extraction import open_rgb
    from wordsight.features.maps import class_map
    from wordsight.report.plots import heat_maps, save
    from wordsight.words.maps import word_maps_each

    maps, reasons = [], []
    for found in word_maps_each(explainer, result.picture, words, sentences=sentences, sampling=sampling, seed=seed):
        if isinstance(found, WordsightError):
            reasons.append(f"{result.image}: {found}")
            tqdm.write(reasons[-1], file=sys.stderr)
        else:
            maps.append(found)
    maps.append(class_map(explainer.classifier, result.picture, result.prediction[0].label))
    panels = [*((f"\u201c{one.about}\u201d", one.values) for one in maps[:-1]), (f"class {maps[-1].about}", maps[-1].values)]
    save(heat_maps(open_rgb(result.picture), panels, title=result.image), file)
    return reasons


def _write_pictures(result, out: Path, taken: set[str], top: int) -> str:
    from wordsight.report.plots import bar_chart, save, word_cloud

    stem = base = Path(result.image).stem
    number = 1
    while stem in taken:
        number += 1
        stem = f"{base}-{number}"
    taken.add(stem)
    save(word_cloud(result.table, title=result.image), out / f"{stem}.cloud.png")
    save(bar_chart(result.table, title=result.image, top=top), out / f"{stem}.bars.png")
    save(result.plot(), out / f"{stem}.words.png")
    with (out / "explanations.jsonl").open("w" if len(taken) == 1 else "a", encoding="utf-8") as file:
        file.write(result.to_json() + "\n")  # line by line, so that an interrupted run keeps what it has
    return stem
