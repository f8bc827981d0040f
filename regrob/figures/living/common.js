/* What living figures share: elements, numbers, panels with axes, things to drag, choices, tables of numbers. */

/* --- Elements ------------------------------------------------------------------------ */

const SVG = "http://www.w3.org/2000/svg";

const add = (parent, element, attributes, text) => {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null) element.setAttribute(name, value);
  }
  if (text !== undefined) write(element, text);
  parent.append(element);
  return element;
};

/* Replaces an element's words; "p_y" becomes a p with a small y below. */
export function write(element, text) {
  const inSvg = element.namespaceURI === SVG;
  element.replaceChildren();
  String(text).split(/_(\w)/).forEach((part, i) => {
    if (i % 2 === 0) {
      if (!part) return;
      if (!inSvg || i === 0) element.append(part);
      else svg(element, "tspan", { dy: "-.3em" }, part); /* back up to the line */
    } else if (inSvg) svg(element, "tspan", { dy: ".3em", "font-size": "80%" }, part);
    else html(element, "sub", {}, part);
  });
}

/* A new HTML or SVG element at the end of `parent`. */
export const html = (parent, tag, attributes = {}, text) => add(parent, document.createElement(tag), attributes, text);
export const svg = (parent, tag, attributes = {}, text) =>
  add(parent, document.createElementNS(SVG, tag), attributes, text);

export const set = (element, attributes) => {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
};

/* An id that no other element of the page has; each figure's script has helpers of its own, so the page counts. */
export const uniqueId = (stem) => `living-${stem}-${(window.livingIds = (window.livingIds ?? 0) + 1)}`;

/* Fills a stage with a figure: on a page, called by the loader. */
export function mount(figure, model, el) {
  set(el, { class: "stage", role: "group", "aria-label": model.get("alt") });
  figure.render({ model, el });
}

/* The same in a notebook, where no page has written the question. */
export function mountWidget(figure, { model, el }) {
  const box = html(el, "figure", { class: "living alive" });
  const [question, answer] = model.get("predict") ?? [];
  if (question) {
    const predict = html(box, "details", { class: "predict" });
    html(html(predict, "summary"), "span").innerHTML = question;
    html(predict, "p").innerHTML = answer;
  }
  mount(figure, model, html(box, "div"));
}

/* --- Numbers ------------------------------------------------------------------------- */

export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

const RAISED = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };

/* Three digits, "−0.0123", "4.56", "1.2 × 10⁵", "∞": for people; tests read `expose`'s numbers. */
export function format(value, digits = 3) {
  if (Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value) < 1e-12 ? 0 : Math.abs(value); /* what rounding leaves of zero */
  let text;
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) {
    const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
    text = `${mantissa} × 10${[...String(Number(exponent))].map((c) => RAISED[c]).join("")}`;
  } else if (size === 0) text = "0";
  else {
    const before = Math.floor(Math.log10(size)) + 1;
    text = value.toFixed(Math.max(0, digits - before));
  }
  return text.replace("-", "−");
}

/* The same without zeros at the end, for axes. */
export const short = (value) => format(value).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");

/* log(1 + e^x), which never overflows. */
export const softplus = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
export const sigmoid = (x) => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x)));

/* Round steps for an axis: about `count` of 1, 2 or 5 times a power of ten. */
export function ticks(low, high, count = 5) {
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i += 1) found.push(i * step);
  return found;
}

/* The same for a logarithmic axis: powers of ten; where these are fewer than three, 1, 2 and 5 times each. */
export function steps(low, high) {
  const found = (factors) => {
    const marks = [];
    for (let e = Math.floor(Math.log10(low)); 10 ** e <= high; e += 1) marks.push(...factors.map((factor) => Number(`${factor}e${e}`)));
    return marks.filter((v) => v >= low * (1 - 1e-9) && v <= high * (1 + 1e-9));
  };
  return found([1]).length < 3 ? found([1, 2, 5]) : found([1]);
}

