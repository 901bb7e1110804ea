// Sorting by any column, and a filter by name over each leaderboard.
(() => {
  "use strict";
  const said = document.getElementById("page.said");

  function reading(header, column, numbered) {
    if (numbered && column === 0) return (row) => Number(row.dataset.place);
    if (header.classList.contains("text")) return (row) => row.cells[column].textContent.trim();
    return (row) => {
      const cell = row.cells[column];
      const value = parseFloat(cell.dataset.v ?? cell.textContent.trim().replaceAll(",", ""));
      return Number.isNaN(value) ? null : value;
    };
  }

  function sort(table, read, sign) {
    for (const body of [...table.tBodies].filter((body) => !body.classList.contains("rule"))) {
      const keyed = [...body.rows].map((row) => [read(row), row]);
      keyed.sort(([a], [b]) => {
        if (a === null || b === null) return (a === null) - (b === null); // what is missing comes last either way
        return a < b ? -sign : a > b ? sign : 0;
      });
      body.append(...keyed.map(([, row]) => row));
    }
  }

  function sortable(table) {
    const numbered = table.classList.contains("numbered");
    const headers = [...table.tHead.querySelectorAll('th[scope="col"]')];
    for (const body of table.tBodies) [...body.rows].forEach((row, place) => (row.dataset.place = place));
    headers.forEach((header, place) => {
      const column = Number(header.dataset.column ?? place);
      const rises = header.classList.contains("text") || (numbered && column === 0);
      const read = reading(header, column, numbered);
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...[...header.childNodes].filter((node) => node.tagName !== "SMALL"));
      header.prepend(button);
      button.addEventListener("click", () => {
        const now = header.getAttribute("aria-sort");
        const order = now === null ? (rises ? "ascending" : "descending") : now === "ascending" ? "descending" : "ascending";
        for (const other of headers) other.removeAttribute("aria-sort");
        header.setAttribute("aria-sort", order);
        sort(table, read, order === "ascending" ? 1 : -1);
        said.textContent = `Sorted by ${button.textContent}, ${order}`;
      });
    });
    if (numbered) headers[0].setAttribute("aria-sort", "ascending");
  }

  function filterable(table) {
    const label = document.createElement("label");
    label.className = "filter";
    const input = document.createElement("input");
    input.type = "search";
    input.placeholder = "part of a name";
    const count = document.createElement("output");
    label.append("Filter ", input, count);
    table.closest(".scroll").before(label);
    const rows = [...table.querySelectorAll("tr[data-row]")];
    const plot = document.querySelector(`svg[data-track="${table.dataset.track}"]`);
    const marks = new Map([...plot.querySelectorAll(".mark")].map((mark) => [mark.dataset.row, mark]));
    input.addEventListener("input", () => {
      const wanted = input.value.trim().toLowerCase();
      let shown = 0;
      for (const row of rows) {
        row.hidden = !row.querySelector(".name").textContent.toLowerCase().includes(wanted);
        marks.get(row.dataset.row)?.classList.toggle("off", row.hidden);
        shown += !row.hidden;
      }
      for (const heading of table.querySelectorAll("tbody.rule")) {
        heading.hidden = [...heading.nextElementSibling.rows].every((row) => row.hidden);
      }
      count.textContent = wanted ? `${shown} of ${rows.length} rows` : "";
    });
  }

  for (const table of document.querySelectorAll("table.sortable")) sortable(table);
  for (const table of document.querySelectorAll("table.board")) filterable(table);
})();
