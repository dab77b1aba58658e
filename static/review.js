// The review page by keyboard, and the page that turns over by itself while the system works.
// Without it everything is still there to look at; decisions need their dialogs.

const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const one = (selector, root = document) => root.querySelector(selector);
const page = document.documentElement;

// ---------------------------------------------------------------- pieces

const pieces = () => all(".piece");
const current = () => document.activeElement?.closest?.(".piece") ?? null;
const player = (piece) => piece && one(".frame video, .frame audio", piece);

function go(step) {
  const list = pieces();
  const at = list.indexOf(current());
  const to = at < 0 ? (step > 0 ? 0 : list.length - 1) : Math.min(Math.max(at + step, 0), list.length - 1);
  focus(list[to]);
  return at !== to;
}

function focus(piece) {
  if (!piece) return;
  piece.focus({ preventScroll: true });
  piece.scrollIntoView({ block: "nearest", behavior: "smooth" });
  warm(piece);
  warm(piece.nextElementSibling);
}

// The piece that is looked at and the one after it are loaded before they are played.
function warm(piece) {
  const media = player(piece);
  if (media && media.preload !== "auto") media.preload = "auto";
}

function toggle(piece) {
  const media = player(piece);
  if (media) media.paused ? media.play() : media.pause();
  else one(".look", piece)?.click();
}

// ---------------------------------------------------------------- one plays at a time, or all in a row

let inARow = false;

function playAll() {
  if (!current()) go(1);
  inARow = true;
  player(current())?.play();
}

document.addEventListener("play", (event) => {
  for (const media of all("video, audio")) if (media !== event.target) media.pause();
}, true);

document.addEventListener("pause", (event) => {
  if (!event.target.ended) inARow = false;
}, true);

document.addEventListener("ended", (event) => {
  if (!inARow) return;
  focus(event.target.closest(".piece"));
  if (go(1)) player(current())?.play();
  else inARow = false;
}, true);

// ---------------------------------------------------------------- marks and dialogs

const marked = () => all(".mark input:checked");

function showMarks() {
  const marks = marked();
  const button = one(".button.redo");
  if (!button) return;
  button.disabled = !marks.length;
  one("[data-count]", button).textContent = marks.length || "marked";
}

function unmark() {
  for (const mark of marked()) mark.checked = false;
  showMarks();
}

function open(name) {
  const dialog = document.getElementById(name);
  if (!dialog || document.querySelector("dialog[open]")) return;
  if (name === "redo" && !fillRedo()) return;
  const warning = one("[data-marked]", dialog);
  if (warning) warning.hidden = !marked().length;
  dialog.showModal();
}

// A single piece may be asked for in new words.
function fillRedo() {
  const chosen = marked().map((mark) => mark.closest(".piece"));
  const words = one("#redo [data-asks]");
  const box = one("textarea", words);
  one("[data-titles]").textContent = chosen.length > 3 ? `${chosen.length} pieces` : chosen.map((piece) => piece.dataset.title).join(", ");
  const usd = chosen.reduce((sum, piece) => sum + Number(piece.dataset.price), 0);
  one("[data-sum]").textContent = usd ? `at most $${usd.toFixed(2)}` : "";
  words.hidden = box.disabled = !(chosen.length === 1 && chosen[0].dataset.words);
  box.value = box.disabled ? "" : chosen[0].dataset.words;
  return chosen.length > 0;
}

function look(button) {
  one("#look img").src = button.dataset.look;
  one("#look").showModal();
}

document.addEventListener("click", (event) => {
  const opens = event.target.closest("[data-opens]");
  const looks = event.target.closest("[data-look]");
  if (opens) open(opens.dataset.opens);
  else if (looks) look(looks);
  else if (event.target.closest("[data-closes]")) event.target.closest("dialog").close();
});
document.addEventListener("change", (event) => {
  if (event.target.closest(".mark")) showMarks();
});
document.addEventListener("submit", (event) => {
  for (const button of all("button", event.target)) button.inert = true; // a second press decides nothing twice
});

// ---------------------------------------------------------------- keys

const KEYS = {
  j: () => go(1),
  ArrowDown: () => go(1),
  ArrowRight: () => go(1),
  k: () => go(-1),
  ArrowUp: () => go(-1),
  ArrowLeft: () => go(-1),
  " ": () => (current() ? toggle(current()) : go(1)),
  p: playAll,
  r: () => one(".mark input", current() ?? document.createElement("i"))?.click(),
  Enter: () => open("redo"),
  a: () => open("approve"),
  x: () => open("reject"),
  t: () => one("#retry")?.click(),
  n: () => one("#next")?.click(),
  "?": () => open("keys"),
  Escape: unmark,
};

document.addEventListener("keydown", (event) => {
  const inDialog = event.target.closest("dialog");
  if (inDialog && event.key === "Enter" && (event.ctrlKey || event.metaKey)) event.target.form?.requestSubmit();
  if (inDialog || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("textarea, select, summary, input:not([type=checkbox])")) return;
  if (event.target.closest("a, button, input, video, audio") && [" ", "Enter"].includes(event.key)) return;
  if (/^[1-7]$/.test(event.key)) return all(".pipeline a")[event.key - 1].click();
  const deed = KEYS[event.key];
  if (!deed) return;
  if (event.key !== "Escape") event.preventDefault();
  deed();
});

// ---------------------------------------------------------------- while the system works

const EVERY = 2000; // ms

async function watch() {
  const said = await ask(page.dataset.progress);
  if (said && said.version !== page.dataset.version) await turn(said);
  if (page.dataset.progress) setTimeout(watch, EVERY);
}

async function ask(url) {
  try {
    const reply = await fetch(url, { headers: { Accept: "application/json" } });
    return reply.ok ? await reply.json() : null;
  } catch {
    return null; // the server is away for a moment: ask again
  }
}

// Another status is another page; in the same one only the pieces that changed are put in place.
async function turn(said) {
  const fresh = await fetch(location.href).then((reply) => reply.text(), () => "");
  const doc = new DOMParser().parseFromString(fresh, "text/html");
  if (!one("#status", doc)) return;
  if (one("#status", doc).textContent !== one("#status").textContent) return location.reload();
  const inPlace = new Map(pieces().map((piece) => [piece.dataset.key, piece]));
  if (all(".piece", doc).length !== inPlace.size) one("#pieces").replaceWith(one("#pieces", doc));
  else for (const piece of all(".piece", doc)) swap(inPlace.get(piece.dataset.key), piece);
  for (const part of ["#decision", "#history", ".top .facts"]) one(part).replaceWith(one(part, doc));
  page.dataset.version = said.version;
  document.dispatchEvent(new Event("times:write"));
}

function swap(old, fresh) {
  if (old && old.dataset.version !== fresh.dataset.version) old.replaceWith(fresh);
}

if (page.dataset.progress) setTimeout(watch, EVERY);

// ---------------------------------------------------------------- toasts go by themselves, faults stay longer

for (const toast of all(".toast")) {
  const stays = toast.classList.contains("error") ? 12_000 : 6000;
  setTimeout(() => toast.classList.add("leaving"), stays);
  setTimeout(() => toast.remove(), stays + 500);
}
showMarks();
