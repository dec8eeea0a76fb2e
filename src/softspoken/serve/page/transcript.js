// The list of segments: words to click, text to mend, talkers to name.
import { clock } from "./files.js";

const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

// Words of a segment with times: the server's as long as there are as many, else a share of the segment by letters.
function timed(one) {
  const words = one.text.split(/(\s+)/).filter(Boolean);
  const spoken = words.filter((word) => word.trim());
  if (spoken.length === one.words?.length) {
    const times = one.words[Symbol.iterator]();
    return words.map((text) => {
      if (!text.trim()) return { text, space: true };
      const { start, end } = times.next().value;
      return { text, from: start, to: end, space: false };
    });
  }
  const letters = words.reduce((sum, word) => sum + word.length, 0) || 1;
  let at = one.start;
  return words.map((text) => {
    const from = at;
    at += ((one.end - one.start) * text.length) / letters;
    return { text, from, to: at, space: !text.trim() };
  });
}

export class Transcript {
  // `on`: {seek(seconds), name(speaker), changed()}.
  constructor(list, on) {
    this.list = list;
    this.on = on;
    this.clear();
    list.addEventListener("click", (event) => this.clicked(event));
    list.addEventListener("keydown", (event) => this.pressed(event));
    list.addEventListener("dblclick", (event) => {
      const item = event.target.closest("li");
      if (item && event.target.closest(".said")) this.edit(item);
    });
  }

  clear() {
    this.segments = [];
    this.talkers = new Map();
    this.mended = false;
    this.list.replaceChildren();
  }

  add(one) {
    const at = this.segments.findIndex((other) => other.start > one.start);
    const place = at < 0 ? this.segments.length : at;
    this.segments.splice(place, 0, one);
    if (one.speaker && !this.talkers.has(one.speaker)) this.talkers.set(one.speaker, this.talkers.size);
    this.list.insertBefore(this.item(one), this.list.children[place] ?? null);
    this.on.changed();
  }

  item(one) {
    const item = make("li");
    item.segment = one;
    const when = make("button", { type: "button", className: "when", textContent: clock(one.start) });
    when.setAttribute("aria-label", `Play from ${clock(one.start)}`);
    item.append(when);
    if (one.speaker) {
      item.style.setProperty("--talker", `var(--t${this.talkers.get(one.speaker) % 8})`);
      const who = make("button", { type: "button", className: "who", textContent: one.speaker, title: "Say who this is" });
      who.setAttribute("aria-label", `${one.speaker}: say who this is`);
      item.append(who);
    }
    const said = make("div", { className: one.speaker ? "said" : "said plain" });
    const edit = make("button", { type: "button", className: "edit", textContent: "Edit" });
    edit.setAttribute("aria-label", `Edit what is said at ${clock(one.start)}`);
    item.append(said, edit);
    this.write(item);
    return item;
  }

  write(item) {
    const words = timed(item.segment).map((word) => {
      if (word.space) return " ";
      const span = make("span", { className: "word", textContent: word.text });
      span.times = word;
      return span;
    });
    item.querySelector(".said").replaceChildren(...words);
    this.enter(item.querySelector(".word"));
  }

  // Tab leads to one word of each segment, the arrow keys from there to the others.
  enter(word) {
    for (const each of word?.parentElement.querySelectorAll(".word") ?? []) each.tabIndex = each === word ? 0 : -1;
  }

  pressed(event) {
    if (!event.target.times) return;
    if (event.key === "Enter") {
      event.preventDefault();
      this.on.seek(event.target.times.from);
      return;
    }
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const words = [...event.target.parentElement.querySelectorAll(".word")];
    const next = step && words[words.indexOf(event.target) + step];
    if (!next) return;
    event.preventDefault();
    this.enter(next);
    next.focus();
  }

  clicked(event) {
    const item = event.target.closest("li");
    if (!item || item.querySelector("[contenteditable]")) return;
    if (event.target.closest(".when")) this.on.seek(item.segment.start);
    else if (event.target.closest(".who")) this.on.name(item.segment.speaker);
    else if (event.target.closest(".edit")) this.edit(item);
    else if (event.target.times) this.on.seek(event.target.times.from);
  }

  edit(item) {
    const said = item.querySelector(".said");
    if (said.isContentEditable) return;
    said.textContent = item.segment.text;
    said.setAttribute("contenteditable", "plaintext-only");
    said.setAttribute("role", "textbox");
    said.setAttribute("aria-label", "What was said; Enter keeps it, Escape leaves it as it was");
    said.focus();
    getSelection().selectAllChildren(said);
    getSelection().collapseToEnd();
    const end = (keep) => {
      said.removeEventListener("blur", blurred);
      said.removeEventListener("keydown", pressed);
      const text = said.textContent.trim().replace(/\s+/g, " ");
      if (keep && text !== item.segment.text) {
        this.mended = true;
        item.segment.text = text;
      }
      if (!item.segment.text) {
        // Nothing is left of it.
        this.segments = this.segments.filter((one) => one !== item.segment);
        item.remove();
        this.on.changed();
        return;
      }
      for (const name of ["contenteditable", "role", "aria-label"]) said.removeAttribute(name);
      this.write(item);
      this.on.changed();
    };
    const blurred = () => end(true);
    const pressed = (event) => {
      event.stopPropagation();
      if ((event.key !== "Enter" && event.key !== "Escape") || event.isComposing) return;
      event.preventDefault();
      const next = item.nextElementSibling ?? item.previousElementSibling;
      end(event.key === "Enter");
      (item.isConnected ? item : next)?.querySelector(".edit").focus();
    };
    said.addEventListener("blur", blurred);
    said.addEventListener("keydown", pressed);
  }

  rename(speaker, name) {
    if (speaker === name) return;
    this.mended = true;
    const at = [...this.list.children].findIndex((item) => item.contains(document.activeElement));
    // Two talkers who get one name are one from now on, in the colour of the first.
    const number = Math.min(this.talkers.get(speaker), this.talkers.get(name) ?? Infinity);
    const others = [...this.talkers].filter(([each]) => each !== speaker && each !== name);
    this.talkers = new Map([...others, [name, number]].sort((a, b) => a[1] - b[1]));
    for (const one of this.segments) if (one.speaker === speaker) one.speaker = name;
    this.list.replaceChildren(...this.segments.map((one) => this.item(one)));
    this.list.children[at]?.querySelector(".who").focus();
    this.on.changed();
  }

  // Mark what is said now; scrolls only as far as needed.
  at(seconds, follow) {
    for (const item of this.list.children) {
      const { start, end } = item.segment;
      const now = seconds >= start && seconds < end;
      if (now && follow && !item.classList.contains("now")) item.scrollIntoView({ block: "nearest" });
      item.classList.toggle("now", now);
      for (const word of item.querySelectorAll(".word")) {
        word.classList.toggle("now", now && follow && seconds >= word.times.from && seconds < word.times.to);
      }
    }
  }
}
