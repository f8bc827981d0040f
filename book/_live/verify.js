/* Claims, judged again on the reader's own machine by derivation, interval arithmetic, exact counterexample and
   the teeth of all: the whole ledger, or one. The code of a claim's proof can be opened, changed and run. */
import { folder, Interpreter, Live, make, plan } from "./cells.js";

document.head.append(make("link", { rel: "stylesheet", href: `${folder}cells.css` }));

const button = (text, onclick) => make("button", { type: "button", textContent: text, onclick });

/* So many Pythons judge side by side; each holds some hundred megabytes. */
const MOST = navigator.deviceMemory < 4 ? 1 : Math.min(3, navigator.hardwareConcurrency ?? 1);

/* Judges claims for the whole page, one request at a time. */
const judge = {
  buttons: new Set(),
  pythons: [],
  waiting: [], // ids
  running: 0,
  asker: null,

  /* `asker` hears `claim` for each id, and at last `ended`; `say` gets words on the start. */
  async verify(ids, asker) {
    this.asker = asker;
    this.waiting = [...ids];
    this.buttons.forEach((each) => { each.disabled = true; });
    try {
      const { bytes } = await plan();
      if (this.asker !== asker) return; // stopped meanwhile
      this.pythons.forEach((python) => this.next(python));
      if (this.pythons.length) this.grow(bytes);
      else this.start(bytes, (words) => this.asker?.say(words), () => this.grow(bytes));
    } catch (error) {
      this.stop(`Python did not start: ${error.message}`);
    }
  },

  start(bytes, say = () => {}, ready = () => {}) {
    const python = new Interpreter(bytes, (said) => this.hear(python, said), say, ready);
    this.pythons.push(python);
    this.next(python);
  },

  /* More of them, once the first is there: what they need is fetched then. */
  grow(bytes) {
    while (this.pythons.length < MOST && this.waiting.length) this.start(bytes);
  },

  next(python) {
    if (!this.waiting.length) return;
    this.running += 1;
    python.ask({ verify: this.waiting.shift() });
  },

  hear(python, { kind, data }) {
    if (kind === "fatal") this.stop(`Python stopped: ${data}`);
    else if (kind === "claim") this.asker?.claim(JSON.parse(data));
    else if (kind === "idle") {
      this.running -= 1;
      this.next(python);
      if (!this.running) this.end("");
    }
  },

  stop(why) {
    this.pythons.forEach((python) => python.stop());
    this.pythons = [];
    this.running = 0;
    this.end(why);
  },

  end(why) {
    const { asker } = this;
    this.asker = null;
    this.buttons.forEach((each) => { each.disabled = false; });
    asker?.ended(why);
  },
};

const outcome = ({ ok, verdict, failures, seconds }) => make("span", {
  className: `live-verified ${ok ? "holds" : "fails"}`,
  textContent: ok ? `${verdict}: verified here, ${seconds.toFixed(1)} s` : `not verified here: ${failures.join("; ")}`,
});

/* The buttons of one claim: judge it, or open the code that proves it. */
const offerClaim = (place, id) => {
  const note = make("output", { className: "live-note" });
  const verify = button("Verify it here", () => {
    note.replaceChildren();
    judge.verify([id], {
      say: (words) => { note.value = words; },
      claim: (judged) => note.replaceChildren(outcome(judged)),
      ended: (why) => { if (why) note.value = why; },
    });
  });
  const open = button("Open its proof", () => openProof(place, id, open, note));
  verify.disabled = judge.asker !== null;
  judge.buttons.add(verify);
  place.classList.add("live-bar");
  place.append(verify, ...("proof" in place.dataset ? [open] : []), note);
};

/* A claim's proof as a cell below its buttons, after a step that brings the names of its file. */
let opened = null;
const openProof = async (place, id, open, note) => {
  open.disabled = true;
  try {
    const answer = await fetch(`${folder}claims/${id}.json`);
    if (!answer.ok) throw new Error(`${answer.status} for ${answer.url}`);
    const { before, code } = await answer.json();
    const { bytes } = await plan();
    const input = make("div", { className: "cell_input" }, make("div", { className: "highlight" }, make("pre", { textContent: code })));
    const block = make("div", { className: "cell live-cell" }, input);
    place.after(block);
    opened?.stop("stopped, since another proof was opened");
    opened = new Live([block], { steps: [before, null], bytes }, `proof of ${id}`);
    open.remove();
    opened.cells[0].edit();
  } catch (error) {
    note.value = `The proof did not come: ${error.message}`;
    open.disabled = false;
  }
};

/* The button for the whole ledger: a bar, a word in each row, and what came out. */
const offerLedger = (place) => {
  const stop = button("Stop", () => judge.stop("stopped"));
  const bar = make("progress", { hidden: true, value: 0, ariaLabel: "Claims judged" });
  const note = make("output", { className: "live-note" });
  const rows = new Map([...document.querySelectorAll("ul.claims .claim[id]")]
    .map((claim) => [claim.id.replace("claim-", ""), claim.closest("li").querySelector("summary")]));
  const ids = place.dataset.claims.split(" ");
  const start = button("Let my browser verify it", () => {
    const from = performance.now();
    const wrong = [];
    let good = 0;
    stop.hidden = bar.hidden = false;
    bar.max = ids.length;
    bar.removeAttribute("value");
    document.querySelectorAll("ul.claims summary .live-verified").forEach((mark) => mark.remove());
    judge.verify(ids, {
      say: (words) => { note.value = words; },
      claim(record) {
        if (record.ok) good += 1;
        else wrong.push(record.id);
        bar.value = good + wrong.length;
        note.value = `${bar.value} of ${ids.length} claims`;
        rows.get(record.id)?.append(outcome(record));
      },
      ended(why) {
        stop.hidden = true;
        if (why) {
          note.value = why;
          return;
        }
        const seconds = Math.round((performance.now() - from) / 1000);
        const failed = wrong.length ? `; not verified: ${wrong.join(", ")}` : "";
        const leftOut = [...rows.keys()].filter((id) => !ids.includes(id));
        note.value = `${good} of ${ids.length} claims verified by your browser in ${seconds} s${failed}. Left out: `
          + `${leftOut.length} with nothing but checks in float64 (${leftOut.join(", ")}), and these checks of all `
          + "others, which need PyTorch.";
      },
    });
  });
  stop.hidden = true;
  judge.buttons.add(start);
  place.classList.add("live-bar");
  place.append(start, stop, bar, note);
};

let live = null;

/* Put the true buttons in the place of those that fetched this file. */
export const adopt = () => {
  live ??= new Live([...document.querySelectorAll(".live-cell")]);
  for (const bar of document.querySelectorAll(".live-offer")) {
    const place = bar.parentElement;
    bar.remove();
    if (place.matches(".live-ledger")) offerLedger(place);
    else offerClaim(place, place.dataset.claim);
  }
};
