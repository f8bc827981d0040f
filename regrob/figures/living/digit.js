/* A digit under attack: two networks of the book run in the page. The reader draws, and turns ε. */
import { button, bytes, choice, expose, format, grey, html, paint, readout, sentence, slider, tinted } from "./common.js";

const SIDE = 28, PIXELS = SIDE * SIDE, STEPS = 20;

/* --- The network: forward, and the gradient of any combination of its logits ------------- */

/* A layer's weights, row by row: two four-bit numbers a byte, less 8, times the row's scale. */
function unpack({ shape: [rows, columns], weights, scales, biases }) {
  const packed = bytes(weights), W = new Float64Array(rows * columns);
  for (let i = 0; i < W.length; i += 1) {
    const nibble = i % 2 ? packed[i >> 1] & 15 : packed[i >> 1] >> 4;
    W[i] = (nibble - 8) * scales[Math.floor(i / columns)];
  }
  return { rows, columns, W, biases };
}

function forward(layers, x) {
  const inputs = [];
  let h = x;
  layers.forEach(({ rows, columns, W, biases }, depth) => {
    inputs.push(h);
    const out = new Float64Array(rows);
    for (let i = 0; i < rows; i += 1) {
      let sum = biases[i];
      for (let j = 0, at = i * columns; j < columns; j += 1, at += 1) sum += W[at] * h[j];
      out[i] = depth < layers.length - 1 && sum < 0 ? 0 : sum;
    }
    h = out;
  });
  return { z: h, inputs };
}

/* The gradient by the image of Σ c_k z_k, at the image whose pass `inputs` is. */
function backward(layers, inputs, c) {
  let g = c;
  for (let depth = layers.length - 1; depth >= 0; depth -= 1) {
    const { rows, columns, W } = layers[depth], back = new Float64Array(columns);
    for (let i = 0; i < rows; i += 1) {
      if (g[i] !== 0) for (let j = 0, at = i * columns; j < columns; j += 1, at += 1) back[j] += g[i] * W[at];
    }
    if (depth > 0) for (let j = 0; j < columns; j += 1) if (!(inputs[depth][j] > 0)) back[j] = 0;
    g = back;
  }
  return g;
}

/* --- What the theory says: functions of V, z and the label ------------------------------- */

const largest = (values) => values.indexOf(Math.max(...values));
const dot = (a, b) => a.reduce((sum, v, i) => sum + v * b[i], 0);

function softmax(z) {
  const top = Math.max(...z), e = Array.from(z, (v) => Math.exp(v - top)), sum = e.reduce((a, b) => a + b, 0);
  return e.map((v) => v / sum);
}

/* p − e_y, its own entry from the rivals', so that nothing cancels. */
function residual(p, y) {
  const r = p.map((v, k) => (k === y ? 0 : v));
  r[y] = -r.reduce((a, b) => a + b, 0);
  return r;
}

/* ξ = log K − L, as `theory.probability.slack` has it. */
function slack(z, y) {
  const top = Math.max(...z), behind = Array.from(z, (v) => v - top);
  const mean = behind.reduce((sum, v) => sum + Math.expm1(v), 0) / z.length;
  const sum = behind.reduce((total, v) => total + Math.exp(v), 0);
  return behind[y] - (mean < -0.5 ? Math.log(sum) - Math.log(z.length) : Math.log1p(mean));
}

