// Gradient health: the RMS of the gradient and of the value of each layer, on a logarithmic scale.
// A row is [name, value, gradient, gradient of weights, marks, view, item].

const SIGNS = [["values vanishing", "▽"], ["values exploding", "△"], ["vanishing", "▼"], ["exploding", "▲"], ["dead", "✕"], ["NaN", "!"], ["inf", "!"]];
const kindOf = (mark) => SIGNS.find(([kind]) => mark.startsWith(kind)) ?? [mark, "!"];
const signsOf = (row) => [...new Set(row[4].map((mark) => kindOf(mark)[1]))].join("");
const worth = (rows) => rows.length > 1 && (data.layers.length > 1 || rows.length > 5);

function strip() {
  const rows = data.health;
  if (!worth(rows) || training) return;
  $("health").hidden = false; // to be measured
  const sizes = rows.flatMap(([, v, g]) => [v, g]).filter((x) => x > 0 && Number.isFinite(x)).map(Math.log10);
  const low = Math.floor(Math.min(...sizes, 0) - 0.1), high = Math.ceil(Math.max(...sizes, 0) + 0.1), W = Math.max($("strip").clientWidth, 200);
  const rem = parseFloat(getComputedStyle(document.documentElement).fontSize), u = rem / 15, H = 5.6 * rem;
  const left = 44 * u, right = 6, top = 22 * u, bottom = 16 * u, wide = (W - left - right) / rows.length;
  const x = (i) => left + (i + 0.5) * wide;
  const y = (v) => (v > 0 && Number.isFinite(v) ? top + ((high - Math.log10(v)) / (high - low)) * (H - top - bottom) : v > 0 ? top : H - bottom);
  const svg = drawnAs("svg", { viewBox: `0 0 ${W} ${H}`, role: "presentation" });
  for (const p of [...new Set([high, Math.round((high + low) / 2), low])]) {
    const at = y(10 ** p);
    svg.append(drawnAs("line", { x1: left, x2: W - right, y1: at, y2: at, class: "grid" }), drawnAs("text", { x: left - 5 * u, y: at + 4 * u, "text-anchor": "end" }, p === 0 ? "1" : `1e${String(p).replace("-", "−")}`));
  }
  for (const [slot, name] of [[1, "v"], [2, "g"]]) {
    let path = "", on = false;
    rows.forEach((row, i) => {
      const v = row[slot];
      if (v === null || Number.isNaN(v)) on = false;
      else {
        path += `${on ? "L" : "M"}${x(i).toFixed(1)} ${y(v).toFixed(1)}`;
        on = true;
      }
    });
    svg.append(drawnAs("path", { d: path, class: `${name} hush` }));
    if (wide > 7 * u)
      rows.forEach((row, i) => {
        if (row[slot] === null || Number.isNaN(row[slot])) return;
        svg.append(name === "v" ? drawnAs("circle", { cx: x(i), cy: y(row[1]), r: 2.5 * u, class: "hush" }) : drawnAs("rect", { x: x(i) - 2.5 * u, y: y(row[2]) - 2.5 * u, width: 5 * u, height: 5 * u, class: "dot hush" }));
      });
  }
  const text = (row) => [`${row[0]}: ${word("health_gradient")} ${said(row[2])}, ${word("health_value")} ${said(row[1])}`, ...row[4].map(phrase)].join(", ");
  rows.forEach((row, i) => {
    const hit = drawnAs("rect", { x: left + i * wide, y: 0, width: wide, height: H, class: "hit", role: "button", tabindex: i ? "-1" : "0", "aria-label": text(row) });
    hit.addEventListener("click", () => visit(i));
    hit.addEventListener("focus", () => hits_.forEach((h) => h.setAttribute("tabindex", h === hit ? "0" : "-1")));
    hit.addEventListener("pointermove", (event) => tip(text(row), event));
    hit.addEventListener("pointerleave", () => tip(null));
    svg.append(hit);
  });
  // of layers in a row with the same marks one sign, over a line along all of them
  for (let i = 0, end; i < rows.length; i = end) {
    const signs = signsOf(rows[i]);
    for (end = i + 1; end < rows.length && signsOf(rows[end]) === signs; ) end++;
    if (!signs) continue;
    if (end - i > 1) svg.append(drawnAs("path", { d: `M${left + i * wide + 1} ${15 * u}V${12 * u}H${left + end * wide - 1}V${15 * u}`, class: "span" }));
    svg.append(drawnAs("text", { x: (x(i) + x(end - 1)) / 2, y: 10 * u, class: "sign" }, signs));
  }
  const hits_ = [...svg.querySelectorAll(".hit")];
  const ends = [[0, "start", left], [rows.length - 1, "end", W - right]];
  for (const [i, anchor, at] of ends) svg.append(drawnAs("text", { x: at, y: H - 3, "text-anchor": anchor }, rows[i][0].slice(0, 40)));
  $("strip").replaceChildren(svg);
  ill(rows);
  $("layer-rows").replaceChildren(
    ...rows.map((row, i) => {
      const line = make("tr"), name = make("td"), button = make("button", row[0]);
      button.type = "button";
      button.addEventListener("click", () => visit(i));
      name.append(button);
      line.append(name, ...[1, 2, 3].map((k) => make("td", said(row[k]))), make("td", row[4].map(phrase).join(", ")));
      return line;
    }),
  );
}

const said = (x) => (x === null ? "—" : digits(typeof x === "string" ? Number(x.replace("inf", "Infinity")) : x));

function visit(i) {
  const [, , , , , to, item] = data.health[i];
  if (to !== null) look(to);
  else show(item);
  $("graph").scrollIntoView({ block: "nearest" });
}

// what is wrong, in words, with the first layer of each kind to go to
function ill(rows) {
  const line = $("ill");
  line.replaceChildren(make("span", "— ○ ", "v"), word("health_value"), make("span", "   - - ■ ", "g"), `${word("health_gradient")}.  `);
  let any = false;
  for (const [kind, sign] of SIGNS) {
    const found = rows.flatMap((row, i) => (row[4].some((mark) => kindOf(mark)[0] === kind) ? [i] : []));
    if (!found.length) continue;
    any = true;
    const go = make("button", rows[found[0]][0]);
    go.type = "button";
    go.addEventListener("click", () => visit(found[0]));
    line.append(word("health_mark", { sign, kind: phrase(kind), n: count(found.length) }), go, " ");
  }
  if (!any) line.append(word("health_fine"));
}

function walk(event) {
  const all = [...$("strip").querySelectorAll(".hit")], i = all.indexOf(event.target);
  if (i < 0) return;
  const moves = { ArrowRight: i + 1, ArrowLeft: i - 1, ArrowDown: i + 1, ArrowUp: i - 1, Home: 0, End: all.length - 1, PageDown: i + 10, PageUp: i - 10 };
  if (event.key in moves) all[Math.max(0, Math.min(all.length - 1, moves[event.key]))].focus();
  else if (event.key === "Enter" || event.key === " ") visit(i);
  else return;
  event.preventDefault();
  event.stopPropagation();
}
$("strip").addEventListener("keydown", walk);
addEventListener("resize", strip);
