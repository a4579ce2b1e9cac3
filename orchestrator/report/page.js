"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // Tooltips: text only, so nothing from outside can become markup.
  const tip = document.getElementById("tip");
  const show = (event) => {
    const mark = event.target.closest("[data-tip]");
    tip.hidden = !mark;
    if (!mark) return;
    tip.textContent = mark.dataset.tip;
    const box = tip.getBoundingClientRect();
    tip.style.left = Math.max(6, Math.min(event.clientX + 14, innerWidth - box.width - 6)) + "px";
    tip.style.top = Math.max(6, event.clientY - box.height - 12) + "px";
  };
  addEventListener("pointermove", show);
  addEventListener("pointerdown", show);
  addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });

  // A mark and its row light up together.
  const light = (id) => {
    all(".lit").forEach((e) => e.classList.remove("lit"));
    const row = document.getElementById(id);
    if (!id || !row) return;
    row.classList.add("lit");
    all("g[data-id]").filter((g) => g.dataset.id === id).forEach((g) => g.classList.add("lit"));
    row.scrollIntoView({ block: "center", behavior: "smooth" });
  };
  addEventListener("click", (event) => {
    const mark = event.target.closest("[data-id]");
    if (mark) light(mark.dataset.id);
    const sheet = event.target.closest(".sheet");
    if (sheet) sheet.classList.toggle("zoomed");
  });

  // The table sorts and filters.
  const table = document.querySelector(".trials");
  if (table) {
    const body = table.tBodies[0];
    const key = (row, column) => {
      const cell = row.cells[column];
      return "v" in cell.dataset ? Number(cell.dataset.v) : cell.textContent;
    };
    const compare = (a, b) => {
      if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;  // rows without a number go last
      return typeof a === "number" ? a - b : a.localeCompare(b);
    };
    all("th", table).forEach((head, column) => head.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      all("th", table).forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...body.rows].map((row) => [key(row, column), row]);
      rows.sort(([a], [b]) => (up || typeof a !== typeof b ? compare(a, b) : compare(b, a)));
      body.append(...rows.map(([, row]) => row));
    }));
    const search = document.querySelector(".filter input");
    const stage = document.querySelector(".filter select");
    const filter = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of body.rows) {
        const text = row.textContent.toLowerCase();
        const fits = words.every((w) => (w.length > 1 && w[0] === "-" ? !text.includes(w.slice(1)) : text.includes(w)));
        row.hidden = !(fits && (!stage.value || row.dataset.stage === stage.value));
        shown += !row.hidden;
      }
      document.querySelector(".count").textContent = `${shown} of ${body.rows.length}`;
    };
    search.addEventListener("input", filter);
    stage.addEventListener("input", filter);
    filter();
  }

  // The first sheet gets a slider: bicubic on the left, ours on the right. Columns: input, bicubic, ..., ours, target.
  const slider = (figure) => {
    const image = figure.querySelector("img");
    const cell = Number(figure.dataset.cell), label = Number(figure.dataset.label);
    const columns = Math.floor(image.naturalWidth / cell);
    const rows = Math.floor((image.naturalHeight - label) / cell);
    if (columns < 4 || rows < 1) return;
    const place = document.createElement("div");
    place.className = "compare";
    for (let row = 0; row < rows; row++) {
      const box = document.createElement("div");
      for (const column of [1, columns - 2]) {
        const canvas = document.createElement("canvas");
        canvas.width = canvas.height = cell;
        const top = label + row * (image.naturalHeight - label) / rows;
        canvas.getContext("2d").drawImage(image, column * cell, top, cell, cell, 0, 0, cell, cell);
        box.append(canvas);
      }
      const input = document.createElement("input");
      Object.assign(input, { type: "range", min: 0, max: 100, value: 50, step: 0.5 });
      input.setAttribute("aria-label", "bicubic against ours");
      input.addEventListener("input", () => box.style.setProperty("--cut", input.value + "%"));
      const [left, right] = ["bicubic", "ours"].map((word) => Object.assign(document.createElement("span"), { textContent: word }));
      box.append(input, document.createElement("hr"), left, right);
      place.append(box);
    }
    figure.querySelector("figcaption").after(place);
  };
  const first = document.querySelector(".strip");
  if (first) first.querySelector("img").decode().then(() => slider(first)).catch(() => {});
})();
