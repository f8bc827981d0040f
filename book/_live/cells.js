/* Cells that run and can be edited on the page. Python is fetched when one is run first. */
export const folder = new URL(".", import.meta.url).href;
const book = new URL("../../", folder).href;
const MEGABYTE = 1e6;

export const make = (tag, properties, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

/* What the build says of this page: the steps to run, and how many bytes Python is. */
export const plan = async () => {
  const answer = await fetch(`${folder}pages/${DOCUMENTATION_OPTIONS.pagename}.json`);
  if (!answer.ok) throw new Error(`${answer.status} for ${answer.url}`);
  return answer.json();
};

/* Python in a worker. `hear` gets what the worker says, `say` words on its start; `ready` is called after it. */
export class Interpreter {
  constructor(bytes, hear, say, ready = () => {}) {
    Interpreter.keepToBook();
    // A module in a blob keeps to the page's policy; one in a file would have none.
    const blob = new Blob([`import ${JSON.stringify(`${folder}worker.js`)};`], { type: "text/javascript" });
    this.worker = new Worker(URL.createObjectURL(blob), { type: "module", name: "Python" });
    this.worker.onmessage = ({ data }) => {
      if (data.kind === "progress") this.fetched = data.data;
      else if (data.kind === "ready") {
        clearInterval(this.clock);
        ready();
      } else hear(data);
    };
    this.worker.onerror = (event) => hear({ kind: "fatal", data: event.message || "no worker started" });
    this.fetched = 0;
    const from = performance.now();
    this.clock = setInterval(() => {
      const seconds = Math.round((performance.now() - from) / 1000);
      const [come, all] = [this.fetched, bytes].map((count) => (count / MEGABYTE).toFixed(1));
      say(this.fetched < bytes ? `fetching Python, ${come} of ${all} MB, ${seconds} s` : `starting Python, ${seconds} s`);
    }, 200);
  }

  /* From the first run on, the page and its workers reach the book's folder only. */
  static keepToBook() {
    if (Interpreter.policy) return;
    const content = `connect-src ${book}; script-src ${book} 'wasm-unsafe-eval'; worker-src blob: ${book}`;
    Interpreter.policy = make("meta", { httpEquiv: "Content-Security-Policy", content });
    document.head.append(Interpreter.policy);
  }

  ask(message) {
    this.worker.postMessage(message);
  }

  stop() {
    clearInterval(this.clock);
    this.worker.terminate();
  }
}

/* The page's cells and its Python, which starts at the first run and again after each stop. */
export class Live {
  /* `given` is the plan, if it is not the page's own; `name` what its only cell is called. */
  constructor(blocks, given = null, name = "") {
    this.cells = blocks.map((block, index) => new Cell(this, block, name || `cell ${index + 1}`));
    this.plan = given;
    this.python = null;
    this.done = 0; // so many steps have run as they now stand
    this.waiting = []; // cells that were asked to run and have not ended
    this.next = null; // the cell to run after these
  }

  /* The steps of the page: its cells, and code of other cells that these need. */
  async load() {
    if (!this.steps) {
      const { steps, bytes } = this.plan ?? await plan();
      this.bytes = bytes;
      let cell = 0;
      this.steps = steps.map((code) => (code === null ? this.cells[cell++] : { code, name: "a cell above" }));
      this.steps.forEach((step, place) => { step.place = place; });
    }
    return this.steps;
  }

  /* Run a cell, and before it every earlier step that has not run as it now stands. */
  async run(cell) {
    if (this.waiting.length) {
      this.next?.end("");
      this.next = cell;
      cell.wait("waiting …");
      return;
    }
    this.waiting = [cell];
    cell.wait("starting …");
    try {
      const steps = await this.load();
      const due = steps.slice(Math.min(this.done, cell.place), cell.place + 1);
      this.waiting = due.filter((step) => step instanceof Cell);
      this.waiting.forEach((each) => each.wait("waiting …"));
      this.python ??= new Interpreter(this.bytes, (said) => this.hear(said), (words) => this.waiting.at(-1)?.say(words));
      this.python.ask({ steps: due.map(({ place, code, name }) => ({ place, code, name })) });
    } catch (error) {
      this.stop(`Python did not start: ${error.message}`);
    }
  }

  stop(why) {
    this.python?.stop();
    this.python = null;
    this.done = 0;
    [...this.waiting, this.next].forEach((cell) => cell?.end(why));
    this.waiting = [];
    this.next = null;
  }

  /* A step was changed: it and what comes after it have not run as they now stand. */
  changed(cell) {
    if (cell.place !== undefined) this.done = Math.min(this.done, cell.place);
  }

  hear({ kind, data, place }) {
    if (kind === "fatal") {
      this.stop(`Python stopped: ${data}`);
    } else if (kind === "idle") {
      this.waiting.forEach((cell) => cell.end(`not run, since ${this.failed} failed`));
      this.waiting = [];
      const { next } = this;
      this.next = null;
      if (next) this.run(next);
    } else {
      const step = this.steps[place];
      if (kind === "done") this.ended(step, data.ok);
      if (step instanceof Cell) step.hear(kind, data);
      else if (kind === "error") this.waiting[0].hear(kind, data);
    }
  }

  ended(step, ok) {
    this.done = ok ? Math.max(this.done, step.place + 1) : Math.min(this.done, step.place);
    if (!ok) this.failed = step.name;
    if (step === this.waiting[0]) this.waiting.shift();
  }
}

/* One cell: its buttons, its editor, its output. */
class Cell {
  constructor(live, block, name) {
    this.live = live;
    this.block = block;
    this.name = name;
    this.input = block.querySelector(".cell_input");
    this.shown = this.input.querySelector(".highlight");
    this.original = this.shown.querySelector("pre").textContent.replace(/\n$/, "");
    this.code = this.original;
    this.built = [...block.children].filter((child) => child.matches(".cell_output, details.above-output"));
    const button = (text, act) => make("button", { type: "button", textContent: text, ariaLabel: `${text} ${this.name}`, onclick: act });
    this.buttons = {
      run: button("Run", () => live.run(this)),
      edit: button("Edit", () => this.edit()),
      reset: button("Reset", () => this.reset()),
      stop: button("Stop", () => live.stop("stopped; the next run begins afresh")),
    };
    this.buttons.reset.hidden = this.buttons.stop.hidden = true;
    this.note = make("output", { className: "live-note" });
    this.output = make("div", { className: "live-output", hidden: true });
    this.output.setAttribute("role", "region");
    this.output.setAttribute("aria-label", `Output of ${this.name}, computed here`);
    block.querySelector(".live-offer")?.remove();
    this.input.after(make("div", { className: "live-bar" }, ...Object.values(this.buttons), this.note));
    block.append(this.output);
  }

  async edit() {
    if (this.editor) return this.editor.focus();
    this.buttons.edit.disabled = true;
    try {
      const { edit } = await import(`${folder}editor.js`);
      const place = make("div", { className: "live-editor" });
      this.shown.after(place);
      this.editor = edit(place, this.code, `Code of ${this.name}`, (code) => this.change(code), () => this.live.run(this));
      this.shown.hidden = true;
      this.buttons.reset.hidden = false;
      this.editor.focus();
    } catch (error) {
      this.say(`The editor did not come: ${error.message}`);
    }
    this.buttons.edit.disabled = false;
  }

  change(code) {
    this.code = code;
    this.live.changed(this);
  }

  /* The cell as the build left it. */
  reset() {
    this.editor?.dom.parentElement.remove();
    this.editor?.destroy();
    this.editor = null;
    this.shown.hidden = false;
    this.change(this.original);
    this.output.hidden = true;
    this.built.forEach((part) => { part.hidden = false; });
    this.buttons.reset.hidden = true;
    this.say("");
    this.buttons.edit.focus();
  }

  say(words) {
    if (this.note.value !== words) this.note.value = words;
  }

  wait(words) {
    this.say(words);
    this.buttons.stop.hidden = false;
    this.buttons.run.disabled = true;
  }

  end(words) {
    this.say(words);
    this.buttons.stop.hidden = true;
    this.buttons.run.disabled = false;
  }

  hear(kind, data) {
    if (kind === "start") {
      this.say("running …");
      this.output.replaceChildren();
      this.output.hidden = false;
      this.buttons.reset.hidden = false;
      this.built.forEach((part) => { part.hidden = true; });
    } else if (kind === "done") {
      this.end(`${data.ok ? "ran" : "failed"} here in ${data.seconds.toFixed(1)} s`);
      this.output.hidden = !this.output.childElementCount;
      this.block.dispatchEvent(new CustomEvent("live-done", { bubbles: true, detail: data }));
      window.MathJax?.typesetPromise?.([this.output]);
    } else if (kind === "text" && this.output.lastElementChild?.className === "live-text") {
      this.output.lastElementChild.append(data);
    } else if (kind === "latex") {
      this.output.append(make("div", { className: "live-latex math", textContent: `\\[${data}\\]` }));
    } else {
      this.output.append(make("pre", { className: `live-${kind}`, textContent: data }));
    }
  }
}
