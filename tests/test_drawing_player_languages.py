"""The page in other languages: all its texts, and room for them on a phone."""

import os
import re
import string
from itertools import pairwise

import numpy as np
import pytest

from autobp import Tensor, nn, play, relu, scope
from autobp.drawing.player.words import LANGUAGES, WORDS, said, speaking
from tests.browser import needs_browser
from tests.drawing import neuron

# Every text that one can see, hear or point at.
TEXTS = """
const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const on = walker.currentNode.parentElement;
  if (!on.closest('script, style, noscript, [hidden]')) found.push(walker.currentNode.textContent);
}
for (const e of document.querySelectorAll('[title], [aria-label], [placeholder], [aria-description], [aria-valuetext]'))
  for (const name of ['title', 'aria-label', 'placeholder', 'aria-description', 'aria-valuetext']) found.push(e.getAttribute(name) ?? '');
return [document.title, ...found];
"""


def fields(text):
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_every_table_has_every_text_with_the_same_names(language):
    table = LANGUAGES[language].words
    assert list(table) == list(WORDS)
    for key, text in WORDS.items():
        for form in table[key].split("|"):
            assert fields(form) == fields(text.split("|")[0]), key
    assert [key for key, text in table.items() if not text] == []


def test_the_terms_are_those_of_the_coursework():
    texts = " ".join(LANGUAGES["zh"].words.values())
    assert all(term in texts for term in ("正向傳播", "反向傳播", "計算圖", "梯度", "權重", "損失"))
    with speaking("zh"):
        assert said("phase_forward"), said("phase_backward") == ("正向傳播", "反向傳播")
    assert said("phase_forward") == "forward"


def test_an_unknown_language_is_named():
    with pytest.raises(ValueError, match="no language 'xx'; a page speaks one of 'en', 'zh'"):
        play(neuron(), lang="xx")


def network():
    x = Tensor(np.random.default_rng(0).standard_normal((6, 4)), name="x")
    h = x
    for k in range(3):
        with scope(f"layer{k}"):
            W = Tensor(np.random.default_rng(k).standard_normal((4, 4)) / 2, name=f"W{k}")
            h = relu(h @ W - 0.9)
    return nn.mse(h, np.zeros((6, 4)))


def english(texts, names):
    """Words of two letters and more that are no names of the program, two in a row."""
    allowed = {*names, "Page", "Up", "Down", "Home", "End", "Esc", "Ctrl", "NaN", "inf", "RMS"}
    single = {w.lower() for w in WORDS.values() if w.isascii() and len(w) > 1}
    found = []
    for text in texts:
        words = [w for w in re.findall(r"[A-Za-z][A-Za-z_]+", text) if w not in allowed]
        sentence = any(f"{a} {b}" in text for a, b in pairwise(words))
        if sentence or text.strip().lower() in single:
            found.append(text)
    return found


@pytest.mark.parametrize("make", [neuron, network], ids=["neuron", "network"])
@needs_browser[0]
@needs_browser[1]
def test_no_english_is_left_on_a_chinese_page(make, page, tmp_path):
    page.open(play(make(), lang="zh"), tmp_path / "x.html")
    names = {
        "tanh",
        "relu",
        "sum",
        "mean",
        "max",
        "min",
        "matmul",
        "multiply",
        "each",
        "layer",
        "Linear",
    }
    assert page("return document.documentElement.lang") == "zh-Hant"
    seen = page(TEXTS)
    page("for (const e of document.querySelectorAll('details')) e.open = true")
    for id in ("mode-reverse", "mode-tangent"):
        page.click(id)
        for at in (0, 1, page.steps // 2, page.steps - 1, page.steps):
            page.go(at)
            seen += page(TEXTS)
    page.click("mode-reverse")
    for k in range(page("return document.querySelectorAll('.view:not([hidden]) .node').length")):
        page("document.querySelectorAll('.view:not([hidden]) .node')[arguments[0]].focus()", k)
        seen += page(TEXTS)
        if not page("return document.getElementById('change').hidden"):
            page(
                "document.getElementById('nudges').hidden || document.getElementById('nudge').click()"
            )
            page.click("nudge")
            seen += page(TEXTS)
    page.click("predict")
    page.click("next")
    seen += page(TEXTS)
    assert english(sorted(set(seen)), names) == []
    page.open(play(make()), tmp_path / "x.html")
    assert len(english(page(TEXTS), names)) > 20


@pytest.mark.parametrize(
    ("function", "x", "why"),
    [
        (lambda x: np.linalg.pinv(x)[0, 0], np.eye(2), "JavaScript 無法寫出 np.linalg.pinv。"),
        (lambda x: np.sum(x * x), np.ones(3, np.float32), "引數的型別是 float32，"),
        (lambda x: np.sum(x * (x > 0).astype(np.int8)), np.ones(3), "的型別是 int8，"),
        (lambda x: x * 2 if x > 0 else x, 1.0, "依數值決定計算什麼。"),
        (lambda x: x * float(f"{x.item()}"), 1.0, "讀取陣列中的數值。"),
        (lambda x: np.sum(x * np.bitwise_and((x > 0).astype(int), 3)), np.ones(2), "（整數）。"),
        (lambda x: x * (os.getpid() > 0), 1.0, "呼叫 getpid，"),
    ],
)
def test_why_a_chinese_page_is_not_live_is_said_in_chinese(function, x, why):
    page = play(function, x, lang="zh").page
    (found,) = re.findall(r'<p class="small">本頁不能即時計算：([^<]*)', page)
    assert why in found
    assert english([found], {"np", "linalg", "nn", "os", "int8", "float32", "Conv2d"}) == []


def test_a_forward_mode_that_ends_says_so_in_chinese():
    def equal(x):
        return np.linalg.eigh(x)[1][0, 0]

    notes = re.findall(r'class="note">([^<]*)', play(equal, np.eye(2), lang="zh").page)
    assert notes == [
        "梯度停在失敗的規則 eigh（LinAlgError）。",
        "正向模式停在失敗的規則（LinAlgError）。",
    ]


@pytest.mark.parametrize("language", sorted(LANGUAGES))
@needs_browser[0]
@needs_browser[1]
def test_nothing_overflows_on_a_phone(language, page, tmp_path):
    page.width(390, 844)
    page.open(play(network(), lang=language), tmp_path / "x.html")
    wide = (
        "return [...document.querySelectorAll('main *')].filter((e) => !e.closest('#stage, .scroll, svg')"
        " && e.getClientRects().length && e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.outerHTML.slice(0, 90))"
    )
    page.go(page.steps)
    for k in (0, 1):
        page("document.querySelectorAll('.view:not([hidden]) .node')[arguments[0]].focus()", k)
        assert page("return document.documentElement.scrollWidth") <= 390
        assert page(wide) == []
    page.click("mode-tangent")
    page.go(2)
    assert page(wide) == []
