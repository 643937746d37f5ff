"""Gradient descent on a valley, on a live page.

One drags the start. Forty steps of descent from there are one program. Reverse mode differentiates it
too: backwards through all steps, it says whether another learning rate would have ended lower.
"""

import numpy as np
from _common import Demo
from _live import SHARED, page, printed

from autobp import grad, value_and_grad

STEPS = 40


def height(x, y):
    """A curved valley with one lowest point, at (1, 0.5)."""
    return 0.12 * (x - 1) ** 2 + (y - 0.5 * x**2) ** 2


def descent(x, y, rate):
    """The points that gradient descent goes through."""
    slope = grad(height, argnums=(0, 1))
    path = [(x, y)]
    for _ in range(STEPS):
        dx, dy = slope(x, y)
        x, y = x - rate * dx, y - rate * dy
        path.append((x, y))
    return path


def end(x, y, rate):
    """How high the last point is."""
    return height(*descent(x, y, rate)[-1])


def judged(x, y, rate):
    """The path, how high it ends, and the derivative of that by the learning rate."""
    last, by_rate = value_and_grad(end, argnums=2)(x, y, rate)
    return [descent(x, y, rate), last, by_rate]


SCRIPT = """
let x = -1.6, y = 1.6, rate = 0.15;
const left = -2.4, right = 2.4, low = -0.9, high = 2.4;
const toX = (v) => ((v - left) / (right - left)) * W, toY = (v) => H - ((v - low) / (high - low)) * H;
let ground = null, made = "";
function contours() {
  if (made === `${W} ${H}`) return;
  made = `${W} ${H}`;
  ground = [];
  const n = 90, m = 60, z = (i, j) => level(left + (i / n) * (right - left), low + (j / m) * (high - low));
  for (const h of [0.02, 0.08, 0.2, 0.4, 0.7, 1.1, 1.7, 2.5, 4, 6, 9])
    for (let i = 0; i < n; i++)
      for (let j = 0; j < m; j++) {
        const corners = [[i, j], [i + 1, j], [i + 1, j + 1], [i, j + 1]], v = corners.map((c) => z(...c) - h), cut = [];
        for (let k = 0; k < 4; k++) {
          const a = v[k], b = v[(k + 1) % 4];
          if (a < 0 === b < 0) continue;
          const t = a / (a - b), p = corners[k], q = corners[(k + 1) % 4];
          cut.push([((p[0] + t * (q[0] - p[0])) / n) * W, H - ((p[1] + t * (q[1] - p[1])) / m) * H]);
        }
        if (cut.length === 2) ground.push(cut);
      }
}
function draw() {
  contours();
  context.clearRect(0, 0, W, H);
  for (const cut of ground) line(cut, ink("line"), 1);
  dot(toX(1), toY(0.5), 5, ink("green"));
  write("lowest", toX(1) + 9, toY(0.5) + 5, ink("green"));
  const [path, last, byRate] = judged(x, y, rate);
  const seen = path.filter(([a, b]) => Number.isFinite(a) && Math.abs(a) < 50 && Math.abs(b) < 50).map(([a, b]) => [toX(a), toY(b)]);
  line(seen, ink("blue"), 2);
  seen.forEach(([a, b]) => dot(a, b, 3, ink("blue")));
  dot(toX(x), toY(y), 9, ink("orange"), ink("page"));
  write("start: drag me", toX(x) + 13, toY(y) - 10, ink("orange"));
  $("rate-is").textContent = rate.toFixed(3);
  const advice = !Number.isFinite(last) || last > 100 ? "The steps are too large: it flies off." : Math.abs(byRate) < 1e-3 ? "Another rate would change almost nothing." : byRate < 0 ? "It is negative: a larger rate would end lower." : "It is positive: a smaller rate would end lower.";
  $("says").textContent = `After 40 steps the height is ${four(last)}. Its derivative by the learning rate, backwards through all 40 steps, is ${four(byRate)}. ${advice}`;
}
function put(a, b) {
  x = Math.min(right, Math.max(left, a));
  y = Math.min(high, Math.max(low, b));
  draw();
}
const dragged = (a, b) => put(left + (a / W) * (right - left), low + ((H - b) / H) * (high - low));
const nudged = (a, b) => put(x + 0.05 * a, y - 0.05 * b);
$("rate").addEventListener("input", () => {
  rate = Number($("rate").value);
  draw();
});
"""

CONTROLS = (
    '<label>learning rate <input id="rate" type="range" min="0.01" max="0.6" step="0.005" value="0.15">'
    ' <output id="rate-is"></output></label>'
)


def main():
    demo = Demo(__doc__, plots=False)
    start = {"x": -1.6, "y": 1.6, "rate": 0.15}
    path, last, by_rate = judged(**start)
    h = 1e-6
    numerical = (end(-1.6, 1.6, 0.15 + h) - end(-1.6, 1.6, 0.15 - h)) / (2 * h)
    print(f"Height at the start {height(-1.6, 1.6):.4f}, after {STEPS} steps {last:.6f}.")
    print(f"Its derivative by the learning rate: {by_rate:.6f}; by differences {numerical:.6f}.")
    if demo.out:
        code = printed(judged=(judged, start), level=(height, {"x": 0.0, "y": 0.0}))
        about = "Drag the orange point: the path of gradient descent follows. Then change the learning rate."
        path = demo.out / "valley.html"
        path.write_text(
            page("Gradient descent in a valley", about, CONTROLS, code + SHARED + SCRIPT)
        )
        demo.files.append(path)
    agree = np.isclose(by_rate, numerical, rtol=1e-4)
    demo.done(
        f"a derivative through {STEPS} steps that {'agrees' if agree else 'DISAGREES'} with differences"
    )


if __name__ == "__main__":
    main()
