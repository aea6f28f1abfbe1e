"""Results in notebooks: the right numbers, and text from outside that stays text."""

import dataclasses
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from PIL import Image

from reporting import HOSTILE, a_mitigation, an_audit
from wordsight.audits.findings import Group
from wordsight.audits.sets import compare
from wordsight.audits.statistics import Estimate
from wordsight.explain import Explanation, Explanations, Failure, Prediction
from wordsight.sentences.estimates import WordRates
from wordsight.sentences.sampler import Sampled
from wordsight.sentences.sampling import Sampling
from wordsight.words.scores import WordScore


class Parsed(HTMLParser):
    """The elements with their attributes, and the text of each table's cells, row by row."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self._cell = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        self._cell = tag in ("td", "th") or (self._cell and tag != "tr")

    def handle_endtag(self, tag):
        if tag in ("td", "th", "tr"):
            self._cell = False

    def handle_data(self, data):
        self.text += data
        if self._cell:
            self.rows[-1][-1] += data


@pytest.fixture
def audit(tmp_path):
    return an_audit(tmp_path)


def an_explanation(source, *, word: str = "water", label: str = "duck", name: str = "0.png") -> Explanation:
    return Explanation(
        image=name,
        prediction=[Prediction(label, 0.81)],
        table=[WordScore(word, 5, 0.5, 0.3, 0.7, 1.24, 2.0), WordScore("grass", 1, 0.1, 0.0, 0.3, None, None)],
        examples=[f"a {word} here"],
        sampling=Sampling(sentences=10),
        source=source,
        z=torch.zeros(1, 6),
        sampled=Sampled(Counter(), WordRates({}, 10)),
    )


def test_an_audit_shows_its_findings(audit):
    found = Parsed(audit._repr_html_())
    assert "1 finding in 24 images; accuracy 75.0%" in found.text
    assert found.rows == [
        ["class", "word", "goes along", "severity (points)", "rate"],
        ["duck", "water", "", "31 (12 to 50)", "60%"],
    ]
    none = Parsed(dataclasses.replace(audit, findings=[])._repr_html_())
    assert "0 findings" in none.text
    assert none.rows == []


def test_a_finding_shows_the_accuracy_of_its_groups(audit):
    found = Parsed(audit.findings[0]._repr_html_())
    assert "duck: water, severity 31 (12 to 50)" in found.text
    assert found.rows[1:] == [
        ["duck, with “water”", "10", "100%"],
        ["duck, without “water”", "6", "40%"],
        ["not duck, without “water”", "8", "100%"],
    ]


def test_a_comparison_shows_the_words_that_differ(audit):
    comparison = compare(audit, "class=duck")
    found = Parsed(comparison._repr_html_())
    assert "class=duck (16 images) against all others (8 images): 2 of 3 words differ" in found.text
    assert [row[0] for row in found.rows[1:]] == ["water", "grass"]
    water = comparison.words[0]
    assert found.rows[1][1:3] == [f"{water.here:.1%}", f"{water.elsewhere:.1%}"]
    nothing = dataclasses.replace(comparison, words=[dataclasses.replace(word, q=1.0) for word in comparison.words])
    assert Parsed(nothing._repr_html_()).rows == []


def test_a_mitigation_shows_before_and_after(audit):
    mitigation = a_mitigation(audit)
    found = Parsed(mitigation._repr_html_())
    assert "duck: water, reweight: the worst group is better" in found.text
    assert found.rows[2] == ["duck, without 'water'", "6", "40.0%", "80.0%", "+40.0"]
    assert [row[0] for row in found.rows[-3:]] == ["average", "reweighted", "worst"]
    unknown = dataclasses.replace(mitigation, worst_change=Estimate(0.4, -0.1, 0.6))
    assert "no evidence that the worst group changed (-10 to +60 points)" in unknown._repr_html_()


def test_true_groups_have_their_own_names(audit):
    mitigation = a_mitigation(audit)
    groups = [Group("duck, pond", None, 4, 0.5)]
    before, after = (dataclasses.replace(side, groups=groups) for side in (mitigation.before, mitigation.after))
    own = dataclasses.replace(mitigation, true_groups=True, before=before, after=after)
    assert Parsed(own._repr_html_()).rows[1][0] == "duck, pond"


def test_an_explanation_shows_its_image_words_and_sentences():
    found = Parsed(an_explanation(Image.new("RGB", (40, 30), "red"))._repr_html_())
    assert found.rows[1] == ["water", "", "50.0%", "30.0% to 70.0%", "+1.2"]
    assert found.rows[2][-1] == ""  # without a lift
    assert "duck 81%" in found.text
    assert "a water here" in found.text
    (image,) = (attributes for tag, attributes in found.elements if tag == "img")
    assert image["src"].startswith("data:image/jpeg;base64,")


def test_an_image_that_is_gone_is_named(tmp_path):
    html = an_explanation(tmp_path / "gone.png")._repr_html_()
    assert "gone.png cannot be shown" in html
    assert "<img" not in html


def test_images_that_failed_are_listed():
    explanations = Explanations([an_explanation(Image.new("RGB", (4, 4))), Failure("b.png", "no image")])
    assert "Not explained:b.png: no image" in Parsed(explanations._repr_html_()).text


def test_hostile_text_stays_text(tmp_path):
    audit = an_audit(tmp_path, duck=HOSTILE, water=HOSTILE + "w", name=HOSTILE)
    hostile = an_explanation(Image.new("RGB", (4, 4)), word=HOSTILE, label=HOSTILE, name=HOSTILE)
    comparison = dataclasses.replace(compare(audit, "right"), here=HOSTILE, elsewhere=HOSTILE)
    results = [
        audit, audit.findings[0], comparison, dataclasses.replace(a_mitigation(audit), method=HOSTILE), hostile,
        Explanations([hostile, Failure(HOSTILE, HOSTILE)]), an_explanation(Path(f"{HOSTILE}.png".replace("/", ""))),
    ]  # fmt: skip
    for result in results:
        found = Parsed(result._repr_html_())
        assert "script" not in {tag for tag, _ in found.elements}
        assert not [name for _, attributes in found.elements for name in attributes if name.startswith("on")]
        assert all(str(attributes.get("src")).startswith("data:") for tag, attributes in found.elements if tag == "img")
        assert "alert(1)" in found.text
