// The Ask page: asks, shows the answer as it comes, and puts what the server renders in its place.
//
// Texts of users, documents and models are set as text alone; HTML comes from the server by htmx.

import "./edit.js";
import "./rank.js";
import { ask, Failed } from "./stream.js";

const form = document.getElementById("ask-form");
const box = document.getElementById("question");
const thread = document.getElementById("thread");
const panel = document.getElementById("panel");
const TYPED = "flywheel.typed";
const PENDING = "flywheel.pending";
const COMPARE = "flywheel.compare";
const MOST_EXCHANGES = 8;
let asking = null;

function word(name) {
  const words = document.getElementById("asking-words").content;
  const found = words.querySelector(`[data-word="${CSS.escape(name)}"]`);
  return (found ?? words.querySelector('[data-word="other"]')).textContent;
}

/** The conversation so far, as the chat API takes it. */
function messages(question, isFresh) {
  const said = [];
  for (const each of isFresh ? [] : thread.querySelectorAll("[data-interaction]")) {
    said.push({ role: "user", content: each.dataset.question });
    if (each.dataset.reply) said.push({ role: "assistant", content: each.dataset.reply });
  }
  return [...said, { role: "user", content: question }];
}

function comparison() {
  const data = new FormData(form);
  const beside = data.getAll("beside").map(Number).slice(0, 3);
  const n = Math.min(Number(data.get("num") ?? 1), 4 - beside.length);
  const body = { n };
  if (beside.length) body.flywheel = { beside };
  if (data.get("vary")) body.temperature = Number(form.dataset.temperature);
  return body;
}

async function start(question, { isFresh = false, says = question } = {}) {
  if (asking || !question.trim()) return;
  asking = new AbortController();
  document.getElementById("welcome")?.remove();
  const article = document.getElementById("asking").content.cloneNode(true).firstElementChild;
  article.querySelector(".question").textContent = question;
  thread.append(article);
  busy(true);
  article.scrollIntoView({ block: "nearest" });
  const plain = article.querySelector(".plain");
  const show = (text) => {
    article.querySelector("[data-waiting]")?.remove();
    plain.append(text);
    article.scrollIntoView({ block: "nearest" });
  };
  try {
    const body = { model: "flywheel", messages: messages(says, isFresh), ...comparison() };
    const about = await ask(body, show, asking.signal);
    if (about.interaction) await settle(article, about.interaction);
    else end(article, question, word("not_kept"));
  } catch (error) {
    end(article, question, reason(error), () => start(question, { isFresh, says }));
  } finally {
    asking = null;
    busy(false);
  }
}

function reason(error) {
  if (!(error instanceof Failed)) return word("stopped");
  const told = word(error.word);
  return error.seconds > 0 ? `${told} ${word("seconds").replace("{seconds}", error.seconds)}` : told;
}

/** The answer as the server renders it, in the place of the plain text. */
async function settle(article, id) {
  const place = `/ask/interactions/${encodeURIComponent(id)}/exchange`;
  await htmx.ajax("GET", place, { target: article, swap: "outerHTML settle:0ms" });
  remember();
  const settled = document.getElementById(`x-${id}`);
  if (!settled) {
    end(article, article.querySelector(".question").textContent, word("offline"));
    return;
  }
  const isTall = settled.offsetHeight > window.innerHeight / 2;
  settled.scrollIntoView({ block: isTall ? "start" : "nearest" });
  const list = document.getElementById("history-list");
  if (list) {
    htmx.ajax("GET", "/ask/history", { target: list, swap: "outerHTML", select: "#history-list" });
  }
}

function end(article, question, why, again = null) {
  article.removeAttribute("aria-busy");
  article.querySelector("[data-waiting]")?.remove();
  const ended = article.querySelector("[data-ended]");
  ended.hidden = false;
  ended.querySelector("[data-why]").textContent = why;
  const button = ended.querySelector("[data-again]");
  button.hidden = !again;
  button.addEventListener("click", () => {
    article.remove();
    if (box.value === question) type("");
    again();
  });
  if (again && !box.value) type(question);
}

function type(text) {
  box.value = text;
  sessionStorage.setItem(TYPED, text);
}

function busy(is) {
  form.querySelector("[data-stop]").hidden = !is;
  form.querySelector("[data-send]").hidden = is;
  const about = form.querySelector("[data-new]");
  if (is) about.hidden = false;
}

