// The picture of the recording: its waveform, a lane for each talker, and where we are.

const WAVE_PX = 84;
const LANE_PX = 12;
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export class Wave {
  constructor(canvas, onSeek) {
    this.canvas = canvas;
    this.onSeek = onSeek;
    this.samples = null;
    this.duration = 0;
    this.segments = [];
    this.talkers = new Map();
    this.position = 0;
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    const seek = (event) => {
      const box = canvas.getBoundingClientRect();
      onSeek(this.duration * Math.max(0, Math.min(1, (event.clientX - box.left) / box.width)));
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      seek(event);
    });
    canvas.addEventListener("pointermove", (event) => event.buttons && seek(event));
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -2, ArrowRight: 2, ArrowDown: -2, ArrowUp: 2, PageDown: -10, PageUp: 10 }[event.key];
      const to = event.key === "Home" ? 0 : event.key === "End" ? this.duration : step && this.position + step;
      if (to === undefined) return;
      event.preventDefault();
      onSeek(Math.max(0, Math.min(this.duration, to)));
    });
  }

  show(samples, duration) {
    this.samples = samples;
    this.duration = duration;
    this.peaks = null;
    this.canvas.setAttribute("aria-valuemax", Math.round(duration));
    this.draw();
  }

  at(position, text) {
    this.position = position;
    this.canvas.setAttribute("aria-valuenow", Math.round(position));
    this.canvas.setAttribute("aria-valuetext", text);
    this.draw();
  }

  // `talkers`: name to number.
  mark(segments, talkers) {
    this.segments = segments;
    this.talkers = talkers;
    this.canvas.style.blockSize = `${WAVE_PX + 8 + LANE_PX * Math.min(8, talkers.size)}px`;
    this.draw();
  }

  draw() {
    const { canvas } = this;
    const ratio = devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!width) return;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    pen.fillStyle = colour("--ground");
    pen.fillRect(0, 0, width, height);
    this.drawPeaks(pen, width);
    const x = (seconds) => (this.duration ? (seconds / this.duration) * width : 0);
    const lane = Math.min(LANE_PX, (height - WAVE_PX - 8) / Math.max(1, this.talkers.size));
    for (const one of this.segments) {
      const number = this.talkers.get(one.speaker) ?? 0;
      pen.fillStyle = colour(`--t${number % 8}`);
      pen.fillRect(x(one.start), WAVE_PX + 4 + number * lane, Math.max(2, x(one.end) - x(one.start)), Math.max(2, lane - 3));
    }
    pen.fillStyle = colour("--ink");
    pen.fillRect(x(this.position) - 1, 0, 2, height);
  }

  drawPeaks(pen, width) {
    if (!this.samples) return;
    const bars = Math.floor(width / 3);
    if (this.peaks?.length !== bars) {
      const size = this.samples.length / bars;
      // A few hundred samples a bar are enough for an eye.
      const step = Math.max(1, Math.floor(size / 400));
      this.peaks = Float32Array.from({ length: bars }, (_, bar) => {
        let peak = 0;
        for (let i = Math.floor(bar * size); i < (bar + 1) * size; i += step) peak = Math.max(peak, Math.abs(this.samples[i] ?? 0));
        return peak;
      });
      this.loudest = this.peaks.reduce((most, peak) => Math.max(most, peak), 0.01);
    }
    const [passed, ahead] = [colour("--accent"), colour("--wave")];
    this.peaks.forEach((peak, bar) => {
      const tall = Math.max(2, (peak / this.loudest) * (WAVE_PX - 12));
      pen.fillStyle = (bar / bars) * this.duration < this.position ? passed : ahead;
      pen.fillRect(bar * 3, (WAVE_PX - tall) / 2, 2, tall);
    });
  }
}
