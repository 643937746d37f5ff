// The stage: the picture fitted, zoomed and dragged.

let scale = 1, fitted = true;
const NATURAL = 4 / 3, LETTER = 11 * NATURAL; // pixels: of a point, of a letter's height at scale 1

// The first picture stands in the page, and the others are put there when they are looked at.
const areas = [$("view0")];

function areaOf(picture) {
  if (areas[picture]) return areas[picture];
  const area = make("div", undefined, "view");
  area.id = `view${picture}`;
  area.hidden = true;
  const text = data.pictures[picture].replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"');
  area.append(document.importNode(new DOMParser().parseFromString(text, "image/svg+xml").documentElement, true));
  stage.append(area);
  return (areas[picture] = area);
}

const boxOf = (picture) => (data.pictures[picture] ? /viewBox="([^"]*)"/.exec(data.pictures[picture])[1] : areas[picture].firstElementChild.getAttribute("viewBox"));
const sizeOf = (picture) => boxOf(picture).split(/[\s,]+/).slice(2).map((n) => Number(n) * NATURAL);
const pictureOf = (k) => areaOf(views[k].picture).firstElementChild;

function fitting(k) {
  const [width, height] = sizeOf(views[k].picture), edge = 2 * parseFloat(getComputedStyle(stage).paddingLeft);
  return Math.min((stage.clientWidth - edge) / width, (stage.clientHeight - edge) / height, 2.2);
}

function rescale(to) {
  scale = to;
  pictureOf(view).style.width = `${sizeOf(views[view].picture)[0] * scale}px`;
}

// the whole picture; `open`: but with letters that can be read
function fit(open) {
  if (!views.length) return;
  const least = open === true ? (stage.clientWidth < 700 ? 11.01 : 7) / LETTER : 0;
  fitted = true;
  rescale(Math.max(fitting(view), least));
}

// the most detailed of the pictures of the whole program with letters that can be read when it is fitted
function opening() {
  const whole = views.flatMap((v, k) => (v.up === null ? [k] : []));
  const drawn = (k) => new Set(Object.keys(views[k].groups)).size;
  return whole.findLast((k) => drawn(k) <= 60 && fitting(k) * LETTER >= 9) ?? whole[0] ?? 0;
}

function zoom(by, x, y) {
  if (!views.length) return;
  const outer = stage.getBoundingClientRect(), svg = pictureOf(view);
  x ??= outer.left + stage.clientWidth / 2;
  y ??= outer.top + stage.clientHeight / 2;
  const before = svg.getBoundingClientRect();
  const to = Math.min(Math.max(scale * by, Math.min(fitting(view), 0.3)), 8);
  const ratio = to / scale;
  fitted = false;
  rescale(to);
  const after = svg.getBoundingClientRect();
  stage.scrollLeft += after.left + (x - before.left) * ratio - x;
  stage.scrollTop += after.top + (y - before.top) * ratio - y;
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

stage.addEventListener(
  "wheel",
  (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    zoom(Math.exp(-Math.max(-60, Math.min(60, event.deltaY * (event.deltaMode ? 16 : 1))) / 150), event.clientX, event.clientY);
  },
  { passive: false },
);

// ── dragging, with the mouse; a finger scrolls as it does everywhere, two zoom ────────────────────

let held = null, draggedAway = false;
stage.addEventListener("pointerdown", (event) => {
  draggedAway = false;
  if (event.pointerType === "mouse" && event.button === 0) held = { x: event.clientX, y: event.clientY, left: stage.scrollLeft, top: stage.scrollTop };
});
stage.addEventListener("mousedown", (event) => event.button === 0 && event.preventDefault());
addEventListener("pointermove", (event) => {
  if (!held) return;
  const dx = event.clientX - held.x, dy = event.clientY - held.y;
  if (!draggedAway && Math.hypot(dx, dy) < 4) return;
  draggedAway = true;
  stage.classList.add("dragged");
  stage.scrollLeft = held.left - dx;
  stage.scrollTop = held.top - dy;
});
for (const end of ["pointerup", "pointercancel"])
  addEventListener(end, () => {
    held = null;
    stage.classList.remove("dragged");
  });

let pinch = null;
const between = ([a, b]) => [Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY), (a.clientX + b.clientX) / 2, (a.clientY + b.clientY) / 2];
stage.addEventListener("touchstart", (event) => (pinch = event.touches.length === 2 ? between(event.touches) : null), { passive: true });
stage.addEventListener(
  "touchmove",
  (event) => {
    if (!pinch || event.touches.length !== 2) return;
    event.preventDefault();
    const now = between(event.touches);
    zoom(now[0] / pinch[0], now[1], now[2]);
    stage.scrollLeft -= now[1] - pinch[1];
    stage.scrollTop -= now[2] - pinch[2];
    pinch = now;
  },
  { passive: false },
);
stage.addEventListener("touchend", () => (pinch = null));
addEventListener("resize", () => fitted && fit(true));
