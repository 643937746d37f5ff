"""Attention weights that follow a query, on a live page.

Each word has a key, a point in the plane. Attention weighs the words by how well the query points to
their keys. The gradient says which way to move the query to look more at the word that is chosen.
"""

import json

import numpy as np
from _common import Demo
from _live import SHARED, page, printed

from autobp import softmax, value_and_grad

WORDS = ["the", "cat", "sat", "on", "the", "soft", "mat"]
KEYS = np.array(
    [[-1.2, 0.3], [1.6, 0.9], [-0.4, -1.7], [-1.5, -0.8], [-1.0, 0.9], [0.4, 1.7], [1.7, -0.5]]
)
VALUES = np.array([0.0, 1.0, 0.2, 0.1, 0.0, 0.6, 0.8])  # how much a word is a thing


def weights(q, sharpness):
    """How much each word counts."""
    return softmax(KEYS @ q * sharpness)


def chosen(q, sharpness, one):
    """The weight of the word that is chosen by ones and zeros."""
    return np.sum(weights(q, sharpness) * one)


def attention(q, sharpness, one):
    """The weights, the output, and the gradient of the chosen weight by the query."""
    w = weights(q, sharpness)
    _, slope = value_and_grad(chosen)(q, sharpness, one)
    return [w, np.sum(w * VALUES), slope]


SCRIPT = """
let q = Float64Array.of(1, -0.9), sharpness = 1, target = 1, moving = null;
const scale = () => Math.min(W / 8.4, H / 4.6), toX = (v) => W * 0.36 + v * scale(), toY = (v) => H / 2 - v * scale();
const one = () => Float64Array.from(words, (_, i) => (i === target ? 1 : 0));
function draw() {
  const [w, out, slope] = attention(q, sharpness, one());
  context.clearRect(0, 0, W, H);
  const most = w.indexOf(Math.max(...w));
  words.forEach((word, i) => {
    line([[toX(0), toY(0)], [toX(keys[i][0]), toY(keys[i][1])]], ink(i === target ? "green" : "blue"), 1 + 14 * w[i]);
    dot(toX(keys[i][0]), toY(keys[i][1]), 5, ink(i === target ? "green" : "blue"));
    write(word, toX(keys[i][0]) + (keys[i][0] < 0 ? -10 : 10), toY(keys[i][1]) - 8, ink("ink"), keys[i][0] < 0 ? "right" : "left");
    const x = W * 0.76, y = 24 + (i * (H - 40)) / words.length, wide = W * 0.24 - 50; // and room for the number
    context.fillStyle = ink(i === target ? "green" : "blue");
    context.fillRect(x, y, Math.max(1, w[i] * wide), 14);
    write(word, x - 8, y + 12, ink("ink"), "right");
    write(w[i].toFixed(3), x + Math.max(1, w[i] * wide) + 6, y + 12, ink("faint"));
  });
  const [x, y] = [toX(q[0]), toY(q[1])];
  line([[toX(0), toY(0)], [x, y]], ink("orange"), 3);
  arrow(x, y, 3 * slope[0] * scale(), -3 * slope[1] * scale(), ink("green"));
  dot(x, y, 9, ink("orange"), ink("page"));
  if (W < 600) write("drag me", x, y + 26, ink("orange"), "center");
  else write("query: drag me", x + 13, y + 18, ink("orange"));
  $("sharp-is").textContent = sharpness.toFixed(1);
  $("says").textContent = `The query looks most at \\u201c${words[most]}\\u201d (${w[most].toFixed(3)}); the output is ${four(out)}. The green arrow is the gradient of the weight of \\u201c${words[target]}\\u201d by the query: that way it grows fastest, by ${four(Math.hypot(...slope))}.`;
}
function put(a, b) {
  q = Float64Array.of(Math.max(-2, Math.min(2, a)), Math.max(-2, Math.min(2, b)));
  draw();
}
const dragged = (a, b) => put((a - W * 0.36) / scale(), (H / 2 - b) / scale());
const nudged = (a, b) => put(q[0] + 0.1 * a, q[1] - 0.1 * b);
$("sharp").addEventListener("input", () => {
  sharpness = Number($("sharp").value);
  draw();
});
words.forEach((word, i) => $("word").append(new Option(`${i + 1}: ${word}`, i, i === target, i === target)));
$("word").addEventListener("change", () => {
  target = $("word").selectedIndex;
  draw();
});
$("follow").addEventListener("click", () => {
  clearInterval(moving);
  let left = 60;
  moving = setInterval(() => {
    const [, , slope] = attention(q, sharpness, one());
    put(q[0] + 0.3 * slope[0], q[1] + 0.3 * slope[1]);
    if (!--left || held) clearInterval(moving);
  }, 30);
});
"""

CONTROLS = (
    '<label>look more at <select id="word"></select></label> <button id="follow" type="button">'
    'Follow the gradient</button> <label>sharpness <input id="sharp" type="range" min="0.1" max="4"'
    ' step="0.1" value="1"> <output id="sharp-is"></output></label>'
)


def main():
    demo = Demo(__doc__, plots=False)
    given = {"q": np.array([1.0, -0.9]), "sharpness": 1.0, "one": np.eye(len(WORDS))[1]}
    w, out, slope = attention(**given)
    for word, weight in zip(WORDS, w):
        print(f"  {word:6}{weight:.4f}  {'#' * round(60 * weight)}")
    by_hand = w[1] * (KEYS[1] - w @ KEYS)
    print(f"Output {out:.4f}. Gradient of the weight of {WORDS[1]!r} by the query:")
    print(f"  {slope}, by hand {by_hand}")
    if demo.out:
        code = printed(attention=(attention, given))
        code += f"const words = {json.dumps(WORDS)}, keys = {json.dumps(KEYS.tolist())};\n"
        about = "Drag the orange query: the weights follow. Choose a word, and follow its gradient."
        path = demo.out / "attention.html"
        path.write_text(
            page("Attention that follows a query", about, CONTROLS, code + SHARED + SCRIPT)
        )
        demo.files.append(path)
    demo.done(
        f"a gradient that differs from the one by hand by {np.max(np.abs(slope - by_hand)):.0e}"
    )


if __name__ == "__main__":
    main()
