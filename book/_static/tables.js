// Filters above a table that names columns to choose by: <table data-filters="0 2">, places of columns.
"use strict";
{
  const ALL = "";

  const filterable = (table) => {
    const rows = [...table.tBodies[0].rows];
    const columns = table.dataset.filters.split(" ").map(Number);
    const controls = document.createElement("div");
    const count = document.createElement("output");
    controls.className = "table-filters";

    const cell = (row, column) => row.cells[column].textContent;
    const selects = columns.map((column) => {
      const label = document.createElement("label");
      const select = document.createElement("select");
      const name = table.tHead.rows[0].cells[column].textContent;
      select.append(new Option(`every ${name}`, ALL));
      for (const value of new Set(rows.map((row) => cell(row, column)))) select.append(new Option(value, value));
      select.autocomplete = "off";
      label.append(name, select);
      controls.append(label);
      return select;
    });

    const show = () => {
      let shown = 0;
      for (const row of rows) {
        const wanted = selects.every(({ value }, i) => value === ALL || value === cell(row, columns[i]));
        row.hidden = !wanted;
        shown += wanted;
      }
      count.value = `${shown} of ${rows.length} rows`;
    };

    for (const select of selects) select.addEventListener("change", show);
    controls.append(count);
    table.before(controls);
    // A long table begins with its first group; the reader may ask for all.
    if (rows.length > 40) selects[0].selectedIndex = 1;
    show();
    // Paper shows all rows that can be chosen.
    addEventListener("beforeprint", () => { for (const row of rows) row.hidden = false; });
    addEventListener("afterprint", show);
  };

  for (const table of document.querySelectorAll("table[data-filters]")) filterable(table);
}
