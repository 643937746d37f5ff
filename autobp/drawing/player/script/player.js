// Playing: what is known after each step, and how the page shows it.

const reverse = { steps: [...data.forward, ...data.backward], at: 0 };
const forward = { steps: data.passes.flatMap((pass) => pass[2]), at: 0 };
for (const line of [reverse, forward]) {
  line.counts = [0];
  for (const step of line.steps) line.counts.push(line.counts.at(-1) + step[6]);
}
const starts = [0];
for (const pass of data.passes) starts.push(starts.at(-1) + pass[2].length);
const turn = data.forward.length;
const computed = new Set(data.forward.map((step) => step[0]));
const usesOf = items.map(() => []);
arrows.forEach(([source, , , term], a) => term && usesOf[source].push(a));
// of a long program one wants to see what came of it; playing begins at its first step all the same
const LONG = 300;

let line = reverse, view = 0, whole = 0, chosen = null, hidden = false, timer = null;

const passAt = (k) => Math.max(0, starts.findLastIndex((start) => start < k));
const predicting = () => $("predict").checked;
const ended = () => line.at === line.steps.length && !hidden;

function phase() {
  if (line.at === 0) return "start";
  if (line === forward) return "tangent";
  return line.at <= turn ? "forward" : line.at === turn + 1 ? "seed" : "backward";
}

// ── what is known after this step: of each item the value, and the gradient or tangent, and maps ───

// the items that have a tangent in a pass: of all others it is 0
const reached = data.passes.map((pass) => {
  let set = null;
  return () => (set ??= new Set(pass[2].flatMap((step) => [step[0], ...step[5].map(([item]) => item)])));
});

function known() {
  const values = items.map((item, n) => (line === forward || !computed.has(n) ? item[3] : null));
  const maps = items.map((item, n) => (line === forward || !computed.has(n) ? item[9] : null));
  const slopes = items.map(() => null), slopeMaps = items.map(() => null);
  if (line === forward && line.at && data.passes.length) {
    const moving = reached[passAt(line.at)]();
    items.forEach((item, n) => item[1] !== "constant" && !moving.has(n) && (slopes[n] = "0"));
  }
  for (let k = line === forward ? starts[passAt(line.at)] : 0; k < line.at; k++) {
    const first = line === reverse && k < turn, veil = hidden && k === line.at - 1;
    for (const [item, text, map] of line.steps[k][5]) {
      (first ? values : slopes)[item] = veil ? "?" : (text ?? items[item][first ? 3 : 6]);
      (first ? maps : slopeMaps)[item] = veil ? null : text === undefined ? items[item][first ? 9 : 10] : map;
    }
  }
  return { values, maps, slopes, slopeMaps };
}

// ── pictures: a view is { title, path, picture, up, groups, arrows, boxes, rolls, titles, shown } ──
// groups are runs of items by the id of what stands for them; one picture may serve many views

const runs = (list) => list.flatMap((start, i) => (i % 2 ? [] : Array.from({ length: list[i + 1] }, (_, j) => start + j)));
const seen = views.map(() => null);

function scene(k) {
  if (seen[k]) return seen[k];
  const v = views[k], area = areaOf(v.picture), things = new Map(), members = new Map();
  for (const g of area.querySelectorAll("[data-id]")) things.set(g.dataset.id, g);
  const places = new Map(), edges = new Map();
  for (const [id, list] of Object.entries(v.groups)) {
    const inside = runs(list), g = things.get(id);
    members.set(g, inside);
    for (const n of inside) places.set(n, [...(places.get(n) ?? []), g]);
  }
  for (let i = 0; i < v.arrows.length; i += 2) {
    const edge = v.arrows[i + 1];
    edges.set(v.arrows[i], [things.get(`e${edge}`), things.get(`b${edge}`)].filter(Boolean));
  }
  return (seen[k] = { area, things, members, places, edges });
}

const single = (inside) => inside.length === 1 && items[inside[0]][1] !== "part";

// measured once, since to measure is to lay out anew
const rooms = new WeakMap(), measure = make("canvas").getContext("2d");
function roomOf(g) {
  const room = rooms.get(g) ?? g.querySelector("path, polygon").getBBox();
  if (room.width) rooms.set(g, room);
  return room;
}

function widthOf(text, slot) {
  measure.font ||= "11px sans-serif";
  if (!measure.canvas.dataset.font) {
    measure.canvas.dataset.font = getComputedStyle(slot).fontFamily;
    measure.font = `11px ${measure.canvas.dataset.font}`;
  }
  return measure.measureText(text).width;
}

