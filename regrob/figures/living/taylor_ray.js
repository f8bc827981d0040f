/* The loss along the ray and its quadratic model. The reader drags p_y; m and τ run apart. */
import { curve, expose, format, handle, html, plot, readout, sample, sentence, sigmoid, softplus, svg, word } from "./common.js";

/* ξ = log(2p) from the logit margin, and τ by the rationalised root, as `theory.taylor_radius` has them. */
const slack = (m) => Math.min(m, 0) - Math.log1p(0.5 * Math.expm1(-Math.abs(m)));
const positiveRoot = (a, b, xi) => (2 * xi) / (a + Math.sqrt(a * a + 2 * b * xi));
const taylorMargin = (m) => {
  const rootQ = Math.exp(-softplus(m) / 2);
  return positiveRoot(rootQ, sigmoid(m), slack(m)) / rootQ;
};

export default {
  render({ model, el }) {
    const { low, high, start, marks } = model.get("data");
    const panels = html(el, "div", { class: "panels" });
    const chart = plot(html(panels, "div"), {
      title: "Two distances to the boundary", x: [low, high], y: [0.1, 300], log: "y", xticks: marks.map(([, m]) => m),
      xformat: (m) => marks.find(([, place]) => place === m)[0], yformat: (v) => format(v, 1),
      xlabel: "predicted probability p_y", ylabel: "step, in units of margin",
    });
    const ray = html(panels, "div");
    curve(chart, { class: "vermilion" }, sample(taylorMargin, low, high));
    curve(chart, { class: "blue" }, sample((m) => m, low, high));
    word(chart, "τ, the model's", { class: "vermilion word", "text-anchor": "end" }).move(5.4, 62);
    word(chart, "m, the classifier's", { class: "blue word", "text-anchor": "end" }).move(high - 0.1, 3.1);
    const gap = svg(chart.marks, "line", { class: "ink dashed thin" });
    const numbers = readout(el, [
      ["p", "p_y"], ["m", "true distance m", "blue"], ["tau", "Taylor distance τ", "vermilion"], ["ratio", "τ / m"],
    ]);
    const say = sentence(el);

    const drawRay = (m, tau) => {
      const end = 1.12 * tau, p = sigmoid(m), q = sigmoid(-m), log2 = Math.log(2);
      ray.replaceChildren();
      const panel = plot(ray, {
        title: "Loss along the ray", x: [0, end], y: [0, 1.6], xlabel: "step, in units of margin", ylabel: "loss",
      });
      curve(panel, { class: "grey dotted" }, [[0, log2], [end, log2]]);
      curve(panel, { class: "blue" }, sample((t) => softplus(t - m), 0, end, 300));
      curve(panel, { class: "vermilion dashed" }, sample((t) => softplus(-m) + q * t + (p * q * t * t) / 2, 0, end));
      word(panel, "log 2", { dx: 4, dy: -5 }).move(0, log2);
      for (const [place, name, colour] of [[m, "m", "blue"], [tau, "τ", "vermilion"]]) {
        svg(panel.marks, "circle", { cx: panel.X(place), cy: panel.Y(log2), r: 5.5, class: colour });
        word(panel, name, { "text-anchor": "middle", dy: name === "m" ? -12 : 22, class: `${colour} word` }).move(place, log2);
      }
    };

    const moved = (m) => {
      const tau = taylorMargin(m), p = sigmoid(m);
      const shown = p < 0.9995 ? format(p, 4) : `1 − ${format(sigmoid(-m), 2)}`;
      drawRay(m, tau);
      point.place(m, m, `p_y = ${shown}: m = ${format(m)}, τ = ${format(tau)}`, p);
      for (const [name, value] of Object.entries({ x1: chart.X(m), x2: chart.X(m), y1: chart.Y(m), y2: chart.Y(tau) })) {
        gap.setAttribute(name, value);
      }
      numbers({ p: shown, m, tau, ratio: tau / m });
      say(`At p_y = ${shown} the model puts the boundary ${format(tau / m, 2)} times as far away as it is.`);
      expose(el, { margin: m, p, q: sigmoid(-m), slack: slack(m), tau });
    };
    const point = handle(chart, {
      label: "predicted probability of the label", along: "x", step: [(high - low) / 60, 0], moved, range: [low, high],
    });
    moved(start);
  },
};
