/* Three probabilities, and what they make of three class vectors: their mean gives ∇, their covariance H. */
import { arrow, curve, expose, format, handle, html, plot, readout, sentence, set, svg, word } from "./common.js";

const HEIGHT = Math.sqrt(3) / 2;
const LEAST = 0.004; /* the nearest that a probability comes to zero */

/* The label's corner is on top. */
const corner = (j, label) => (j === label ? [0.5, HEIGHT] : (j - label + 3) % 3 === 1 ? [0, 0] : [1, 0]);

export default {
  render({ model, el }) {
    const { vectors, start, label } = model.get("data");
    const corners = [0, 1, 2].map((j) => corner(j, label));
    const at = (p) => [0, 1].map((i) => p.reduce((sum, value, j) => sum + value * corners[j][i], 0));
    const mixed = (own, right) => { /* p_y and how the rest is shared */
      const p = [0, 0, 0];
      p[label] = own;
      p[(label + 1) % 3] = (1 - own) * (1 - right);
      p[(label + 2) % 3] = (1 - own) * right;
      return p;
    };
    const panels = html(el, "div", { class: "panels" });
    const triangle = plot(html(panels, "div"), {
      title: "Probabilities", x: [-0.1, 1.1], y: [-0.12, 1], xticks: false, yticks: false, bare: true, left: 10, height: 341,
    });
    const area = (points, style) => curve(triangle, { style }, points.map(at), true);
    area([mixed(1, 0), mixed(0.5, 0), mixed(0.5, 1)], "fill: var(--lv-green); opacity: .3");
    area([mixed(1 / 3, 0), mixed(0, 0), mixed(0, 1), mixed(1 / 3, 1)], "fill: var(--lv-grey); opacity: .3");
    /* Wrong, although the loss is below log 3. */
    for (const right of [0, 1]) {
      area([mixed(0.5, right), mixed(1 / 3, right), mixed(1 / 3, 0.5)], "fill: var(--lv-vermilion); opacity: .5");
    }
    curve(triangle, { class: "ink thin" }, corners, true);
    curve(triangle, { class: "ink dashed" }, [mixed(0.5, 0), mixed(1 / 3, 0.5), mixed(0.5, 1)].map(at));
    const note = (text, p, colour = "") => word(triangle, text, { "text-anchor": "middle", class: colour }).move(...at(p));
    note("L < log 2", mixed(0.6, 0.5));
    note("L > log 3", mixed(0.13, 0.5));
    corners.forEach(([x, y], j) => word(triangle, j === label ? `class ${j}, the label` : `class ${j}`, {
      "text-anchor": "middle", dy: j === label ? -8 : 20 }).move(x, y));

    const xs = vectors.map(([a]) => a), ys = vectors.map(([, b]) => b);
    const size = 1.5 * Math.max(Math.max(...xs) - Math.min(...xs), Math.max(...ys) - Math.min(...ys));
    const middle = [(Math.max(...xs) + Math.min(...xs)) / 2, (Math.max(...ys) + Math.min(...ys)) / 2];
    const plane = plot(html(panels, "div"), {
      title: "Class vectors, their mean and covariance", x: [middle[0] - size / 2, middle[0] + size / 2],
      y: [middle[1] - size / 2, middle[1] + size / 2], xticks: false, yticks: false, left: 10, height: 348, bottom: 10,
    });
    curve(plane, { class: "grey thin" }, vectors, true);
    const ellipse = curve(plane, { class: "purple", style: "fill: var(--lv-purple); fill-opacity: .18" });
    const gradient = arrow(plane, { class: "blue" });
    const weights = vectors.map(([a, b], j) => {
      word(plane, `v_${j}`, { "text-anchor": "middle", dy: b > middle[1] ? -14 : 24 }).move(a, b);
      return svg(plane.marks, "circle", { cx: plane.X(a), cy: plane.Y(b), class: j === label ? "ink" : "grey" });
    });
    const mean = svg(plane.marks, "circle", { r: 4, class: "ink" });

    const numbers = readout(el, [
      ["p", "probabilities"], ["loss", "loss L"], ["gradient", "‖∇‖₂, arrow", "blue"],
      ["curvature", "‖H‖₂, longest half axis squared", "purple"], ["trace", "tr H"], ["share", "‖H‖₂ / tr H"],
    ]);
    const say = sentence(el);

    const moved = (a, b) => {
      const own = b / HEIGHT, third = a - 0.5 * own, raw = [0, 0, 0]; /* barycentric */
      raw[label] = own;
      raw[(label + 2) % 3] = third;
      raw[(label + 1) % 3] = 1 - own - third;
      const kept = raw.map((value) => Math.max(LEAST, value)), total = kept.reduce((sum, value) => sum + value);
      show(kept.map((value) => value / total));
    };
    const show = (p) => {
      const centre = [0, 1].map((i) => p.reduce((sum, value, j) => sum + value * vectors[j][i], 0));
      const [aa, ab, bb] = [[0, 0], [0, 1], [1, 1]].map(([i, k]) =>
        p.reduce((sum, value, j) => sum + value * (vectors[j][i] - centre[i]) * (vectors[j][k] - centre[k]), 0));
      const trace = aa + bb, spread = Math.hypot(aa - bb, 2 * ab), top = (trace + spread) / 2, low = Math.max(0, (trace - spread) / 2);
      const turn = Math.atan2(2 * ab, aa - bb) / 2, loss = -Math.log(p[label]);
      const slope = [0, 1].map((i) => p.reduce((sum, value, j) => sum + value * (vectors[j][i] - vectors[label][i]), 0));
      ellipse.move(Array.from({ length: 73 }, (_, k) => {
        const t = (k * Math.PI) / 36, u = Math.sqrt(top) * Math.cos(t), v = Math.sqrt(low) * Math.sin(t);
        return [centre[0] + u * Math.cos(turn) - v * Math.sin(turn), centre[1] + u * Math.sin(turn) + v * Math.cos(turn)];
      }));
      gradient.move(vectors[label], centre);
      set(mean, { cx: plane.X(centre[0]), cy: plane.Y(centre[1]) });
      weights.forEach((circle, j) => circle.setAttribute("r", 2 + 9 * Math.sqrt(p[j])));
      const shown = p.map((value) => format(value, 2)).join(", ");
      numbers({ p: shown, loss, gradient: Math.hypot(...slope), curvature: top, trace, share: top / trace });
      const winner = p.indexOf(Math.max(...p)), right = winner === label;
      const where = loss < Math.log(2) ? "The loss is below log 2: the answer is surely right."
        : loss > Math.log(3) ? "The loss is above log 3: the answer is surely wrong."
        : `The loss lies between log 2 and log 3: the answer may be right or wrong. Here it is ${right ? "right" : "wrong"}.`;
      say(where);
      const [x, y] = at(p);
      point.place(x, y, `probabilities ${shown}; loss ${format(loss)}`, p[label]);
      expose(el, { p, loss, gradient: slope, curvature: top, trace, right });
    };
    const point = handle(triangle, { label: "the three probabilities", moved, range: [0, 1], step: [0.01, 0.01] });
    show(start);
  },
};
