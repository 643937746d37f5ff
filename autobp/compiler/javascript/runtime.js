// The runtime of printed programs: loops over elements, and functions that JavaScript's Math has not.

class Changed extends Error {}

function guard(holds, line) {
  if (!holds) throw new Changed(line);
}

// ── loops; places are where the elements of a view are in the array that it looks at ──────────────

function each(n, element) {
  const result = new Float64Array(n);
  for (let i = 0; i < n; i++) result[i] = element(i);
  return result;
}

function places(start, shape, strides) {
  let found = [start];
  shape.forEach((n, axis) => (found = found.flatMap((at) => Array.from({ length: n }, (_, i) => at + i * strides[axis]))));
  return Int32Array.from(found);
}

const pick = (x, at) => each(at.length, (i) => (at[i] < 0 ? 0 : x[at[i]]));

function join(...parts) {
  const flat = parts.map((part) => (typeof part === "number" ? [part] : part));
  const result = new Float64Array(flat.reduce((n, part) => n + part.length, 0));
  flat.reduce((at, part) => (result.set(part, at), at + part.length), 0);
  return result;
}

function scatter(size, x, at) {
  const result = new Float64Array(size);
  for (let i = 0; i < at.length; i++) result[at[i]] += typeof x === "number" ? x : x[i];
  return result;
}

function reduce(combine, first, x, outer, inner) {
  return each(outer.length, (o) => {
    let total = first ?? x[outer[o] + inner[0]];
    for (let s = first === undefined ? 1 : 0; s < inner.length; s++) total = combine(total, x[outer[o] + inner[s]]);
    return total;
  });
}

function scan(combine, x, outer, inner) {
  const result = new Float64Array(x.length);
  for (const o of outer) {
    let total;
    inner.forEach((at, s) => (result[o + at] = total = s ? combine(total, x[o + at]) : x[o + at]));
  }
  return result;
}

// For each factor of a product the product of the others.
function others(x, outer, inner) {
  const y = new Float64Array(x.length);
  for (const start of outer) {
    let before = 1, behind = 1;
    for (const k of inner) {
      y[start + k] = before;
      before *= x[start + k];
    }
    for (const k of [...inner].reverse()) {
      y[start + k] *= behind;
      behind *= x[start + k];
    }
  }
  return y;
}

// the sums of products: of each operand, where the results begin in it, and where the terms are from there
function contract(a, aOuter, aInner, b, bOuter, bInner) {
  return each(aOuter.length, (o) => {
    let total = 0;
    for (let s = 0; s < aInner.length; s++) total += a[aOuter[o] + aInner[s]] * b[bOuter[o] + bInner[s]];
    return total;
  });
}

const part = (x, k, count) => x.subarray((k * x.length) / count, ((k + 1) * x.length) / count);

// a function of matrices for each of a stack of them
function stacked(count, of, ...arrays) {
  return join(...Array.from({ length: count }, (_, s) => of(...arrays.map((x) => part(x, s, count)))));
}

// a sequence is a list of elements, or an array of so many rows
function loop(count, stacks, body, carried, sequences, invariants) {
  const rows = Array.from({ length: stacks }, () => []);
  for (let k = 0; k < count; k++) {
    const elements = sequences.map((x) => (Array.isArray(x) ? x[k] : x.single ? x.rows[k] : part(x.rows, k, count)));
    const [next, row] = body(...carried, ...elements, ...invariants);
    carried = next;
    row.forEach((x, i) => rows[i].push(x));
  }
  return [...carried, ...rows.map((list) => join(...list))];
}

// ── numbers, as NumPy has them ───────────────────────────────────────────────────────────────────

const sum = (a, b) => a + b, product = (a, b) => a * b, both = (a, b) => +(a !== 0 && b !== 0), either = (a, b) => +(a !== 0 || b !== 0);
const isNegative = (x) => x < 0 || Object.is(x, -0);
const copysign = (x, y) => (isNegative(y) ? -Math.abs(x) : Math.abs(x));
const power = (x, y) => (x === 1 || (x === -1 && Math.abs(y) === Infinity) ? 1 : x ** y);
const fmax = (x, y) => (x !== x ? y : y !== y ? x : Math.max(x, y));
const fmin = (x, y) => (x !== x ? y : y !== y ? x : Math.min(x, y));
const softplus = (x) => (x > 0 ? x + Math.log1p(Math.exp(-x)) : Math.log1p(Math.exp(x)));
const logaddexp = (x, y) => (x === y ? x + Math.LN2 : Math.max(x, y) + Math.log1p(Math.exp(-Math.abs(x - y))));
const logaddexp2 = (x, y) => (x === y ? x + 1 : Math.max(x, y) + Math.log1p(2 ** -Math.abs(x - y)) / Math.LN2);
const rint = (x) => {
  const near = Math.round(x);
  return near - x === 0.5 && near % 2 ? near - 1 : Math.abs(x) < 2 ** 52 ? near : x;
};
const remainder = (x, y) => {
  const rest = x % y;
  return rest ? (rest < 0 !== y < 0 ? rest + y : rest) : rest === 0 ? copysign(0, y) : rest;
};
const floorDivide = (x, y) => {
  if (y === 0) return x / y;
  const rest = x % y, times = (x - rest) / y - (rest && rest < 0 !== y < 0 ? 1 : 0), whole = Math.floor(times);
  return times ? (times - whole > 0.5 ? whole + 1 : whole) : times === 0 ? copysign(0, x / y) : times;
};
const heaviside = (x, y) => (x !== x ? x : x < 0 ? 0 : x > 0 ? 1 : y);
const toNumber = (x, nan, high, low) => (x !== x ? nan : x === Infinity ? high : x === -Infinity ? low : x);
