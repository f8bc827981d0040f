/* The ledger's filter, names for what the theme leaves nameless, and paper. */
"use strict";

function filterClaims(form) {
  const rows = [...document.querySelectorAll("table.claims tbody tr")];
  const fields = [...form.querySelectorAll("[data-filter]")];
  const matches = (row, field) => {
    const wanted = field.value.trim(), has = row.dataset[field.dataset.filter];
    if (!wanted) return true;
    if (field.dataset.filter === "words") return wanted.toLowerCase().split(/\s+/).every((w) => has.includes(w));
    return has.split("|").includes(wanted);
  };
  const update = () => {
    let shown = 0;
    for (const row of rows) {
      row.hidden = !fields.every((field) => matches(row, field));
      shown += !row.hidden;
    }
    form.querySelector("output").value = `${shown} of ${rows.length}`;
  };
  form.addEventListener("input", update);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  update(); /* a browser may have kept the fields of an earlier visit */
  /* A link to a row must not lead to a hidden one. */
  const reveal = () => {
    const row = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (row && row.hidden) { form.reset(); update(); row.scrollIntoView(); }
  };
  window.addEventListener("hashchange", reveal);
  reveal();
}

function mendTheme() {
  const sidebar = document.querySelector(".bd-sidebar-primary");
  if (sidebar && !sidebar.hasAttribute("role")) {
    sidebar.setAttribute("role", "navigation");
    sidebar.setAttribute("aria-label", "Chapters");
  }
  /* A label that differs from the visible words confuses speech control: the words are enough. */
  document.querySelectorAll("summary[aria-label], .search-button-field[aria-label]").forEach((e) => {
    if (e.textContent.trim()) e.removeAttribute("aria-label");
  });
  document.querySelectorAll(".theme-switch-button").forEach((button) => {
    button.setAttribute("aria-label", "Colours: light, dark, or as the system");
    button.querySelectorAll("*").forEach((inner) => inner.setAttribute("aria-hidden", "true"));
  });
  /* A header cell without words heads nothing. */
  document.querySelectorAll(".bd-article th").forEach((cell) => {
    if (!cell.textContent.trim() && !cell.querySelector("img, svg, .math")) cell.replaceWith(document.createElement("td"));
  });
  /* A list's children must be its items; the role that docutils gives each reference is out of use. */
  document.querySelectorAll(".citation-list > [role=doc-biblioentry]").forEach((e) => e.setAttribute("role", "listitem"));
}

/* The map draws every arrow; pointing at a claim, or reaching it by keyboard, lights its own. */
function lightArrows(map) {
  const arrows = [...map.querySelectorAll(".arrows path")];
  const light = (name) => arrows.forEach((a) => a.classList.toggle("lit", a.dataset.from === name || a.dataset.to === name));
  map.querySelectorAll("[data-claim]").forEach((node) => {
    for (const event of ["pointerenter", "focusin"]) node.addEventListener(event, () => light(node.dataset.claim));
    for (const event of ["pointerleave", "focusout"]) node.addEventListener(event, () => light(null));
  });
}

/* What scrolls inside its own box must be reachable by keyboard. */
function reachScrollers() {
  document
    .querySelectorAll("div.math, .formula, .table-wrap, .cell_output .output, .cell_output pre, .cell_input pre, .pst-scrollable-table-container")
    .forEach((box) => {
      if (box.scrollWidth > box.clientWidth + 1) {
        if (!box.hasAttribute("tabindex")) box.tabIndex = 0;
      } else if (box.tabIndex === 0 && !box.matches("a, button")) box.removeAttribute("tabindex");
    });
}

/* Paper shows what is folded on the screen. */
function unfoldForPaper() {
  let opened = [];
  window.addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll(".bd-article details:not([open])")];
    opened.forEach((fold) => { fold.open = true; });
  });
  window.addEventListener("afterprint", () => opened.forEach((fold) => { fold.open = false; }));
}

mendTheme();
unfoldForPaper();
document.querySelectorAll("form.claim-filter").forEach(filterClaims);
document.querySelectorAll("svg.claim-map.whole").forEach(lightArrows);
window.addEventListener("load", () => {
  mendTheme();
  const typeset = window.MathJax && MathJax.startup && MathJax.startup.promise;
  Promise.resolve(typeset).then(reachScrollers);
});
window.addEventListener("resize", reachScrollers);