/* The numbers that are shown, in full, for tests and for the curious: `data-values` of the stage. */
export const expose = (el, values) => { el.dataset.values = JSON.stringify(values); };

/* --- Places in the plane ------------------------------------------------------------- */

export const minus = ([a, b], [c, d]) => [a - c, b - d];
export const dot = ([a, b], [c, d]) => a * c + b * d;
export const along = ([a, b], t, [u, v]) => [a + t * u, b + t * v];
export const distance = (a, b) => Math.hypot(...minus(a, b));

/* The point of a segment that is nearest to x. */
export function nearestOn([a, b], x) {
  const way = minus(b, a), share = dot(minus(x, a), way) / Math.max(dot(way, way), 1e-300);
  return along(a, clamp(share, 0, 1), way);
}

/* The point nearest to x on any of these segments. */
export const nearestOf = (segments, x) =>
  segments.map((segment) => nearestOn(segment, x)).reduce((best, other) => (distance(other, x) < distance(best, x) ? other : best));

/* --- Pictures of pixels -------------------------------------------------------------- */

/* The bytes of a text in base64. */
export const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

/* Paints each pixel of a canvas, row by row, in the colour [red, green, blue] that `shade(i)` gives. */
export function paint(canvas, shade) {
  const { width, height } = canvas, context = canvas.getContext("2d"), image = context.createImageData(width, height);
  for (let i = 0; i < width * height; i += 1) image.data.set([...shade(i), 255], 4 * i);
  context.putImageData(image, 0, 0);
}

/* Ink from 0 to 1, black on white. */
export const grey = (v) => { const s = Math.round(255 * (1 - v)); return [s, s, s]; };

/* A change of ink from -1 to 1: more is violet, less is orange. */
export const tinted = (v) => (v > 0 ? [255 - 157 * v, 255 - 200 * v, 255 - 105 * v] : [255 + 24 * v, 255 + 141 * v, 255 + 235 * v]).map(Math.round);

/* --- Panels -------------------------------------------------------------------------- */

/* A panel with axes. x and y are [low, high]; `log` names axes with logarithmic steps ("x", "y", "xy").
   `bare` leaves the frame out. Returns its layers and its maps: X, Y from numbers to places, atX, atY back. Sizes are CSS pixels of a
   panel as wide as a phone, so that its words stay readable there. */