function label(g, kind, text) {
  const lines = text.split("\n"), slots = g.querySelectorAll(`text.${kind}`);
  slots.forEach((slot, i) => {
    // of one line in a field of several, the last
    const wanted = (lines.length === 1 && slots.length > 1 && kind !== "name" ? (i === slots.length - 1 ? text : "") : lines[i]) ?? "";
    if (slot.textContent === wanted) return;
    slot.textContent = wanted;
    squeeze(slot, wanted, roomOf(g).width - 6);
  });
}

// a text that is too wide for its room is made narrower
function squeeze(slot, text, room) {
  if (slot.hasAttribute("textLength")) slot.removeAttribute("textLength");
  if (!text || room <= 0 || widthOf(text, slot) <= room) return;
  slot.setAttribute("textLength", room);
  slot.setAttribute("lengthAdjust", "spacingAndGlyphs");
}

function mark(elements, name) {
  for (const old of scene(view).area.querySelectorAll(`.${name}`)) old.classList.remove(name);
  for (const e of elements) e.classList.add(name);
}

function writeOn(edge, text) {
  const slot = edge.querySelector("text");
  if (!slot || slot.textContent === text) return;
  slot.dataset.room ??= Math.max(widthOf(slot.textContent, slot), edge.querySelector("path").getBBox().width - 8);
  slot.textContent = text;
  squeeze(slot, text, Number(slot.dataset.room));
}

const judged = new Map([[null, false]]);
function spoilt(text) {
  if (!judged.has(text)) judged.set(text, /NaN|inf\b/.test(text));
  return judged.get(text);
}

function picture({ values, maps, slopes, slopeMaps }, step) {
  if (!views.length) return;
  const { area, things, members, places, edges } = scene(view);
  const prefix = word(line === forward ? "tangent" : "grad");
  for (const [g, inside] of members) {
    const n = inside[0], is = g.classList;
    is.toggle("unknown", inside.every((m) => values[m] === null));
    is.toggle("done", inside.every((m) => values[m] !== null && values[m] !== "?"));
    // of a folded box all gradients have to be there, since it tells several
    const has = (m) => slopes[m] !== null && slopes[m] !== "?";
    is.toggle("arrived", single(inside) ? has(inside[0]) : inside.every((m) => has(m) || items[m][1] === "constant"));
    // of many numbers the finite ones are summed up, and a mark tells of the others
    // marks are of the recorded run
    const told = numbers ? [] : [...g.querySelectorAll(".mark")].filter((t) => (t.classList.contains("late") ? line === reverse && is.contains("arrived") : is.contains("done")));
    is.toggle("warning", inside.some((m) => spoilt(values[m]) || spoilt(slopes[m])) || told.some((t) => spoilt(t.textContent)));
    if (!single(inside) || is.contains("copy")) continue;
    const fields = [["value", values[n], maps[n], ""]];
    if (items[n][1] !== "constant") fields.push(["grad", slopes[n], slopeMaps[n], `${prefix} `]);
    for (const [kind, text, map, before] of fields) {
      const pictured = map !== null && map !== undefined && g.querySelectorAll(`text.${kind}`).length > 2;
      label(g, kind, pictured ? before + scaleOf(map) : before + (text ?? (before ? "—" : "")));
      inNode(g, kind, pictured ? map : null, items[n][0]);
    }
  }
  const back = phase() === "backward" || phase() === "seed";
  area.classList.toggle("backwards", back);
  const passed = new Set(), lit = new Set();
  if (line === reverse)
    for (let k = turn; k < line.at - (hidden ? 1 : 0); k++) for (const a of line.steps[k][4]) for (const e of edges.get(a) ?? []) passed.add(e);
  const along = (a, kind) => (edges.get(a) ?? []).forEach((e) => e.classList.contains(kind) && lit.add(e));
  if (numbers) for (const [a, [, , slope]] of live.arrows.entries()) for (const e of (slope && edges.get(a)) || []) if (e.classList.contains("back")) writeOn(e, filled(slope));
  if (step && back) step[4].forEach((a) => along(a, "back"));
  else if (step) arrows.forEach((a, i) => a[1] === step[0] && along(i, "ahead"));
  const arrived = through();
  for (const [id, mine] of Object.entries(views[view].shares)) things.get(id).classList.toggle("shared", line === reverse && mine.every((a) => arrived.has(a)));
  mark(passed, "passed");
  mark(lit, "lit");
  const active = step ? (places.get(step[0]) ?? []) : [];
  mark(active, "active");
  mark(chosen === null ? [] : [chosen], "chosen");
  $("elsewhere").hidden = !step || active.length > 0 || ended(); // at the end one looks at all of it
  if (active.length) bring(active[0]);
  else if (step) {
    const home = views[items[step[0]][8]];
    $("elsewhere").firstElementChild.textContent = home && home.up !== null ? word("elsewhere", { where: home.path }) : word("elsewhere_top");
  }
}

