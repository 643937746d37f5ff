// Training: a second slider, over the steps of a recorded run, and on from there with another rate.


let path = [], states = [], losses = [], epoch = 0, running = null, rate = 1, ownFrom = Infinity;
// of each step of the page's own where the slider of the rate stood, what was changed before it, and the data
let slid = [];

function recorded() {
  const bytes = Uint8Array.from(atob(training.path), (c) => c.charCodeAt(0)), all = new Float64Array(bytes.buffer);
  let at = 0;
  const next = (n) => all.slice(at, (at += n));
  path = training.losses.map(() => training.sizes.map(next));
  const stated = (values) => training.state.map(([, , shape], j) => (shape.length ? filledArray(shape, values[j]) : [values[j]].flat()[0]));
  states = [training.before && stated(training.before), stated(training.state.map((entry) => entry[3]))];
  losses = [...training.losses];
  ownFrom = Infinity;
  slid = [];
}

const filledArray = (shape, x) => (typeof x === "number" ? new Float64Array(shape.reduce((a, b) => a * b, 1)).fill(x) : Float64Array.from(x));
const shaped = (i, value) => (training.shapes[i].length ? value : value[0]);
const argumentsAt = (k, factor, inputs) => training.arguments.map((source) => argument(source, k, null, factor, inputs));

// an argument of a program: a parameter or a state after k steps, a rate, data, the cells of the region, or what stays
function argument([kind, i, isArray], k, cells, factor, inputs = start) {
  if (kind === "parameter") return shaped(i, path[k][i]);
  if (kind === "data") return typeof training.columns[i] === "number" ? inputs[training.columns[i]] : Float64Array.from(training.columns[i]);
  if (kind === "constant") return isArray ? Float64Array.from(i, Number) : Number(i[0]);
  return kind === "cells" ? cells : kind === "state" ? states[k][i] : training.rates[i] * factor;
}

// the state of the optimizer after k steps
function stateAt(k) {
  while (states.length <= k) states.push(advance(...argumentsAt(states.length - 1, 1))[1]);
  return states[k];
}

function toEpoch(k) {
  // what was changed at another step can be had back
  if (past.length && past.at(-1).epoch === undefined) past.push({ all: [...given], epoch });
  epoch = Math.min(Math.max(k, 0), path.length - 1);
  place(path[epoch]);
  recompute(true);
}

const lossNow = () => Number(numbers[live.loss]);

// the parameters are inputs of the program
function place(values) {
  training.inputs.forEach((i, p) => (given[i] = shapeOf(i).length ? values[p].slice() : values[p][0]));
}

// a step from what is shown: the parameters and the data as they were changed
function oneOn() {
  const k = epoch;
  past.length = 0;
  stateAt(k);
  path.length = losses.length = k + 1;
  states.length = Math.min(states.length, k + 1);
  ownFrom = Math.min(ownFrom, k);
  const replaced = slid[k - ownFrom];
  slid.length = k - ownFrom;
  given.forEach((x, i) => !training.inputs.includes(i) && !training.columns.includes(i) && (given[i] = copied(start[i]))); // a step is no function of it
  const before = (replaced ?? slid.at(-1))?.data ?? start;
  const edits = [...(replaced?.edits ?? []), ...changes(origin().map((x, i) => (training.inputs.includes(i) ? x : before[i])))];
  slid.push({ at: $("rate").value, edits, data: given.map(copied) });
  path[k] = training.inputs.map((i) => (isNumber(i) ? Float64Array.of(given[i]) : given[i].slice()));
  losses[k] = lossNow();
  const [values, state] = advance(...argumentsAt(k, rate, given));
  path.push(values.map((x) => (typeof x === "number" ? Float64Array.of(x) : x)));
  states.push(state);
  place(path[k + 1]);
  losses.push(losses[k]); // until it is computed
  toEpoch(k + 1);
  losses[k + 1] = lossNow();
  if (!Number.isFinite(losses[k + 1])) runOn(false);
}

// the steps of the page's own up to this one, as a link says them: from where, how many at each rate, and
// what was changed between them
function ownSteps() {
  const runs = [];
  slid.slice(0, epoch - ownFrom + 1).forEach(({ at, edits }, j) => {
    runs.push(...edits);
    if (j === epoch - ownFrom) return;
    if (!edits.length && runs.at(-1)?.[0] === at) runs.at(-1)[1]++;
    else runs.push([at, 1]);
  });
  return [ownFrom, ...runs.map((run) => (typeof run === "string" ? run : run.join("x")))].join(",");
}

function again(steps) {
  const [from, ...runs] = steps.split(",");
  toEpoch(Number(from) || 0);
  for (const run of runs) {
    const [at, n] = run.split("x");
    if (n === undefined) {
      putSaid(run);
      compute();
      continue;
    }
    slide(at);
    for (let k = Math.min(Number(n) || 0, 1000); k > 0 && Number.isFinite(losses[epoch]); k--) oneOn();
  }
}

function slide(at) {
  $("rate").value = at;
  rate = 10 ** Number($("rate").value);
}

function runOn(on) {
  clearInterval(running);
  running = on ? setInterval(oneOn, 60) : null;
  $("run").textContent = word(on ? "pause" : "run_on");
}

// ── what is shown of it ──────────────────────────────────────────────────────────────────────────