export function plot(parent, options) {
  const { x, y, title, label, xlabel, ylabel, log = "", width = 340, height = 300, xticks, yticks, grid = true, bare = false,
    xformat = short, yformat = short } = options;
  const left = options.left ?? (ylabel || yticks !== false ? 50 : 10), right = options.right ?? 18, top = title ? 26 : 10;
  const bottom = options.bottom ?? (xlabel ? 40 : 24);
  const root = svg(parent, "svg", { class: "panel", viewBox: `0 0 ${width} ${height}`, "aria-label": label,
    role: label ? "img" : undefined });
  const scale = ([low, high], from, to, logarithmic) => {
    const f = logarithmic ? Math.log : (v) => v, inverse = logarithmic ? Math.exp : (v) => v;
    const a = f(low), b = f(high);
    return [(v) => from + ((f(v) - a) / (b - a)) * (to - from), (place) => inverse(a + ((place - from) / (to - from)) * (b - a))];
  };
  const [X, atX] = scale(x, left, width - right, log.includes("x"));
  const [Y, atY] = scale(y, height - bottom, top, log.includes("y"));
  const decades = ([low, high]) => {
    const found = [];
    for (let e = Math.ceil(Math.log10(low) - 1e-9); 10 ** e <= high * (1 + 1e-9); e += 1) found.push(10 ** e);
    return found;
  };
  const marks = (given, range, logarithmic) => (given === false ? [] : given ?? (logarithmic ? decades(range) : ticks(...range)));
  const axes = svg(root, "g", { class: "axes", "aria-hidden": "true" });
  const id = uniqueId("clip");
  const inner = { x: left, y: top, width: width - left - right, height: height - top - bottom };
  svg(svg(root, "clipPath", { id }), "rect", inner);
  if (!bare) svg(axes, "rect", { ...inner, class: "ground" });
  for (const v of marks(xticks, x, log.includes("x"))) {
    if (grid) svg(axes, "line", { class: "grid", x1: X(v), x2: X(v), y1: top, y2: height - bottom });
    svg(axes, "text", { x: X(v), y: height - bottom + 15, class: "tick", "text-anchor": "middle" }, xformat(v));
  }
  for (const v of marks(yticks, y, log.includes("y"))) {
    if (grid) svg(axes, "line", { class: "grid", x1: left, x2: width - right, y1: Y(v), y2: Y(v) });
    svg(axes, "text", { x: left - 5, y: Y(v) + 4, class: "tick", "text-anchor": "end" }, yformat(v));
  }
  if (xlabel) svg(axes, "text", { x: left + inner.width / 2, y: height - 6, "text-anchor": "middle" }, xlabel);
  if (ylabel) {
    const middle = top + inner.height / 2;
    svg(axes, "text", { x: 12, y: middle, "text-anchor": "middle", transform: `rotate(-90 12 ${middle})` }, ylabel);
  }
  if (title) svg(axes, "text", { x: left + inner.width / 2, y: 15, class: "title", "text-anchor": "middle" }, title);
  const marksLayer = svg(root, "g", { "clip-path": `url(#${id})`, "aria-hidden": "true" });
  const words = svg(root, "g", { "aria-hidden": "true" });
  const handles = svg(root, "g", { class: "handles" });
  const path = (points, closed = false) =>
    points.map(([a, b], i) => `${i ? "L" : "M"}${X(a).toFixed(2)} ${Y(b).toFixed(2)}`).join("") + (closed && points.length ? "Z" : "");
  return { root, X, Y, atX, atY, inner, x, y, path, marks: marksLayer, words, handles };
}

/* A curve through points [[x, y], …] of a panel; `move` gives it others. */
export function curve(panel, attributes, points = [], closed = false) {
  const element = svg(panel.marks, "path", { fill: "none", ...attributes, d: panel.path(points, closed) });
  return { element, move: (others) => element.setAttribute("d", panel.path(others, closed)) };
}

/* Points [[x, y, label], …] of two classes: triangles and discs, `size` times as large as usual. */
export function classes(panel, points, size = 1) {
  for (const [a, b, label] of points) {
    const [u, v, r] = [panel.X(a), panel.Y(b), 2.6 * size];
    svg(panel.marks, "path", { opacity: 0.75,
      d: label ? `M${u} ${v - 3 * size}l${3 * size} ${5.4 * size}h${-6 * size}z`
        : `M${u - r} ${v}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`,
      style: `fill: var(--lv-${label ? "orange" : "sky"})` });
  }
}

/* The inputs of a network that has two: its polygons, the points of both classes, and the decision boundary, which
   is a list of segments. Returns the panel, and an area of style `shade` that lies below them all. */
export function inputPlane(parent, { limit, polygons, points, boundary, shade }) {
  const ends = [-1, -0.5, 0, 0.5, 1], size = [-limit, limit];
  const map = plot(parent, {
    x: size, y: size, height: 326, left: 46, grid: false, xlabel: "x_1", ylabel: "x_2", xticks: ends, yticks: ends,
  });
  const area = curve(map, { style: shade }, [], true);
  svg(map.marks, "path", { d: polygons.map((corners) => map.path(corners, true)).join(""), fill: "none",
    style: "stroke: var(--lv-line); stroke-width: .8" });
  classes(map, points);
  svg(map.marks, "path", { class: "ink", d: boundary.map((segment) => map.path(segment)).join(""), style: "stroke-width: 3" });
  return { map, area };
}

/* f at `count` places from low to high, as points of a curve. */
export function sample(f, low, high, count = 160) {
  return Array.from({ length: count + 1 }, (_, i) => {
    const t = low + ((high - low) * i) / count;
    return [t, f(t)];
  });
}

