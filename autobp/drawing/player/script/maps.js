// Arrays as heat maps: a map is [form, shape, lead, rows, columns, row block, column block, cells].
// The cells of a tile are rows × columns, each three characters; tiles are counted along the leading
// axes. A cell that stands for a block tells what is largest in size in it.

const ALPHABET = data.alphabet, STEPS = 12;
const channels = (colour) => [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
const [LOW, HIGH, SPOILT, INFINITE] = data.colours.map(channels);
const decoded = new Map();

function cellsOf(k) {
  if (decoded.has(k)) return decoded.get(k);
  const [form, shape, lead, rows, columns, tall, wide, exponent, text] = data.maps[k];
  const open = typeof text === "number", planes = form.startsWith("rgb") ? 3 : 1;
  const n = open ? exponent * planes * rows * columns : text.length / 3;
  const values = open ? pooled({ form, shape, rows, columns, tall, wide, planes, tiles: exponent, value: numbers[text] }) : new Float64Array(n);
  for (let i = 0; !open && i < n; i++) {
    let code = 0;
    for (let j = 0; j < 3; j++) code = code * ALPHABET.length + ALPHABET.indexOf(text[3 * i + j]);
    if (code < 4) values[i] = [0, NaN, Infinity, -Infinity][code];
    else {
      code -= 4;
      const mantissa = (code % 9000) + 1000, sign = Math.floor(code / 9000) % 2, down = Math.floor(code / 18000);
      values[i] = Number(`${sign ? "-" : ""}${mantissa}e${exponent - down - 3}`);
    }
  }
  let low = Infinity, high = -Infinity;
  for (const v of values)
    if (Number.isFinite(v)) {
      low = Math.min(low, v);
      high = Math.max(high, v);
    }
  const tiles = n / (rows * columns * planes);
  const across = Math.ceil(Math.sqrt((tiles * rows) / columns)) || 1, over = lead.length > 1 && tiles % lead.at(-1) === 0 && planes === 1 ? lead.at(-1) : Math.min(tiles, Math.max(across, 1));
  const found = { form, shape, lead, rows, columns, tall, wide, values, low, high, planes, tiles, over, down: Math.ceil(tiles / over), picture: null };
  // a line of one pixel between the tiles
  found.width = over * (columns + 1) - 1;
  found.height = found.down * (rows + 1) - 1;
  decoded.set(k, found);
  return found;
}

// white is 0 and nothing else: what is small has the first of the steps
function paint(v, most) {
  if (!Number.isFinite(v)) return Number.isNaN(v) ? SPOILT : INFINITE;
  const step = v && most ? Math.max(Math.ceil((Math.abs(v) / most) * STEPS), 1) : 0, end = v < 0 ? LOW : HIGH;
  const part = step ? 0.14 + (0.86 * (Math.min(step, STEPS) - 1)) / (STEPS - 1) : 0;
  return end.map((c) => Math.round(255 + (c - 255) * part));
}

const canvases = new Map(); // while numbers move, each map is drawn again in each frame

function canvasOf(k) {
  const map = cellsOf(k);
  if (map.picture) return map.picture;
  const { rows, columns, values, planes, over, low, high } = map;
  if (!canvases.has(k)) {
    const canvas = make("canvas");
    canvas.width = map.width;
    canvas.height = map.height;
    canvases.set(k, canvas.getContext("2d", { willReadFrequently: true }));
  }
  const context = canvases.get(k), image = context.createImageData(map.width, map.height);
  for (let i = 0; i < image.data.length; i += 4) image.data.set([127, 127, 127, 255], i);
  const most = Math.max(Math.abs(low), Math.abs(high)), size = rows * columns;
  for (let t = 0; t < map.tiles; t++)
    for (let i = 0; i < size; i++) {
      const y = Math.floor(t / over) * (rows + 1) + Math.floor(i / columns), x = (t % over) * (columns + 1) + (i % columns);
      const grey = (p) => (255 * (values[(t * planes + (planes === 3 ? p : 0)) * size + i] - low)) / (high - low || 1);
      const rgb = map.form === "cells" ? paint(values[t * size + i], most) : [0, 1, 2].map(grey);
      image.data.set(rgb, 4 * (y * map.width + x));
    }
  context.putImageData(image, 0, 0);
  return (map.picture = context.canvas);
}

// the cell at a point of a map, both parts of which are between 0 and 1: its tile, row and column. A
// point of the frame is one of the cell beside it, a line between tiles is none.
function cellAt({ width, height, rows, columns, over, tiles }, u, v) {
  const [x, y] = [[u, width], [v, height]].map(([part, n]) => Math.min(Math.max(Math.floor(part * n), 0), n - 1));
  const t = Math.floor(y / (rows + 1)) * over + Math.floor(x / (columns + 1)), r = y % (rows + 1), c = x % (columns + 1);
  return r === rows || c === columns || t >= tiles ? null : [t, r, c];
}

// what is there: its place and its number
function numberAt(k, u, v) {
  const map = cellsOf(k), { rows, columns, lead, planes, values } = map, cell = cellAt(map, u, v);
  if (!cell) return null;
  const [t, r, c] = cell;
  const at = (p) => digits(values[(t * planes + p) * rows * columns + r * columns + c]);
  const place = [];
  for (let i = lead.length - 1, rest = t; i >= 0; i--) {
    place.unshift(rest % lead[i]);
    rest = Math.floor(rest / lead[i]);
  }
  const upTo = (i, block, most) => (block === 1 ? `${i}` : `${i * block}–${Math.min((i + 1) * block, most) - 1}`);
  const inner = [upTo(r, map.tall, map.shape.at(-2)), upTo(c, map.wide, map.shape.at(-1))];
  return `[${[...place, ...(map.shape.length > 1 ? inner : inner.slice(1))].join(", ")}]  ${[...Array(planes).keys()].map(at).join(", ")}`;
}

// a cell of an input that was clicked is the one to be changed
function cellClicked(event, map, canvas) {
  const r = canvas.getBoundingClientRect(), cell = cellAt(map, (event.clientX - r.left) / r.width, (event.clientY - r.top) / r.height);
  if (cell && canvas.dataset.input) chooseCell(largestIn(given[chosenInput], map, ...cell));
}

const sidesOf = (shape) => [shape.length > 1 ? shape.at(-2) : 1, shape.at(-1)];

// where an element of a plane is in its array. Tiles have a plane each, or three, whose colours may lie
// side by side in the array.
function elementAt({ form, shape }, plane, y, x) {
  const [height, width] = sidesOf(shape), at = y * width + x, size = height * width;
  return form === "rgb_last" ? 3 * (Math.floor(plane / 3) * size + at) + (plane % 3) : plane * size + at;
}

// where the largest number of a block is, the one that the cell tells
function largestIn(value, map, t, row, column) {
  const { shape, tall, wide, planes } = map, [height, width] = sidesOf(shape);
  let found = elementAt(map, t * planes, row * tall, column * wide);
  for (let p = t * planes; p < (t + 1) * planes; p++)
    for (let y = row * tall; y < Math.min((row + 1) * tall, height); y++)
      for (let x = column * wide; x < Math.min((column + 1) * wide, width); x++) {
        const at = elementAt(map, p, y, x);
        if (Math.abs(value[at]) > Math.abs(value[found]) || Number.isNaN(value[at])) found = at;
      }
  return found;
}

function tip(text, event) {
  const box = $("tip");
  box.hidden = !text;
  if (!text) return;
  box.textContent = text;
  const left = Math.min(event.clientX + 14, innerWidth - box.offsetWidth - 4), under = event.clientY + 18;
  box.style.left = `${Math.max(left, 2)}px`;
  box.style.top = `${under + box.offsetHeight > innerHeight ? event.clientY - box.offsetHeight - 8 : under}px`;
}

function told(element, k, name) {
  const show = (event) => {
    const r = element.getBoundingClientRect();
    const text = numberAt(k, (event.clientX - r.left) / r.width, (event.clientY - r.top) / r.height);
    tip(text && `${name()}${text}`, event);
  };
  element.addEventListener("pointermove", show);
  element.addEventListener("pointerdown", show);
  element.addEventListener("pointerleave", () => tip(null));
}

// ── in a node: over the lines of a field, but for the last, which tells the scale ──────────────────

function inNode(g, kind, k, name) {
  const slots = [...g.querySelectorAll(`text.${kind}`)], old = g.querySelector(`.of-${kind}`);
  if (old && old.dataset.map === `${k} ${turned}`) return;
  if (old && old.dataset.map.startsWith(`${k} `)) {
    old.dataset.map = `${k} ${turned}`;
    old.firstChild.setAttribute("href", canvasOf(k).toDataURL());
    return;
  }
  if (old) old.remove();
  if (k === null || k === undefined || !slots.length) return;
  const map = cellsOf(k), room = roomOf(g);
  const top = Number(slots[0].getAttribute("y")) - 10, bottom = Number(slots.at(-1).getAttribute("y")) - 10;
  const wide = room.width - 12, high = Math.max(bottom - top - 1, 6);
  // cells are square where there is room for that, and never more than three times as wide as high
  const scale = Math.min(wide / map.width, high / map.height);
  const width = Math.min(wide, Math.max(scale, Math.min((3 * high) / map.height, wide / map.width)) * map.width), height = Math.min(high, Math.max(scale, Math.min((3 * wide) / map.width, high / map.height)) * map.height);
  const place = { x: room.x + (room.width - width) / 2, y: top + (high - height) / 2, width, height };
  const group = drawnAs("g", { class: `of-${kind}` });
  group.dataset.map = `${k} ${turned}`;
  const image = drawnAs("image", { ...place, href: canvasOf(k).toDataURL(), preserveAspectRatio: "none", class: "map" });
  group.append(image, drawnAs("rect", { ...place, class: "frame" }));
  told(image, k, () => `${name} `);
  if (kind === "value" && inputOf.has(scene(view).members.get(g)[0])) {
    image.dataset.input = "yes";
    image.addEventListener("click", (event) => {
      g.focus({ preventScroll: true });
      cellClicked(event, cellsOf(k), image);
    });
  }
  g.append(group);
}

// the scale of a map in a few characters
function scaleOf(k) {
  const { form, low, high } = cellsOf(k);
  return form === "cells" ? `±${digits(Math.max(Math.abs(low), Math.abs(high)))}` : `${digits(low)} … ${digits(high)}`;
}

// ── in the panel: larger, with a scale, what a cell is, and the numbers as a table ─────────────────

function largeMap(k, what) {
  const map = cellsOf(k), box = make("dd", undefined, "map"), canvas = make("canvas"), small = canvasOf(k);
  const times = Math.max(1, Math.floor(Math.min(360 / map.width, 220 / map.height, 24)));
  canvas.width = map.width * times;
  canvas.height = map.height * times;
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
  const said = { what, shape: `(${map.shape.join(", ")})`, low: digits(map.low), high: digits(map.high) };
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", word("map", said));
  told(canvas, k, () => "");
  canvas.addEventListener("click", (event) => cellClicked(event, map, canvas));
  box.append(canvas, scaleBar(map));
  const notes = [];
  if (map.tall * map.wide > 1) notes.push(word(map.form === "cells" ? "map_part" : "map_mean", { block: `${map.tall} × ${map.wide}` }));
  const tiles = map.lead.reduce((a, b) => a * b, 1);
  if (tiles > map.tiles) notes.push(word("map_first", { n: count(map.tiles), of: count(tiles) }));
  if (notes.length) box.append(make("div", notes.join(" "), "small"));
  box.append(numbersOf(map, what));
  return box;
}

function scaleBar(map) {
  const line = make("div", undefined, "scale"), bar = make("canvas");
  bar.width = 101;
  bar.height = 1;
  const context = bar.getContext("2d"), most = Math.max(Math.abs(map.low), Math.abs(map.high));
  const cells = map.form === "cells";
  for (let i = 0; i < 101; i++) {
    const c = cells ? paint((i - 50) / 50, 1) : Array(3).fill(2.55 * i);
    context.fillStyle = `rgb(${c.join(",")})`;
    context.fillRect(i, 0, 1, 1);
  }
  bar.setAttribute("aria-hidden", "true");
  line.append(make("span", cells ? digits(-most) : digits(map.low)), bar, make("span", cells ? digits(most) : digits(map.high)));
  line.title = word(cells ? "map_scale" : "map_grey", { n: digits(most), low: digits(map.low), high: digits(map.high) });
  return line;
}

function numbersOf(map, what) {
  const details = make("details"), scroll = make("div", undefined, "scroll");
  details.append(make("summary", word("numbers")), scroll);
  scroll.tabIndex = 0;
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-label", `${word("numbers")}: ${what}`);
  details.addEventListener("toggle", () => {
    if (!details.open || scroll.firstChild) return;
    const table = make("table"), rows = Math.min(map.values.length / map.columns, 400);
    for (let r = 0; r < rows; r++) {
      const row = make("tr");
      for (let c = 0; c < map.columns; c++) row.append(make("td", digits(map.values[r * map.columns + c])));
      table.append(row);
    }
    scroll.append(table);
  });
  return details;
}
