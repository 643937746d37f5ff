// Changing: the inputs by sliders, by dragging numbers and by clicking cells; undo, reset, and nudges.

const past = [];
let chosenInput = null, chosenCell = 0, waiting = false;

const entryOf = (i, at) => (typeof given[i] === "number" ? given[i] : given[i][at]);
const shapeOf = (i) => live.inputs[i][1];
const isNumber = (i) => i !== undefined && shapeOf(i).length === 0;

function put(i, at, x) {
  if (typeof given[i] === "number") given[i] = x;
  else given[i][at] = x;
}

// one change of an input; those of one drag are undone together
function change(i, at, x, drag) {
  if (!Number.isFinite(x)) return;
  const last = past.at(-1);
  if (!last || !drag || last.drag !== drag) past.push({ i, at, x: entryOf(i, at), drag });
  put(i, at, x);
  if (line === reverse && line.at === 0 && !predicting()) line.at = line.steps.length;
  refresh();
}

const hint = () => word(training ? "training_hint" : live.inputs.some((input, i) => isNumber(i)) ? "drag_hint" : "cell_hint");

function refresh() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    recompute(true);
  });
}

function recompute(moving) {
  const refusal = compute();
  if (refusal && past.length) {
    const { i, at, x } = past.pop();
    put(i, at, x);
    compute();
  }
  $("hint").textContent = refusal ? word("other_branch", { line: refusal }) : hint();
  $("hint").dataset.says = refusal;
  $("found").textContent = ` = ${oneLine(items[data.output][3])}`;
  draw(moving);
  if (training) showRun();
}

function undo() {
  const last = past.pop();
  if (!last) return;
  if (last.all) putAll(last.all);
  else put(last.i, last.at, last.x);
  epoch = last.epoch ?? epoch;
  recompute();
}

// where the inputs are set back to: those of the recorded run, or of a step of training
function putAll(values) {
  values.forEach((x, i) => (given[i] = copied(x)));
}

const origin = () => start.map((x, i) => {
  const p = training ? training.inputs.indexOf(i) : -1;
  return p < 0 ? x : shaped(p, path[epoch][p]);
});

// what is other than before, as a link says it: of which input, where, and the number
const changes = (before) => given.flatMap((x, i) => (isNumber(i) ? [x] : [...x]).flatMap((v, at) => (sameNumber(v, isNumber(i) ? before[i] : before[i][at]) ? [] : [`${i}.${at}.${String(v).replace("+", "")}`])));
const moved = () => origin().some((x, i) => (typeof x === "number" ? !sameNumber(x, given[i]) : x.some((v, at) => !sameNumber(v, given[i][at]))));

// one of them, and how it is taken back; null if there is no such place
function putSaid(said) {
  const [first, second, ...x] = said.split("."), i = Number(first), at = Number(second), value = Number(x.join("."));
  if (!Number.isFinite(value) || !(i in given) || !(isNumber(i) ? at === 0 : at in given[i])) return null;
  const change = { i, at, x: entryOf(i, at) };
  put(i, at, value);
  return change;
}

// of all changes, which can be taken back as one
function reset() {
  past.push({ all: [...given] });
  putAll(origin());
  recompute();
}

// ── the panel: a slider for the number that is chosen ────────────────────────────────────────────

const placeOf = (i, at) => {
  const place = [];
  for (const n of [...shapeOf(i)].reverse()) {
    place.unshift(at % n);
    at = Math.floor(at / n);
  }
  return place.length ? `[${place.join(", ")}]` : "";
};
// the power of ten by which drags, sliders and nudges of a number are measured: that of 0 is 1
const decade = (x) => 10 ** Math.trunc(Math.log10(Math.abs(x) || 1));
const grain = (x) => decade(x) / 100;
const rounded = (x, step) => Number((Math.round(x / step) * step).toPrecision(12));