/* An arrow from a to b, in a panel's numbers; `move` turns it. */
export function arrow(panel, attributes) {
  const element = svg(panel.marks, "path", { fill: "none", ...attributes });
  return { element, move: (a, b) => {
    const [x1, y1, x2, y2] = [panel.X(a[0]), panel.Y(a[1]), panel.X(b[0]), panel.Y(b[1])];
    const length = Math.hypot(x2 - x1, y2 - y1), turn = Math.atan2(y2 - y1, x2 - x1), head = Math.min(9, length);
    const barb = (angle) => `M${x2} ${y2}L${x2 - head * Math.cos(turn + angle)} ${y2 - head * Math.sin(turn + angle)}`;
    element.setAttribute("d", `M${x1} ${y1}L${x2} ${y2}${barb(0.45)}${barb(-0.45)}`);
  } };
}

/* A word beside a place of a panel, with a halo so that lines do not cross it out. */
export function word(panel, text, attributes = {}) {
  const element = svg(panel.words, "text", { class: "word", ...attributes }, text);
  return { element, move: (x, y, words) => {
    set(element, { x: panel.X(x), y: panel.Y(y) });
    if (words !== undefined) write(element, words);
  } };
}

/* --- Things to move ------------------------------------------------------------------ */

/* A point to drag: by mouse from anywhere in the panel, by finger from the point or with a tap, by arrow keys
   (Shift: ten times as far). `moved(x, y)` gets the wish and calls the returned `place(x, y, words)`. `along` "x"
   or "y" binds it to one direction; `dropped()` is called when the hand rests; `anywhere: false` leaves the panel's ground alone.
   `arrows(right, up)`, in steps, takes the keys instead. */
export function handle(panel, { label, moved, along = "xy", step, colour = "", anywhere = true, range, arrows, dropped = () => {} }) {
  const [stepX, stepY] = step ?? [(panel.x[1] - panel.x[0]) / 100, (panel.y[1] - panel.y[0]) / 100];
  const [low, high] = range ?? (along === "y" ? panel.y : panel.x);
  const group = svg(panel.handles, "g", { class: "handle", role: "slider", tabindex: "0", "aria-label": label,
    "aria-valuemin": low, "aria-valuemax": high, "aria-orientation": along === "y" ? "vertical" : "horizontal" });
  svg(group, "circle", { r: 22, class: "reach" });
  svg(group, "circle", { r: 12, class: "ring" });
  svg(group, "circle", { r: 5.5, class: "dot", style: colour ? `fill: ${colour}` : undefined });
  let now = [0, 0];
  const wish = (x, y) => moved(
    along === "y" ? now[0] : clamp(x, ...panel.x),
    along === "x" ? now[1] : clamp(y, ...panel.y),
  );
  const place = (x, y, words, value = along === "y" ? y : x) => {
    now = [x, y];
    group.setAttribute("transform", `translate(${panel.X(x)} ${panel.Y(y)})`);
    set(group, { "aria-valuenow": Number(value.toPrecision(6)), "aria-valuetext": words.replaceAll("_", " ") });
  };
  const from = (event) => {
    const box = panel.root.getBoundingClientRect(), view = panel.root.viewBox.baseVal;
    return [
      panel.atX(((event.clientX - box.left) / box.width) * view.width),
      panel.atY(((event.clientY - box.top) / box.height) * view.height),
    ];
  };
  const drag = (event) => {
    if (event.button > 0) return;
    event.preventDefault();
    group.focus({ preventScroll: true });
    panel.root.setPointerCapture(event.pointerId);
    panel.root.classList.add("dragging");
    const follow = (e) => { if (e.pointerId === event.pointerId) wish(...from(e)); };
    const end = (e) => {
      if (e.pointerId !== event.pointerId) return;
      panel.root.classList.remove("dragging");
      dropped();
      for (const name of ["pointermove", "pointerup", "pointercancel"]) panel.root.removeEventListener(name, name === "pointermove" ? follow : end);
    };
    panel.root.addEventListener("pointermove", follow);
    panel.root.addEventListener("pointerup", end);
    panel.root.addEventListener("pointercancel", end);
    follow(event);
  };
  group.addEventListener("pointerdown", (event) => { event.stopPropagation(); drag(event); });
  /* A finger on the point moves it; a finger elsewhere scrolls the page, and a tap brings the point there. */
  group.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false });
  if (anywhere) {
    panel.root.classList.add("open");
    panel.root.addEventListener("pointerdown", (event) => { if (event.pointerType === "mouse") drag(event); });
    panel.root.addEventListener("click", (event) => { if (event.pointerType !== "mouse" && event.detail) { wish(...from(event)); dropped(); } });
  }
  group.addEventListener("keydown", (event) => {
    const far = event.shiftKey ? 10 : 1;
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] }[event.key] ?? [0, 0];
    if (event.key === "Home" || event.key === "End") {
      const end = event.key === "Home" ? low : high;
      if (arrows) arrows(end === low ? -Infinity : Infinity, 0);
      else wish(along === "y" ? now[0] : end, along === "y" ? end : now[1]);
    } else if (arrows && (dx || dy)) arrows(far * dx, far * dy);
    else if (dx || dy) {
      /* On a line, both pairs of arrows move. */
      const one = dx || dy;
      if (along === "x") wish(now[0] + one * far * stepX, now[1]);
      else if (along === "y") wish(now[0], now[1] + one * far * stepY);
      else wish(now[0] + dx * far * stepX, now[1] + dy * far * stepY);
    } else return;
    event.preventDefault();
    dropped();
  });
  return { element: group, place };
}

