// What the page asks of the server it came from.

export class ServerError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

const headers = () => {
  const key = sessionStorage.getItem("key");
  return key ? { Authorization: `Bearer ${key}` } : {};
};

async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { ...options, headers: { ...headers(), ...(options.headers ?? {}) } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError("The server cannot be reached. Is it still running?", 0);
  }
  if (answer.ok) return answer;
  let message = `The server answered ${answer.status}.`;
  try {
    message = (await answer.json()).error.message;
  } catch { /* no JSON: the number must do */ }
  throw new ServerError(message, answer.status);
}

const voiceUrl = (name) => `/v1/voices/${encodeURIComponent(name)}`;

export const about = async () => (await ask("/v1/server")).json();
export const voices = async () => (await (await ask("/v1/voices")).json()).data;
export const forget = (name) => ask(voiceUrl(name), { method: "DELETE" });

export async function exported(name) {
  return (await ask(`${voiceUrl(name)}/export`)).blob();
}

export async function enrol(name, clip, fileName, consent, replace) {
  const form = new FormData();
  form.append("name", name);
  form.append("replace", replace);
  if (consent) form.append("consent", consent);
  form.append("file", clip, fileName);
  return (await ask("/v1/voices", { method: "POST", body: form })).json();
}

// A socket that takes 16-bit samples of a rate. A page cannot set its headers; the key goes as a protocol.
export function liveSocket(names, language, rate) {
  const query = new URLSearchParams([["rate", rate], ...names.map((name) => ["speakers", name])]);
  if (language) query.set("language", language);
  const key = sessionStorage.getItem("key");
  const protocols = key ? ["realtime", `openai-insecure-api-key.${encodeURIComponent(key)}`] : [];
  return new WebSocket(`${location.origin.replace(/^http/, "ws")}/v1/listen?${query}`, protocols);
}

// Yields what the server sends: {done, total} for its comments, else OpenAI's events.
export async function* transcribe(fields, file, fileName, signal) {
  const form = new FormData();
  for (const [name, value] of fields) form.append(name, value);
  form.append("file", file, fileName);
  const answer = await ask("/v1/audio/transcriptions", { method: "POST", body: form, signal });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  let times = null;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    waiting += value;
    const frames = waiting.split("\n\n");
    waiting = frames.pop();
    for (const frame of frames) {
      const progress = frame.match(/^: ([\d.]+) of ([\d.]+)/);
      if (progress) yield { type: "progress", done: Number(progress[1]), total: Number(progress[2]) };
      const said = frame.match(/^: from ([\d.]+) to ([\d.]+)/);
      if (said) times = { start: Number(said[1]), end: Number(said[2]) };
      if (!frame.startsWith("data: ") || frame === "data: [DONE]") continue;
      const event = JSON.parse(frame.slice(6));
      if (event.error) throw new ServerError(event.error.message, 200);
      yield { ...times, ...event };
    }
  }
}
