/* The editor of a cell: highlighting, bracket matching, undo. The build makes one file of it and CodeMirror. */
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { python } from "@codemirror/lang-python";
import { bracketMatching, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { EditorState } from "@codemirror/state";
import { drawSelection, EditorView, keymap } from "@codemirror/view";
import { classHighlighter } from "@lezer/highlight";

/** An editor in `parent`; `changed` gets the text after each change, `run` is asked by Ctrl- or Shift-Enter. */
export function edit(parent, text, label, changed, run) {
  const byKey = () => { run(); return true; };
  return new EditorView({
    parent,
    doc: text,
    extensions: [
      history(),
      drawSelection(),
      bracketMatching(),
      indentUnit.of("    "),
      EditorState.tabSize.of(4),
      python(),
      syntaxHighlighting(classHighlighter),
      EditorView.lineWrapping,
      EditorView.contentAttributes.of({ "aria-label": label, autocapitalize: "off", spellcheck: "false" }),
      EditorView.updateListener.of((update) => { if (update.docChanged) changed(update.state.doc.toString()); }),
      // The tab key stays what moves from control to control.
      keymap.of([
        { key: "Ctrl-Enter", mac: "Cmd-Enter", run: byKey },
        { key: "Shift-Enter", run: byKey },
        ...defaultKeymap,
        ...historyKeymap,
      ]),
    ],
  });
}