// ── words ──────────────────────────────────────────────────────────────────────────────────────

function say(step) {
  const now = phase();
  $("phase").textContent = word(`phase_${now}`);
  $("says").className = now === "seed" || now === "backward" ? "backward" : "forward";
  $("count").textContent = word("step_of", { at: line.at, of: line.steps.length }) + (line === forward && step ? word("pass_of", { n: passAt(line.at) + 1 }) : "");
  $("sentence").replaceChildren();
  if (step) $("sentence").append(step[1], " ", make("b", hidden ? word("asked") : step[2]));
  else $("sentence").textContent = word(line === reverse ? "start_reverse" : "start_tangent");
  $("why").textContent = step && !hidden ? step[3] : step ? word("predict_next") : "";
}

function cost() {
  const most = Math.max(data.backwardCount, data.forwardCount, 1);
  const passes = forward.at && starts.includes(forward.at) ? passAt(forward.at) + 1 : passAt(forward.at);
  const sweeps = reverse.at === reverse.steps.length ? 1 : 0;
  const told = (key, n, of) => word(key, { n: count(n), of: count(of) }, of);
  for (const [id, mode, all, done] of [
    ["reverse", reverse, data.backwardCount, told("of_sweeps", sweeps, 1)],
    ["tangent", forward, data.forwardCount, told("of_passes", passes, data.entries)],
  ]) {
    const now = mode.counts[mode.at];
    $(`${id}-all`).style.width = `${(100 * all) / most}%`;
    $(`${id}-now`).style.width = `${all ? (100 * now) / all : 0}%`;
    $(`${id}-count`).textContent = told("of_multiplications", now, all);
    $(`${id}-passes`).textContent = done;
  }
}

function ratio() {
  const [back, ahead] = [data.backwardCount, data.forwardCount];
  const times = (a, b) => ({ n: a / b < 10 ? String(Number((a / b).toPrecision(2))) : count(Math.round(a / b)) });
  $("ratio").textContent = back === ahead ? word("ratio_equal") : !back ? word("ratio_none") : back < ahead ? word("ratio_reverse", times(ahead, back)) : word("ratio_forward", times(back, ahead));
}

let panelled = null;
function panel(state, step) {
  const inside = chosen ? scene(view).members.get(chosen) : null;
  const n = inside ? inside[0] : step ? step[0] : items.length - 1;
  panelled = inside && !single(inside) ? null : n;
  $("follow").hidden = !chosen;
  changing(panelled);
  $("facts").replaceChildren();
  if (inside && !single(inside)) folded(inside, state);
  else one(n, state);
  doors(chosen ? chosen.dataset.id : null, n);
}

function fact(term, text, style, map) {
  if (text) $("facts").append(make("dt", term), make("dd", text, `mono ${style || ""}`));
  if (!text || map === null || map === undefined) return;
  const box = largeMap(map, `${$("what").textContent}, ${term}`);
  if (style === "value" && inputOf.has(panelled)) box.firstChild.dataset.input = "yes";
  $("facts").append(box);
}

const oneLine = (text) => text.replaceAll("\n", " ");

// which uses have handed back their share
function through() {
  const found = new Set();
  for (let k = turn; k < reverse.at - (hidden && line === reverse ? 1 : 0); k++) for (const a of reverse.steps[k][4]) found.add(a);
  return found;
}

