// An open page asks now and then: has something changed, who else is here? Mostly the answer is 304.

const EVERY = () => ("live" in page.dataset ? 2000 : 5000); // ms
const ELSEWHERE = { target: "_blank", rel: "noopener" }; // what is half written here stays
let tag = "";
let others = "";

async function watch() {
  if (!document.hidden || "live" in page.dataset) await askNow();
  setTimeout(watch, EVERY());
}

async function askNow() {
  const said = await ask(page.dataset.progress);
  if (!said) return;
  others = said.others;
  showOthers();
  if (said.version !== page.dataset.version) await turn(said);
}

async function ask(url) {
  try {
    const reply = await fetch(url, { headers: { Accept: "application/json", ...(tag && { "If-None-Match": tag }) }, cache: "no-store" });
    if (reply.redirected) tellOfChange("You are logged out; nothing that you decide here counts. ", "Log in", ELSEWHERE);
    if (reply.status !== 200 || !reply.headers.get("Content-Type").includes("json")) return null;
    tag = reply.headers.get("ETag") ?? "";
    return await reply.json();
  } catch {
    return null; // the server is away for a moment: ask again
  }
}

function showOthers() {
  const line = document.getElementById("others");
  if (!line) return;
  line.hidden = !others;
  line.textContent = others && `${others} ${others.includes(",") ? "have" : "has"} this open too.`;
}

// While the system works the pieces that changed are put in place. What a person is asked about never changes under
// their eyes: that page is loaded anew.
async function turn(said) {
  const fresh = await fetch(location.href).then((reply) => reply.text(), () => "");
  const doc = new DOMParser().parseFromString(fresh, "text/html");
  if (!one("#status", doc)) return;
  const same = one("#status", doc).textContent === one("#status").textContent;
  if (!same || !("live" in page.dataset)) return isBusy() ? tellOfChange() : location.reload();
  const inPlace = new Map(pieces().map((piece) => [piece.dataset.key, piece]));
  if (all(".piece", doc).length !== inPlace.size) put(one("#pieces"), one("#pieces", doc));
  else for (const piece of all(".piece", doc)) swap(inPlace.get(piece.dataset.key), piece);
  for (const part of ["#decision", "#history", ".top .facts"]) put(one(part), one(part, doc));
  page.dataset.version = said.version;
  showOthers();
  showMarks();
  document.dispatchEvent(new Event("times:write"));
}

function swap(old, fresh) {
  if (old && old.dataset.version !== fresh.dataset.version) put(old, fresh);
}

// Whoever is there by keyboard stays there.
const nameOf = (part) => part.id || part.getAttribute("href") || part.dataset.opens || part.value;

function put(old, fresh) {
  const held = old.contains(document.activeElement) && nameOf(document.activeElement);
  old.replaceWith(fresh);
  if (held) [fresh, ...all("*", fresh)].find((part) => nameOf(part) === held)?.focus({ preventScroll: true });
}

// Nobody's words are thrown away: whoever is writing is only told.
const isBusy = () => Boolean(one("dialog[open], .mark input:checked, #words-form [data-unsaved]:not([hidden]), #unsaved"))
  || all(".piece textarea").some((field) => field.value !== field.defaultValue);

function tellOfChange(words = "This has changed meanwhile; nothing of yours is done to what you do not see. ", what = "Look again", where = {}) {
  if (one("#changed")) return;
  const note = document.createElement("p");
  note.id = "changed";
  note.className = "toast error";
  note.textContent = words;
  const again = Object.assign(document.createElement("a"), { href: location.href, textContent: what, ...where });
  note.append(again);
  (one("dialog[open]") ?? one(".toasts")).append(note);
}

// Whoever has logged in beside this page has a new token against forgery; the one that it came with is refused.
document.addEventListener("submit", (event) => {
  const token = document.cookie.match(/(?:^|; )csrftoken=(\w+)/)?.[1];
  const field = event.target.elements.csrfmiddlewaretoken;
  if (token && field) field.value = token;
}, { capture: true });

askNow().finally(() => setTimeout(watch, EVERY()));

// ---------------------------------------------------------------- toasts go by themselves, faults stay longer

for (const toast of all("p.toast")) {
  const stays = toast.classList.contains("error") ? 12_000 : 6000;
  setTimeout(() => toast.classList.add("leaving"), stays);
  setTimeout(() => toast.remove(), stays + 500);
}

// ---------------------------------------------------------------- an undo counts down

const undoing = document.getElementById("undo-form");

function countDown() {
  const left = Math.ceil((new Date(undoing.dataset.until) - Date.now()) / 1000);
  if (left <= 0) return undoing.remove();
  one("[data-left]", undoing).textContent = `${left} s`;
  setTimeout(countDown, 250);
}

if (undoing) {
  const { pathname, search } = location;
  const kept = new URLSearchParams(search);
  kept.delete("undo");
  history.replaceState(null, "", pathname + (kept.size ? `?${kept}` : "")); // a reload offers it no more
  countDown();
}
