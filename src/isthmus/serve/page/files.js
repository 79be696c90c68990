// Text files: a line in, a line out, in requests as large as the server takes.

import * as api from "./api.js";

export const MOST_BYTES = 20 * 1024 * 1024;

// The lines of a file; a file that is not UTF-8 is refused rather than guessed at.
export async function linesOf(file) {
  if (file.size > MOST_BYTES) throw new api.Failure(`${file.name} is larger than 20 MB; use \`isthmus generate\` for it`);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer()).split(/\r\n|\n|\r/);
  } catch {
    throw new api.Failure(`${file.name} is not a text in UTF-8`);
  }
}

// Requests of as many lines as go into one; lines without text are not sent.
function* requests(lines, limits) {
  let group = [], size = 0;
  for (const [place, text] of lines.entries()) {
    if (!text.trim()) continue;
    if ([...text].length > limits.characters) throw new api.Failure(`line ${place + 1} has more than ${limits.characters} characters`);
    if (group.length === limits.texts || size + text.length > 20 * limits.characters) {
      yield group;
      group = [];
      size = 0;
    }
    group.push({ place, text });
    size += text.length;
  }
  if (group.length) yield group;
}

export async function generateLines(lines, body, limits, progress, signal) {
  const outputs = lines.map(() => "");
  const all = [...requests(lines, limits)];
  for (const [number, group] of all.entries()) {
    const found = await api.generate({ ...body, texts: group.map(({ text }) => text) }, signal);
    group.forEach(({ place }, index) => { outputs[place] = found.answers[index].outputs[0].text.replace(/\s*[\r\n]\s*/g, " "); });
    progress((number + 1) / all.length);
  }
  return outputs;
}

export function save(text, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