function one(n, { values, maps, slopes, slopeMaps }) {
  const [name, kind, shape, , formula, code, last] = items[n];
  const asked = values[n] === "?", unknown = values[n] === null || asked;
  $("what").textContent = name;
  $("kind").textContent = [word(`kind_${kind}`), shape].filter(Boolean).join(", ");
  // the panel never tells more than the steps have told
  if (formula.length) {
    const told = formula.slice(0, values[n] === null ? 1 : 2);
    fact(word("formula"), [name, ...told, unknown ? word("asked") : oneLine(values[n])].join(" = "));
  }
  fact(word("value"), asked ? word("asked") : unknown ? word("not_yet") : values[n], "value", maps[n]);
  const back = through();
  if (line === forward) fact(word("tangent"), slopes[n] ?? word("not_yet"), "value", slopeMaps[n]);
  else if (kind !== "constant") {
    const complete = slopes[n] !== null && slopes[n] !== "?" && usesOf[n].every((a) => back.has(a));
    fact(word("gradient_so_far"), slopes[n] ?? word("not_yet"), "grad", slopeMaps[n]);
    fact(word("gradient_end"), complete || ended() ? last : predicting() ? word("asked") : word("not_yet"), "grad");
  }
  if (inputOf.has(n)) remembered(n);
  fact(word("code"), code);
  uses(n, back);
}

// every use of an item, with what comes back through it
function uses(n, back) {
  const step = line === reverse && reverse.at > turn ? reverse.steps[reverse.at - 1] : null;
  const all = usesOf[n], most = 40, now = step ? all.findIndex((a) => step[4].includes(a)) : -1;
  const from = Math.max(0, Math.min(now - most / 2, all.length - most));
  const rows = all.slice(from, from + most).map((a) => {
    const [, target, product, term] = arrows[a], veil = !back.has(a), none = predicting() ? word("asked") : "—";
    const row = make("tr", undefined, `${veil ? "" : "done"}${step && step[4].includes(a) ? " now" : ""}`);
    row.append(make("th", items[target][0]), make("td", veil ? none : product), make("td", veil ? none : term));
    return row;
  });
  if (all.length > most) {
    const more = make("tr"), cell = make("td", word("more", { n: count(all.length - most) }));
    cell.colSpan = 3;
    more.append(cell);
    rows.push(more);
  }
  $("uses").replaceChildren(...rows);
  $("used").hidden = !rows.length || line === forward;
  $("sum").textContent = usesOf[n].every((a) => back.has(a)) ? items[n][6] : predicting() ? word("asked") : "—";
}

// a folded module: what is inside it
function folded(inside, { values, slopes }) {
  const id = chosen.dataset.id;
  $("what").textContent = views[view].titles[id] || items[inside[0]][0];
  $("kind").textContent = word("kind_folded");
  $("used").hidden = true;
  for (const n of inside.slice(0, 40)) {
    const slope = slopes[n] === null ? "" : `, ${word(line === forward ? "tangent" : "grad")} ${oneLine(slopes[n])}`;
    fact(items[n][0], items[n][1] === "part" ? `${items[n][4]}\n${items[n][3]}` : `${oneLine(values[n] ?? "—")}${slope}`);
  }
  if (inside.length > 40) fact(word("inside"), word("more", { n: count(inside.length - 40) }));
}

function doors(id, n) {
  const found = [];
  const door = (text, act) => {
    const button = make("button", text);
    button.type = "button";
    button.addEventListener("click", act);
    found.push(button);
  };
  if (views.length) {
    const roll = id === null ? null : views[view].rolls[id], to = id === null ? undefined : views[view].boxes[id];
    if (roll) found.push(picker(roll));
    else if (to !== undefined) door(word("open", { name: views[view].titles[id] || views[to].title }), () => look(to));
    else {
      const home = items[n][8];
      if (home !== view && views[home]?.up != null) door(word("open", { name: views[home].path }), () => show(n));
    }
  }
  $("doors").replaceChildren(...found);
}

// of blocks that are drawn as one, any may be opened
function picker(roll) {
  const label = make("label", `${word("open_one", { n: count(roll.length) })} `), list = make("select");
  list.append(make("option", "—"));
  for (const k of roll) {
    const option = make("option", views[k].title);
    option.value = String(k);
    list.append(option);
  }
  list.addEventListener("change", () => list.value !== "—" && look(Number(list.value)));
  label.append(list);
  return label;
}

// where one is, and the way back
function trail() {
  const path = [];
  for (let k = view; views.length && k >= 0 && views[k].up !== null; k = views[k].up) path.unshift(k);
  const parts = [];
  if (path.length) {
    const back = make("button", word("whole"));
    back.type = "button";
    back.addEventListener("click", () => look(whole));
    parts.push(back);
    path.forEach((k, i) => {
      parts.push("›");
      if (i === path.length - 1) return parts.push(make("b", views[k].title));
      const outer = make("button", views[k].title);
      outer.type = "button";
      outer.addEventListener("click", () => look(k));
      return parts.push(outer);
    });
  }
  $("trail").replaceChildren(...parts);
}

