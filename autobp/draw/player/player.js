"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { items, arrows, views } = data;
  const $ = (id) => document.getElementById(id);
  const stage = $("stage"), slider = $("slider"), calm = matchMedia("(prefers-reduced-motion: reduce)");

  // An item is [name, kind, value, whole, shape, formula, line, gradient], an arrow [source, target,
  // product, term], a step [item, says, result, why, arrows, found, count].
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

  let line = reverse, view = data.opened, chosen = null, hidden = false, timer = null, zoom = 1;

  const passAt = (k) => Math.max(0, starts.findLastIndex((start) => start < k));
  const predicting = () => $("predict").checked;
  const ended = () => line.at === line.steps.length && !hidden;

  function phase() {
    if (line.at === 0) return "start";
    if (line === forward) return "forward mode";
    return line.at <= turn ? "forward" : line.at === turn + 1 ? "seed" : "backward";
  }

  function make(tag, text, style) {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (style) element.className = style;
    return element;
  }

  // ── what is known after this step: of each item the value, and the gradient or tangent ─────────

  function known() {
    const values = items.map((item, n) => (line === forward || !computed.has(n) ? item[2] : null));
    const slopes = items.map(() => null);
    for (let k = line === forward ? starts[passAt(line.at)] : 0; k < line.at; k++) {
      const into = line === reverse && k < turn ? values : slopes;
      for (const [item, text] of line.steps[k][5]) into[item] = hidden && k === line.at - 1 ? "?" : text;
    }
    return [values, slopes];
  }

  // ── pictures ───────────────────────────────────────────────────────────────────────────────────

  const drawn = views.map((v, i) => {
    const box = $(`view${i}`), things = new Map(), members = new Map();
    for (const g of box.querySelectorAll("[data-id]")) things.set(g.dataset.id, g);
    const places = v.items.map((id) => things.get(id));
    places.forEach((g, n) => members.set(g, [...(members.get(g) || []), n]));
    const edges = v.arrows.map((k) => (k === null ? [] : [things.get(`e${k}`), things.get(`b${k}`)].filter(Boolean)));
    return { box, things, members, places, edges };
  });

  function label(g, kind, text) {
    const lines = text.split("\n");
    g.querySelectorAll(`text.${kind}`).forEach((slot, i) => {
      const wanted = lines[i] ?? "";
      if (slot.textContent === wanted) return;
      slot.textContent = wanted;
      slot.removeAttribute("textLength");
      const room = g.querySelector("path, polygon").getBBox().width - 6;
      if (wanted && room > 0 && slot.getComputedTextLength() > room) {
        slot.setAttribute("textLength", room);
        slot.setAttribute("lengthAdjust", "spacingAndGlyphs");
      }
    });
  }

  function mark(elements, name) {
    for (const old of drawn[view].box.querySelectorAll(`.${name}`)) old.classList.remove(name);
    for (const e of elements) e.classList.add(name);
  }

  function picture(values, slopes, step) {
    if (!views.length) return;
    const { box, members, places, edges } = drawn[view];
    const word = line === forward ? "d " : "grad ";
    for (const [g, inside] of members) {
      const n = inside[0];
      g.classList.toggle("unknown", inside.every((m) => values[m] === null));
      g.classList.toggle("done", inside.every((m) => values[m] !== null && values[m] !== "?"));
      g.classList.toggle("arrived", line === reverse && inside.some((m) => slopes[m] !== null));
      // of many numbers the finite ones are summed up, and a mark tells of the others
      const told = [...g.querySelectorAll(".mark")].filter((t) => g.classList.contains(t.classList.contains("late") ? "arrived" : "done"));
      const said = [...inside.map((m) => `${values[m]} ${slopes[m]}`), ...told.map((t) => t.textContent)];
      g.classList.toggle("warning", said.some((text) => /NaN|inf\b/.test(text)));
      if (inside.length > 1 || items[n][1] === "part") continue;
      label(g, "value", values[n] ?? "");
      if (items[n][1] !== "constant") label(g, "grad", word + (slopes[n] ?? "—"));
    }
    const back = phase() === "backward" || phase() === "seed";
    box.classList.toggle("backwards", back);
    const passed = new Set(), lit = new Set();
    if (line === reverse)
      for (let k = turn; k < line.at - (hidden ? 1 : 0); k++) for (const a of line.steps[k][4]) edges[a].forEach((e) => passed.add(e));
    const along = (a, kind) => edges[a].forEach((e) => e.classList.contains(kind) && lit.add(e));
    if (step && back) step[4].forEach((a) => along(a, "back"));
    else if (step) arrows.forEach((a, i) => a[1] === step[0] && along(i, "ahead"));
    mark(passed, "passed");
    mark(lit, "lit");
    mark(step ? [places[step[0]]] : [], "active");
    mark(chosen ? [chosen] : [], "chosen");
    if (step) bring(places[step[0]]);
  }

  function bring(g) {
    const outer = stage.getBoundingClientRect(), inner = g.getBoundingClientRect();
    if (inner.left >= outer.left && inner.right <= outer.right && inner.top >= outer.top && inner.bottom <= outer.bottom) return;
    stage.scrollBy({
      left: (inner.left + inner.right - outer.left - outer.right) / 2,
      top: (inner.top + inner.bottom - outer.top - outer.bottom) / 2,
      behavior: calm.matches ? "auto" : "smooth",
    });
  }

  function fit() {
    if (!views.length) return;
    const svg = drawn[view].box.querySelector("svg");
    const [width, height] = svg.getAttribute("viewBox").split(/[\s,]+/).slice(2).map((n) => (Number(n) * 4) / 3);
    const tallest = parseFloat(getComputedStyle(stage).maxHeight) || Infinity;
    // at its natural size letters are 14.7 pixels high; what there is room for makes them 11 at least
    const scale = Math.max(Math.min(stage.clientWidth / width, (tallest - 16) / height, 1.2), 0.751) * zoom;
    svg.style.width = `${width * scale}px`;
  }

  // ── words ──────────────────────────────────────────────────────────────────────────────────────

  function say(step) {
    const now = phase();
    $("phase").textContent = now;
    $("says").className = `card ${now === "seed" || now === "backward" ? "backward" : "forward"}`;
    $("count").textContent = `step ${line.at} of ${line.steps.length}${line === forward && step ? `, pass ${passAt(line.at) + 1}` : ""}`;
    $("sentence").replaceChildren();
    if (step) $("sentence").append(step[1], " ", make("b", hidden ? "?" : step[2]));
    else $("sentence").textContent = line === reverse ? "The inputs are given. Next: one operation after another." : "All inputs are given. Next: one of their numbers begins to move.";
    $("why").textContent = step && !hidden ? step[3] : step ? "What number comes next?" : "";
  }

  function cost() {
    const most = Math.max(data.backwardCount, data.forwardCount, 1);
    const passes = forward.at && starts.includes(forward.at) ? passAt(forward.at) + 1 : passAt(forward.at);
    const sweeps = reverse.at === reverse.steps.length ? 1 : 0;
    const said = (n, of, noun) => `${n.toLocaleString("en")} of ${of.toLocaleString("en")} ${noun}`;
    for (const [id, mode, all, done] of [
      ["reverse", reverse, data.backwardCount, said(sweeps, 1, "sweep done")],
      ["tangent", forward, data.forwardCount, said(passes, data.entries, data.entries === 1 ? "pass done" : "passes done")],
    ]) {
      const count = mode.counts[mode.at];
      $(`${id}-all`).style.width = `${(100 * all) / most}%`;
      $(`${id}-now`).style.width = `${all ? (100 * count) / all : 0}%`;
      $(`${id}-count`).textContent = said(count, all, "multiplications");
      $(`${id}-passes`).textContent = done;
    }
  }

  function panel(values, slopes, step) {
    const inside = chosen ? drawn[view].members.get(chosen) : null;
    const n = inside ? inside[0] : step ? step[0] : items.length - 1;
    const folded = inside && (inside.length > 1 || items[n][1] === "part");
    $("follow").hidden = !chosen;
    $("facts").replaceChildren();
    if (folded) box(inside, values, slopes);
    else one(n, values, slopes);
    doors(chosen ? chosen.dataset.id : views.length ? views[view].items[n] : null);
  }

  function fact(term, text, style) {
    if (text) $("facts").append(make("dt", term), make("dd", text, `mono ${style || ""}`));
  }

  function one(n, values, slopes) {
    const [name, kind, value, whole, shape, formula, code, last] = items[n];
    const unknown = predicting() && (values[n] === null || values[n] === "?");
    $("what").textContent = name;
    $("kind").textContent = [kind, shape].filter(Boolean).join(", ");
    // of what is yet to come the names alone, of what is asked for all but the answer
    const said = formula.split(" = ");
    fact("formula", unknown && formula ? [...said.slice(0, values[n] === null ? 2 : -1), "?"].join(" = ") : formula);
    fact("value", unknown ? "?" : whole || value, "value");
    if (line === forward) fact("tangent", slopes[n] ?? "—", "value");
    else if (kind !== "constant") {
      fact("gradient so far", slopes[n] ?? "—", "grad");
      fact("gradient at the end", predicting() && !ended() ? "?" : last, "grad");
    }
    fact("your code", code);
    uses(n);
  }

  // every use of an item, with what comes back through it
  function uses(n) {
    const through = new Set();
    for (let k = turn; k < reverse.at - (hidden && line === reverse ? 1 : 0); k++) for (const a of reverse.steps[k][4]) through.add(a);
    const rows = arrows.flatMap(([source, target, product, term], a) => {
      if (source !== n || !term) return [];
      const veil = predicting() && !through.has(a);
      const now = line === reverse && reverse.at > turn && reverse.steps[reverse.at - 1][4].includes(a);
      const row = make("tr", undefined, `${through.has(a) ? "done" : ""}${now ? " now" : ""}`);
      row.append(make("th", items[target][0]), make("td", veil ? "?" : product), make("td", veil ? "?" : term));
      return [row];
    });
    $("uses").replaceChildren(...rows);
    $("used").hidden = !rows.length || line === forward;
    $("sum").textContent = predicting() && !ended() ? "?" : rows.length ? data.sums[n] : "";
  }

  // a folded module: what is inside it
  function box(inside, values, slopes) {
    const id = chosen.dataset.id;
    $("what").textContent = views[view].titles[id] || items[inside[0]][0];
    $("kind").textContent = "folded";
    $("used").hidden = true;
    for (const n of inside.slice(0, 40)) {
      const slope = slopes[n] === null ? "" : `, ${line === forward ? "d" : "grad"} ${slopes[n].replaceAll("\n", " ")}`;
      fact(items[n][0], items[n][1] === "part" ? `${items[n][5]}\n${items[n][3]}` : `${(values[n] ?? "—").replaceAll("\n", " ")}${slope}`);
    }
    if (inside.length > 40) fact("", `… and ${inside.length - 40} more`);
  }

  function doors(id) {
    const buttons = [];
    if (id !== null && views.length) {
      const door = (verb, [, title, to]) => {
        const button = make("button", `${verb} ${title}`);
        button.type = "button";
        button.addEventListener("click", () => look(to));
        buttons.push(button);
      };
      views[view].unfold.filter((d) => d[0] === id).forEach((d) => door("Unfold", d));
      const around = views[view].around[id] || [];
      views[view].fold.filter((d) => around.includes(d[0])).forEach((d) => door("Fold", d));
    }
    $("doors").replaceChildren(...buttons);
  }

  // ── the same as a table ────────────────────────────────────────────────────────────────────────

  let told = null;
  function table() {
    if (!$("text").open) return;
    if (told !== line) {
      told = line;
      const name = (k) => (line === forward ? `along ${data.passes[passAt(k + 1)][0]}` : k < turn ? "forward" : k === turn ? "seed" : "backward");
      $("rows").replaceChildren(
        ...line.steps.map((step, k) => {
          const row = make("tr");
          row.append(make("td", k + 1), make("td", name(k)), make("td"), make("td"), make("td", step[6]));
          return row;
        }),
      );
    }
    [...$("rows").rows].forEach((row, k) => {
      const veil = predicting() && (k >= line.at || (hidden && k === line.at - 1));
      const [item, says, result] = line.steps[k];
      // what is yet to come would tell numbers that are to be found before it
      row.cells[2].textContent = predicting() && k >= line.at ? items[item][0] : says.replace(/ =$/, "");
      row.cells[3].textContent = veil ? "?" : result;
      if (k === line.at - 1) row.setAttribute("aria-current", "step");
      else row.removeAttribute("aria-current");
    });
  }

  // ── moving ─────────────────────────────────────────────────────────────────────────────────────

  function draw() {
    const step = line.steps[line.at - 1];
    const [values, slopes] = known();
    picture(values, slopes, step);
    say(step);
    $("found").hidden = predicting() && (values[data.output] === null || values[data.output] === "?");
    panel(values, slopes, step);
    cost();
    table();
    slider.max = line.steps.length;
    slider.value = line.at;
    slider.setAttribute("aria-valuetext", `step ${line.at} of ${line.steps.length}, ${phase()}`);
    $("first").disabled = $("previous").disabled = line.at === 0;
    $("next").disabled = $("last").disabled = ended();
    $("reveal").hidden = !hidden;
    $("pass").value = String(passAt(line.at));
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
    $("play").textContent = timer ? "Pause" : "Play";
  }

  function look(to) {
    drawn[view].box.hidden = true;
    view = to;
    drawn[view].box.hidden = false;
    $("view").value = String(to);
    chosen = null;
    fit();
    draw();
  }

  function mode(to) {
    play(false);
    line = to;
    hidden = false;
    document.body.classList.toggle("tangents", line === forward);
    $("passes").hidden = line === reverse;
    $("segments").hidden = line === forward;
    draw();
  }

  // ── choosing ───────────────────────────────────────────────────────────────────────────────────

  function choose(g) {
    for (const other of drawn[view].members.keys()) other.setAttribute("tabindex", other === g ? "0" : "-1");
    chosen = g;
    draw();
  }

  function release() {
    chosen = null;
    if (stage.contains(document.activeElement)) document.activeElement.blur();
    draw();
  }

  drawn.forEach(({ members, things }, i) => {
    for (const [g, inside] of members) {
      const name = views[i].titles[g.dataset.id] || items[inside[0]][0];
      g.setAttribute("role", "button");
      g.setAttribute("aria-label", `${name}, ${inside.length > 1 ? "folded" : items[inside[0]][1]}`);
      g.setAttribute("tabindex", members.keys().next().value === g ? "0" : "-1");
      g.addEventListener("focus", () => choose(g));
      g.addEventListener("click", () => g.focus({ preventScroll: true }));
    }
    for (const [id, , to] of views[i].unfold) things.get(id).addEventListener("dblclick", () => look(to));
    for (const [id, , to] of views[i].fold) things.get(id).addEventListener("dblclick", () => look(to));
  });

  // ── controls ───────────────────────────────────────────────────────────────────────────────────

  document.addEventListener("keydown", (event) => {
    const on = event.target;
    if (event.ctrlKey || event.metaKey || event.altKey || on.tagName === "SELECT" || on.type === "radio") return;
    const moves = { ArrowRight: next, ArrowLeft: () => go(line.at - 1), Home: () => go(0), End: () => go(line.steps.length) };
    const nodes = views.length ? [...drawn[view].members.keys()] : [];
    if (event.key in moves) {
      play(false);
      moves[event.key]();
    } else if (event.key === " " && (on === slider || !["BUTTON", "SUMMARY", "INPUT"].includes(on.tagName))) play(!timer);
    else if (event.key === "Escape") release();
    else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && nodes.includes(on)) nodes[nodes.indexOf(on) + (event.key === "ArrowDown" ? 1 : -1)]?.focus();
    else return;
    event.preventDefault();
  });

  const moving = (move) => () => {
    play(false);
    move();
  };
  const zooming = (by) => () => {
    zoom = Math.min(Math.max(zoom * by, 0.25), 4);
    fit();
  };
  for (const [id, act] of Object.entries({
    first: moving(() => go(0)),
    previous: moving(() => go(line.at - 1)),
    next: moving(next),
    last: moving(() => go(line.steps.length)),
    reveal: moving(next),
    play: () => play(!timer),
    follow: release,
    larger: zooming(1.25),
    smaller: zooming(0.8),
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
    draw();
  });
  $("mode-reverse").addEventListener("change", () => mode(reverse));
  $("mode-tangent").addEventListener("change", () => mode(forward));
  $("view")?.addEventListener("change", () => look(Number($("view").value)));
  $("text").addEventListener("toggle", table);
  data.passes.forEach((pass, i) => {
    const option = make("option", pass[0]);
    option.value = String(i);
    $("pass").append(option);
  });
  $("pass").addEventListener("change", () => go(starts[Number($("pass").value)] + 1));
  [turn, 1, data.backward.length - 1].forEach((n, i) => {
    $("segments").children[i].style.flexGrow = n;
  });
  document.querySelector(".tools").hidden = !views.length;
  addEventListener("resize", fit);
  fit();
  draw();
})();
