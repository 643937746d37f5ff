// Computing: the program of all numbers on the page, and the texts whose holes they fill.
//
// data.live has the inputs, [item, shape, values], which are the arguments of the program; the shapes of
// its results; and texts in the order of the page's own, with holes.

const live = data.live, HOLES = /[\ue000-\ue007]/;
const given = live ? live.inputs.map(([, shape, values]) => (shape.length ? Float64Array.from(values, Number) : Number(values[0]))) : [];
const inputOf = new Map(live ? live.inputs.map(([item], i) => [item, i]) : []);
const copied = (x) => (typeof x === "number" ? x : x.slice());
const start = given.map(copied);
let numbers = null, first = null, turned = 0; // the results now and in the beginning; how often they were computed
const filledIn = new Map();

const sameNumber = (a, b) => a === b || (a !== a && b !== b);
const unchanged = (k) => (typeof numbers[k] === "number" ? sameNumber(numbers[k], first[k]) : numbers[k].every((x, i) => sameNumber(x, first[k][i])));

// four digits, and as many characters whatever they are, so that numbers that change keep their place
function steady(x) {
  if (!Number.isFinite(x)) return digits(x);
  if (x === 0) return "0.000";
  const [mantissa, power] = inFour(Math.abs(x)), sign = x < 0 ? "−" : "";
  return sign + (isPlain(power) ? Number(`${mantissa}e${power}`).toPrecision(4) : mantissa + powerOf(power).replace("-", "−"));
}

function written(k, form) {
  const value = numbers[k], shape = live.shapes[k], digit = unchanged(k) ? digits : steady;
  const flat = typeof value === "number" ? [value] : value, size = flat.length;
  const nested = (axis, from, step) => (axis === shape.length ? digit(flat[from]) : `[${Array.from({ length: shape[axis] }, (_, i) => nested(axis + 1, from + (i * step) / shape[axis], step / shape[axis])).join(", ")}]`);
  const few = () => nested(0, 0, size);
  if (form === "n" || (form !== "r" && shape.length === 0)) return digit(flat[0]);
  const [low, high] = extremes(flat), ends = [...new Set([digit(low), digit(high)])].join(" … "); // an arrow says equal ends once
  const range = low === high ? `all ${digit(low)}` : `${digit(low)} … ${digit(high)}`;
  const name = `(${shape.join(",")}${shape.length === 1 ? "," : ""})`;
  if (form === "r") return ends;
  if (form === "f") return few();
  if (form === "b") return size <= 4 ? few() : flat.some(Number.isNaN) ? `${name} with NaN` : `${name} ${range}`;
  if (size === 1) return shape.length === 1 ? few() : digit(flat[0]);
  const table = shape.length === 2 && size <= 9 && shape[1] <= 4;
  if (size > 4 && !table) return flat.some(Number.isNaN) ? "with NaN" : range;
  if (size > 2 && low === high && !flat.some(Number.isNaN)) return range;
  if (shape.length > 2) return summary([...flat].filter(Number.isFinite), digit);
  return table ? Array.from({ length: shape[0] }, (_, r) => nested(1, r * shape[1], shape[1])).join("\n") : few();
}

function summary(finite, digit) {
  if (!finite.length) return word("nothing_finite");
  const [low, high] = extremes(finite), mean = finite.reduce((a, b) => a + b, 0) / finite.length;
  const zero = Math.abs(mean) < 1e-12 * Math.max(Math.abs(low), Math.abs(high)); // up to rounding
  return `min ${digit(low)}\nmean ${digit(zero ? 0 : mean)}\nmax ${digit(high)}`;
}

function extremes(flat) {
  let low = Infinity, high = -Infinity;
  for (const x of flat) {
    if (x < low) low = x;
    if (x > high) high = x;
  }
  return low > high ? [NaN, NaN] : [low, high];
}

// a text with its holes filled; of two equal parts between equals signs one is left
function filled(text) {
  if (!HOLES.test(text)) return text;
  if (filledIn.has(text)) return filledIn.get(text);
  let said = text.replace(/\ue000(\w)(\d+)\ue001/g, (all, form, k) => written(Number(k), form));
  for (let before = ""; before !== said; ) {
    before = said;
    said = said.replace(/\ue004(\d+)\ue005([^\ue004-\ue007]*)\ue006([^\ue004-\ue007]*)\ue007/g, (all, k, yes, no) => (numbers[k] ? yes : no));
    said = said.replace(/\ue002([^\ue002\ue003]*)\ue003/g, (all, inside) => (inside.startsWith("−") ? `(${inside})` : inside));
  }
  said = said.split(" = ").filter((part, i, all) => part !== all[i - 1]).join(" = ");
  filledIn.set(text, said);
  return said;
}

// from now on the page's texts are those with holes
function comeAlive() {
  first = numbers = program(...start);
  const opened = (list, i, text) => Object.defineProperty(list, i, { get: () => (Array.isArray(text) ? text.map(filled) : filled(text)) });
  const pictured = (list, i, map) => Object.defineProperty(list, i, { get: () => (map === null || isFlat(map) ? null : map) });
  live.items.forEach(([value, formula, gradient, valueMap, gradientMap], n) => {
    [[3, value], [4, formula], [6, gradient]].forEach(([i, text]) => opened(items[n], i, text));
    [[9, valueMap], [10, gradientMap]].forEach(([i, map]) => pictured(items[n], i, map));
    items[n][11] = [];
  });
  live.arrows.forEach(([product, term], a) => {
    opened(arrows[a], 2, product);
    opened(arrows[a], 3, term);
  });
  const steps = [...data.forward, ...data.backward, ...data.passes.flatMap((pass) => pass[2])];
  live.steps.forEach(([says, result, why, found], k) => {
    [[1, says], [2, result], [3, why]].forEach(([i, text]) => opened(steps[k], i, text));
    steps[k][5] = found.map(([item, text, map]) => pictured(opened([item, "", null], 1, text), 2, map));
  });
  data.maps = live.maps;
  document.body.classList.add("moved");
}

const isFlat = (map) => {
  const k = live.maps[map][8];
  return typeof k === "number" && numbers[k].every((x) => x === numbers[k][0]);
};

// compute everything for the inputs as they are now; false if the program took another way for them
function compute() {
  if (!numbers) comeAlive();
  try {
    numbers = program(...given);
  } catch (error) {
    if (!(error instanceof Changed)) throw error;
    return error.message || " ";
  }
  turned++;
  filledIn.clear();
  decoded.clear();
  return "";
}

// the cells of a map of a value that was computed
function pooled(map) {
  const { form, shape, rows, columns, tall, wide, planes, tiles, value } = map, [height, width] = sidesOf(shape);
  const cells = new Float64Array(tiles * planes * rows * columns);
  for (let t = 0; t < tiles * planes; t++)
    for (let r = 0; r < rows; r++)
      for (let c = 0; c < columns; c++) {
        let found = form === "cells" ? 0 : NaN, n = 0;
        for (let y = r * tall; y < Math.min((r + 1) * tall, height); y++)
          for (let x = c * wide; x < Math.min((c + 1) * wide, width); x++) {
            const v = value[elementAt(map, t, y, x)];
            if (form !== "cells") found = n++ ? found + (v - found) / n : v;
            else if (Number.isNaN(v) || Math.abs(v) > Math.abs(found)) found = Number.isNaN(found) ? found : v;
          }
        cells[(t * rows + r) * columns + c] = found;
      }
  return cells;
}
