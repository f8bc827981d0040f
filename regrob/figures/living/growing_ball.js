/* A ReLU network with two inputs. The reader drags x over a lattice, on which the package has searched, and sets
   how many nodes the search may bound; the nearest mistake is found anew from all polygons' boundaries. */
import { curve, distance, expose, format, handle, html, inputPlane, nearestOf, plot, readout, sentence, set, slider, svg } from "./common.js";

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
    const { map, area: ball } = inputPlane(html(panels, "div"), {
      limit, polygons: pieces, points, boundary, shade: "fill: var(--lv-green); fill-opacity: .25; stroke: none",
    });
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
      const touched = nearestOf(boundary, x);
      const lengths = { edge, linear, certified, found, truth: distance(touched, x) };
      ball.move(circle(x, certified));
      rings.forEach(([key, ring]) => ring.move(circle(x, lengths[key])));
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
