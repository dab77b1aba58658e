// Everything by keyboard.

const none = document.createElement("i");
const KEYS = {
  j: () => go(1),
  ArrowDown: () => go(1),
  ArrowRight: () => go(1),
  k: () => go(-1),
  ArrowUp: () => go(-1),
  ArrowLeft: () => go(-1),
  g: goToFlagged,
  " ": () => (current() ? toggle(current()) : go(1)),
  p: playAll,
  f: () => open("film"),
  c: () => one("[data-takes]", current() ?? none)?.click(),
  r: () => one(".mark input", current() ?? none)?.click(),
  Enter: () => open("redo"),
  a: () => open("approve"),
  x: () => open("reject"),
  b: () => open("back"),
  u: () => one("#undo")?.click(),
  t: () => one("#retry")?.click(),
  e: () => one("#words-form [name=title]")?.focus(),
  n: () => one("#next")?.click(),
  "?": () => open("keys"),
  Escape: unmark,
};
const IN_DIALOG = {
  look: { ArrowLeft: () => lookAt(-1), ArrowRight: () => lookAt(1), k: () => lookAt(-1), j: () => lookAt(1), z: () => one("#look").classList.toggle("is-full"), " ": () => one("#look").close() },
  film: { ArrowLeft: () => scene(show.at - 1), ArrowRight: () => scene(show.at + 1), " ": toggleFilm },
  takes: { ArrowLeft: () => goInTakes(-1), ArrowRight: () => goInTakes(1), Enter: pickTake, " ": playTake },
};

function playTake() {
  const media = one("[data-take]", document.activeElement.closest(".column") ?? none);
  if (media) media.paused ? start(media) : media.pause();
}

function inDialog(event, dialog) {
  const deed = IN_DIALOG[dialog.id]?.[event.key];
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) event.target.form?.requestSubmit();
  else if (event.altKey && /^Digit[1-9]$/.test(event.code)) toggleCode(dialog, Number(event.code.at(-1)));
  else if (!deed || (event.target.closest("a, button") && ["Enter", " "].includes(event.key))) return;
  else deed();
  event.preventDefault();
}

document.addEventListener("keydown", (event) => {
  const dialog = one("dialog[open]");
  if (dialog) return inDialog(event, dialog);
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("textarea, select, summary, input:not([type=checkbox])")) return;
  if (event.target.closest("a, button, input, video, audio") && [" ", "Enter"].includes(event.key)) return;
  if (/^[1-7]$/.test(event.key)) return all(".pipeline a")[event.key - 1].click();
  const deed = KEYS[event.key];
  if (!deed) return;
  if (event.key !== "Escape") event.preventDefault();
  deed();
});
