// The page: a recording in, a transcript by talker out.
import * as api from "./api.js";
import { clipOf, decode, RATE, record, wav } from "./sound.js";
import { clock, save, written } from "./files.js";
import { Live } from "./live.js";
import { Player } from "./player.js";
import { Transcript } from "./transcript.js";
import { VoiceDialog, VoiceList } from "./voices.js";

const $ = (id) => document.getElementById(id);
let limits = { upload_mb: Infinity };
let recording = null;
let samples = null;
let running = null;
let session = null;

const player = new Player((seconds, plays) => transcript.at(seconds, plays));
const transcript = new Transcript($("segments"), {
  seek: (seconds) => player.seek(seconds, true),
  name: (speaker) => dialog.nameTalker(speaker, samples && wav(clipOf(samples, transcript.segments, speaker))),
  changed: show,
});
const voices = new VoiceList({ say, trouble });
const dialog = new VoiceDialog({
  recorded: (button, level) => toggleRecording(button, level),
  named: (speaker, name) => transcript.rename(speaker, name),
  enrolled: async (voice) => {
    await voices.refresh();
    say(`${voice.name} is known from now on.${voice.warnings.length ? ` ${voice.warnings[0]}` : ""}`);
  },
});

function say(text, bad = false) {
  $("status").textContent = text;
  $("status").classList.toggle("bad", bad);
}

function trouble(error) {
  if (error.status === 401) {
    $("key-form").hidden = false;
    $("key").focus();
  }
  say(error.message, true);
}

// The recording

async function choose(file, heard = false) {
  if (!heard && !mayClear()) return;
  if (file.size > limits.upload_mb * 1e6) {
    say(`${file.name} has ${Math.round(file.size / 1e6)} MB; this server takes ${limits.upload_mb} MB. Save it as flac, ogg or mp3.`, true);
    return;
  }
  abandon();
  recording = file;
  samples = null;
  if (!heard) {
    transcript.clear();
    show();
    say("");
  }
  $("chosen").textContent = file.name;
  $("go").disabled = false;
  player.open(file);
  const decoded = await decode(file);
  if (recording !== file) return;
  samples = decoded;
  player.draw(samples);
  $("chosen").textContent = samples ? `${file.name}, ${clock(samples.length / RATE)}` : file.name;
}

for (const kind of ["dragenter", "dragover"]) {
  addEventListener(kind, (event) => {
    event.preventDefault();
    $("drop").classList.add("over");
  });
}
for (const kind of ["dragleave", "drop"]) addEventListener(kind, () => $("drop").classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  const [file] = event.dataTransfer.files;
  if (file && !live.running) choose(file);
});
$("recording").addEventListener("change", (event) => {
  const [file] = event.target.files;
  if (!file) return;
  choose(file);
  // The same file may be chosen again.
  event.target.value = "";
});
$("record").addEventListener("click", async () => {
  const blob = await toggleRecording($("record"), $("level"));
  if (blob) choose(new File([blob], blob.type === "audio/wav" ? "recording.wav" : "recording.webm", { type: blob.type }));
});

// The microphone, live

const live = new Live($("going-on"), {
  said: (one) => transcript.add(one),
  level: (value) => drawLevel($("level"), value),
  slow: (seconds) => say(`Listening; this machine needs ${seconds.toFixed(1)} s for each step.`),
  ended: async (blob, error) => {
    showLive(false);
    if (blob) await choose(new File([blob], "live.wav", { type: blob.type }), true);
    if (error) say(error.message, true);
    else say(transcript.segments.length ? "Done. Press Play to hear it again." : "Nothing was said.");
  },
});

function showLive(yes) {
  $("live").classList.toggle("recording", yes);
  $("live").lastElementChild.textContent = yes ? "Stop live" : "Live";
  $("level").hidden = !yes;
  // On a phone the words and a way to end it are in sight together.
  $("busy").hidden = !yes;
  $("progress").hidden = yes;
  if (yes) $("busy").scrollIntoView({ block: "nearest" });
  for (const id of ["record", "go", "recording"]) $(id).disabled = yes || (id === "go" && !recording);
}

$("live").addEventListener("click", async () => {
  if (live.running) return live.stop();
  if (!mayClear()) return null;
  const whose = document.querySelector("[name=whose]:checked").value;
  const names = whose === "some" ? voices.ticked : [];
  if (whose === "some" && !names.length) {
    say("Tick a voice first, or choose Everybody.", true);
    return null;
  }
  transcript.clear();
  recording = samples = null;
  player.close();
  $("chosen").textContent = "";
  const hint = voices.names.length ? " To follow voices by name, tick them and choose Only the voices ticked above." : "";
  say(names.length ? `Listening to ${names.join(", ")} ...` : `Listening to everybody.${hint}`);
  const started = live.start(names, $("language-row").hidden ? null : $("language").value);
  show();
  showLive(true);
  await started;
  return null;
});

// Begins to record (gives nothing), or ends it and gives what was recorded.
async function toggleRecording(button, level) {
  const label = button.lastElementChild;
  if (session) {
    const ended = session;
    session = null;
    button.classList.remove("recording");
    label.textContent = "Record";
    if (level) level.hidden = true;
    return ended.stop();
  }
  try {
    session = await record((value) => level && drawLevel(level, value));
  } catch {
    say("The microphone cannot be used. Allow it in the browser, or choose a file.", true);
    return null;
  }
  button.classList.add("recording");
  label.textContent = "Stop recording";
  if (level) level.hidden = false;
  return null;
}

