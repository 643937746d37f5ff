// The lecture: the full screen, a dark screen, and links that reopen the page as it is.

function full() {
  if (document.fullscreenElement) document.exitFullscreen();
  else document.documentElement.requestFullscreen?.().catch(() => {});
}

function blank(on) {
  $("dark").hidden = !on;
}
$("dark").addEventListener("click", () => blank(false));
document.addEventListener("fullscreenchange", () => fitted && fit(true));

// #step=12&mode=forward&predict, the view, and inputs that were changed: their places and numbers
function link() {
  const parts = [`step=${line.at}`];
  if (line === forward) parts.push("mode=forward");
  if (predicting()) parts.push(hidden ? "predict" : "predict=seen");
  if (view) parts.push(`view=${view}`);
  if (epoch >= ownFrom) parts.push(`own=${ownSteps()}`);
  else if (epoch) parts.push(`epoch=${epoch}`);
  const set = changes(origin());
  if (set.length && set.length <= 200) parts.push(`set=${set.join(",")}`);
  return `#${parts.join("&")}`;
}

let linked = "", writing = null;
function remember() {
  clearTimeout(writing); // browsers allow a hundred of these in half a minute
  writing = setTimeout(() => {
    linked = link();
    try {
      history.replaceState(null, "", linked);
    } catch {
      // in a frame of a notebook, which has no address
    }
  }, 400);
}

function reopen() {
  if (location.hash === linked || location.hash.length < 2) return;
  const said = new URLSearchParams(location.hash.slice(1)), step = said.get("step");
  if (training && said.has("own")) again(said.get("own"));
  if (training && said.has("epoch")) toEpoch(Number(said.get("epoch")) || 0);
  for (const entry of said.get("set")?.split(",") ?? []) {
    const change = live && putSaid(entry);
    if (change) past.push(change);
  }
  if (said.has("set") && live) recompute();
  if (views[Number(said.get("view"))]) look(Number(said.get("view")));
  $("predict").checked = said.has("predict");
  mode(said.get("mode") === "forward" && data.passes.length ? forward : reverse);
  if (step !== null && Number.isInteger(Number(step))) {
    line.at = Math.min(Math.max(Number(step), 0), line.steps.length);
    hidden = predicting() && said.get("predict") !== "seen" && line.at > 0;
    draw();
  }
}
addEventListener("hashchange", reopen);
