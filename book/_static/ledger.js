/* The ledger's filter. Without this script every claim is listed, and opens by itself. */
"use strict";

function filterClaims(form) {
  const lines = [...document.querySelectorAll("ul.claims > li")];
  const fields = [...form.querySelectorAll("[data-filter]")];
  const matches = (line, field) => {
    const wanted = field.value.trim(), has = line.dataset[field.dataset.filter];
    if (!wanted) return true;
    if (field.dataset.filter === "words") return wanted.toLowerCase().split(/\s+/).every((w) => has.includes(w));
    return has.split("|").includes(wanted);
  };
  const update = () => {
    let shown = 0;
    for (const line of lines) {
      line.hidden = !fields.every((field) => matches(line, field));
      shown += !line.hidden;
    }
    form.querySelector("output").value = `${shown} of ${lines.length}`;
  };
  form.addEventListener("input", update);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  update(); /* a browser may have kept the fields of an earlier visit */
  /* A link to a claim must lead neither to a hidden line nor to a closed one. */
  const reveal = () => {
    const claim = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const line = claim && claim.closest("ul.claims > li");
    if (!line) return;
    if (line.hidden) { form.reset(); update(); }
    line.querySelector("details").open = true;
    claim.scrollIntoView();
  };
  window.addEventListener("hashchange", reveal);
  reveal();
}

document.querySelectorAll("form.claim-filter").forEach(filterClaims);
