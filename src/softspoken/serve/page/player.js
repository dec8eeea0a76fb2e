// The recording as it is played: the sound, its picture, and what says where we are.
import { clock } from "./files.js";
import { RATE } from "./sound.js";
import { Wave } from "./wave.js";

const $ = (id) => document.getElementById(id);

export class Player {
  // `on(seconds, plays)`: called wherever it moves to.
  constructor(on) {
    this.on = on;
    this.audio = $("audio");
    this.wave = new Wave($("wave"), (seconds) => this.seek(seconds, false));
    $("play").addEventListener("click", () => this.toggle());
    this.audio.addEventListener("play", () => this.follow());
    for (const kind of ["play", "pause", "ended"]) this.audio.addEventListener(kind, () => this.changed());
    this.audio.addEventListener("loadedmetadata", () => {
      if (!this.wave.duration && Number.isFinite(this.audio.duration)) this.wave.show(null, this.audio.duration);
      this.moved();
    });
    addEventListener("keydown", (event) => {
      const typing = event.target.closest("input, textarea, select, button, [contenteditable], dialog, label");
      if (event.key !== " " || typing || $("player").hidden) return;
      event.preventDefault();
      this.toggle();
    });
  }

  open(file) {
    this.close();
    this.audio.src = URL.createObjectURL(file);
    $("player").hidden = false;
    this.wave.show(null, 0);
  }

  close() {
    $("player").hidden = true;
    if (!this.audio.hasAttribute("src")) return;
    this.audio.pause();
    URL.revokeObjectURL(this.audio.src);
    this.audio.removeAttribute("src");
    this.audio.load();
  }

  // `samples`: at RATE; null where the browser cannot read them.
  draw(samples) {
    if (samples) this.wave.show(samples, samples.length / RATE);
    this.moved();
  }

  mark(segments, talkers) {
    this.wave.mark(segments, talkers);
  }

  seek(seconds, play) {
    if (!this.audio.hasAttribute("src")) return;
    this.audio.currentTime = seconds;
    this.moved();
    if (play) this.audio.play();
  }

  toggle() {
    if (this.audio.paused) this.audio.play();
    else this.audio.pause();
  }

  changed() {
    $("play").classList.toggle("playing", !this.audio.paused);
    $("play").setAttribute("aria-label", this.audio.paused ? "Play" : "Pause");
    this.moved();
  }

  follow() {
    this.moved();
    if (!this.audio.paused) requestAnimationFrame(() => this.follow());
  }

  moved() {
    const { audio, wave } = this;
    const total = Number.isFinite(audio.duration) ? audio.duration : wave.duration;
    $("time").textContent = `${clock(audio.currentTime)} / ${clock(total)}`;
    wave.at(audio.currentTime, `${clock(audio.currentTime)} of ${clock(total)}`);
    this.on(audio.currentTime, !audio.paused);
  }
}
