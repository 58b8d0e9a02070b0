// Tables whose heads sort their rows: by number where every cell that says something begins with one, else by letters.
for (const table of document.querySelectorAll("article table.sortable")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const value = (row) => (row.cells[column].querySelector("summary") ?? row.cells[column]).textContent.trim();
      const rows = [...body.rows];
      const number = (row) => parseFloat(value(row).replaceAll(",", ""));
      const numeric =
        rows.some((row) => !Number.isNaN(number(row))) &&
        rows.every((row) => !/^[a-z]/i.test(value(row)) || value(row) === "not yet");
      const last = (row) => (numeric && Number.isNaN(number(row)) ? 1 : 0);
      const before = (a, b) =>
        last(a) - last(b) ||
        (up ? 1 : -1) *
          (numeric ? number(a) - number(b) || 0 : value(a).localeCompare(value(b), "en", { numeric: true }));
      body.append(...rows.sort(before));
    });
  });
}
