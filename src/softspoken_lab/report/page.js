"use strict";
// What is pointed at, or reached with the keyboard, says what it is; the same prompt lights up in every figure.
const tip = document.getElementById("tip");
const marks = [...document.querySelectorAll(".mark")];
const link = (mark, on) => {
  const prompt = mark.dataset.prompt;
  if (prompt === undefined) return;
  for (const other of marks) if (other.dataset.prompt === prompt) other.classList.toggle("linked", on);
};
const show = (mark) => {
  tip.textContent = mark.dataset.tip;
  tip.hidden = false;
  const box = mark.getBoundingClientRect();
  const left = box.left + box.width / 2 - tip.offsetWidth / 2;
  tip.style.left = `${Math.max(8, Math.min(left, window.innerWidth - tip.offsetWidth - 8))}px`;
  const above = box.top - tip.offsetHeight - 8;
  tip.style.top = `${above > 8 ? above : box.bottom + 8}px`;
  link(mark, true);
};
const hide = (mark) => {
  tip.hidden = true;
  link(mark, false);
};
for (const mark of marks) {
  const title = mark.querySelector("title");
  mark.dataset.tip = title.textContent;
  title.remove();
  mark.addEventListener("pointerenter", () => show(mark));
  mark.addEventListener("pointerleave", () => hide(mark));
  mark.addEventListener("focus", () => show(mark));
  mark.addEventListener("blur", () => hide(mark));
}
window.addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });

// Leave-one-out columns by number, or by what is lost without the prompt.
const places = new Map();
for (const column of document.querySelectorAll(".column")) {
  const [x] = column.getAttribute("transform").match(/-?[\d.]+/);
  places.set(Number(column.dataset.n), x);
}
for (const button of document.querySelectorAll("button.order")) {
  const [byEffect, byNumber] = [button.textContent, "Order by number"];
  button.addEventListener("click", () => {
    const sorted = button.textContent === byEffect;
    button.textContent = sorted ? byNumber : byEffect;
    const columns = [...document.querySelectorAll(".column")];
    const effects = new Map(columns.map((column) => [Number(column.dataset.n), Number(column.dataset.effect)]));
    const numbers = [...effects.keys()].sort((a, b) => a - b);
    const order = sorted ? [...numbers].sort((a, b) => effects.get(b) - effects.get(a)) : numbers;
    const slot = new Map(order.map((number, index) => [number, places.get(numbers[index])]));
    for (const column of columns) {
      column.setAttribute("transform", `translate(${slot.get(Number(column.dataset.n))} 0)`);
    }
  });
}
