"""The report as text: its content, and that no text from outside becomes markup. No browser needed."""

import base64
import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from reporting import HOSTILE, a_mitigation, an_audit, heat_maps
from wordsight.audits.explained import Explained
from wordsight.audits.findings import Group
from wordsight.audits.focus import Focus
from wordsight.audits.result import Audit
from wordsight.audits.statistics import Estimate
from wordsight.audits.untested import Power, Untested
from wordsight.report.cloud import CLOUD, cloud
from wordsight.report.data import chosen_images, script_json, shown_words
from wordsight.report.html import LIBRARIES, render_report
from wordsight.report.numbers import percent, points
from wordsight.report.pieces import heat_map, thumbnails


class Page(HTMLParser):
    """The text outside scripts and styles, the elements, and each script's text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._in: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._in.append(tag)
            self.scripts += [""] * (tag == "script")

    def handle_endtag(self, tag):
        if tag in ("dt", "dd", "th", "td", "span", "div", "p", "li"):
            self.text += " "
        if self._in and self._in[-1] == tag:
            self._in.pop()

    def handle_data(self, data):
        if not self._in:
            self.text += data
        elif self._in[-1] == "script":
            self.scripts[-1] += data

    @property
    def data(self) -> dict:
        return json.loads(self.scripts[0])

    @property
    def words(self) -> str:
        return " ".join(self.text.split())


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    return an_audit(tmp_path)


def test_a_finding_in_plain_language(audit):
    page = Page(render_report(audit))
    assert "1 thing that decisions use and that goes along with errors, in 1 of 2 classes." in page.words
    assert "60% of the images of duck without “water” are missed, and 0% of those with it." in page.words
    assert (
        "Images of duck without “water” are missed 31 points more often than those with it (95% interval 12 to 50)."
        in page.words
    )
    assert (
        "Images of other classes with “water” are mistaken for duck 2 points less often than those without it, compared within "
        "each true class (95% interval \N{MINUS SIGN}12 to 8)." in page.words
    )
    assert "duck, without “water” 40% of 6" in page.words
    assert (
        "The logit of duck rises by 0.30 of its standard deviations from images without “water” to images with it, all other words "
        "alike (95% interval 0.26 to 0.34; 0 is no use). Adding it turns 7% of the images predicted as other classes into duck."
        in page.words
    )
    assert (
        "wordsight mitigate DATA --classifier 'head:birds and more.safetensors' --finding water --label duck "
        "--out better.safetensors" in page.words
    )
    names = [audit.images[i].image for i in page.data["findings"][0]["examples"]["missed"]]
    assert names == audit.examples(audit.findings[0])["missed"]
    assert names[0] == "15.png"


def test_findings_of_one_thing_are_one_card(audit):
    (ball,) = audit.findings
    wet = dataclasses.replace(ball, about=dataclasses.replace(ball.about, word="<wet>"), along_with="water")
    page = Page(render_report(dataclasses.replace(audit, findings=[ball, wet])))
    assert "1 thing that decisions use" in page.words
    assert "2 words name them." in page.words
    assert "Goes along with it, without evidence of its own beside water: <wet> (31 points)" in page.words
    assert sum(classes.get("class") == "card finding" for tag, classes in page.elements if tag == "article") == 1
    assert len(page.data["findings"]) == 1


def test_a_severity_that_may_be_0_says_so(audit):
    (water,) = audit.findings
    wide = dataclasses.replace(water, severity=Estimate(0.09, -0.08, 0.49))
    note = "the severity may be 0. More images would tell, above all of this group, which has 6: duck, without “water”."
    assert note in Page(render_report(dataclasses.replace(audit, findings=[wide]))).words
    assert note not in Page(render_report(audit)).words


def test_the_first_lines_say_what_a_reader_asks(audit):
    words = Page(render_report(dataclasses.replace(audit, copies=2))).words
    told = "The classifier, birds and more.safetensors, predicts 75% of them right. 2 images more are copies"
    asked = [f"24 images of 2 classes. {told}", "1 thing that", "How sure", "Next Look at the examples of “water” in duck."]
    assert [words.index(text) for text in asked] == sorted(words.index(text) for text in asked)
    assert "at most 5 in 100 are false on average" in words
    (ball,) = audit.findings
    wet = dataclasses.replace(ball, about=dataclasses.replace(ball.about, word="wet"), along_with="water")
    assert "water with wet 60% of the images" in Page(render_report(dataclasses.replace(audit, findings=[ball, wet]))).words
    untested = Untested(dataclasses.replace(audit.words[1], verdict="untested", changes=0.12), 3, 25)
    silent = Page(render_report(dataclasses.replace(audit, findings=[], untested=[untested]))).words
    assert "goes along with errors. 1 word that it relies on could not be tested." in silent
    assert "Next Add 22 images of duck without “grass” and audit again. wordsight audit DATA --classifier" in silent


def test_what_is_relied_on_and_untested_and_what_could_not_be_found_is_said(audit):
    untested = Untested(dataclasses.replace(audit.words[1], verdict="untested", changes=0.12), 3, 25)
    more = dataclasses.replace(audit, untested=[untested], power=[Power("duck", 16, 0.21, 0.35)], unclear=["hen"])
    words = Page(render_report(more)).words
    assert (
        "duck relies on “grass”; adding it turns 12% of the images of other classes into duck. Whether errors go with it is untested: "
        "these images have only 3 images of duck without it. 25 images of duck without it would settle that." in words
    )
    assert "With 16 images of duck, gaps of errors below 21% would most likely go unseen for any word" in words
    assert "would most likely have gone unseen: duck 21. Words that few images have" in words
    assert "The name of hen is in nearly every sentence of its images" in words
    assert "Relies on, untested here" not in Page(render_report(audit)).words
    entries = json.loads(more.to_json())
    assert (entries["untested"][0]["images_scarcer"], entries["untested"][0]["images_wanted"]) == (3, 25)
    assert entries["power"] == [{"label": "duck", "images": 16, "smallest": 0.21, "median": 0.35}]
    assert entries["unclear"] == ["hen"]


def test_findings_the_untested_and_silence_look_different(audit):
    """By words and signs (the style sheet's), not by colour alone."""
    untested = Untested(dataclasses.replace(audit.words[1], verdict="untested"), 3, 25)
    found = Page(render_report(audit))
    silent = Page(
        render_report(dataclasses.replace(audit, findings=[], untested=[untested], power=[Power("hen", 8, 0.3, 0.5)]))
    )

    def classes(page: Page) -> set[str]:
        return {name for _, attributes in page.elements for name in (attributes.get("class") or "").split()}

    assert "silence" not in {attributes.get("id") for _, attributes in found.elements}
    assert {"finding", "harmful"} <= classes(found)
    assert {"untested", "silent"} <= classes(silent)
    assert "finding" not in classes(silent)
    assert (
        "No finding says little where large gaps would have gone unseen: With 8 images of hen, gaps of errors below 30%"
        in silent.words
    )
    assert "hen 8 images, 100% predicted right nothing found" in silent.words


def test_shares_that_hide_the_gap_are_not_said(audit):
    """Of other classes together fewer are mistaken with the word, within each class more: the gap itself is said."""
    (water,) = audit.findings
    about = dataclasses.replace(water.about, missed=None, mistaken=Estimate(0.3, 0.1, 0.5))
    groups = [Group("not duck", True, 10, 0.9), Group("not duck", False, 10, 0.8)]
    hidden = dataclasses.replace(water, about=about, groups=groups)
    page = Page(render_report(dataclasses.replace(audit, findings=[hidden])))
    assert "of the images of other classes" not in page.words
    assert "Images of other classes with “water” are mistaken for duck 30 points more often" in page.words
    plain = dataclasses.replace(hidden, groups=[Group("not duck", True, 10, 0.6), Group("not duck", False, 10, 0.9)])
    words = Page(render_report(dataclasses.replace(audit, findings=[plain]))).words
    assert "40% of the images of other classes with “water” are mistaken for duck, and 10% of those without it." in words


def test_without_findings_the_report_says_what_that_means(audit):
    none = Audit(audit.classes, audit.images, audit.words[1:], [], {}, {})
    words = Page(render_report(none)).words
    assert "No word was found that the classifier's decisions use and that goes along with errors." in words
    assert "No finding does not mean that there is no shortcut" in words
    assert "Before and after mitigation" not in words
    assert "The translator has no figures of its quality." in words


def test_an_audit_of_nothing_is_rendered():
    assert "<h1" in render_report(Audit(["duck"], [], [], [], {}, {}))


def test_how_far_to_trust_it(audit):
    words = Page(render_report(audit)).words
    assert "24 images are described, each in 32 sampled sentences" in words
    assert "Loss on held-out captions (nats a token; lower is better) 2.346" in words
    assert re.search(r"duck 16 62% 2 1 water 0\.30 \N{EN DASH} few images", words)
    assert re.search(r"hen 8 100% 1 0 grass 0\.02 \N{EN DASH} few images, low word use", words)


def test_a_class_decided_at_one_position_has_a_note(audit):
    corner = np.zeros((14, 14))
    corner[12, 1] = 1.0
    focus = [
        Focus("duck", 16, Estimate(0.52, 0.41, 0.63), True, corner),
        Focus("hen", 8, Estimate(-0.1, -0.2, 0.0), False, np.full((14, 14), 1 / 196)),
    ]
    html = render_report(dataclasses.replace(audit, focus=focus))
    page = Page(html)
    assert "The heat maps of duck lie at one position of the images" in page.words
    assert (
        "The heat maps of 16 images predicted as duck agree with each other: mean correlation 0.52 (95% interval 0.41 to 0.63), in "
        "other classes \N{MINUS SIGN}0.10 to \N{MINUS SIGN}0.10." in page.words
    )
    assert html.count('<rect x="1" y="12" width="1" height="1" opacity="1.0"/>') == 1
    assert re.search(r"duck 16 62% 2 1 water 0\.30 \N{EN DASH} few images, looks at one position", page.words)
    assert "at one position" not in Page(render_report(audit)).words


def test_a_class_that_words_do_not_explain_has_a_note(audit):
    explained = [
        Explained("duck", Estimate(0.55, 0.48, 0.62), True),
        Explained("hen", Estimate(0.9, 0.8, 0.95), False),
    ]
    page = Page(render_report(dataclasses.replace(audit, explained=explained)))
    assert "The words explain less of the logit of duck than of other classes. What decides there may have no" in page.words
    assert (
        "The words of the images explain 55% of the differences in the logit of duck (95% interval 48% to 62%), in other classes "
        "90% to 90%." in page.words
    )
    assert "compare its images with those of the class that it is confused with" in page.words
    assert re.search(r"duck 16 62% 2 1 water 0\.30 55% few images, words explain little", page.words)
    assert re.search(r"hen 8 100% 1 0 grass 0\.02 90% few images, low word use", page.words)
    assert "explain less" not in Page(render_report(audit)).words
    little = [Explained("duck", Estimate(0.2, 0.1, 0.3), False)]
    page = Page(render_report(dataclasses.replace(audit, explained=little)))
    assert "The words explain only 20% of the differences in the logit of the median class" in page.words


def test_settings_and_versions(audit):
    words = Page(render_report(audit)).words
    assert "limits.used 0.05" in words
    assert "apart bird" in words
    assert f"numpy {np.__version__}" in words


def test_before_and_after(audit):
    page = Page(render_report(audit, mitigations=[a_mitigation(audit)]))
    assert "The worst group is better: by +40 points (10 to 60)." in page.words
    assert "Accuracy of the worst group 40.0% 80.0% +40" in page.words
    assert "Severity of the finding, points 30 (20 to 40) not measured" in page.words
    assert "duck, without “water” (6 images) 40.0% 80.0% +40" in page.words
    assert page.data["mitigations"] == [
        {
            "before": {"average": 0.75, "reweighted": 0.7, "worst": 0.4},
            "after": {"average": 0.8, "reweighted": 0.8, "worst": 0.8},
        }
    ]


def test_true_groups_of_a_mitigation_have_their_own_names(audit):
    mitigation = a_mitigation(audit)
    groups = [Group("duck, pond", None, 6, 0.4)]
    before, after = (dataclasses.replace(side, groups=groups) for side in (mitigation.before, mitigation.after))
    own = dataclasses.replace(mitigation, true_groups=True, before=before, after=after)
    words = Page(render_report(audit, mitigations=[own, mitigation])).words
    assert "duck, pond (6 images) 40.0% 40.0% 0" in words
    assert "Groups are the data's own." in words
    assert "Groups are made by label and presence of the word." in words


def test_right_against_wrong(audit):
    sides = Page(render_report(audit)).data["sides"]
    assert [(side["label"], side["right"], side["wrong"]) for side in sides] == [(None, 18, 6), ("duck", 10, 6)]
    water = next(row for row in sides[1]["rows"] if row[0] == "water")
    assert water[1] == pytest.approx(0.675)  # mean of 0.9, 0.85, ... 0.45
    assert water[2] == pytest.approx(0.275)


def test_hostile_text_stays_text(tmp_path):
    audit = an_audit(tmp_path, duck=HOSTILE, water=HOSTILE + "w", name=HOSTILE)
    audit = Audit(audit.classes, audit.images, audit.words, audit.findings, {HOSTILE: HOSTILE}, {HOSTILE: HOSTILE})
    html = render_report(audit, heat_maps=heat_maps(audit), mitigations=[a_mitigation(audit)], title=HOSTILE)
    plain = Page(render_report(an_audit(tmp_path), mitigations=[a_mitigation(an_audit(tmp_path))]))
    page = Page(html)
    assert "alert(1)</script>" not in html
    assert "<img" not in html
    assert [name for name, _ in page.elements].count("script") == len(plain.scripts)
    assert not [attrs for _, attrs in page.elements if any(name.startswith("on") for name in attrs)]
    assert HOSTILE in page.text
    data = page.data
    assert data["classes"][0] == HOSTILE
    assert data["images"][0]["name"] == f"{HOSTILE}0.png"
    assert data["findings"][0]["label"] == HOSTILE


def test_json_in_a_script_cannot_end_it():
    value = {"a": ["</script><!--", "\u2028\u2029", "\udc80", float("nan"), float("inf"), 1 / 3, None, True, 3]}
    text = script_json(value)
    assert text.isascii()
    assert not set("<>&") & set(text)
    assert json.loads(text) == {"a": ["</script><!--", "\u2028\u2029", "\udc80", None, None, 0.3333, None, True, 3]}


def test_a_name_that_is_no_unicode_can_be_written(tmp_path):
    audit = an_audit(tmp_path)
    audit = Audit(audit.classes, audit.images, audit.words, audit.findings, {"bad\udcff.png": "no image"}, {})
    assert "bad?.png" in render_report(audit).encode("utf-8").decode("utf-8")


def test_the_page_may_run_its_own_scripts_and_fetch_nothing(audit):
    html = render_report(audit)
    policy = next(a["content"] for name, a in Page(html).elements if name == "meta" and "http-equiv" in a) or ""
    assert "default-src 'none'" in policy
    assert policy.count("'sha256-") == len(LIBRARIES) + 1
    assert "unsafe-inline" not in policy.split("script-src")[1]
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", html)


def test_an_image_that_cannot_be_read_is_named(audit):
    audit.images[3].path.unlink()
    images = Page(render_report(audit)).data["images"]
    assert [image["thumbnail"] is None for image in images].count(True) == 1
    assert (images[3]["name"], images[3]["thumbnail"]) == ("3.png", None)
    assert images[4]["thumbnail"].startswith("data:image/webp;base64,")


def test_at_most_so_many_images_the_examples_first(audit):
    names = [image.image for image in chosen_images(audit, limit=14)]
    assert {n for shown in audit.examples(audit.findings[0]).values() for n in shown} <= set(names)
    assert len(names) == 14
    assert "16.png" in names  # a hen: every class is shown
    words = Page(render_report(audit, max_images=14)).words
    assert "14 of them are shown here" in words
    assert "24 images are described" in words


def test_thumbnails_of_what_is_no_image(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    assert thumbnails([tmp_path / "broken.png", tmp_path / "missing.png", Path("null\0byte")]) == [None] * 3


def test_heat_maps_are_bytes():
    made = heat_map(np.array([[0.0, 0.5, 1.0], [np.nan, -1.0, 2.0]]))
    assert (made.rows, made.columns) == (2, 3)
    assert list(base64.b64decode(made.cells)) == [0, 128, 255, 0, 0, 255]
    large = heat_map(np.ones((224, 7)))
    assert (large.rows, large.columns) == (16, 7)
    with pytest.raises(ValueError, match=r"A heat map of shape \(3,\) came, wanted \(rows, columns\)"):
        heat_map(np.zeros(3))


def test_a_heat_map_of_a_word_that_is_in_no_table(audit):
    data = Page(render_report(audit, heat_maps={("0.png", "moon"): np.eye(2), ("other.png", "sun"): np.eye(2)})).data
    assert data["words"][-1] == "moon"
    assert data["images"][0]["heat"] == {str(data["words"].index("moon")): [2, 2, base64.b64encode(b"\xff\0\0\xff").decode()]}


def test_no_words_of_a_cloud_touch(audit):
    made = cloud([(f"word{'x' * (i % 9)}{i}", 0.6, 0.2) for i in range(60)])
    assert made is not None
    assert len(made.words) > 5
    for i, a in enumerate(made.words):
        assert a.x >= 0
        assert a.x + a.width <= CLOUD[0]
        for b in made.words[:i]:
            assert a.x + a.width <= b.x or b.x + b.width <= a.x or abs(a.y - b.y) >= 0.7 * min(a.size, b.size)
    assert cloud([]) is None


def test_of_very_many_words_the_strongest_of_each_class_are_shown(audit):
    assert shown_words(audit) == audit.words
    assert [word.word for word in shown_words(audit, limit=3)] == ["water", "grass"]  # one of each class


def test_numbers_as_text():
    assert [percent(x) for x in (0, 0.004, 0.5, 0.996, 1)] == ["0%", "0.4%", "50%", "99.6%", "100%"]
    assert [points(x) for x in (-0.001, -0.12, 0.305)] == ["0", "\N{MINUS SIGN}12", "30"]
    assert points(0.2, signed=True) == "+20"


def test_the_same_audit_gives_the_same_report(audit):
    assert render_report(audit, title="x") == render_report(audit, title="x")
