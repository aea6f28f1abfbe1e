"""What was relied on and not tested, and what could not have been found, in sentences."""

import dataclasses

from reporting import class_word
from wordsight.audits.lines import power_line, unclear_line, untested_line
from wordsight.audits.untested import Power, Untested


def test_what_is_relied_on_and_which_images_would_settle_it():
    about = dataclasses.replace(class_word("dog", "grass", "untested", 0.6, used=0.5), changes=0.12)
    assert untested_line(Untested(about, 3, 40)) == (
        "dog relies on \N{LEFT DOUBLE QUOTATION MARK}grass\N{RIGHT DOUBLE QUOTATION MARK}; adding it turns 12% of the images of other "
        "classes into dog. Whether errors go with it is untested: these images have only 3 images of dog without it. 40 images of dog "
        "without it would settle that."
    )
    plain = untested_line(Untested(dataclasses.replace(about, changes=None), 1, None))
    assert (
        "untested: these images have only 1 image of dog without it. More than 1,000 images of dog without it would be wanted."
        in plain
    )
    assert "adding it" not in plain


def test_what_could_not_have_been_found():
    assert power_line(Power("dog", 14, 0.31, 0.4)) == (
        "With 14 images of dog, gaps of errors below 31% would most likely go unseen for any word, and below 40% for half of its "
        "words."
    )


def test_a_class_whose_name_is_everywhere():
    assert unclear_line("dog").startswith(
        "The name of dog is in nearly every sentence of its images, so that clear images cannot"
    )
