// The beginning: what the page shows first.

[turn, 1, data.backward.length - 1].forEach((n, i) => {
  $("segments").children[i].style.flexGrow = n;
});
if (reverse.steps.length > LONG) reverse.at = reverse.steps.length;
document.querySelector(".tools").hidden = !views.length;
if (!data.passes.length) {
  $("mode-tangent").disabled = true;
  $("mode-tangent").title = word("no_passes");
}
ratio();
strip();
if (views.length) look(opening());
else draw();
$("full").hidden = !document.fullscreenEnabled; // as in a frame of a notebook
if (training) toEpoch(0);
reopen();
document.querySelector("main").ariaBusy = null;