/* Eigenvalues and eigenvectors (columns) of a small symmetric matrix, by Jacobi's rotations. */
function eigen(A) {
  const n = A.length, a = A.map((row) => [...row]), Q = A.map((_, i) => A.map((__, j) => Number(i === j)));
  const size = Math.sqrt(a.flat().reduce((sum, v) => sum + v * v, 0));
  for (let sweep = 0; sweep < 60; sweep += 1) {
    let off = 0;
    for (let i = 0; i < n; i += 1) for (let j = 0; j < i; j += 1) off += a[i][j] ** 2;
    if (Math.sqrt(off) <= 1e-17 * size) break;
    for (let i = 0; i < n; i += 1) {
      for (let j = 0; j < i; j += 1) {
        if (a[i][j] === 0) continue;
        const theta = (a[i][i] - a[j][j]) / (2 * a[i][j]);
        const t = (theta >= 0 ? 1 : -1) / (Math.abs(theta) + Math.hypot(theta, 1)), c = 1 / Math.hypot(t, 1), s = t * c;
        for (let k = 0; k < n; k += 1) {
          const [x, y] = [a[k][j], a[k][i]];
          a[k][j] = c * x - s * y;
          a[k][i] = s * x + c * y;
        }
        for (let k = 0; k < n; k += 1) {
          const [x, y] = [a[j][k], a[i][k]];
          a[j][k] = c * x - s * y;
          a[i][k] = s * x + c * y;
          const [u, v] = [Q[k][j], Q[k][i]];
          Q[k][j] = c * u - s * v;
          Q[k][i] = s * u + c * v;
        }
      }
    }
  }
  return { values: a.map((row, i) => row[i]), vectors: Q };
}

/* ‖r*‖₂ of the quadratic model, for any K: the root of a secular equation in the eigenvectors of H. */
function taylorRadius(S, z, y) {
  const p = softmax(z), r = residual(p, y), root = p.map(Math.sqrt), xi = slack(z, y);
  if (!(xi > 0)) return NaN;
  const B = p.map((pi, i) => root.map((rj, j) => (i === j ? rj : 0) - pi * rj));
  const SB = S.map((row) => root.map((_, j) => dot(row, B.map((b) => b[j]))));
  const G = root.map((_, i) => root.map((__, j) => dot(B.map((b) => b[i]), SB.map((b) => b[j]))));
  const { values, vectors } = eigen(G), top = Math.max(...values);
  const slopes = root.map((_, i) => dot(r, SB.map((b) => b[i])));
  const parts = [];
  values.forEach((h, i) => {
    if (h > 1e-14 * top) parts.push([h / top, (dot(slopes, vectors.map((row) => row[i])) ** 2) / h]);
  });
  /* r = κ (1 − κ H)⁻¹ ∇ with κ = s/top: the model's rise grows with s from nothing to infinity. */
  const rise = (s) => parts.reduce((sum, [h, c]) => sum + (s * c * (1 - (s * h) / 2)) / (1 - s * h) ** 2 / top, 0);
  let [low, high] = [0, 1];
  for (let i = 0; i < 90; i += 1) {
    const middle = (low + high) / 2;
    if (rise(middle) < xi) low = middle; else high = middle;
  }
  return Math.sqrt(parts.reduce((sum, [h, c]) => sum + c * (low / top / (1 - low * h)) ** 2, 0));
}

function examine(layers, x) {
  const { z, inputs } = forward(layers, x), K = z.length, y = largest([...z]);
  const V = Array.from(z, (_, k) => backward(layers, inputs, Array.from(z, (__, j) => Number(j === k))));
  const S = V.map((v) => V.map((w) => dot(v, w)));
  let margin = Infinity, spread = 0;
  for (let i = 0; i < K; i += 1) {
    const apart = (j) => Math.sqrt(Math.max(0, S[i][i] + S[j][j] - 2 * S[i][j]));
    if (i !== y) margin = Math.min(margin, (z[y] - z[i]) / apart(y));
    for (let j = 0; j < K; j += 1) spread += apart(j) ** 2;
  }
  return { y, p: softmax(z)[y], margin, nu: Math.sqrt(spread) / K, radius: taylorRadius(S, [...z], y) };
}

