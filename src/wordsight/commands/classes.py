"""wordsight classes"""

from typing import TYPE_CHECKING, Annotated

import typer

from wordsight.commands.progress import progress
from wordsight.commands.shared import (
    Classifier,
    Device,
    Lm,
    Memory,
    Translator,
    app,
    find,
    load_explainer,
    name_failures,
)

if TYPE_CHECKING:
    from wordsight.words.class_words import ClassReliance


@app.command()
def classes(
    images: Annotated[
        list[str],
        typer.Argument(
            help="Photographs of the kind that the classifier meets: files, folders, or glob patterns. No labels needed; 100 or "
            "more, better a thousand.",
            metavar="IMAGE|FOLDER|GLOB",
        ),
    ],
    classifier: Classifier = "starter",
    label: Annotated[list[str] | None, typer.Option(help="Only this class. Repeatable.")] = None,
    top: Annotated[int, typer.Option(min=1, help="Words shown for each class.")] = 5,
    json_output: Annotated[bool, typer.Option("--json", help="Everything as JSON on stdout, nothing else.")] = False,
    translator: Translator = None,
    lm: Lm = None,
    device: Device = "auto",
    memory: Memory = None,
) -> None:
    """Show the words that each class relies on: how far its logit moves with a word while the other words stay fixed."""
    paths, failed = find(images)
    explainer = load_explainer(classifier, images, translator, lm, device, memory)
    known = explainer.classifier.labels
    if unknown := sorted(set(label or ()) - set(known)):
        raise typer.BadParameter(
            f"--label is '{unknown[0]}', wanted one of the classifier's {len(known)} classes, such as '{known[0]}'."
        )
    with progress() as on_progress:
        found = explainer.classes(paths, on_progress=on_progress)
    if json_output:
        typer.echo(found.to_json())
    else:
        typer.echo(f"{found.images} images, {len(found.vocabulary)} words that are frequent enough in them")
        for of in found.classes:
            if not label or of.label in label:
                typer.echo(as_text(of, top))
    name_failures(found.failures)
    if failed or found.failures:
        raise typer.Exit(1)


def as_text(of: "ClassReliance", top: int) -> str:
    """One line a class: its words with their reliance and 95% interval."""
    words = [f"{w.word} {w.reliance:+.2f} ({w.low:+.2f} to {w.high:+.2f})" for w in of.words[:top]]
    return f"{of.label} (words explain {max(0.0, of.explained):.0%} of its logit): {', '.join(words) or 'no clear word'}"
