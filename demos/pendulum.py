"""Backpropagation through 20 steps of a pendulum, a live page.

Which start ends at the target? The simulation is one program: 20 small steps of an ordinary
differential equation. Reverse mode goes backwards through all of them, and says how a mistake at the end
depends on every moment before it.
"""

import numpy as np
from _common import Demo
from _live import SHARED, page, printed

from autobp import value_and_grad

STEPS, DT, PULL, FRICTION = 20, 0.12, 4.0, 0.15


def swing(angle, speed, kicks):
    """The angles of 20 steps. A kick is added to the speed at each step; they are all 0."""
    angles = [angle]
    for k in range(STEPS):
        speed = speed - DT * (PULL * np.sin(angle) + FRICTION * speed) + kicks[k]
        angle = angle + DT * speed
        angles.append(angle)
    return angles


def miss(start, target):
    """How far the last angle is from the target, squared. `start` has the first angle and speed, and
    the kicks."""
    return (swing(start[0], start[1], start[2:])[-1] - target) ** 2


def played(start, target):
    """The angles, the miss, and its gradient by the start and by a kick at each step."""
    value, slope = value_and_grad(miss)(start, target)
    return [swing(start[0], start[1], start[2:]), value, slope]


SCRIPT = """
let start = new Float64Array(22), target = 0.9, moving = null, rate = 0.08;
start[0] = -1.2;
const long = () => Math.min(W * 0.25, H * 0.5), pivot = () => [W * 0.29, H * 0.42];
const bob = (angle) => [pivot()[0] + long() * Math.sin(angle), pivot()[1] + long() * Math.cos(angle)];
function draw() {
  const [angles, value, slope] = played(start, target);
  context.clearRect(0, 0, W, H);
  line([pivot(), bob(target)], ink("green"), 2, [6, 5]);
  write("target", bob(target)[0] + 10, bob(target)[1] + 5, ink("green"));
  angles.forEach((angle, k) => {
    context.globalAlpha = 0.15 + (0.5 * k) / 20;
    line([pivot(), bob(angle)], ink("blue"), 1);
    dot(...bob(angle), 4, ink("blue"));
  });
  context.globalAlpha = 1;
  line([pivot(), bob(angles[20])], ink("blue"), 4);
  dot(...bob(angles[20]), 9, ink("blue"));
  write("end", bob(angles[20])[0] + 12, bob(angles[20])[1] - 8, ink("blue"));
  line([pivot(), bob(start[0])], ink("orange"), 4);
  dot(...bob(start[0]), 10, ink("orange"), ink("page"));
  write("start: drag me", Math.max(56, bob(start[0])[0] - 10), bob(start[0])[1] + 26, ink("orange"), "center");
  const x = W * 0.62, wide = W * 0.35, middle = H * 0.5, most = Math.max(...slope.slice(2).map(Math.abs), 1e-9);
  write("gradient by a push", x + wide, 20, ink("faint"), "right");
  line([[x, middle], [x + wide, middle]], ink("line"), 1);
  for (let k = 0; k < 20; k++) {
    const h = (slope[2 + k] / most) * H * 0.36;
    context.fillStyle = ink("orange");
    context.fillRect(x + (k * wide) / 20 + 1, Math.min(middle, middle - h), wide / 20 - 2, Math.abs(h));
  }
  write("step 1", x, H - 10, ink("faint"));
  write("step 20", x + wide, H - 10, ink("faint"), "right");
  $("target-is").textContent = four(target);
  $("speed-is").textContent = four(start[1]);
  $("speed").value = start[1];
  $("says").textContent = `It ends ${four(angles[20] - target)} from the target: a loss of ${four(value)}. Backwards through 20 steps, its gradient is ${four(slope[0])} by the first angle and ${four(slope[1])} by the first speed. The bars say what a push at each step would do.`;
}
function put(angle) {
  start[0] = Math.max(-3, Math.min(3, angle));
  draw();
}
const dragged = (a, b) => put(Math.atan2(a - pivot()[0], b - pivot()[1]));
const nudged = (a, b) => put(start[0] + 0.05 * (a - b));
$("target").addEventListener("input", () => {
  target = Number($("target").value);
  draw();
});
$("speed").addEventListener("input", () => {
  start[1] = Number($("speed").value);
  draw();
});
$("aim").addEventListener("click", () => {
  clearInterval(moving);
  let left = 120;
  moving = setInterval(() => {
    const [, value, slope] = played(start, target);
    start[0] -= rate * slope[0];
    start[1] -= rate * slope[1];
    draw();
    if (!--left || value < 1e-8 || held) clearInterval(moving);
  }, 30);
});
"""

CONTROLS = (
    '<button id="aim" type="button">Aim: follow the gradient</button>'
    '<label>target <input id="target" type="range" min="-1.5" max="1.5" step="0.01" value="0.9">'
    ' <output id="target-is"></output></label><label>first speed <input id="speed" type="range" min="-4"'
    ' max="4" step="0.01" value="0"> <output id="speed-is"></output></label>'
)


def main():
    demo = Demo(__doc__, plots=False)
    start = np.zeros(2 + STEPS)
    start[0] = -1.2
    angles, value, slope = played(start, 0.9)
    print(f"Angle {start[0]} at the start, {angles[-1]:.4f} after {STEPS} steps. Loss {value:.6f}.")
    moved = start.copy()
    for _ in range(120):
        _, value, slope = played(moved, 0.9)
        moved[:2] -= 0.08 * slope[:2]
    end = swing(moved[0], moved[1], moved[2:])[-1]
    print(f"After 120 steps of descent: start {moved[0]:.4f}, speed {moved[1]:.4f}, end {end:.4f}.")
    if demo.out:
        code = printed(played=(played, {"start": start, "target": 0.9}))
        about = "Drag the orange bob: where it ends follows. Then let the gradient aim it at the target."
        path = demo.out / "pendulum.html"
        path.write_text(
            page("Backpropagation through a pendulum", about, CONTROLS, code + SHARED + SCRIPT)
        )
        demo.files.append(path)
    demo.done(f"aimed at 0.9, it ends at {end:.4f}")


if __name__ == "__main__":
    main()
