// The microphone to the server as it hears, words back as they are confirmed.
import { liveSocket, ServerError } from "./api.js";
import { wav } from "./sound.js";

const BLOCK_S = 0.1;

export class Live {
  // `list`: where what is being said is shown; `on`: {said(segment), level(0..1), slow(seconds), ended(wav, error)}.
  constructor(list, on) {
    this.list = list;
    this.on = on;
    this.running = false;
  }

  // `names`: voices to follow; none: everybody.
  async start(names, language) {
    this.running = true;
    this.rows = new Map();
    this.blocks = [];
    this.kept = [];
    this.error = this.stream = this.context = this.socket = null;
    this.list.hidden = false;
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: false, noiseSuppression: false } });
    } catch {
      this.error = new ServerError("The microphone cannot be used. Allow it in the browser, or choose a file.", 0);
      await this.end();
      return;
    }
    try {
      await this.listen(names, language);
    } catch (error) {
      this.error = new ServerError(`Live cannot be started: ${error.message}`, 0);
      await this.end();
    }
  }

  async listen(names, language) {
    this.context = new AudioContext();
    await this.context.audioWorklet.addModule("/page/capture.js");
    this.socket = liveSocket(names, language, this.context.sampleRate);
    this.socket.onmessage = (event) => this.heard(JSON.parse(event.data));
    this.socket.onerror = () => { this.error ??= new ServerError("The server cannot be reached. Is it still running?", 0); };
    this.socket.onclose = () => this.end();
    this.node = new AudioWorkletNode(this.context, "capture");
    this.node.port.onmessage = (event) => this.captured(event.data);
    this.context.createMediaStreamSource(this.stream).connect(this.node);
  }

  // Confirms what stands; `ended` is called when the server has said all.
  stop() {
    this.stream?.getTracks().forEach((track) => track.stop());
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send('{"type": "finish"}');
    else this.socket?.close();
  }

  captured(samples) {
    this.blocks.push(samples);
    const size = this.blocks.reduce((sum, block) => sum + block.length, 0);
    if (size < BLOCK_S * this.context.sampleRate || this.socket.readyState === WebSocket.CONNECTING) return;
    const sound = new Int16Array(size);
    let at = 0;
    let power = 0;
    for (const block of this.blocks) {
      for (const value of block) {
        power += value * value;
        sound[at++] = Math.round(32767 * Math.max(-1, Math.min(1, value)));
      }
    }
    this.blocks = [];
    this.kept.push(sound);
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(sound);
    this.on.level(Math.min(1, 4 * Math.sqrt(power / size)));
  }

  heard(event) {
    if (event.type === "confirmed") this.show(event.speaker, (row) => { row.text += `${row.text ? " " : ""}${event.text}`; });
    else if (event.type === "partial") this.show(event.speaker, (row) => { row.maybe = event.text; });
    else if (event.type === "segment") {
      this.rows.get(event.speaker)?.item.remove();
      this.rows.delete(event.speaker);
      this.on.said({ start: event.start, end: event.end, speaker: event.speaker ?? "", text: event.text });
    } else if (event.type === "pace") this.on.slow(event.step);
    else if (event.type === "error") this.error = new ServerError(event.error.message, 0);
  }

  show(speaker, change) {
    if (!this.rows.has(speaker)) {
      const item = document.createElement("li");
      const [who, said, sure, maybe] = ["who", speaker ? "said" : "said plain", "sure", "maybe"].map(
        (name) => Object.assign(document.createElement("span"), { className: name }));
      who.textContent = speaker ?? "";
      said.append(sure, maybe);
      item.append(...(speaker ? [who] : []), said);
      this.list.append(item);
      this.rows.set(speaker, { item, parts: [sure, maybe], text: "", maybe: "" });
    }
    const row = this.rows.get(speaker);
    change(row);
    row.parts[0].textContent = row.text;
    row.parts[1].textContent = row.maybe ? ` ${row.maybe}` : "";
    row.item.hidden = !row.text && !row.maybe;
  }

  async end() {
    if (!this.running) return;
    this.running = false;
    this.stream?.getTracks().forEach((track) => track.stop());
    const rate = this.context?.sampleRate;
    await this.context?.close();
    this.list.replaceChildren();
    this.list.hidden = true;
    const size = this.kept.reduce((sum, block) => sum + block.length, 0);
    const sound = new Float32Array(size);
    let at = 0;
    for (const block of this.kept) for (const value of block) sound[at++] = value / 32767;
    await this.on.ended(size ? wav(sound, rate) : null, this.error);
  }
}
