/* Names for what the theme leaves nameless, its buttons, the map's arrows, and paper. */
"use strict";

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

/* Paper shows what is folded on the screen, a solution say, but not folded code: print.css drops that. */
function unfoldForPaper() {
  let opened = [];
  window.addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll(".bd-article details:not([open], .hide)")];
    opened.forEach((fold) => { fold.open = true; });
  });
  window.addEventListener("afterprint", () => opened.forEach((fold) => { fold.open = false; }));
}

/* A page from a disk may read no other page, so its search shows titles without excerpts. */
if (location.protocol === "file:" && typeof DOCUMENTATION_OPTIONS !== "undefined") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

/* Two buttons of the theme: the pages' policy runs no script that stands in a page. */
function pressButtons() {
  const acts = { print: () => window.print(), "full-screen": () => window.toggleFullScreen() };
  document.querySelectorAll("[data-press]").forEach((button) => {
    button.addEventListener("click", acts[button.dataset.press]);
  });
}

mendTheme();
unfoldForPaper();
pressButtons();
document.querySelectorAll("svg.claim-map.whole").forEach(lightArrows);
window.addEventListener("load", mendTheme);