function changing(n) {
  const i = inputOf.get(n), box = $("change");
  box.hidden = $("slide").hidden = i === undefined;
  $("hint").classList.toggle("aside", i !== undefined && !$("hint").dataset.says);
  if (i === undefined) return;
  // the nudges of a number come first; the rows of an array are under its map
  const facts = $("facts"), there = isNumber(i) ? facts.previousElementSibling : facts.nextElementSibling;
  if (there !== box) facts[isNumber(i) ? "before" : "after"](box);
  if (chosenInput !== i) {
    chosenInput = i;
    chosenCell = 0;
    $("nudges").hidden = true;
  }
  const x = entryOf(i, chosenCell), at = Number.isFinite(x) ? x : 0, first = isNumber(i) ? start[i] : start[i][chosenCell];
  const origin = Number.isFinite(first) ? first : 0, reach = 2 * Math.max(Math.abs(origin), decade(origin)), range = $("amount"), field = $("exact");
  $("changed").textContent = `${items[n][0]}${placeOf(i, chosenCell)}`;
  range.min = Math.min(origin - reach, at);
  range.max = Math.max(origin + reach, at);
  range.step = grain(origin) / 2;
  if (Number(range.value) !== at) range.value = at;
  range.setAttribute("aria-label", $("changed").textContent);
  range.setAttribute("aria-valuetext", digits(x));
  if (document.activeElement !== field || !typing()) writeExact(String(Number(x.toPrecision(12))));
  row(i);
  if (!$("nudges").hidden) nudges();
}

// the field of the number, which has what the page wrote until somebody types
const typing = () => $("exact").value !== ($("exact").dataset.written ?? "");

function writeExact(text) {
  $("exact").value = $("exact").dataset.written = text;
}

// of an array the row that is chosen, each number of it to be chosen in its turn
function row(i) {
  const shape = shapeOf(i), wide = shape.at(-1) ?? 1, size = shape.reduce((a, b) => a * b, 1), rows = size / wide;
  $("rowed").hidden = size === 1;
  if (size === 1) return;
  const list = $("row"), at = Math.floor(chosenCell / wide);
  if (list.dataset.of !== String(i)) {
    list.dataset.of = String(i);
    list.replaceChildren(...Array.from({ length: rows }, (_, r) => make("option", placeOf(i, r * wide).replace(/,? ?\d+\]$/, "]"))));
  }
  list.parentElement.hidden = rows === 1;
  list.selectedIndex = at;
  const from = Math.max(0, Math.min((chosenCell % wide) - 8, wide - 16)), buttons = [];
  for (let c = from; c < Math.min(from + 16, wide); c++) {
    const button = make("button", (unchangedEntry(i, at * wide + c) ? digits : steady)(given[i][at * wide + c]));
    button.type = "button";
    button.setAttribute("aria-pressed", String(at * wide + c === chosenCell));
    button.title = placeOf(i, at * wide + c);
    button.dataset.at = String(at * wide + c);
    buttons.push(button);
  }
  $("cells").replaceChildren(...buttons);
}

const unchangedEntry = (i, at) => start[i][at] === given[i][at];

function chooseCell(at) {
  chosenCell = at;
  draw();
}

// ── what a small step does, beside what the gradient says ─────────────────────────────────────────