// ── moving ─────────────────────────────────────────────────────────────────────────────────────

function draw(moving) {
  const step = line.steps[line.at - 1], state = known();
  picture(state, step);
  say(step);
  // how large the gradients are would tell what is asked for
  for (const of of document.querySelectorAll(".health-of")) of.textContent = numbers ? word("health_recorded") : "";
  $("health").hidden = $("layers").hidden = Boolean(training) || !worth(data.health) || (predicting() && !ended());
  $("found").hidden = predicting() && (state.values[data.output] === null || state.values[data.output] === "?");
  panel(state, step);
  $("undo").disabled = !past.length;
  $("reset").disabled = !live || !moved();
  cost();
  table(moving);
  slider.max = line.steps.length;
  slider.value = line.at;
  slider.setAttribute("aria-valuetext", `${word("step_of", { at: line.at, of: line.steps.length })}, ${word(`phase_${phase()}`)}`);
  $("first").disabled = $("previous").disabled = line.at === 0;
  $("next").disabled = $("last").disabled = ended();
  $("reveal").hidden = !hidden;
  $("pass").value = String(passAt(line.at));
  remember();
}

function go(k) {
  const to = Math.min(Math.max(k, 0), line.steps.length);
  hidden = predicting() && to > line.at;
  line.at = to;
  draw();
}

function next() {
  if (!hidden) return go(line.at + 1);
  hidden = false;
  draw();
}

function play(on) {
  clearInterval(timer);
  timer = null;
  if (on && ended()) go(0);
  if (on)
    timer = setInterval(() => {
      next();
      if (ended()) play(false);
    }, 1600 / Number($("speed").value));
  $("play").textContent = word(timer ? "pause" : "play");
}

// another view; the numbers in a picture that serves many views are written anew
function look(to) {
  view = to;
  const { outside, texts, up } = views[view];
  if (up === null) whole = view;
  const { area, members, things } = scene(view);
  for (const other of areas) if (other) other.hidden = other !== area;
  for (const [id, lines] of Object.entries(texts)) [...(things.get(id)?.querySelectorAll("text") ?? [])].forEach((text, i) => (text.textContent = lines[i] ?? ""));
  for (const [g, inside] of members) {
    if (up !== null && single(inside)) label(g, "name", nameOf(inside[0]));
    g.classList.toggle("outside", outside.includes(g.dataset.id));
    dress(g, inside);
  }
  if ($("view")) $("view").value = String(whole);
  chosen = null;
  trail();
  $("trail").hidden = up === null;
  fit(true);
  stage.scrollTo(0, 0);
  draw();
  here();
}

const nameOf = (n) => `${items[n][0]}${items[n][2].startsWith("(") ? ` ${items[n][2]}` : ""}`;

const KINDS = ["parameter", "input", "constant", "result", "output"];

function dress(g, inside) {
  g.setAttribute("role", "button"); // whose name is what stands on it
  g.setAttribute("aria-description", word(`kind_${single(inside) ? items[inside[0]][1] : "folded"}`));
  g.setAttribute("tabindex", scene(view).members.keys().next().value === g ? "0" : "-1");
  if (!single(inside)) return;
  g.classList.remove(...KINDS);
  g.classList.add(inside[0] === data.output ? "output" : items[inside[0]][1]);
  // what deserves a second look is said of the item that is shown
  const marks = [...g.querySelectorAll(".mark")];
  if (views[view].up !== null) marks.forEach((text, i) => (text.textContent = items[inside[0]][11][i] ?? ""));
}

// the layer that is shown, in the strip
function here() {
  [...$("strip").querySelectorAll(".hit")].forEach((hit, i) => hit.classList.toggle("here", data.health[i][5] === view));
}

// a variable, wherever it is
function show(n) {
  if (!views.length) return;
  if (!scene(view).places.get(n)?.some((g) => single(scene(view).members.get(g)))) look(items[n][8] ?? whole);
  const [g] = scene(view).places.get(n) ?? [];
  if (!g) return;
  g.focus({ preventScroll: true });
  bring(g);
}

function mode(to) {
  play(false);
  line = to;
  hidden = false;
  document.body.classList.toggle("tangents", line === forward);
  $("mode-reverse").setAttribute("aria-pressed", String(line === reverse));
  $("mode-tangent").setAttribute("aria-pressed", String(line === forward));
  $("passes").hidden = line === reverse;
  $("segments").hidden = line === forward;
  draw();
}

// ── choosing ───────────────────────────────────────────────────────────────────────────────────

