/* Boxes that scroll sideways show it and can be reached by keyboard; on a phone, tables of words become cards. */
"use strict";

const SCROLLERS = ["div.math", 'mjx-container[display="true"]', ".formula", ".table-wrap", ".cell_output .output", ".bd-article pre",
  ".pst-scrollable-table-container"].join();
/* In characters: a cell for which a phone has no room beside other columns, and a row for which it has. */
const LONG_CELL = 24, NARROW_ROW = 36;

const words = (cell) => cell.textContent.trim();

function showEdges(box) {
  const hidden = box.scrollWidth - box.clientWidth;
  box.classList.toggle("more-left", hidden > 1 && box.scrollLeft > 1);
  box.classList.toggle("more-right", hidden > 1 && box.scrollLeft < hidden - 1);
}

function markScrollers() {
  document.querySelectorAll(SCROLLERS).forEach((box) => {
    const scrolls = box.scrollWidth > box.clientWidth + 1 && getComputedStyle(box).overflowX !== "visible";
    if (scrolls && !box.classList.contains("scrolls")) {
      box.classList.add("scrolls");
      box.addEventListener("scroll", () => showEdges(box), { passive: true });
      box.tabIndex = 0;
    } else if (!scrolls && box.classList.contains("scrolls")) {
      box.classList.remove("scrolls");
      box.removeAttribute("tabindex");
    }
    showEdges(box);
  });
}

function headings(table) {
  const rows = [...table.rows];
  const head = rows.filter((row) => row.parentElement.matches("thead") || [...row.children].every((c) => c.matches("th")));
  return head.length === 1 ? head[0] : null;
}

/* At most four columns that stand side by side on a phone. */
function isNarrow(table) {
  const columns = [...headings(table).cells].map((_, column) =>
    Math.max(...[...table.rows].map((row) => (row.cells[column] ? words(row.cells[column]).length : 0))));
  return columns.length <= 4 && columns.reduce((sum, length) => sum + length, 0) <= NARROW_ROW;
}

/* A table of words becomes cards, one a row; a table of numbers stays one, and scrolls. */
function holdsWords(table) {
  const cells = [...table.querySelectorAll("td, tbody th")];
  return headings(table) !== null && headings(table).cells.length > 2 && !table.querySelector("[colspan], [rowspan]")
    && !isNarrow(table) && cells.some((cell) => words(cell).length > LONG_CELL);
}

/* A card stands alone: each cell says which column it is of. */
function stack(table) {
  const head = headings(table);
  const names = [...head.cells].map(words);
  table.classList.add("stacked");
  head.classList.add("headings");
  table.setAttribute("role", "table"); /* display: block takes a table's meaning away */
  table.querySelectorAll("thead, tbody").forEach((group) => group.setAttribute("role", "rowgroup"));
  for (const row of table.rows) {
    row.setAttribute("role", "row");
    [...row.cells].forEach((cell, column) => {
      const namesRow = row !== head && (cell.matches("th") || (column === 0 && !names[0]));
      cell.setAttribute("role", namesRow ? "rowheader" : row === head && names[column] ? "columnheader" : "cell");
      if (row === head || column === 0) return;
      if (names[column] && (words(cell) || cell.children.length)) cell.dataset.label = names[column];
      const value = document.createElement("div"); /* one box beside the label, whatever it holds */
      value.className = "value";
      value.append(...cell.childNodes);
      cell.append(value);
    });
  }
}

document.querySelectorAll(".bd-article table").forEach((table) => {
  if (table.matches(".stacked")) table.classList.toggle("narrow", isNarrow(table)); /* a table of results */
  else if (holdsWords(table)) stack(table);
});
window.addEventListener("load", () => {
  const typeset = window.MathJax && MathJax.startup && MathJax.startup.promise;
  Promise.resolve(typeset).then(markScrollers);
});
/* What the page holds glides to a new width, so the window's own event would come too early. */
new ResizeObserver(() => requestAnimationFrame(markScrollers)).observe(document.querySelector(".bd-article") ?? document.body);
document.addEventListener("toggle", markScrollers, true); /* a fold that opens shows new boxes */
