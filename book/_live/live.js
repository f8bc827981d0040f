/* The buttons of cells and claims. What they do is fetched when one is pressed, and nothing before. */
"use strict";
{
  const folder = new URL(".", document.currentScript.src).href;
  const WORDS = {
    "live-cell": ["Run", "Edit"],
    "live-claim": ["Verify it here", "Open its proof"],
    "live-ledger": ["Let my browser verify it"],
  };
  const places = (kind) => [...document.querySelectorAll(`.${kind}`)];

  /* Why nothing can run here, in words; "" if it can. */
  const obstacle = () => {
    if (location.protocol === "file:") return "these pages were opened from a file: served by a web server";
    if (!window.Worker || !window.WebAssembly || !window.TransformStream || !HTMLScriptElement.supports?.("module")) {
      return "this browser is too old: in a newer one";
    }
    return "";
  };

  let fetched = null;

  /* Buttons that fetch what they do, put the true ones in their own place, and press the one of the same words. */
  const offer = (place, kind, name = "") => {
    const bar = Object.assign(document.createElement("div"), { className: "live-bar live-offer" });
    for (const words of WORDS[kind]) {
      if (words === "Open its proof" && !("proof" in place.dataset)) continue; // intervals alone judge it
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: words });
      if (name) button.ariaLabel = `${words} ${name}`;
      button.onclick = async () => {
        button.disabled = true;
        try {
          (await (fetched ??= import(`${folder}verify.js`))).adopt();
          const pressed = [...place.querySelectorAll("button")].find((one) => one.textContent === words);
          pressed.focus();
          pressed.click();
        } catch (error) {
          fetched = null;
          button.disabled = false;
          bar.append(` That did not come: ${error.message}`);
        }
      };
      bar.append(button);
    }
    if (kind === "live-cell") place.querySelector(".cell_input").after(bar);
    else place.append(bar);
  };

  /* The buttons in a row of the ledger, once it is unfolded: a hundred rows need none before. */
  const offerInRow = (id, proved) => {
    const row = document.getElementById(`claim-${id}`);
    const fold = row.closest("details");
    const unfolded = async () => {
      fold.removeEventListener("toggle", unfolded);
      const place = Object.assign(document.createElement("div"), { className: "live-claim" });
      place.dataset.claim = id;
      if (proved) place.dataset.proof = "";
      row.append(place);
      offer(place, "live-claim");
      if (fetched) (await fetched).adopt();
    };
    if (fold.open) unfolded();
    else fold.addEventListener("toggle", unfolded);
  };

  const why = obstacle();
  if (!why) {
    places("live-cell").forEach((cell, index) => offer(cell, "live-cell", `cell ${index + 1}`));
    places("live-claim").forEach((claim) => offer(claim, "live-claim"));
    for (const ledger of places("live-ledger")) {
      offer(ledger, "live-ledger");
      const proofs = ledger.dataset.proofs.split(" ");
      ledger.dataset.claims.split(" ").forEach((id) => offerInRow(id, proofs.includes(id)));
    }
  } else {
    const first = document.querySelector(Object.keys(WORDS).map((kind) => `.${kind}`).join());
    first?.before(Object.assign(document.createElement("p"), {
      className: "live-why",
      textContent: `Python does not run on this page, since ${why} it does.`,
    }));
  }
}
