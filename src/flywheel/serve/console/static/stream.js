// An answer as it comes: server-sent events of /v1/chat/completions, read piece by piece.

import { send } from "./console.js";

/** What went wrong, by its HTTP status or a word, with the seconds to wait where the server says. */
export class Failed extends Error {
  constructor(word, seconds = 0) {
    super(word);
    this.word = word;
    this.seconds = seconds;
  }
}

/**
 * Asks, and calls `show` with each piece of the first candidate's text.
 * Gives what the server tells of the whole reply: `interaction` is empty where nothing is kept.
 */
export async function ask(body, show, signal) {
  let reply;
  try {
    reply = await send("/v1/chat/completions", { ...body, stream: true }, { signal });
  } catch (error) {
    throw signal.aborted ? error : new Failed("offline");
  }
  if (!reply.ok) throw new Failed(String(reply.status), Number(reply.headers.get("Retry-After")));
  let about = null;
  let ended = false;
  try {
    for await (const data of events(reply.body)) {
      if (data === "[DONE]") {
        ended = true;
        break;
      }
      const told = JSON.parse(data);
      if (told.error) throw new Failed("broken");
      for (const choice of told.choices ?? []) {
        if (choice.index === 0 && choice.delta?.content) show(choice.delta.content);
      }
      about = told.flywheel ?? about;
    }
  } catch (error) {
    throw signal.aborted || error instanceof Failed ? error : new Failed("broken");
  }
  if (!ended || !about) throw new Failed("broken");
  return about;
}

/** The data of each event. A chunk may end anywhere, within a character too. */
async function* events(stream) {
  const decoder = new TextDecoder();
  const reader = stream.getReader();
  let rest = "";
  try {
    while (true) {
      const { done, value } = await reader.read();
      rest += decoder.decode(value, { stream: !done });
      const whole = rest.split("\n\n");
      rest = whole.pop();
      for (const event of whole) {
        for (const line of event.split("\n")) {
          if (line.startsWith("data: ")) yield line.slice(6);
        }
      }
      if (done) return;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
