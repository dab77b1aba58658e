// Marks, and the dialogs in which is asked before anything is done.

const marked = () => all(".mark input:checked");

function showMarks() {
  const button = one(".button.redo");
  if (!button) return;
  button.disabled = !marked().length;
  one("[data-count]", button).textContent = marked().length || "marked";
}

function unmark() {
  for (const mark of marked()) mark.checked = false;
  showMarks();
}

function open(name) {
  const dialog = document.getElementById(name);
  if (!dialog || one("dialog[open]")) return;
  if (name === "film") return openFilm();
  if (name === "redo" && !fillRedo()) return;
  const warning = one("[data-marked]", dialog);
  if (warning) warning.hidden = !marked().length;
  dialog.showModal();
}

// Each piece that has words of its own may be asked for in new ones.
function fillRedo() {
  const chosen = marked().map((mark) => mark.closest(".piece"));
  const usd = chosen.reduce((sum, piece) => sum + Number(piece.dataset.price), 0);
  const titles = chosen.length > 3 ? `${chosen.length} pieces` : chosen.map((piece) => piece.dataset.title).join(", ");
  one("#redo [data-titles]").textContent = titles;
  one("#redo [data-sum]").textContent = usd ? `at most $${usd.toFixed(2)}` : "";
  one("#redo [data-asks]").replaceChildren(...chosen.filter((piece) => piece.dataset.words).map(asked));
  return chosen.length > 0;
}

function asked(piece) {
  const label = one("#redo template").content.cloneNode(true);
  const box = one("textarea", label);
  one("span", label).textContent = `${piece.dataset.title}, in these words`;
  box.name = `words-${piece.dataset.key}`;
  box.value = piece.dataset.words;
  return label;
}

// A reason that is chosen may stand without words.
function mindCodes(form) {
  const words = one("[data-or-code]", form);
  if (words) words.required = !one("[name=codes]:checked", form);
}

function toggleCode(dialog, number) {
  one(`.codes label:nth-of-type(${number}) input`, dialog)?.click();
}

// ---------------------------------------------------------------- large

const looks = () => all("main .look[data-look]:not(.seed)");
let looked = null;

function look(button) {
  looked = button;
  const dialog = document.getElementById("look");
  const piece = button.closest(".piece");
  one("img", dialog).src = button.dataset.look;
  one("strong", dialog).textContent = piece?.dataset.title ?? "";
  one("figcaption span", dialog).textContent = piece?.dataset.words ?? "";
  dialog.classList.remove("is-full");
  if (!dialog.open) dialog.showModal();
}

function lookAt(step) {
  const list = looks();
  const next = list[list.indexOf(looked) + step];
  if (next) look(next);
}

// ---------------------------------------------------------------- takes side by side

async function openTakes(link) {
  const reply = await fetch(link.href).then((found) => found.text(), () => "");
  const fresh = one("#takes-main", new DOMParser().parseFromString(reply, "text/html"));
  if (!fresh) return location.assign(link.href);
  one("#takes [data-takes-here]").replaceChildren(fresh);
  document.getElementById("takes").showModal();
  document.dispatchEvent(new Event("times:write"));
  one("#takes .column")?.focus();
}

function goInTakes(step) {
  const columns = all("#takes .column");
  const at = columns.indexOf(document.activeElement.closest(".column"));
  columns[Math.min(Math.max(at + step, 0), columns.length - 1)]?.focus();
}

function pickTake() {
  one("form button", document.activeElement.closest(".column") ?? document.createElement("i"))?.click();
}

document.getElementById("takes")?.addEventListener("close", () => {
  for (const media of all("#takes [data-take]")) media.pause();
});

// ---------------------------------------------------------------- clicks

document.addEventListener("click", (event) => {
  const at = (selector) => event.target.closest(selector);
  if (at("[data-opens]")) open(at("[data-opens]").dataset.opens);
  else if (at("[data-look]")) look(at("[data-look]"));
  else if (at("[data-look-at]")) lookAt(Number(at("[data-look-at]").dataset.lookAt));
  else if (at("[data-zooms]")) at("dialog").classList.toggle("is-full");
  else if (at("[data-closes]")) at("dialog").close();
  else if (at("[data-takes]") && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    openTakes(at("[data-takes]"));
  }
});
document.addEventListener("change", (event) => {
  if (event.target.closest(".mark")) showMarks();
  if (event.target.name === "codes") mindCodes(event.target.form);
});
document.addEventListener("submit", (event) => {
  for (const part of event.target.elements) part.inert = part.matches("button"); // a second press decides nothing twice
});
addEventListener("pageshow", (event) => event.persisted && location.reload()); // come back to: others may have decided

showMarks();
if (location.hash === "#approve") {
  history.replaceState(null, "", location.pathname + location.search); // a reload asks no more
  open("approve");
}
