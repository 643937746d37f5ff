// The steps as a table.

let tabled = null, later = null;
function table(moving) {
  if (!$("text").open) return;
  if (tabled !== line) {
    tabled = line;
    const name = (k) => (line === forward ? `${word("along")} ${data.passes[passAt(k + 1)][0]}` : word(`phase_${k < turn ? "forward" : k === turn ? "seed" : "backward"}`));
    $("rows").replaceChildren(
      ...line.steps.map((step, k) => {
        const row = make("tr");
        row.append(make("td", k + 1), make("td", name(k)), make("td"), make("td"), make("td", step[6]));
        return row;
      }),
    );
  }
  // while a number moves, only what is in view; then all of it
  clearTimeout(later);
  const rows = [...$("rows").rows], box = $("rows").closest(".scroll");
  let from = 0, to = rows.length;
  if (moving && rows.length > 80) {
    const at = (place) => Math.round((place / box.scrollHeight) * rows.length);
    [from, to] = [at(box.scrollTop) - 10, at(box.scrollTop + box.clientHeight) + 10];
    later = setTimeout(table, 200);
  }
  const write = (cell, text) => cell.textContent !== text && (cell.textContent = text);
  rows.forEach((row, k) => {
    if (k < from || k >= to) return;
    const veil = predicting() && (k >= line.at || (hidden && k === line.at - 1));
    const [item, says, result] = line.steps[k];
    // what is yet to come would tell numbers that are to be found before it
    write(row.cells[2], predicting() && k >= line.at ? items[item][0] : says.replace(/ =$/, ""));
    write(row.cells[3], veil ? word("asked") : result);
    if (k === line.at - 1) row.setAttribute("aria-current", "step");
    else row.removeAttribute("aria-current");
  });
}
