/* A ReLU network with two inputs. The reader drags x over a lattice, on which the package has searched, and sets
   how many nodes the search may bound; the nearest mistake is found anew from all polygons' boundaries. */
import { curve, distance, expose, format, handle, html, nearestOn, plot, readout, sentence, set, slider, svg } from "./common.js";

const ROWS = [
  ["edge", "edge of the polytope", "grey"], ["linear", "dashed: linear bound", "blue dashed"],
  ["certified", "shaded: certified by the search", "green"], ["found", "dotted: mistake found", "vermilion dotted"],
  ["truth", "nearest mistake", "ink"],
];

const circle = ([a, b], radius) =>
  Array.from({ length: 97 }, (_, i) => [a + radius * Math.cos((i * Math.PI) / 48), b + radius * Math.sin((i * Math.PI) / 48)]);

/* What is known after so many nodes: the history's last entry that is not later. */
const after = (history, nodes) => history.findLast(([count]) => count <= nodes);

/* A history as stairs: the entries' column `which` against the nodes, up to the last budget. */
const stairs = (history, which, last) => history.flatMap((entry, k) => [
  [entry[0], entry[which]], [k + 1 < history.length ? history[k + 1][0] : last, entry[which]],
]);

export default {
  render({ model, el }) {
    const { limit, start, step, side, low, nodes, points, pieces, boundary, lattice } = model.get("data");
    const panels = html(el, "div", { class: "panels" });
    const map = plot(html(panels, "div"), {
      x: [-limit, limit], y: [-limit, limit], height: 326, left: 46, grid: false, xlabel: "x_1", ylabel: "x_2",
      xticks: [-1, -0.5, 0, 0.5, 1], yticks: [-1, -0.5, 0, 0.5, 1],
    });
    const ball = curve(map, { style: "fill: var(--lv-green); fill-opacity: .25; stroke: none" });
    svg(map.marks, "path", { d: pieces.map((corners) => map.path(corners, true)).join(""), fill: "none",
      style: "stroke: var(--lv-line); stroke-width: .8" });
    for (const [a, b, label] of points) {
      const [u, v] = [map.X(a), map.Y(b)];
      const mark = label ? { d: `M${u} ${v - 3}l3 5.4h-6z`, style: "fill: var(--lv-orange)" }
        : { d: `M${u - 2.6} ${v}a2.6 2.6 0 1 0 5.2 0a2.6 2.6 0 1 0 -5.2 0`, style: "fill: var(--lv-sky)" };
      svg(map.marks, "path", { ...mark, opacity: 0.75 });
    }
    svg(map.marks, "path", { class: "ink", d: boundary.map((ends) => map.path(ends)).join(""), style: "stroke-width: 3" });
    const rings = ROWS.slice(0, 4).map(([key, , look]) => [key, curve(map, { class: look })]);
    const touching = svg(map.marks, "circle", { class: "ink", r: 4.5 });

    const right = html(panels, "div"), last = nodes[nodes.length - 1];
    const chart = plot(right, {
      title: "The interval, by the number of nodes", height: 200, xlabel: "nodes", ylabel: "distance", log: "x", xticks: nodes,
      x: [1, last], y: [0, 1.05 * Math.max(...lattice.map(([, , history]) => history[0][2]))],
    });
    const level = curve(chart, { class: "ink thin" });
    const ends = { certified: curve(chart, { class: "green" }), found: curve(chart, { class: "vermilion dotted" }) };
    const dots = { certified: svg(chart.marks, "circle", { class: "green", r: 5 }), found: svg(chart.marks, "circle", { class: "vermilion", r: 5 }) };
    const numbers = readout(right, ROWS);
    const say = sentence(el);

    let at = start, budget = last;
    const show = () => {
      const [i, j] = at, x = [low + i * step, low + j * step];
      const [edge, linear, history] = lattice[i * side + j];
      const [, certified, found] = after(history, budget);
      const touched = boundary.map((segment) => nearestOn(segment, x)).sort((p, q) => distance(p, x) - distance(q, x))[0];
      const lengths = { edge, linear, certified, found, truth: distance(touched, x) };
      ball.move(circle(x, certified), true);
      rings.forEach(([key, ring]) => ring.move(circle(x, lengths[key]), true));
      set(touching, { cx: map.X(touched[0]), cy: map.Y(touched[1]) });
      level.move([[1, lengths.truth], [last, lengths.truth]]);
      for (const [which, key] of [[1, "certified"], [2, "found"]]) {
        ends[key].move(stairs(history, which, last));
        set(dots[key], { cx: chart.X(budget), cy: chart.Y(lengths[key]) });
      }
      numbers(lengths);
      const done = certified >= 0.99 * found;
      say(`After ${budget} ${budget === 1 ? "node" : "nodes"} the nearest mistake is known to lie between ${format(certified)} `
        + `and ${format(found)}${done ? ": closed to one per cent." : `, a gap of ${format(100 * (1 - certified / found), 2)} %.`}`);
      point.place(...x, `x_1 = ${format(x[0])}, x_2 = ${format(x[1])}; ${ROWS.map(([key, name]) => `${name} ${format(lengths[key])}`).join(", ")}`);
      expose(el, { x, nodes: budget, ...lengths });
    };
    const nearest = (value) => Math.min(side - 1, Math.max(0, Math.round((value - low) / step)));
    const point = handle(map, { label: "the input x", step: [step, step], range: [low, low + (side - 1) * step],
      moved: (a, b) => { at = [nearest(a), nearest(b)]; show(); } });
    slider(el, { label: "nodes", min: 0, max: nodes.length - 1, step: 1, value: nodes.length - 1, words: (k) => String(nodes[k]),
      changed: (k) => { budget = nodes[k]; show(); } });
    show();
  },
};