function choose(g) {
  if (chosen === g) return;
  for (const other of scene(view).members.keys()) other.setAttribute("tabindex", other === g ? "0" : "-1");
  chosen = g;
  draw();
}

function release() {
  chosen = null;
  if (stage.contains(document.activeElement)) document.activeElement.blur();
  draw();
}

const groupAt = (event) => {
  const g = event.target.closest?.("[data-id]");
  return g && views.length && scene(view).members.has(g) ? g : null;
};
stage.addEventListener("focusin", (event) => groupAt(event) && choose(groupAt(event)));
stage.addEventListener("click", (event) => {
  if (draggedAway) return;
  const g = groupAt(event);
  if (g) g.focus({ preventScroll: true });
  else if (chosen) release();
});
stage.addEventListener("dblclick", (event) => {
  const id = event.target.closest?.("[data-id]")?.dataset.id, to = id && views[view].boxes[id];
  if (to !== undefined && to !== null) look(to);
});

// ── controls ───────────────────────────────────────────────────────────────────────────────────

document.addEventListener("keydown", (event) => {
  const on = event.target;
  if (event.key === "z" && (event.ctrlKey || event.metaKey) && live && !(on === $("exact") && typing())) {
    undo(); // what is being typed is taken back by the browser
    event.preventDefault();
  }
  if (event.ctrlKey || event.metaKey || event.altKey || on.tagName === "SELECT" || on.closest?.(".scroll, #change, #slide")) return;
  const moves = { ArrowRight: next, ArrowLeft: () => go(line.at - 1), PageDown: next, PageUp: () => go(line.at - 1), Home: () => go(0), End: () => go(line.steps.length) };
  const nodes = views.length ? [...scene(view).members.keys()] : [];
  if (!$("dark").hidden) blank(false);
  else if (event.key in moves) {
    play(false);
    moves[event.key]();
  } else if (event.key === " " && (on === slider || !["BUTTON", "SUMMARY", "INPUT"].includes(on.tagName))) play(!timer);
  else if (event.key === "Enter" && nodes.includes(on)) {
    const to = views[view].boxes[on.dataset.id];
    if (to !== undefined) look(to);
    else $("doors").querySelector("select")?.focus();
  } else if (event.key === "Escape") release();
  else if (event.key === "/") $("find").focus();
  else if (event.key === "f") full();
  else if (event.key === "b" || event.key === ".") blank($("dark").hidden);
  else if (event.key === "+" || event.key === "=") zoom(1.25);
  else if (event.key === "-") zoom(0.8);
  else if (event.key === "0") fit();
  else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && nodes.includes(on)) nodes[nodes.indexOf(on) + (event.key === "ArrowDown" ? 1 : -1)]?.focus();
  else return;
  event.preventDefault();
});

// a list that was used with the mouse gives the keys back; one that has the focus keeps them
let pointed = false;
document.addEventListener("pointerdown", (event) => (pointed = event.target.tagName === "SELECT"));
document.addEventListener("keydown", () => (pointed = false), true);
document.addEventListener("change", (event) => {
  if (event.target.tagName === "SELECT" && pointed) event.target.blur();
});

const moving = (move) => () => {
  play(false);
  move();
};
for (const [id, act] of Object.entries({
  first: moving(() => go(0)),
  previous: moving(() => go(line.at - 1)),
  next: moving(next),
  last: moving(() => go(line.steps.length)),
  reveal: moving(next),
  play: () => play(!timer),
  follow: release,
  larger: () => zoom(1.25),
  smaller: () => zoom(0.8),
  fit: () => fit(),
  there: () => {
    look(items[line.steps[line.at - 1][0]][8] ?? whole);
  },
  "mode-reverse": () => mode(reverse),
  "mode-tangent": () => mode(forward),
  full,
  theme: () => {
    const root = document.documentElement;
    const now = root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
  },
}))
  $(id).addEventListener("click", act);
slider.addEventListener("input", moving(() => go(Number(slider.value))));
$("speed").addEventListener("change", () => timer && play(true));
$("predict").addEventListener("change", () => {
  hidden = false;
  if (predicting() && ended()) line.at = 0;
  draw();
});
$("view")?.addEventListener("change", () => look(Number($("view").value)));
$("text").addEventListener("toggle", () => table());
data.passes.forEach((pass, i) => {
  const option = make("option", pass[0]);
  option.value = String(i);
  $("pass").append(option);
});
$("pass").addEventListener("change", () => go(starts[Number($("pass").value)] + 1));