function drawLevel(canvas, value) {
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.fillStyle = getComputedStyle(canvas).getPropertyValue("--accent");
  for (let bar = 0; bar < 20; bar++) {
    pen.globalAlpha = bar / 20 < value ? 1 : 0.18;
    pen.fillRect(bar * 6, 6, 4, 16);
  }
}

$("add-voice").addEventListener("click", () => dialog.addVoice());

// The transcript

function fieldsOf(whose) {
  const fields = [["model", "softspoken"], ["stream", "true"], ["response_format", whose === "plain" ? "json" : "diarized_json"]];
  if (!$("language-row").hidden) fields.push(["language", $("language").value]);
  if (whose !== "plain") fields.push(["timestamp_granularities[]", "word"]);
  if (whose === "some") for (const name of voices.ticked) fields.push(["speakers[]", name]);
  if (whose === "all") for (const name of voices.names.slice(0, limits.known_speakers)) fields.push(["known_speaker_names[]", name]);
  return fields;
}

// Whether the transcript may go: somebody's own corrections are asked for first.
const mayClear = () => !transcript.mended || confirm("Your corrections are not saved yet. Go on without them?");

// Give up what runs; nothing more of it is shown.
function abandon() {
  const ended = running;
  if (!ended) return;
  busy(false);
  ended.abort();
}

async function transcribe() {
  if (!mayClear()) return;
  const whose = document.querySelector("[name=whose]:checked").value;
  if (whose === "some" && !voices.ticked.length) {
    say("Tick a voice first, or choose Everybody.", true);
    return;
  }
  transcript.clear();
  const mine = running = new AbortController();
  busy(true);
  show();
  $("busy").scrollIntoView({ block: "nearest" });
  say(whose === "all" ? "Listening for who speaks ..." : "Transcribing ...");
  let reached = 0;
  try {
    for await (const event of api.transcribe(fieldsOf(whose), recording, recording.name, mine.signal)) {
      if (running !== mine) return;
      if (event.type === "progress") {
        $("progress").max = event.total;
        $("progress").value = event.done;
        reached = event.done;
        if (event.done) say(`Transcribing, ${clock(event.done)} of ${clock(event.total)} done`);
      } else if (event.type === "transcript.text.segment") {
        transcript.add({ start: event.start, end: event.end, speaker: event.speaker, text: event.text, words: event.words });
      } else if (event.type === "transcript.text.delta" && whose === "plain") {
        transcript.add({ start: event.start, end: event.end, speaker: "", text: event.delta.trim() });
      }
    }
    const count = transcript.segments.length;
    const talkers = transcript.talkers.size;
    const who = whose === "plain" ? "" : `, ${talkers} ${talkers === 1 ? "talker" : "talkers"}`;
    say(count ? `Done: ${count} ${count === 1 ? "segment" : "segments"}${who}.` : "Nothing was said.");
  } catch (error) {
    if (running !== mine) return;
    if (error.name === "AbortError") say(`Stopped at ${clock(reached)}.`);
    else trouble(error);
  }
  busy(false);
}

function busy(yes) {
  // Who works by keyboard goes on where something happens: at Stop, then at the transcript.
  const held = document.activeElement === $("go") || document.activeElement === $("stop");
  $("busy").hidden = !yes;
  for (const id of ["go", "live", "record"]) $(id).disabled = yes;
  if (yes) $("progress").removeAttribute("value");
  else {
    running = null;
    show();
  }
  if (held) $(yes ? "stop" : "transcript").focus({ preventScroll: true });
}

function show() {
  const some = transcript.segments.length > 0;
  $("empty").hidden = some || running !== null || live.running;
  $("downloads").hidden = !some;
  player.mark(transcript.segments, transcript.talkers);
  $("legend").replaceChildren(...[...transcript.talkers].map(([name, number]) => {
    const item = document.createElement("li");
    item.style.setProperty("--talker", `var(--t${number % 8})`);
    item.append(Object.assign(document.createElement("span"), { className: "swatch" }), name);
    return item;
  }));
}

$("go").addEventListener("click", transcribe);
$("stop").addEventListener("click", () => (live.running ? live.stop() : running?.abort()));
for (const button of document.querySelectorAll("[data-format]")) {
  button.addEventListener("click", () => {
    const { format } = button.dataset;
    const name = recording?.name ?? "live";
    save(written(format, transcript.segments, name), `${name.replace(/\.[^.]*$/, "")}.${format}`);
    transcript.mended = false;
  });
}

addEventListener("beforeunload", (event) => {
  if (transcript.mended) event.preventDefault();
});

// The beginning

async function begin() {
  try {
    const server = await api.about();
    limits = server.limits;
    $("server").textContent = `${server.model} on ${location.host}`;
    $("language").replaceChildren(...server.languages.map((code) => new Option(code, code)));
    $("language").value = "en";
    $("language-row").hidden = server.languages.length < 2;
    await voices.refresh();
  } catch (error) {
    trouble(error);
  }
}

$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("key", $("key").value.trim());
  $("key-form").hidden = true;
  say("");
  begin();
});

begin();
