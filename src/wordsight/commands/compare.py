"""wordsight compare"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from tqdm import tqdm

from wordsight.commands.shared import app, writing

if TYPE_CHECKING:
    from wordsight.audits.sets import Comparison

_CONDITIONS = "class=NAME, predicted=NAME, group=NAME, right, wrong; several with commas between."


@app.command()
def compare(
    audit: Annotated[Path, typer.Argument(help="The folder of an audit (its --out).", metavar="AUDIT_FOLDER")],
    after: Annotated[
        Path | None,
        typer.Argument(help="A later audit of the same images, to compare with the first.", metavar="AUDIT_FOLDER2"),
    ] = None,
    here: Annotated[
        str | None, typer.Option(help=f"A set of images: {_CONDITIONS} With two audits: of the second; default all.")
    ] = None,
    elsewhere: Annotated[
        str | None, typer.Option(help="The set to compare with. Default: all others; with two audits, the same of the first.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Words shown, of those that differ.")] = 15,
    out: Annotated[Path | None, typer.Option(help="Write all words here, as CSV.")] = None,
) -> None:
    """Compare the words of two sets of an audit's images, or of the same images before and after. Needs no model."""
    from wordsight.audits.sets import compare as run
    from wordsight.storage import check_writable, replacing

    if out is not None:
        check_writable(out)
    found = run(audit, here, elsewhere) if after is None else run(after, here, elsewhere, before=audit)
    if out is not None:
        with writing(out, lambda: _as_text(found, top)), replacing(out) as partial:
            found.to_dataframe().to_csv(partial, index=False)
        tqdm.write(f"wrote {out}", file=sys.stderr)
    typer.echo(_as_text(found, top))


def _as_text(found: "Comparison", top: int) -> str:
    words = found.differing()
    summary = f"{len(words)} of {len(found.words)} words differ at a false-discovery rate of 5%"
    lines = [
        f"here: {found.images_here} images ({found.here}); elsewhere: {found.images_elsewhere} images ({found.elsewhere})",
        summary + (f"; the {top} clearest:" if len(words) > top else ":" if words else ""),
    ]
    if words:
        lines.append(f"  {'word':<16}{'here':>7}{'elsewhere':>11}{'difference':>12}  {'95% interval':<20}{'q':>8}")
    for word in words[:top]:
        gap = word.difference
        lines.append(
            f"  {word.word:<16}{word.here:>7.1%}{word.elsewhere:>11.1%}{gap.value:>+12.1%}  "
            f"{f'{gap.low:+.1%} to {gap.high:+.1%}':<20}{word.q:>8.2g}"
        )
    return "\n".join(lines)
