// The transcript as files.
import { docx } from "./docx.js";

const two = (value) => String(value).padStart(2, "0");

function stamp(seconds, mark) {
  const ms = Math.max(0, Math.round(1000 * seconds));
  const [h, m, s] = [Math.floor(ms / 3600000), Math.floor(ms / 60000) % 60, Math.floor(ms / 1000) % 60];
  return `${two(h)}:${two(m)}:${two(s)}${mark}${String(ms % 1000).padStart(3, "0")}`;
}

export const clock = (seconds) => {
  const whole = Math.max(0, Math.floor(seconds));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
};

const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const named = (one) => (one.speaker ? `${one.speaker}: ${one.text}` : one.text);

const WRITERS = {
  txt: (segments) => segments.map((one) => `${named(one)}\n`).join(""),
  srt: (segments) => segments.map((one, i) =>
    `${i + 1}\n${stamp(one.start, ",")} --> ${stamp(one.end, ",")}\n${named(one).replaceAll("-->", "->")}\n`).join("\n"),
  vtt: (segments) => "WEBVTT\n" + segments.map((one) =>
    `\n${stamp(one.start, ".")} --> ${stamp(one.end, ".")}\n${one.speaker ? `<v ${escaped(one.speaker)}>` : ""}${escaped(one.text)}\n`).join(""),
  json: (segments, name) => JSON.stringify({
    recording: name,
    text: segments.map((one) => one.text).join(" "),
    segments: segments.map(({ start, end, speaker, text }) => ({ start, end, speaker, text })),
  }, null, 2) + "\n",
};
const KINDS = { txt: "text/plain", srt: "application/x-subrip", vtt: "text/vtt", json: "application/json" };

export function written(format, segments, name) {
  if (format === "docx") {
    const title = [[escaped(name), ""]];
    return docx([...title, ...segments.map((one) => [`${one.speaker ? `${escaped(one.speaker)} ` : ""}${clock(one.start)} `, escaped(one.text)])]);
  }
  return new Blob([WRITERS[format](segments, name)], { type: `${KINDS[format]};charset=utf-8` });
}

export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
