"""What was relied on and not tested, and what could not have been found, in sentences for commands and reports."""

from wordsight.audits.untested import Power, Untested


def untested_line(one: Untested) -> str:
    """What a class relies on, how many calls change, why it is not tested and which images would settle it."""
    about, side = one.about, "with" if one.has else "without"
    calls = (
        ""
        if about.changes is None
        else f"; adding it turns {about.changes:.0%} of the images of other classes into {about.label}"
    )
    advice = (
        f"More than 1,000 images of {about.label} {side} it would be wanted."
        if one.wanted is None
        else f"{one.wanted} images of {about.label} {side} it would settle that."
    )
    return (
        f"{about.label} relies on \u201c{about.word}\u201d{calls}. Whether errors go with it is untested: these images have only "
        f"{one.images} {'image' if one.images == 1 else 'images'} of {about.label} {side} it. {advice}"
    )


def power_line(power: Power) -> str:
    """From which gap on a word's harm would have been seen."""
    return (
        f"With {power.images} images of {power.label}, gaps of errors below {power.smallest:.0%} would most likely go unseen for any "
        f"word, and below {power.median:.0%} for half of its words."
    )


def unclear_line(label: str) -> str:
    """Why a class was not tested for harm."""
    return (
        f"The name of {label} is in nearly every sentence of its images, so that clear images cannot be told from others: its images "
        "had no part in the test of harm. Take the words from the word head (--words head) to test it."
    )