/* Projected gradient descent on the loss, within ε of every pixel and within [0, 1]. */
function attack(layers, x, y, epsilon) {
  const moved = Float64Array.from(x);
  for (let step = 0; step < STEPS && epsilon > 0; step += 1) {
    const { z, inputs } = forward(layers, moved);
    const g = backward(layers, inputs, residual(softmax(z), y));
    for (let i = 0; i < PIXELS; i += 1) {
      const there = moved[i] + (2.5 * epsilon * Math.sign(g[i])) / STEPS;
      moved[i] = Math.min(1, x[i] + epsilon, Math.max(0, x[i] - epsilon, there));
    }
  }
  return moved;
}

/* --- A drawing as a digit of MNIST: 20 pixels at its longest, its ink's centre in the middle -- */

function ink(strokes) {
  const points = strokes.flat(), xs = points.map((p) => p[0]), ys = points.map((p) => p[1]);
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const scale = 18 / Math.max(right - left, bottom - top, 0.3);
  const place = ([a, b]) => [(a - (left + right) / 2) * scale + SIDE / 2, (b - (top + bottom) / 2) * scale + SIDE / 2];
  const lines = strokes.map((stroke) => stroke.map(place));
  const draw = (dx, dy) => {
    const x = new Float64Array(PIXELS);
    for (let row = 0; row < SIDE; row += 1) {
      for (let column = 0; column < SIDE; column += 1) {
        let near = Infinity;
        for (const line of lines) {
          for (let i = 0; i < line.length; i += 1) {
            const [a, b] = line[Math.max(0, i - 1)], [c, d] = line[i], [u, v] = [c - a, d - b];
            const [s, t] = [column + 0.5 - dx - a, row + 0.5 - dy - b], length = u * u + v * v;
            const along = length > 0 ? Math.min(1, Math.max(0, (s * u + t * v) / length)) : 0;
            near = Math.min(near, Math.hypot(s - along * u, t - along * v));
          }
        }
        x[row * SIDE + column] = Math.min(1, Math.max(0, 1.75 - near)); /* a pen of a little over two pixels */
      }
    }
    return x;
  };
  const x = draw(0, 0);
  let [sum, across, down] = [0, 0, 0];
  x.forEach((v, i) => { sum += v; across += v * ((i % SIDE) + 0.5); down += v * (Math.floor(i / SIDE) + 0.5); });
  return draw(SIDE / 2 - across / sum, SIDE / 2 - down / sum);
}

/* --- The figure -------------------------------------------------------------------------- */

const percent = (p) => (p > 0.9995 ? "over 99.9 %" : p < 0.001 ? "under 0.1 %" : `${format(100 * p, 3)} %`);