/* A point that sits on one of many dots: it goes to the dot nearest to the mouse (also before a button is
   pressed), to a finger's tap, or by arrow keys to the next one that `next(right, up)` names. `dots` are places
   [[x, y], …] in the panel's numbers; `picked(i)` is called with a dot and calls the returned `place`, as a handle's. */
export function picker(panel, { label, dots, picked, next, range }) {
  const nearest = (x, y) => {
    const far = dots.map(([a, b]) => Math.hypot(panel.X(a) - panel.X(x), panel.Y(b) - panel.Y(y)));
    return far.indexOf(Math.min(...far));
  };
  panel.root.addEventListener("pointermove", (event) => {
    if (event.pointerType !== "mouse" || event.buttons) return;
    const box = panel.root.getBoundingClientRect(), { width, height } = panel.root.viewBox.baseVal;
    const [x, y] = [((event.clientX - box.left) / box.width) * width, ((event.clientY - box.top) / box.height) * height];
    const i = nearest(panel.atX(x), panel.atY(y)), [a, b] = dots[i];
    if (Math.hypot(panel.X(a) - x, panel.Y(b) - y) < 14) picked(i);
  });
  return handle(panel, { label, range, moved: (x, y) => picked(nearest(x, y)), arrows: (right, up) => picked(next(right, up)) });
}

const controls = (el) => el.querySelector(":scope > .controls") ?? html(el, "div", { class: "controls" });

/* A native range input with its value in words. `changed(value)` is called for each move, not at the start. */
export function slider(el, { label, min, max, step = "any", value, words = format, changed }) {
  const box = html(controls(el), "label", { class: "range" });
  html(box, "span", {}, label);
  const input = html(box, "input", { type: "range", min, max, step, value, autocomplete: "off" });
  const output = html(box, "output", { "aria-live": "off" });
  const show = () => {
    output.value = words(input.valueAsNumber);
    input.setAttribute("aria-valuetext", output.value);
  };
  input.addEventListener("input", () => { show(); changed(input.valueAsNumber); });
  show();
  return { input, move: (v) => { input.value = v; show(); } };
}

