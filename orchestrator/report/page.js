"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // Tooltips: text only, so nothing from outside can become markup.
  const tip = document.getElementById("tip");
  const showAt = (mark, x, y) => {
    tip.hidden = !mark;
    if (!mark) return;
    tip.textContent = mark.dataset.tip;
    const box = tip.getBoundingClientRect();
    tip.style.left = Math.max(6, Math.min(x + 14, innerWidth - box.width - 6)) + "px";
    tip.style.top = Math.max(6, y - box.height - 12) + "px";
  };
  const show = (event) => showAt(event.target.closest("[data-tip]"), event.clientX, event.clientY);
  addEventListener("pointermove", show);
  addEventListener("pointerdown", show);
  addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });

  // A mark and its row light up together; a button leads back to the plot that was left.
  const back = document.getElementById("back");
  let left = null;
  const light = (mark) => {
    all(".lit").forEach((e) => e.classList.remove("lit"));
    const id = mark.dataset.id, row = document.getElementById(id);
    if (!id || !row) return;
    row.hidden = false;
    row.classList.add("lit");
    all("svg [data-id]").filter((other) => other.dataset.id === id).forEach((other) => other.classList.add("lit"));
    row.tabIndex = -1;
    row.focus({ preventScroll: true });
    row.scrollIntoView({ block: "center" });
    [left, back.hidden] = [mark, false];
  };
  back.addEventListener("click", () => {
    back.hidden = true;
    left.closest("svg").scrollIntoView({ block: "center" });
    left.closest("svg").focus({ preventScroll: true });
  });
  addEventListener("click", (event) => {
    const mark = event.target.closest("svg [data-id]");
    if (mark) light(mark);
  });

  // Plots by keyboard: arrows walk over the marks, Enter leads to the row.
  all("svg").filter((svg) => svg.querySelector("[data-tip]")).forEach((svg) => {
    const marks = all("[data-tip]", svg);
    let place = -1;
    svg.tabIndex = 0;
    svg.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (event.key === "Enter" && place >= 0) light(marks[place]);
      if (event.key === "Escape") tip.hidden = true;
      if (!step) return;
      event.preventDefault();
      place = (place + step + marks.length + (place < 0 && step < 0)) % marks.length;
      all(".here", svg).forEach((other) => other.classList.remove("here"));
      marks[place].classList.add("here");
      const box = marks[place].getBoundingClientRect();
      showAt(marks[place], box.right - 14, box.top);
    });
    svg.addEventListener("blur", () => { tip.hidden = true; });
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

  // The first sheet gets a slider: bicubic on the left, the network on the right. Columns: input, bicubic, ..., network, target.
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
      input.setAttribute("aria-label", `bicubic against ${figure.dataset.subject}`);
      input.addEventListener("input", () => box.style.setProperty("--cut", input.value + "%"));
      const [left, right] = ["bicubic", figure.dataset.subject].map((word) => Object.assign(document.createElement("span"), { textContent: word }));
      box.append(input, document.createElement("hr"), left, right);
      place.append(box);
    }
    figure.querySelector("figcaption").after(place);
  };

  // Every sheet becomes cells that zoom and move together: by wheel, slider, drag or arrow keys.
  const zoomable = (figure) => {
    const image = figure.querySelector("img"), sheet = figure.querySelector(".sheet");
    const cell = Number(figure.dataset.cell), label = Number(figure.dataset.label);
    const columns = Math.floor(image.naturalWidth / cell), rows = Math.floor((image.naturalHeight - label) / cell);
    if (columns < 3 || rows < 1) return;
    const titles = ["input", "bicubic", ...(columns === 5 ? ["warm start"] : []), figure.dataset.subject, "target"];
    const grid = document.createElement("div"), canvases = [];
    Object.assign(grid, { className: "cells", tabIndex: 0 });
    grid.setAttribute("role", "group");
    grid.setAttribute("aria-label", "pictures; plus and minus enlarge, arrow keys move");
    grid.style.setProperty("--columns", columns);
    for (let column = 0; column < columns; column++) {
      grid.append(Object.assign(document.createElement("span"), { textContent: titles[column] || "" }));
    }
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const canvas = document.createElement("canvas");
        canvas.width = canvas.height = 2 * cell;
        canvases.push([canvas, column * cell, label + row * (image.naturalHeight - label) / rows]);
        grid.append(canvas);
      }
    }
    const control = document.createElement("label"), input = document.createElement("input");
    Object.assign(input, { type: "range", min: 1, max: 8, step: 0.25, value: 1 });
    control.append("zoom ", input);
    let x = 0.5, y = 0.5;
    const draw = () => {
      const zoom = Number(input.value), size = cell / zoom;
      [x, y] = [x, y].map((at) => Math.max(0, Math.min(1, at)));
      for (const [canvas, from, top] of canvases) {
        const pen = canvas.getContext("2d");
        pen.imageSmoothingEnabled = false;
        pen.drawImage(image, from + x * (cell - size), top + y * (cell - size), size, size, 0, 0, 2 * cell, 2 * cell);
      }
    };
    const move = (dx, dy) => { x += dx; y += dy; draw(); };
    const enlarge = (by) => { input.value = Number(input.value) + by; draw(); };
    input.addEventListener("input", draw);
    grid.addEventListener("wheel", (event) => {
      if (event.deltaY > 0 && Number(input.value) === 1) return;  // the page scrolls on
      event.preventDefault();
      enlarge(event.deltaY < 0 ? 0.5 : -0.5);
    }, { passive: false });
    grid.addEventListener("pointermove", (event) => {
      const width = event.target.clientWidth * (Number(input.value) - 1);
      if (event.buttons && width > 0) move(-event.movementX / width, -event.movementY / width);
    });
    grid.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] }[event.key];
      if (step) move(...step);
      else if (event.key === "+" || event.key === "-") enlarge(event.key === "+" ? 0.5 : -0.5);
      else return;
      event.preventDefault();
    });
    draw();
    sheet.after(grid, control);
    sheet.classList.add("printed");
  };
  all(".strip").forEach((figure, place) => {
    const image = figure.querySelector("img");
    image.loading = "eager";
    image.decode().then(() => {
      zoomable(figure);
      if (!place) slider(figure);
    }).catch(() => {});
  });

  // The page of a sweep that runs is read again, as long as its box is checked and nothing is filtered.
  const live = document.getElementById("live");
  if (live) setInterval(() => {
    if (live.checked && !all("input[type=search]").some((input) => input.value)) location.reload();
  }, 1000 * live.dataset.seconds);

  // Commands can be copied, where the browser allows it.
  if (navigator.clipboard) all(".copy").forEach((box) => {
    const button = Object.assign(document.createElement("button"), { textContent: "copy" });
    button.addEventListener("click", () => navigator.clipboard.writeText(box.querySelector("pre").textContent)
      .then(() => { button.textContent = "copied"; }, () => { button.textContent = "not allowed"; }));
    box.append(button);
  });
})();
