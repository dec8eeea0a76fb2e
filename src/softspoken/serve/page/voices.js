// The dialog in which a voice gets its name: from a clip, or from a talker of the transcript.
import { enrol } from "./api.js";

const $ = (id) => document.getElementById(id);

export class VoiceDialog {
  // `on`: {recorded(button, level), named(speaker, name), enrolled(voice)}.
  constructor(on) {
    this.on = on;
    this.dialog = $("voice-dialog");
    $("clip").addEventListener("change", (event) => this.chose(event.target.files[0], event.target.files[0]?.name));
    $("record-clip").addEventListener("click", async () => {
      const blob = await on.recorded($("record-clip"), null);
      if (!blob) return;
      $("clip").value = "";
      this.chose(blob, blob.type === "audio/wav" ? "recorded.wav" : "recorded.webm");
    });
    $("keep").addEventListener("change", () => { $("consent-row").hidden = !$("keep").checked; });
    $("voice-cancel").addEventListener("click", () => this.dialog.close());
    $("voice-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.save();
    });
  }

  addVoice() {
    this.open("Add a voice", null, null);
  }

  // `clip`: what the talker says alone, as wav; null where the browser could not read the recording.
  nameTalker(speaker, clip) {
    this.open(`Who is ${speaker}?`, speaker, clip);
  }

  open(title, speaker, clip) {
    this.speaker = speaker;
    this.chose(clip, clip && "from the recording.wav");
    $("voice-dialog-title").textContent = title;
    $("voice-name").value = speaker && !/^[A-Z]+$/.test(speaker) ? speaker : "";
    $("clip-row").hidden = speaker !== null;
    $("clip").value = "";
    $("keep-row").hidden = speaker === null || !clip;
    $("keep").checked = speaker === null;
    $("consent").value = "";
    $("consent-row").hidden = speaker !== null;
    $("voice-error").textContent = "";
    this.dialog.showModal();
  }

  chose(clip, name) {
    this.clip = clip ?? null;
    this.clipName = name;
    $("clip-chosen").textContent = clip && this.speaker === null && !$("clip").value ? "recorded" : "";
  }

  async save() {
    const name = $("voice-name").value.trim();
    $("voice-error").textContent = "";
    if (!name) return;
    if ($("keep").checked && !this.clip) {
      $("voice-error").textContent = "Choose or record a clip of the voice first.";
      return;
    }
    $("voice-save").disabled = true;
    try {
      const voice = $("keep").checked ? await enrol(name, this.clip, this.clipName, $("consent").value.trim()) : null;
      if (this.speaker !== null) this.on.named(this.speaker, name);
      this.dialog.close();
      if (voice) await this.on.enrolled(voice);
    } catch (error) {
      $("voice-error").textContent = error.message;
    } finally {
      $("voice-save").disabled = false;
    }
  }
}
