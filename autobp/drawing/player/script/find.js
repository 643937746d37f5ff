// Finding: all layers, and with a few letters every variable and operation.

const finder = $("find"), hits = $("hits");
// a layer is [title, path, depth, view]
const entries = [
  ...data.layers.map(([title, path, depth, to]) => ({ name: title, more: path === title ? "" : path, depth, words: `${path} ${title}`.toLowerCase(), go: () => look(to) })),
  ...items.map(([name, kind, shape, , , , , operation, home], n) => ({
    name,
    more: [operation || word(`kind_${kind}`), shape, views[home]?.up !== null && views[home] ? views[home].path : ""].filter(Boolean).join(", "),
    words: `${name} ${operation} ${kind} ${views[home]?.path ?? ""}`.toLowerCase(),
    go: () => show(n),
  })),
];
let offered = [], at = -1;

function search(text) {
  const asked = text.toLowerCase().split(/[\s/]+/).filter(Boolean); // a path is its names
  if (!asked.length) return entries.slice(0, data.layers.length || 200);
  const rank = (e) => (e.name.toLowerCase() === asked[0] ? 0 : e.name.toLowerCase().startsWith(asked[0]) ? 1 : 2);
  return entries
    .filter((e) => asked.every((w) => e.words.includes(w)))
    .map((e) => [rank(e), e])
    .sort((a, b) => a[0] - b[0])
    .map(([, e]) => e);
}

function offer() {
  const all = search(finder.value), most = finder.value.trim() ? 60 : 1000;
  offered = all.slice(0, most);
  hits.replaceChildren(
    ...offered.map((e, i) => {
      const line = make("div", e.name);
      line.id = `hit${i}`;
      line.setAttribute("role", "option");
      line.style.paddingLeft = `${0.7 + (finder.value.trim() ? 0 : (e.depth ?? 1) - 1)}rem`;
      if (e.more) line.append(make("span", e.more));
      line.addEventListener("click", () => pick(i));
      return line;
    }),
  );
  if (all.length > most) hits.append(note(word("found_more", { n: count(all.length - most) })));
  if (!all.length) hits.append(note(word("found_none")));
  hits.hidden = false;
  finder.setAttribute("aria-expanded", "true");
  point(finder.value.trim() && offered.length ? 0 : -1);
}

function note(text) {
  const line = make("div", text, "none");
  line.setAttribute("role", "option");
  line.setAttribute("aria-disabled", "true");
  return line;
}

function point(to) {
  at = to;
  [...hits.children].forEach((line, i) => line.setAttribute("aria-selected", String(i === at)));
  if (at < 0) return finder.removeAttribute("aria-activedescendant");
  finder.setAttribute("aria-activedescendant", `hit${at}`);
  hits.children[at].scrollIntoView({ block: "nearest" });
}

function away() {
  hits.hidden = true;
  finder.setAttribute("aria-expanded", "false");
  finder.removeAttribute("aria-activedescendant");
}

function pick(i) {
  away();
  finder.value = "";
  finder.blur();
  offered[i]?.go();
}

finder.addEventListener("input", offer);
finder.addEventListener("focus", offer);
finder.addEventListener("click", () => hits.hidden && offer());
finder.addEventListener("blur", away);
hits.addEventListener("mousedown", (event) => event.preventDefault()); // the box keeps the focus
finder.addEventListener("keydown", (event) => {
  const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 };
  event.stopPropagation();
  if (event.key in moves) {
    if (hits.hidden) offer();
    if (offered.length) point(Math.max(0, Math.min(offered.length - 1, at + moves[event.key])));
  } else if (event.key === "Enter") pick(Math.max(at, 0));
  else if (event.key === "Escape") {
    finder.value = "";
    finder.blur();
  } else return;
  event.preventDefault();
});
