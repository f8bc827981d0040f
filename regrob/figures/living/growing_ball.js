/* A ReLU network with two inputs. The reader drags x over a lattice, whose certified distances the package has
   computed, and sets how many branches the search may cut; the true boundary is all polygons' together. */
import { curve, distance, expose, format, handle, html, nearestOn, plot, readout, sentence, set, slider, svg } from "./common.js";

const ROWS = [
  ["edge", "edge of the polytope", "grey"], ["linear", "dashed: linear bound", "blue dashed"],
  ["branched", "shaded: branch and bound", "green"], ["truth", "thick: nearest mistake", "ink"],
];

const circle = ([a, b], radius) =>
  Array.from({ length: 97 }, (_, i) => [a + radius * Math.cos((i * Math.PI) / 48), b + radius * Math.sin((i * Math.PI) / 48)]);

/* What is certified after so many nodes: the history's last entry that is not later. */
const after = (history, nodes) => history.reduce((best, [count, certified]) => (count <= nodes ? certified : best), 0);

const counted = (nodes) => `${nodes} ${nodes === 1 ? "node" : "nodes"}`;

export default {
  render({ model, el }) {
    const { limit, start, step, side, low, nodes, points, pieces, boundary, lattice, shown } = model.get("data");
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
    const rings = Object.fromEntries(ROWS.map(([key, , look]) => [key, curve(map, { class: `${look}${key === "truth" ? " thin" : ""}` })]));
    const touching = svg(map.marks, "circle", { class: "ink", r: 4 });

    const right = html(panels, "div");
    const last = nodes[nodes.length - 1];
    const chart = plot(right, {
      title: "Certified, by the number of nodes", x: [1, last], y: [0, shown], log: "x", height: 190,
      xlabel: "nodes", ylabel: "distance", xticks: nodes.filter((_, i) => i % 2 === 0), xformat: (v) => String(v),
    });
    const levels = Object.fromEntries(["edge", "linear", "truth"].map((key) => {
      const [, , look] = ROWS.find(([name]) => name === key);
      return [key, curve(chart, { class: `${look}${key === "truth" ? "" : " thin"}` })];
    }));
    const stairs = curve(chart, { class: "green" });
    const here = svg(chart.marks, "circle", { class: "green", r: 5.5 });
    const numbers = readout(right, ROWS);
    const say = sentence(el);

    let at = start, budget = nodes[nodes.length - 1];
    const show = () => {
      const [i, j] = at, x = [low + i * step, low + j * step];
      const [edge, linear, history] = lattice[i * side + j];
      const touched = boundary.map((ends) => nearestOn(ends, x)).sort((p, q) => distance(p, x) - distance(q, x))[0];
      const lengths = { edge, linear, branched: after(history, budget), truth: distance(touched, x) };
      ball.move(circle(x, lengths.branched), true);
      ROWS.forEach(([key]) => rings[key].move(circle(x, lengths[key]), true));
      set(touching, { cx: map.X(touched[0]), cy: map.Y(touched[1]) });
      Object.entries(levels).forEach(([key, line]) => line.move([[1, lengths[key]], [last, lengths[key]]]));
      stairs.move([...history.flatMap(([count, value], k) => [[count, k ? history[k - 1][1] : value], [count, value]]),
        [last, history[history.length - 1][1]]]);
      set(here, { cx: chart.X(budget), cy: chart.Y(lengths.branched) });
      numbers(lengths);
      const share = lengths.branched / lengths.truth;
      say(`After ${counted(budget)} ${format(100 * share, 3)} % of the true distance is certified; the linear bound alone `
        + `certifies ${format((100 * linear) / lengths.truth, 3)} %, the polytope ${format((100 * edge) / lengths.truth, 2)} %.`);
      point.place(...x, `x_1 = ${format(x[0])}, x_2 = ${format(x[1])}; ${ROWS.map(([key, name]) => `${name} ${format(lengths[key])}`).join(", ")}`);
      expose(el, { x, nodes: budget, ...lengths, shares: [edge, linear, lengths.branched].map((length) => length / lengths.truth) });
    };
    const nearest = (value) => Math.min(side - 1, Math.max(0, Math.round((value - low) / step)));
    const point = handle(map, { label: "the input x", step: [step, step], range: [low, low + (side - 1) * step],
      moved: (a, b) => { at = [nearest(a), nearest(b)]; show(); } });
    slider(el, { label: "nodes", min: 0, max: nodes.length - 1, step: 1, value: nodes.length - 1, words: (k) => String(nodes[k]),
      changed: (k) => { budget = nodes[k]; show(); } });
    show();
  },
};