function nudges() {
  const i = chosenInput, x = entryOf(i, chosenCell), kept = numbers;
  const loss = (h) => {
    put(i, chosenCell, x + h);
    const changed = compute() ? NaN : Number(numbers[live.loss]);
    put(i, chosenCell, x);
    return changed;
  };
  if (!numbers) compute();
  const here = loss(0), g = slopeAt(i, chosenCell), scale = decade(x), rows = [];
  const tried = (part) => {
    const h = part * scale, step = loss(h) - here, gap = step / h - g;
    return { h, step, gap: Math.abs(gap), tiny: Math.abs(gap) <= 1e-9 * Math.max(Math.abs(g), 1) + 4e-15 * Math.abs(here / h), cells: [digits(h), steady(step), steady(step / h), live.gradients[i] === null ? "—" : steady(gap)] };
  };
  const parts = [1, 0.1, 0.01, 0.001], up = parts.map(tried), down = parts.map((part) => tried(-part));
  // the difference is in proportion to a step that is small enough
  const settles = (sign) => {
    const [large, small] = [1e-4, 1e-5].map((part) => tried(sign * part));
    return small.tiny || small.gap < 0.2 * large.gap;
  };
  const why = Number.isNaN(here) || Number.isNaN(g) ? "nudge_nan" : !Number.isFinite(g) ? "nudge_steep" : !settles(1) || !settles(-1) ? "nudge_kink" : [...up, ...down].every((one) => one.tiny) ? "nudge_straight" : "nudge_bends";
  for (const { cells } of up) {
    const tr = make("tr");
    for (const text of cells) tr.append(make("td", text));
    rows.push(tr);
  }
  numbers = kept ?? numbers;
  compute();
  $("nudge-rows").replaceChildren(...rows);
  if (live.gradients[i] === null) {
    $("nudge-why").textContent = word("nudge_none");
    return;
  }
  $("nudge-why").textContent = word(why, { gradient: steady(g) });
}

function slopeAt(i, at) {
  const k = live.gradients[i], g = k === null ? 0 : numbers[k];
  return typeof g === "number" ? g : g[at];
}

// ── dragging a number in the graph ────────────────────────────────────────────────────────────────

let drag = null;
function numberUnder(event) {
  const g = groupAt(event), inside = g && scene(view).members.get(g);
  if (!inside || !single(inside) || !isNumber(inputOf.get(inside[0]))) return null;
  const slot = g.querySelector("text.value"), r = slot?.getBoundingClientRect();
  return r && event.clientY > r.top - 5 && event.clientY < r.bottom + 5 ? inputOf.get(inside[0]) : null;
}

if (live) {
  stage.addEventListener(
    "pointerdown",
    (event) => {
      const i = event.button === 0 ? numberUnder(event) : null;
      if (i === null) return;
      groupAt(event).focus({ preventScroll: true }); // its slider and its nudges are those that one wants next
      drag = { i, x: event.clientX, from: given[i], step: grain(start[i]), id: {} };
      event.stopPropagation();
      stage.setPointerCapture(event.pointerId);
    },
    true,
  );
  stage.addEventListener("touchmove", (event) => drag && event.preventDefault(), { passive: false });
  addEventListener("pointermove", (event) => {
    if (!drag) return;
    const dx = event.clientX - drag.x;
    if (!drag.on && Math.abs(dx) < 3) return;
    drag.on = true;
    play(false);
    change(drag.i, 0, rounded(drag.from + dx * drag.step * (event.shiftKey ? 0.1 : 1), drag.step / 10), drag.id);
  });
  for (const end of ["pointerup", "pointercancel"])
    addEventListener(end, () => {
      if (drag) draggedAway = true; // no click on what is under it
      drag = null;
    });
  let sliding = {};
  $("amount").addEventListener("pointerdown", () => (sliding = {}));
  $("amount").addEventListener("keydown", () => (sliding = {}));
  $("amount").addEventListener("input", () => change(chosenInput, chosenCell, Number($("amount").value), sliding));
  $("exact").addEventListener("change", () => {
    const said = $("exact").value.trim(), x = said ? Number(said.replaceAll("−", "-")) : NaN; // pages write a true minus
    if (Number.isFinite(x)) change(chosenInput, chosenCell, x);
    else $("hint").textContent = word("no_number", { said });
    writeExact(String(entryOf(chosenInput, chosenCell)));
  });
  $("row").addEventListener("change", () => chooseCell($("row").selectedIndex * shapeOf(chosenInput).at(-1)));
  $("cells").addEventListener("click", (event) => event.target.dataset.at && chooseCell(Number(event.target.dataset.at)));
  $("nudge").addEventListener("click", () => {
    $("nudges").hidden = !$("nudges").hidden;
    draw();
    if (!$("nudges").hidden) $("change").scrollIntoView({ block: "center" });
  });
  $("undo").addEventListener("click", undo);
  $("reset").addEventListener("click", reset);
  $("hint").textContent = hint();
  document.body.classList.add("live");
}
