// Talks to the server. Every failure is a Failure with a sentence for the reader.

export class Failure extends Error {
  constructor(message, status = 0, retry = 0) {
    super(message);
    this.status = status;
    this.retry = retry;
  }
}

const KEY = "isthmus-key";
const ATTEMPTS = 4;

export const setKey = (key) => sessionStorage.setItem(KEY, key);

function headers() {
  const key = sessionStorage.getItem(KEY);
  return { "Content-Type": "application/json", ...(key ? { Authorization: `Bearer ${key}` } : {}) };
}

async function failureOf(response) {
  let said = `the server answered ${response.status}`;
  try {
    const { error } = await response.json();
    const more = [error.expected && `expected ${error.expected}`, error.got && `got ${error.got}`].filter(Boolean).join(", ");
    said = more ? `${error.rule} (${more})` : error.rule;
    if (error.fix) said += `: ${error.fix}`;
  } catch { /* no body of ours: the status has to do */ }
  return new Failure(said, response.status, Number(response.headers.get("Retry-After") ?? 0));
}

const pause = (seconds, signal) => new Promise((resolve, reject) => {
  const timer = setTimeout(resolve, seconds * 1000);
  signal?.addEventListener("abort", () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
});

// One request; where the server has too much to do, it is asked again after as long as it says.
async function ask(path, body, signal, attempt = 1) {
  let response;
  try {
    const post = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
    response = await fetch(path, { headers: headers(), signal, ...post });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Failure("The server cannot be reached. Is it running?");
  }
  if (response.ok) return response;
  const failure = await failureOf(response);
  if (response.status === 503 && attempt < ATTEMPTS) {
    await pause(Math.max(failure.retry, 0.5) * attempt, signal);
    return ask(path, body, signal, attempt + 1);
  }
  throw failure;
}

export const models = async () => (await ask("/v1/models")).json();
export const generate = async (body, signal) => (await ask("/v1/generate", body, signal)).json();
export const attention = async (body, signal) => (await ask("/v1/attention", body, signal)).json();

// The output as it comes: yields texts that put together are the output.
export async function* stream(body, signal) {
  const response = await ask("/v1/stream", body, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { done, value } = await reader.read();
    held += value ?? "";
    const events = held.split("\n\n");
    held = events.pop();
    for (const event of events) {
      const name = /^event: (.*)$/m.exec(event)?.[1];
      const data = JSON.parse(/^data: (.*)$/m.exec(event)?.[1] ?? "null");
      if (name === "error") throw new Failure(data.error.rule);
      if (name === "delta" && data.text) yield data.text;
    }
    if (done) return;
  }
}
