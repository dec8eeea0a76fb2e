// Recordings in the browser: decoded for the picture, recorded, cut, written as wav.

export const RATE = 16000;

// An AudioBuffer, mono at 16 kHz; null where the browser cannot read the format (the server may).
export async function decode(blob) {
  try {
    const context = new OfflineAudioContext(1, 1, RATE);
    const buffer = await context.decodeAudioData(await blob.arrayBuffer());
    if (buffer.numberOfChannels === 1) return buffer.getChannelData(0);
    const mono = new Float32Array(buffer.length);
    for (let c = 0; c < buffer.numberOfChannels; c++) {
      const channel = buffer.getChannelData(c);
      for (let i = 0; i < mono.length; i++) mono[i] += channel[i] / buffer.numberOfChannels;
    }
    return mono;
  } catch {
    return null;
  }
}

export function wav(samples, rate = RATE) {
  const bytes = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const text = (at, value) => [...value].forEach((sign, i) => bytes.setUint8(at + i, sign.charCodeAt(0)));
  text(0, "RIFF");
  bytes.setUint32(4, 36 + 2 * samples.length, true);
  text(8, "WAVEfmt ");
  bytes.setUint32(16, 16, true);
  bytes.setUint16(20, 1, true);
  bytes.setUint16(22, 1, true);
  bytes.setUint32(24, rate, true);
  bytes.setUint32(28, 2 * rate, true);
  bytes.setUint16(32, 2, true);
  bytes.setUint16(34, 16, true);
  text(36, "data");
  bytes.setUint32(40, 2 * samples.length, true);
  for (let i = 0; i < samples.length; i++) {
    bytes.setInt16(44 + 2 * i, Math.round(32767 * Math.max(-1, Math.min(1, samples[i]))), true);
  }
  return new Blob([bytes.buffer], { type: "audio/wav" });
}

// The parts of one talker's segments in which nobody else has one, joined, half a minute at most.
export function clipOf(samples, segments, speaker) {
  const others = segments.filter((one) => one.speaker !== speaker);
  const parts = [];
  for (const one of segments.filter((each) => each.speaker === speaker)) {
    let free = [[one.start, one.end]];
    for (const other of others) {
      free = free.flatMap(([from, to]) =>
        [[from, Math.min(to, other.start)], [Math.max(from, other.end), to]].filter(([a, b]) => b - a > 0.3));
    }
    parts.push(...free);
  }
  // Who is never alone is heard where he speaks.
  const used = parts.length ? parts : segments.filter((one) => one.speaker === speaker).map((one) => [one.start, one.end]);
  const cut = used.map(([from, to]) => samples.subarray(Math.floor(from * RATE), Math.ceil(to * RATE)));
  const size = Math.min(30 * RATE, cut.reduce((sum, part) => sum + part.length, 0));
  const clip = new Float32Array(size);
  let at = 0;
  for (const part of cut) {
    const fits = part.subarray(0, size - at);
    clip.set(fits, at);
    at += fits.length;
  }
  return clip;
}

// Records from the microphone until `stop()`, which gives a wav file. `onLevel` is called with 0..1.
export async function record(onLevel) {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: false, noiseSuppression: false } });
  const recorder = new MediaRecorder(stream);
  const blocks = [];
  recorder.ondataavailable = (event) => blocks.push(event.data);
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  context.createMediaStreamSource(stream).connect(analyser);
  const values = new Float32Array(analyser.fftSize);
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(values);
    onLevel(Math.min(1, 4 * Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length)));
  }, 60);
  recorder.start();
  return {
    stop: () => new Promise((resolve) => {
      recorder.onstop = async () => {
        clearInterval(timer);
        stream.getTracks().forEach((track) => track.stop());
        await context.close();
        const blob = new Blob(blocks, { type: recorder.mimeType });
        const samples = await decode(blob);
        resolve(samples ? wav(samples) : blob);
      };
      recorder.stop();
    }),
  };
}
