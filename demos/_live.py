"""What the live demos share: a page of one file, whose numbers come from programs printed by autobp."""

import base64
import hashlib
import html

from autobp.compiler.javascript import RUNTIME, javascript
from autobp.compiler.trace.direct import program_of

STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --page: #fff; --faint: #5f6670; --line: #d5d9df; --blue: #0072b2; --orange: #c24e00; --green: #00704f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaed; --page: #10151a; --faint: #a7afb9; --line: #39414c; --blue: #56b4e9; --orange: #f0863c; --green: #3fc79a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 0.8rem 1rem; background: var(--page); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.25rem; margin: 0 0 0.2rem; }
p { margin: 0.3rem 0; }
canvas { display: block; width: 100%; max-height: 62vh; aspect-ratio: 16 / 9; border: 1px solid var(--line); border-radius: 8px; touch-action: none; cursor: grab; }
canvas:active { cursor: grabbing; }
@media (max-width: 600px) { canvas { aspect-ratio: 1; } }
.row { display: flex; flex-wrap: wrap; gap: 0.4rem 1.2rem; align-items: center; margin: 0.5rem 0; }
label { display: flex; gap: 0.5rem; align-items: center; }
button { font: inherit; padding: 0.3rem 0.8rem; border: 1px solid var(--line); border-radius: 6px; background: var(--page); color: var(--ink); }
output, .n { font-variant-numeric: tabular-nums; font-family: ui-monospace, monospace; }
#says { font-size: 1.06rem; min-height: 3em; }
.small { color: var(--faint); font-size: 0.87rem; }
:focus-visible { outline: 3px solid var(--blue); outline-offset: 2px; }
"""

SHARED = """
const $ = (id) => document.getElementById(id), canvas = $("canvas"), context = canvas.getContext("2d");
const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const four = (x) => (Number.isFinite(x) ? (x && (Math.abs(x) < 1e-3 || Math.abs(x) >= 1e4) ? x.toExponential(2) : x.toFixed(3)).replaceAll("-", "\\u2212") : "\\u221e");
let W = 0, H = 0;
function sized() {
  const ratio = devicePixelRatio || 1;
  W = canvas.clientWidth;
  H = canvas.clientHeight;
  canvas.width = W * ratio;
  canvas.height = H * ratio;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  draw();
}
function line(points, colour, width = 2, dash = []) {
  context.beginPath();
  points.forEach(([x, y], i) => context[i ? "lineTo" : "moveTo"](x, y));
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.setLineDash(dash);
  context.stroke();
  context.setLineDash([]);
}
function dot(x, y, r, fill, edge) {
  context.beginPath();
  context.arc(x, y, r, 0, 7);
  context.fillStyle = fill;
  context.fill();
  if (edge) {
    context.strokeStyle = edge;
    context.lineWidth = 2;
    context.stroke();
  }
}
function arrow(x, y, dx, dy, colour) {
  const n = Math.hypot(dx, dy);
  if (n < 4) return;
  const [u, v] = [dx / n, dy / n];
  line([[x, y], [x + dx, y + dy]], colour, 3);
  line([[x + dx - 9 * u - 5 * v, y + dy - 9 * v + 5 * u], [x + dx, y + dy], [x + dx - 9 * u + 5 * v, y + dy - 9 * v - 5 * u]], colour, 3);
}
function write(text, x, y, colour, align = "left") {
  context.fillStyle = colour;
  context.font = "14px system-ui, sans-serif";
  context.textAlign = align;
  context.fillText(text, x, y);
}
let held = false;
const at = (event) => {
  const r = canvas.getBoundingClientRect();
  return [event.clientX - r.left, event.clientY - r.top];
};
canvas.addEventListener("pointerdown", (event) => {
  held = true;
  canvas.setPointerCapture(event.pointerId);
  dragged(...at(event));
});
canvas.addEventListener("pointermove", (event) => held && dragged(...at(event)));
for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (held = false));
canvas.addEventListener("keydown", (event) => {
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  if (!(event.key in moves)) return;
  event.preventDefault();
  nudged(...moves[event.key]);
});
addEventListener("resize", sized);
"""


def printed(**programs):
    """Functions and the arguments that they are traced with, as one script of JavaScript functions."""
    parts = [javascript(program_of(f, given), name) for name, (f, given) in programs.items()]
    inside = "\n".join([RUNTIME, *parts, f"return {{ {', '.join(programs)} }};"])
    return f"const {{ {', '.join(programs)} }} = (() => {{\n{inside}\n}})();\n"


def page(title, about, controls, code):
    """A page: a title, a sentence that says what to do, a canvas, controls, and a script."""
    script = f'"use strict";\n{code}\nsized();\n'

    def hashed(text):
        return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"

    policy = f"default-src 'none'; script-src '{hashed(script)}'; style-src '{hashed(STYLE)}'"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}; base-uri 'none'; form-action 'none'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{html.escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<h1>{html.escape(title)}</h1>
<p>{html.escape(about)}</p>
<canvas id="canvas" tabindex="0" role="img" aria-label="{html.escape(title)}. The arrow keys move what can be dragged."></canvas>
<div class="row">{controls}</div>
<p id="says" aria-live="polite"></p>
<p class="small">Every number here is computed in this page, by programs that autobp recorded from NumPy code,
differentiated, and printed as JavaScript.</p>
</main>
<script>{script}</script>
</body>
</html>
"""