/* One of a few: radio buttons in a row. options are [[value, words, class of a swatch or nothing], …]. `choose`
   of what is returned takes one. */
export function choice(el, { label, options, value, changed }) {
  const box = html(controls(el), "fieldset", { class: "choice" });
  html(box, "legend", {}, label);
  const name = uniqueId("choice"), inputs = {};
  for (const [key, words, swatch] of options) {
    const one = html(box, "label");
    const input = html(one, "input", { type: "radio", name, value: key, autocomplete: "off" });
    input.checked = key === value;
    input.addEventListener("change", () => changed(key));
    if (swatch) html(one, "span", { class: `swatch ${swatch}`, "aria-hidden": "true" });
    html(one, "span", {}, words);
    inputs[key] = input;
  }
  return { element: box, choose: (key) => { inputs[key].checked = true; } };
}

/* One of many: a list that opens. options as in `choice`; `offer` gives others, and keeps the chosen one if it can. */
export function menu(el, { label, options, value, changed }) {
  const box = html(controls(el), "label", { class: "menu" });
  html(box, "span", {}, label);
  const select = html(box, "select", { autocomplete: "off" });
  const offer = (others, wanted = select.value) => {
    select.replaceChildren(...others.map(([key, words]) => new Option(words, key, false, key === wanted)));
  };
  offer(options, value);
  select.addEventListener("change", () => changed(select.value));
  return { offer, value: () => select.value };
}

/* A button in the row of controls. */
export function button(el, words, pressed) {
  const element = html(controls(el), "button", { type: "button" }, words);
  element.addEventListener("click", pressed);
  return element;
}

/* --- What is read -------------------------------------------------------------------- */

/* A table of numbers: rows are [[key, name, note], …], note the class of a swatch. Returns a function that
   takes {key: text or number}. */
export function readout(el, rows, caption) {
  const table = html(el, "table", { class: "numbers" });
  if (caption) html(table, "caption", {}, caption);
  const body = html(table, "tbody"), cells = {};
  for (const [key, name, swatch] of rows) {
    const row = html(body, "tr");
    const head = html(row, "th", { scope: "row" });
    if (swatch) html(head, "span", { class: `swatch ${swatch}`, "aria-hidden": "true" });
    write(html(head, "span"), name);
    cells[key] = html(row, "td");
  }
  return (values) => {
    for (const [key, value] of Object.entries(values)) {
      write(cells[key], typeof value === "number" ? format(value) : value);
    }
  };
}

/* The same with several columns: head is a list of words, rows [[key, name, swatch], …]. The returned function
   takes {key: [one entry a column]}. */
export function grid(el, head, rows) {
  const table = html(el, "table", { class: "numbers" });
  const top = html(html(table, "thead"), "tr");
  head.forEach((words) => html(top, "th", { scope: "col" }, words));
  const body = html(table, "tbody"), cells = {};
  for (const [key, name, swatch] of rows) {
    const row = html(body, "tr"), first = html(row, "th", { scope: "row" });
    if (swatch) html(first, "span", { class: `swatch ${swatch}`, "aria-hidden": "true" });
    write(html(first, "span"), name);
    cells[key] = head.slice(1).map(() => html(row, "td"));
  }
  return (values) => {
    for (const [key, list] of Object.entries(values)) {
      list.forEach((value, i) => write(cells[key][i], typeof value === "number" ? format(value, 2) : value));
    }
  };
}

/* One sentence about what is seen now; read aloud when the hand has rested for a moment. */
export function sentence(el) {
  const shown = html(el, "p", { class: "now", "aria-hidden": "true" });
  const spoken = html(el, "p", { class: "spoken", "aria-live": "polite" });
  let waiting, first = true;
  return (text) => {
    const aloud = () => { spoken.textContent = text.replaceAll("_", " "); };
    write(shown, text);
    clearTimeout(waiting);
    if (first) aloud();
    else waiting = setTimeout(aloud, 700);
    first = false;
  };
}

/* Whether the reader asked for less motion. */
export const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
