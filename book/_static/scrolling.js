/* Boxes that scroll sideways show it, and can be reached by keyboard; stacked tables keep their headings. */
"use strict";

const SCROLLERS = "div.math, .formula, .table-wrap, .cell_output .output, .cell_output pre, .cell_input pre, .pst-scrollable-table-container";
const LONG_CELL = 40; /* characters: more than a phone has room for beside two other columns */

function showEdges(box) {
  const hidden = box.scrollWidth - box.clientWidth;
  box.classList.toggle("more-left", hidden > 1 && box.scrollLeft > 1);
  box.classList.toggle("more-right", hidden > 1 && box.scrollLeft < hidden - 1);
}

function markScrollers() {
  document.querySelectorAll(`:is(${SCROLLERS})`).forEach((box) => {
    const scrolls = box.scrollWidth > box.clientWidth + 1 && getComputedStyle(box).overflowX !== "visible";
    if (scrolls && !box.classList.contains("scrolls")) {
      box.classList.add("scrolls");
      box.addEventListener("scroll", () => showEdges(box), { passive: true });
      if (!box.hasAttribute("tabindex")) box.tabIndex = 0;
    } else if (!scrolls && box.classList.contains("scrolls")) {
      box.classList.remove("scrolls");
      box.removeAttribute("tabindex");
    }
    showEdges(box);
  });
}

/* A table of words becomes cards on a phone, one a row; a table of numbers stays one, and scrolls. */
function holdsWords(table) {
  const heads = table.querySelectorAll("thead tr");
  const cells = [...table.querySelectorAll("tbody :is(th, td)")];
  return heads.length === 1 && heads[0].children.length > 2 && !table.querySelector("[colspan], [rowspan]")
    && cells.some((cell) => cell.textContent.trim().length > LONG_CELL);
}

/* A card stands alone: each cell says which column it is of. */
function stack(table) {
  const names = [...table.querySelectorAll("thead :is(th, td)")].map((cell) => cell.textContent.trim());
  table.classList.add("stacked");
  table.setAttribute("role", "table"); /* display: block takes a table's meaning away */
  table.querySelectorAll("thead, tbody").forEach((group) => group.setAttribute("role", "rowgroup"));
  table.querySelectorAll("tr").forEach((row) => {
    row.setAttribute("role", "row");
    [...row.children].forEach((cell, column) => {
      const head = cell.closest("thead") !== null;
      cell.setAttribute("role", head ? "columnheader" : cell.matches("th") ? "rowheader" : "cell");
      if (!head && names[column] && cell.textContent.trim()) cell.dataset.label = names[column];
    });
  });
}

[...document.querySelectorAll(".bd-article table")].filter(holdsWords).forEach(stack);
window.addEventListener("load", () => {
  const typeset = window.MathJax && MathJax.startup && MathJax.startup.promise;
  Promise.resolve(typeset).then(markScrollers);
});
window.addEventListener("resize", markScrollers);
document.addEventListener("toggle", markScrollers, true); /* a fold that opens shows new boxes */
