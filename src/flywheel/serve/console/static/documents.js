// Files are sent by script, so that each shows how far it is. What became of them is the server's
// to say: a job's section is loaded once they are sent, and asks again until it has ended.

const MAX_FILES = 100; // of one form, as /v1/documents takes them
const MAX_BYTES = 64 * 1024 * 1024; // of one form, so that what is sent early is read early
const MAX_FOLLOWED = 3; // jobs that are asked for each second; a large folder makes many

const upload = document.getElementById("upload");
const words = upload?.dataset ?? {};
const waiting = [];
const sent = [];
let isSending = false;

function sizeOf(bytes) {
  const units = ["B", "kB", "MB", "GB"];
  let unit = 0;
  while (bytes >= 1000 && unit < units.length - 1) {
    bytes /= 1000;
    unit += 1;
  }
  return `${bytes < 100 && unit ? bytes.toFixed(1) : Math.round(bytes)} ${units[unit]}`;
}

function rowOf(name, size) {
  const row = upload.querySelector("[data-row]").content.firstElementChild.cloneNode(true);
  row.querySelector(".name").textContent = name;
  row.querySelector(".size").textContent = sizeOf(size);
  upload.querySelector("[data-rows]").append(row);
  upload.querySelector("[data-list]").hidden = false;
  return row;
}

function say(row, text, tone = "") {
  row.dataset.tone = tone;
  row.querySelector(".status").textContent = text;
  if (tone) row.querySelector("progress").remove();
}

function take(files) {
  for (const { file, name } of files) {
    const row = rowOf(name, file.size);
    if (file.size > Number(words.max)) say(row, words.tooLarge, "bad");
    else if (file.size === 0) say(row, words.empty, "bad");
    else {
      say(row, words.waiting);
      waiting.push({ file, name, row });
    }
  }
  sendNext();
}

function batch() {
  const taken = [];
  let size = 0;
  while (waiting.length && taken.length < MAX_FILES) {
    if (taken.length && size + waiting[0].file.size > MAX_BYTES) break;
    size += waiting[0].file.size;
    taken.push(waiting.shift());
  }
  return taken;
}

function sendNext() {
  if (isSending || !waiting.length) return;
  isSending = true;
  const taken = batch();
  const form = new FormData();
  for (const label of labels()) form.append("access", label);
  for (const each of taken) form.append("files", each.file, each.name);
  const request = new XMLHttpRequest();
  request.open("POST", "/v1/documents");
  request.setRequestHeader("X-CSRF-Token", document.body.dataset.csrf);
  request.responseType = "json";
  request.upload.addEventListener("progress", (event) => showProgress(taken, event.loaded));
  request.addEventListener("loadend", () => {
    settle(taken, request.status, request.response);
    isSending = false;
    sendNext();
  });
  request.send(form);
}

/** A form's files go one after the other: how far each is follows from how far all are. */
function showProgress(taken, loaded) {
  let left = loaded;
  for (const { file, row } of taken) {
    const share = Math.max(0, Math.min(1, left / file.size));
    row.querySelector("progress").value = share;
    if (share > 0) say(row, share < 1 ? words.sending : words.sent);
    left -= file.size;
  }
}

function settle(taken, status, reply) {
  if (status === 202) {
    const ignored = new Set(reply.left_out.map((each) => each.name));
    const rows = [];
    for (const { name, row } of taken) {
      if (ignored.has(name)) say(row, words.leftOut, "bad");
      else {
        say(row, words.sent);
        rows.push(row);
      }
    }
    sent.push({ id: reply.id, rows });
    followNext();
  } else {
    const told = problem(status, reply?.error?.code, reply?.error?.param);
    for (const { row } of taken) say(row, told, "bad");
  }
}

function problem(status, code, param) {
  if (status === 0) return words.offline;
  if (code === "file_too_large") return words.tooLarge;
  if (code === "upload_quota") return words.quota;
  if (code === "labels") return words.labels;
  if (status === 400 && param === "files") return words.leftOut;
  if (status === 401 || status === 403) return words.expired;
  return words.refused;
}

/** Lets the section of a job say what becomes of its files, in place of their rows. */
function followNext() {
  const jobs = document.getElementById("jobs");
  while (sent.length && jobs.querySelectorAll("[hx-get]").length < MAX_FOLLOWED) {
    const { id, rows } = sent.shift();
    for (const row of rows) row.remove();
    const place = document.createElement("div");
    place.setAttribute("hx-get", `/documents/jobs/${encodeURIComponent(id)}`);
    place.setAttribute("hx-trigger", "load");
    place.setAttribute("hx-swap", "outerHTML");
    jobs.prepend(place);
    window.htmx.process(place);
  }
  upload.querySelector("[data-list]").hidden = !upload.querySelector("[data-rows] > li");
}

function labels() {
  const ticked = [...upload.querySelectorAll("input[name=access]:checked")].map((each) => each.value);
  const written = upload.querySelector("input[name=labels]")?.value ?? "";
  const typed = written.split(/[,，]/).map((each) => each.trim());
  return [...ticked, ...typed.filter(Boolean)];
}

/** What is below a dropped folder, each with its path. */
async function below(entry) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    return [{ file, name: entry.fullPath.replace(/^\//, "") }];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return found;
    for (const each of some) found.push(...(await below(each)));
  }
}

async function dropped(transfer) {
  const entries = [...transfer.items].map((each) => each.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files].map((file) => ({ file, name: file.name }));
  const found = [];
  for (const entry of entries) found.push(...(await below(entry)));
  return found;
}

if (upload) {
  document.addEventListener("htmx:load", followNext);
  const drop = upload.querySelector("[data-drop]");
  document.addEventListener("dragover", (event) => {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    drop.dataset.over = "";
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) delete drop.dataset.over;
  });
  document.addEventListener("drop", async (event) => {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    delete drop.dataset.over;
    take(await dropped(event.dataTransfer));
  });
  for (const each of upload.querySelectorAll("[data-files]")) {
    each.addEventListener("change", () => {
      take([...each.files].map((file) => ({ file, name: file.webkitRelativePath || file.name })));
      each.value = "";
    });
  }
  window.addEventListener("beforeunload", (event) => {
    if (isSending) event.preventDefault();
  });
}