/** The address and the form name the conversation, so that a reload shows it again. */
function remember() {
  const ids = [...thread.querySelectorAll("[data-interaction]")].map((each) => each.dataset.interaction);
  const last = ids.slice(-MOST_EXCHANGES);
  const query = new URLSearchParams(last.map((id) => ["after", id]));
  history.replaceState(null, "", last.length ? `/ask?${query}` : "/ask");
  for (const each of form.querySelectorAll('[name="after"]')) each.remove();
  for (const id of last) {
    const input = document.createElement("input");
    Object.assign(input, { type: "hidden", name: "after", value: id });
    form.append(input);
  }
  if (last.length) box.placeholder = box.dataset.followUp;
}

function count() {
  const { n, flywheel } = comparison();
  const num = n + (flywheel?.beside.length ?? 0);
  form.querySelector("[data-compare-count]").textContent = num > 1 ? num : "";
}

function recall() {
  const kept = JSON.parse(sessionStorage.getItem(COMPARE) ?? "[]");
  for (const [name, value] of kept) {
    const input = form.querySelector(`[name="${CSS.escape(name)}"][value="${CSS.escape(value)}"]`);
    if (input) input.checked = true;
  }
  count();
}

function setUp() {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const question = box.value.trim();
    if (!question || asking) return;
    type("");
    start(question);
    box.focus();
  });
  box.addEventListener("keydown", (event) => {
    // 229 is what browsers tell while a Chinese word is being composed.
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      form.requestSubmit();
    } else if (event.key === "Escape") {
      if (asking) asking.abort();
      else if (!box.value) [...thread.querySelectorAll(".exchange:last-child .candidate")][0]?.focus();
    }
  });
  box.addEventListener("input", () => type(box.value));
  form.querySelector("[data-stop]").addEventListener("click", () => {
    asking?.abort();
    box.focus();
  });
  form.addEventListener("change", (event) => {
    if (!event.target.closest("#compare")) return;
    const kept = [...new FormData(form)].filter(([name]) => ["num", "beside", "vary"].includes(name));
    sessionStorage.setItem(COMPARE, JSON.stringify(kept));
    count();
  });
  if (!box.value) type(sessionStorage.getItem(TYPED) ?? "");
  recall();
  const pending = sessionStorage.getItem(PENDING);
  sessionStorage.removeItem(PENDING);
  if (pending) start(pending, { isFresh: true });
  thread.lastElementChild?.scrollIntoView({ block: "nearest" });
}

// A reading that is chosen, or a question that is asked again.
document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-asks]")) return;
  event.preventDefault();
  const question = event.submitter.value;
  if (form) {
    start(question, { says: event.submitter.dataset.says });
    return;
  }
  sessionStorage.setItem(PENDING, question);
  location.assign("/ask");
});

// What else is shown beside the page: in the panel, unless the browser is asked for a tab.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-panel]");
  if (!link || !panel || event.ctrlKey || event.metaKey || event.shiftKey || event.button > 0) return;
  event.preventDefault();
  const place = link.getAttribute("href");
  htmx.ajax("GET", place, { target: "#panel-body", swap: "innerHTML settle:0ms", source: link });
});

// What htmx loads into the panel is shown in it; what was sent from there closes it.
document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target?.id !== "panel-body") return;
  if (!panel.open) panel.showModal();
  panel.scrollTop = 0;
  panel.querySelector("mark")?.scrollIntoView({ block: "center" });
  (panel.querySelector("[autofocus]") ?? panel.querySelector("#panel-title"))?.focus();
});
document.addEventListener("htmx:beforeSwap", (event) => {
  const from = event.detail.requestConfig?.elt;
  if (from?.matches?.("[data-closes-panel]") && event.detail.xhr.status < 400) panel.close();
});
// A click beside the panel closes it.
panel?.addEventListener("click", (event) => {
  if (event.target === panel) panel.close();
});

// A menu closes when something else is wanted.
const compare = document.getElementById("compare");
document.addEventListener("pointerdown", (event) => {
  if (compare?.open && !compare.contains(event.target)) compare.open = false;
});
compare?.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !compare.open) return;
  compare.open = false;
  compare.querySelector("summary").focus();
});

if (form) setUp();

// How many were found is said to whoever searches; the list itself changes with every question.
document.addEventListener("htmx:afterSettle", () => {
  const field = document.activeElement;
  if (field?.id !== "history-q") return;
  const said = document.getElementById("said");
  if (said) said.textContent = document.getElementById("history-list").dataset.found;
});
