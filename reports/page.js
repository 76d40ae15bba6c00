"use strict";
for (const element of document.querySelectorAll(".figure")) {
  const drawing = JSON.parse(document.getElementById(element.dataset.source).textContent);
  Plotly.newPlot(element, drawing.data, drawing.layout, { responsive: true, displayModeBar: false });
}
for (const table of document.querySelectorAll("table.sortable")) {
  const headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, column) => {
    header.querySelector("button").addEventListener("click", () => {
      const ascending = header.getAttribute("aria-sort") !== "ascending";
      for (const other of headers) other.removeAttribute("aria-sort");
      header.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      const value = (row) => row.cells[column].dataset.value;
      const numeric = header.classList.contains("number");
      const compare = (a, b) => {
        if (value(a) === "" || value(b) === "") return (value(a) === "") - (value(b) === "");
        const order = numeric ? value(a) - value(b) : value(a).localeCompare(value(b));
        return ascending ? order : -order;
      };
      table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
    });
  });
}