function showRun() {
  const slide = $("epoch");
  slide.max = path.length - 1;
  slide.value = epoch;
  slide.setAttribute("aria-valuetext", word("epoch_of", { at: epoch, of: path.length - 1 }));
  $("epoch-says").textContent = `${word("epoch_of", { at: epoch, of: path.length - 1 })}, ${word("loss_is", { n: steady(lossNow()) })}`;
  $("rate-says").textContent = digits(training.rates[0] * rate);
  $("recorded").disabled = ownFrom === Infinity;
  const ready = epoch > 0 || states[0];
  $("run").disabled = !ready;
  $("run").title = word(ready ? "run_on_title" : "run_on_later");
  curve();
  region();
}

function curve() {
  const losses = seenLosses();
  const W = 300, H = 96, most = Math.max(...losses.filter(Number.isFinite)), least = Math.min(...losses.filter(Number.isFinite), 0);
  const x = (k) => 4 + (k / (path.length - 1)) * (W - 8), y = (v) => 6 + ((most - v) / (most - least || 1)) * (H - 12);
  const d = (from, to) => losses.slice(from, to).map((v, i) => `${i ? "L" : "M"}${x(from + i).toFixed(1)} ${y(Number.isFinite(v) ? v : most).toFixed(1)}`).join("");
  const svg = $("curve");
  svg.setAttribute("viewBox", `0 0 ${W} ${H}`);
  svg.setAttribute("aria-label", word("curve", { low: digits(least), high: digits(most) }));
  const own = Math.min(ownFrom, losses.length - 1), drops = losses.indexOf(most) < losses.length / 2; // the label is where the curve is not
  svg.replaceChildren(
    drawnAs("path", { d: d(0, own + 1), class: "v" }),
    drawnAs("path", { d: d(own, losses.length), class: "g" }),
    drawnAs("circle", { cx: x(epoch), cy: y(losses[epoch]), r: 4 }),
    drawnAs("text", drops ? { x: W - 4, y: 14, "text-anchor": "end" } : { x: 4, y: 14 }, digits(most)),
  );
}

// of the step that is shown, as it is shown
const seenLosses = () => losses.map((loss, k) => (k === epoch ? lossNow() : loss));

function region() {
  const about = training.region, canvas = $("region");
  canvas.hidden = !about;
  if (!about) return;
  const { grid, low, high, outputs, middle, reach, points, labels } = about, wide = 2 * grid;
  const cells = Float64Array.from({ length: 2 * grid * grid }, (_, i) => {
    const axis = i % 2, cell = axis ? Math.floor(i / 2 / grid) : Math.floor(i / 2) % grid;
    return low[axis] + ((cell + 0.5) / grid) * (high[axis] - low[axis]);
  });
  const now = ([kind, i, isArray]) => (kind === "parameter" ? given[training.inputs[i]] : argument([kind, i, isArray], epoch, cells));
  const found = classify(...about.arguments.map(now));
  canvas.width = canvas.height = 2 * wide;
  const context = canvas.getContext("2d"), side = canvas.width / grid;
  const hues = data.colours.concat("#009E73", "#CC79A7", "#56B4E9").map(channels);
  for (let r = 0; r < grid; r++)
    for (let c = 0; c < grid; c++) {
      const k = (r * grid + c) * outputs, out = found.subarray(k, k + outputs);
      const colour = outputs > 1 ? hues[[...out.keys()].reduce((a, b) => (out[b] > out[a] ? b : a)) % hues.length].map((v) => Math.round((v + 510) / 3)) : paint((out[0] - middle) / reach, 1).map((v) => Math.round(0.65 * v + 90));
      context.fillStyle = `rgb(${colour.join(",")})`;
      context.fillRect(c * side, canvas.height - (r + 1) * side, side + 1, side + 1);
    }
  const X = given[about.X];
  points.forEach((point, i) => {
    const [x, y] = point.map((v, axis) => (X ? X[2 * i + axis] : v)).map((v, axis) => ((v - low[axis]) / (high[axis] - low[axis])) * canvas.width);
    context.beginPath();
    context.arc(x, canvas.height - y, 4, 0, 7);
    context.fillStyle = `rgb(${hues[outputs > 1 ? labels[i] % hues.length : labels[i] > middle ? 1 : 0].join(",")})`;
    context.fill();
    context.strokeStyle = "#fff";
    context.stroke();
  });
  canvas.setAttribute("aria-label", word("region"));
}

// what the optimizer remembers of a parameter
function remembered(n) {
  if (!training || !epoch) return;
  const p = training.inputs.indexOf(inputOf.get(n));
  training.state.forEach(([of, name, shape], j) => {
    if (of !== p) return;
    const value = stateAt(epoch)[j], [low, high] = typeof value === "number" ? [value, value] : extremes(value);
    fact(`${word("remembered")}: ${name.replaceAll("_", " ")}`, low === high ? digits(low) : `${digits(low)} … ${digits(high)}`);
  });
}

if (training) {
  recorded();
  $("training").hidden = false;
  $("epoch").addEventListener("input", () => {
    runOn(false);
    toEpoch(Number($("epoch").value));
  });
  $("rate").addEventListener("input", () => {
    slide($("rate").value);
    showRun();
  });
  $("run").addEventListener("click", () => runOn(!running));
  $("recorded").addEventListener("click", () => {
    runOn(false);
    recorded();
    slide("0");
    putAll(start);
    past.length = 0;
    toEpoch(epoch);
  });
  $("run").textContent = word("run_on");
}