export default {
  render({ model, el }) {
    const data = model.get("data");
    const networks = data.networks.map(({ layers }) => layers.map(unpack));
    const digits = data.digits.map((text) => Float64Array.from(bytes(text), (v) => v / 255));
    let [which, number, epsilon, strokes, x] = [0, data.start, data.epsilon, null, digits[data.start]];

    const pictures = html(el, "div", { class: "pictures" });
    const canvas = (title, label, attributes = {}) => {
      const box = html(pictures, "div");
      html(box, "p", { class: "title", "aria-hidden": "true" }, title);
      return html(box, "canvas", { width: SIDE, height: SIDE, role: "img", "aria-label": label, ...attributes });
    };
    const pad = canvas("your digit: draw here", "the digit; draw here by mouse or finger", { class: "pad" });
    const seen = canvas("what the network sees", "the digit with the change");
    const change = canvas("the change alone", "what the attack adds to each pixel: more ink is violet, less is orange");

    choice(el, {
      label: "Network", value: "0", options: data.networks.map(({ name }, i) => [String(i), name]),
      changed: (key) => { which = Number(key); update(); },
    });
    const size = slider(el, {
      label: "ε, the most a pixel may change", min: 0, max: 0.3, step: 0.005, value: epsilon,
      words: (v) => format(v, 2), changed: (v) => { epsilon = v; update(); },
    });
    button(el, "Next digit", () => { strokes = null; number = (number + 1) % digits.length; x = digits[number]; update(); });
    button(el, "Smallest ε that fools it", () => { epsilon = smallest(); size.move(epsilon); update(); });
    const say = sentence(el);
    const numbers = readout(el, [
      ["p", "probability of its first reading"], ["d", "d, margin of the local affine classifier"],
      ["radius", "‖r*‖₂, the Taylor radius"], ["nu", "ν, the cross-Lipschitz constant"],
    ], "At the unchanged digit; lengths in units of a pixel from white to black");

    const smallest = () => {
      const { y } = examine(networks[which], x);
      const fooled = (e) => largest([...forward(networks[which], attack(networks[which], x, y, e)).z]) !== y;
      let [low, high] = [0, 0.3];
      if (!fooled(high)) return high;
      for (let i = 0; i < 7; i += 1) {
        const middle = (low + high) / 2;
        if (fooled(middle)) high = middle; else low = middle;
      }
      return Math.ceil(high * 200) / 200;
    };
    const update = () => {
      const layers = networks[which], at = examine(layers, x);
      const moved = attack(layers, x, at.y, epsilon), { z } = forward(layers, moved), p = softmax(z), read = largest([...z]);
      if (!strokes) paint(pad, (i) => grey(x[i]));
      paint(change, (i) => tinted(epsilon > 0 ? (moved[i] - x[i]) / epsilon : 0));
      paint(seen, (i) => grey(moved[i]));
      numbers({ p: percent(at.p), d: at.margin, radius: at.radius, nu: at.nu });
      const first = `The network reads a ${at.y}`;
      say(epsilon === 0 ? `${first} with probability ${percent(at.p)}.`
        : read === at.y ? `${first}, and at ε = ${format(epsilon, 2)} still does, with probability ${percent(p[read])}.`
          : `${first}. At ε = ${format(epsilon, 2)} it reads a ${read}, with probability ${percent(p[read])}. What do you read?`);
      expose(el, { network: which, digit: strokes ? -1 : number, epsilon, label: at.y, p: at.p, margin: at.margin,
        radius: at.radius, nu: at.nu, read, attacked: p[read], distance: Math.max(...moved.map((v, i) => Math.abs(v - x[i]))) });
    };

    let waiting = 0;
    const later = () => { cancelAnimationFrame(waiting); waiting = requestAnimationFrame(() => { x = ink(strokes); update(); }); };
    const place = (event) => {
      const box = pad.getBoundingClientRect();
      return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    };
    const trace = () => paintStrokes(pad, strokes);
    let idle = 0;
    pad.addEventListener("pointerdown", (event) => {
      if (event.button > 0) return;
      event.preventDefault();
      /* A new digit after a pause; strokes that follow each other belong together. */
      if (!strokes || event.timeStamp - idle > 2500) strokes = [];
      strokes.push([place(event)]);
      pad.setPointerCapture(event.pointerId);
      trace();
      later();
    });
    pad.addEventListener("pointermove", (event) => {
      if (!strokes || !pad.hasPointerCapture(event.pointerId)) return;
      strokes.at(-1).push(place(event));
      trace();
      later();
    });
    pad.addEventListener("pointerup", (event) => { idle = event.timeStamp; });
    update();
  },
};

/* The strokes as they were drawn, in the pad's own few pixels. */
function paintStrokes(pad, strokes) {
  const context = pad.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, SIDE, SIDE);
  context.lineCap = context.lineJoin = "round";
  context.lineWidth = 2.2;
  for (const stroke of strokes) {
    context.beginPath();
    stroke.forEach(([a, b], i) => context[i ? "lineTo" : "moveTo"](a * SIDE, b * SIDE));
    if (stroke.length === 1) context.lineTo(stroke[0][0] * SIDE + 0.01, stroke[0][1] * SIDE);
    context.stroke();
  }
}
