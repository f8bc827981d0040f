"""Figures that a reader moves by hand: mouse, finger or arrow keys, without a kernel.

A figure NAME is a pair of files in this folder: NAME.py computes its data with the package, and
NAME.js draws them and answers the reader's hand. `frame.living` joins the two:

    from regrob.figures.living import living
    living("taylor_ray", {"p": 0.9, "tau": [...]}, alt="Two curves …", still=figure,
           predict=("Which is longer?", "The radius, by a factor of two."))

as the last line of a cell tagged `nbval-ignore-output`. While the book is built (REGROB_STATIC=1) this is
HTML: the data as JSON, the question, and a still picture for print and for pages without JavaScript. In a
live notebook it is an anywidget with the same module; where anywidget is missing, the still.

The module NAME.js imports its helpers and exports one object:

    import { plot, handle, readout, expose } from "./common.js";
    export default { render({ model, el }) { const data = model.get("data"); … } };

`el` is an empty element inside `figure.living`, laid out by living.css; `model.get` knows "data" and "alt".
`common.js` has panels with axes (`plot`), points to drag (`handle`) or to lead from dot to dot (`picker`),
range inputs (`slider`), choices (`choice`, `menu`), a table of numbers (`readout`), and `expose`, which
writes the numbers that are shown into `data-values`, where tests compare them with the package's. Each file
must be plain: one import from "./common.js" and one `export default {…}`, since `bundle` makes one text of
the two without a build tool. What a figure computes must be the package's own formula; what it needs beyond
that is in the data.

On a page the extension copies the bundles to `_static/living/`; `loader.js` fetches a figure's own when it
comes near the screen. They are classic scripts there, since modules do not load through `file://`.
"""

from regrob.figures.living.frame import Living, living

__all__ = ["Living", "living"]
