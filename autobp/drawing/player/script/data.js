// What the page knows, and small things that all parts of the script use.
//
// An item is [name, kind, shape, value, formula, line, gradient, operation, view, value map, gradient
// map, marks], an arrow [source, target, product, term], a step [item, says, result, why, arrows, found,
// count], where found is a list of [item, text, map], or of [item] for what stands there at the end; a view is what the page's section below says.

const $ = (id) => document.getElementById(id);
const packed = $("data").textContent;
const data = JSON.parse(packed.startsWith("{") ? packed : await inflated(packed));
const { items, arrows, views, words, training } = data;
const stage = $("stage"), slider = $("slider"), calm = matchMedia("(prefers-reduced-motion: reduce)");

function inflated(text) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).text();
}

// a text of the table, with what stands in braces filled in; of two forms the one for n things
function word(key, given = {}, n) {
  const forms = words[key].split("|");
  const form = forms[forms.length > 1 && n !== 1 ? 1 : 0];
  return form.replace(/\{(\w+)\}/g, (all, name) => given[name] ?? all);
}

// a mark in the language of the page
const phrases = data.phrases.map(([pattern, phrase]) => [new RegExp(pattern, "g"), phrase]);
const phrase = (text) => phrases.reduce((said, [pattern, by]) => said.replace(pattern, by), text);

const count = (n) => n.toLocaleString("en");

function make(tag, text, style) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (style) element.className = style;
  return element;
}

function drawnAs(tag, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

// the four digits of a positive number, and the power of ten; a tie between two goes to the even one, as in Python
function inFour(size) {
  const [, even, power] = /^(\d\.\d\d[02468])50*(e.*)$/.exec(size.toExponential(30)) ?? [];
  return (even ? even + power : size.toExponential(3)).split("e");
}

const isPlain = (power) => power >= -4 && power < 4;
const powerOf = (power) => `e${power[0]}${power.slice(1).padStart(2, "0")}`;

// a number as Python writes it in pictures: four digits, a true minus
function digits(x) {
  if (Number.isNaN(x)) return "NaN";
  if (!Number.isFinite(x)) return x < 0 ? "−inf" : "inf";
  if (x === 0) return "0";
  const [mantissa, power] = inFour(Math.abs(x));
  const text = isPlain(power) ? String(Number(`${mantissa}e${power}`)) : Number(mantissa) + powerOf(power);
  return (x < 0 ? "−" : "") + text.replace("-", "−");
}
