"use strict";
// Keys for what the page can do by itself: 1 to 5 score, Backspace goes back, Enter goes on, z shows every pixel.
const one = (selector) => document.querySelector(selector);
const picture = one("#picture"), form = one(".scores"), stage = one(".stage");
let sent = false;

function ready() { return !picture || (picture.complete && picture.naturalWidth > 0); }

function size() {
  if (!picture || !ready()) return;
  const shown = picture.getBoundingClientRect().width * devicePixelRatio / picture.naturalWidth;
  form.elements.shown.value = shown.toFixed(3);
  const full = stage.classList.contains("full");
  one(".shown").textContent = shown < 0.995 ? `shown at ${Math.round(100 * shown)} %, z or a tap for full size` : full ? "full size" : "";
  for (const button of form.querySelectorAll("button")) button.disabled = false;
}

function zoom() {
  stage.classList.toggle("full");
  size();
}

if (form) {
  for (const button of form.querySelectorAll("button")) button.disabled = !ready();  // nobody scores what is not seen
  picture.addEventListener("load", size);
  picture.addEventListener("error", () => { one(".shown").textContent = "the picture did not load: reload the page"; });
  picture.addEventListener("click", zoom);
  addEventListener("resize", size);
  form.addEventListener("submit", (event) => {
    if (sent) event.preventDefault();
    sent = true;
  });
  size();
}
addEventListener("pageshow", () => { sent = false; });

addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.altKey || event.metaKey || event.target.matches("input[type=text]")) return;
  const digit = /^(?:Digit|Numpad)([1-5])$/.exec(event.code) || /^([1-5])$/.exec(event.key);
  const target = digit ? one(`.scores button[value="${digit[1]}"]`)
    : event.key === "Backspace" || event.key === "ArrowLeft" ? one("a.back")
    : event.key === "ArrowRight" || (event.key === "Enter" && !event.target.matches("a, button")) ? one("a.next") : null;
  if (event.key === "z" && stage) zoom();
  if (!target) return;
  event.preventDefault();
  target.click();
});
