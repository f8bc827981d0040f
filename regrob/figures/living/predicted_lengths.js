/* Predicted lengths against those that attacks find: a dot a digit, with its picture, its mistake, its lengths. */
import { bytes, choice, clamp, curve, expose, format, grey, html, paint, picker, plot, readout, sentence, set, steps, svg, tinted, word } from "./common.js";

const SIDE = 28;
const PREDICTIONS = [["margin", "d, to the affine boundary", "blue", "d"], ["radius", "‖r*‖₂, the Taylor radius", "vermilion", "‖r*‖₂"],
  ["edge", "nearest kink", "grey", "the nearest kink"]];

/* Numbers from 0 to 15, two a byte. */
const unpack = (text) => [...bytes(text)].flatMap((byte) => [byte >> 4, byte & 15]);

export default {
  render({ model, el }) {
    const { networks, digits, classes, start } = model.get("data");
    const pixels = digits.map((text) => unpack(text).map((v) => v / 15));
    let [network, prediction, image] = [networks[0], PREDICTIONS[0], start], point, circles = [];

    choice(el, { label: "Network", value: "0", options: networks.map(({ name }, i) => [String(i), name]),
      changed: (key) => { network = networks[Number(key)]; draw(); } });
    choice(el, { label: "Predicted", value: prediction[0], options: PREDICTIONS.map(([key, words, colour]) => [key, words, `dot ${colour}`]),
      changed: (key) => { prediction = PREDICTIONS.find(([other]) => other === key); draw(); } });
    const box = html(el, "div", { class: "panels" });
    const picture = html(box, "div"), beside = html(box, "div"), pictures = html(beside, "div", { class: "pictures" });
    const canvas = (title, label) => {
      const part = html(pictures, "div");
      html(part, "p", { class: "title", "aria-hidden": "true" }, title);
      return html(part, "canvas", { width: SIDE, height: SIDE, role: "img", "aria-label": label });
    };
    const digit = canvas("the digit", "the digit of the chosen dot");
    const mistake = canvas("the mistake", "the same digit with the change that fools the network");
    const change = canvas("the change", "the change of each pixel: more ink is violet, less is orange");
    const say = sentence(beside);
    const numbers = readout(beside, [
      ["found", "found by attacks"], ["margin", "d", "dot blue"], ["marginRatio", "d / found"], ["radius", "‖r*‖₂", "dot vermilion"],
      ["radiusRatio", "‖r*‖₂ / found"], ["edge", "nearest kink", "dot grey"], ["certified", "certified: no mistake is nearer"],
      ["logitMargin", "m, logit margin"], ["nu", "ν = m / d, the slope between the classes"],
    ], "Lengths in units of a pixel from white to black");

    /* Axes end at the same length for all networks, and begin with the shortest one of the network that is shown. */
    const limits = (...names) => {
      const most = Math.max(...networks.flatMap((other) => names.flatMap((name) => other[name])));
      return [Math.min(...names.flatMap((name) => network[name])) / 1.25, most * 1.25];
    };
    const draw = () => {
      const [key, words, colour] = prediction, dots = network.found.map((found, i) => [found, network[key][i]]);
      const [x, y] = [limits("found"), limits("found", key)];
      picture.replaceChildren();
      const panel = plot(picture, { x, y, log: "xy", height: 330, xlabel: "found by attacks", ylabel: words, left: 56, xticks: steps(...x), yticks: steps(...y) });
      curve(panel, { class: "ink thin" }, [[x[0], x[0]], [x[1], x[1]]]);
      word(panel, "equal", { "text-anchor": "end" }).move(x[1] * 0.95, panel.atY(panel.Y(x[1] * 0.95) + 58));
      circles = dots.map(([a, b]) => svg(panel.marks, "circle", { cx: panel.X(a), cy: panel.Y(b), r: 4, class: colour, "fill-opacity": 0.75 }));
      const order = (column) => column.map((_, i) => i).sort((i, j) => column[i] - column[j]);
      const across = order(network.found), up = order(network[key]);
      const next = (right, higher) => {
        const [line, by] = right ? [across, right] : [up, higher];
        return line[clamp(line.indexOf(chosen()) + by, 0, line.length - 1)];
      };
      point = picker(panel, { label: "dot: right and left by what attacks find, up and down by what is predicted", dots, next, picked: pick });
      pick(chosen());
    };
    const chosen = () => Math.max(0, network.image.indexOf(image));

    const pick = (i) => {
      image = network.image[i];
      const added = unpack(network.changes[i]).map((level) => (network.reach[i] * (level - 8)) / 7), original = pixels[image];
      paint(digit, (at) => grey(original[at]));
      paint(mistake, (at) => grey(clamp(original[at] + added[at], 0, 1)));
      paint(change, (at) => tinted(added[at] / network.reach[i]));
      circles.forEach((circle, k) => set(circle, { r: k === i ? 6 : 4 }));
      const value = (name) => network[name][i], found = value("found"), [key, , , sign] = prediction;
      const ratios = { margin: value("margin") / found, radius: value("radius") / found, edge: value("edge") / found };
      const nu = value("logit-margin") / value("margin"); /* ‖v₊ − v₋‖₂, of two classes */
      const label = classes[value("label")], other = classes[1 - value("label")];
      numbers({ found, margin: value("margin"), marginRatio: ratios.margin, radius: value("radius"), radiusRatio: ratios.radius,
        edge: value("edge"), certified: value("certified"), logitMargin: value("logit-margin"), nu });
      const words = `Image ${image} is a ${label}: ${sign} is ${format(value(key))}, and attacks find a mistake at ${format(found)}`;
      say(`${words}, where the network reads a ${other}. The prediction is ${format(ratios[key])} times as long.`);
      point.place(found, value(key), words);
      expose(el, { network: network.name, prediction: key, image, label: value("label"), found, margin: value("margin"), radius: value("radius"),
        edge: value("edge"), certified: value("certified"), logitMargin: value("logit-margin"), nu, ratios,
        size: Math.hypot(...added) });
    };
    draw();
  },
};
