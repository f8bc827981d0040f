/* The decision boundaries of networks that were trained with four penalties; the reader turns λ. */
import { classes, curve, expose, format, grid, html, plot, sentence, slider } from "./common.js";

const COLOURS = { "input-gradient": "green", curvature: "blue", jacobian: "vermilion", "cross-lipschitz": "purple" };

export default {
  render({ model, el }) {
    const { weights, names, points, networks } = model.get("data");
    const words = (i) => (weights[i] ? `λ = ${weights[i]}` : "no penalty");
    const start = Math.floor(weights.length / 2);
    slider(el, { label: "weight", min: 0, max: weights.length - 1, step: 1, value: start, words, changed: (i) => show(i) });
    const quarters = html(el, "div", { class: "quarters" });
    const drawn = Object.entries(names).map(([name, label]) => {
      const panel = plot(html(quarters, "div"), { title: label, x: [-1, 1], y: [-1, 1], xticks: false, yticks: false,
        width: 180, height: 202, left: 4, right: 4, bottom: 4, grid: false });
      classes(panel, points, 0.74);
      const lines = (boundary) => boundary.map((ends) => panel.path(ends)).join("");
      curve(panel, { class: "grey dotted thin" }).element.setAttribute("d", lines(networks[name][0].boundary));
      const line = curve(panel, { class: COLOURS[name], style: "stroke-width: 2.8" }).element;
      return (i) => line.setAttribute("d", lines(networks[name][i].boundary));
    });
    const numbers = grid(el, ["", "right", "distance", "ν"], Object.entries(names).map(([name, label]) => [name, label, COLOURS[name]]));
    html(el, "p", { class: "note" }, "Distance: from a point to the boundary, the median. ν: its mean. Dotted: no penalty.");
    const say = sentence(el);
    const show = (i) => {
      const now = Object.fromEntries(Object.keys(names).map((name) => [name, networks[name][i]]));
      drawn.forEach((draw) => draw(i));
      numbers(Object.fromEntries(Object.entries(now).map(([name, { accuracy, distance, nu }]) => [
        name, [`${format(100 * accuracy)} %`, format(distance), format(nu)]])));
      const farthest = Object.keys(now).reduce((best, name) => (now[name].distance > now[best].distance ? name : best));
      const lost = Object.keys(now).filter((name) => now[name].accuracy < 0.99).map((name) => names[name]);
      say(`${i ? `At ${words(i)}` : "Without a penalty"} the boundary is farthest from the points under ${names[farthest]}.`
        + (lost.length ? ` More than one point in a hundred is given up by: ${lost.join(", ")}.` : ""));
      const values = Object.fromEntries(Object.entries(now).map(([name, { accuracy, distance, nu }]) => [name, { accuracy, distance, nu }]));
      expose(el, { weight: weights[i], values });
    };
    show(start);
  },
};
