// Known voices: their list, and the dialog in which one gets its name, from a clip or from a talker of the transcript.
import { enrol, exported, forget, voices } from "./api.js";
import { save } from "./files.js";

const $ = (id) => document.getElementById(id);

export class VoiceList {
  // `on`: {say(text), trouble(error)}.
  constructor(on) {
    this.on = on;
    this.list = $("voices");
  }

  get names() {
    return [...this.list.querySelectorAll("input")].map((box) => box.value);
  }

  get ticked() {
    return [...this.list.querySelectorAll("input:checked")].map((box) => box.value);
  }

  async refresh() {
    const found = await voices();
    $("no-voices").hidden = found.length > 0;
    const { ticked } = this;
    this.list.replaceChildren(...found.map((voice) => this.item(voice, ticked.includes(voice.name))));
  }

  item(voice, checked) {
    const item = document.createElement("li");
    const label = Object.assign(document.createElement("label"), { className: "choice" });
    const box = Object.assign(document.createElement("input"), { type: "checkbox", value: voice.name, checked });
    label.append(box, voice.name);
    label.title = voice.consent ? `Agreed: ${voice.consent}` : `Enrolled ${voice.created.slice(0, 10)}`;
    item.append(label, this.button("export", `Export the voice ${voice.name}`, () => this.export(voice.name)),
      this.button("forget", `Forget the voice ${voice.name}`, () => this.forget(voice.name)));
    return item;
  }

  button(sign, name, onClick) {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "icon", title: name, onclick: onClick });
    button.setAttribute("aria-label", name);
    button.append($(`sign-${sign}`).content.cloneNode(true));
    return button;
  }

  async export(name) {
    try {
      save(await exported(name), `${name}.voice.json`);
    } catch (error) {
      this.on.trouble(error);
    }
  }

  async forget(name) {
    if (!confirm(`Forget the voice of ${name}? Its clip and what was agreed to are deleted, too.`)) return;
    try {
      await forget(name);
      await this.refresh();
      $("add-voice").focus();
      this.on.say(`${name} is forgotten.`);
    } catch (error) {
      this.on.trouble(error);
    }
  }
}

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
    $("keep").addEventListener("change", () => {
      $("consent-row").hidden = !$("keep").checked;
      this.ask(null);
    });
    $("voice-name").addEventListener("input", () => this.ask(null));
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
    this.ask(null);
    this.dialog.showModal();
  }

  chose(clip, name) {
    this.clip = clip ?? null;
    this.clipName = name;
    $("clip-chosen").textContent = clip && this.speaker === null && !$("clip").value ? "recorded" : "";
  }

  // Whether a known voice of the name `taken` is to be replaced: the button says so. None: there is none.
  ask(taken) {
    this.taken = taken;
    $("voice-save").textContent = taken === null ? "Save" : "Replace";
    $("voice-error").textContent = taken === null ? "" : `A voice ${taken} is known already. Replace it, or choose another name.`;
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
      const replace = this.taken === name;
      const voice = $("keep").checked ? await enrol(name, this.clip, this.clipName, $("consent").value.trim(), replace) : null;
      this.dialog.close();
      if (this.speaker !== null) this.on.named(this.speaker, name);
      if (voice) await this.on.enrolled(voice);
    } catch (error) {
      if (error.status === 409) this.ask(name);
      else $("voice-error").textContent = error.message;
    } finally {
      $("voice-save").disabled = false;
    }
  }
}
