// The pieces of the page: which one is looked at, and the next. The scripts beside this one share its names.
// Without them everything is still there to look at; decisions need their dialogs.

const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const one = (selector, root = document) => root.querySelector(selector);
const page = document.documentElement;
const calm = matchMedia("(prefers-reduced-motion: reduce)");

const pieces = () => all(".piece");
const current = () => document.activeElement?.closest?.(".piece") ?? null;
const player = (piece) => piece && one(".frame [data-take]", piece);

function go(step, list = pieces()) {
  const at = list.indexOf(current());
  const to = at < 0 ? (step > 0 ? 0 : list.length - 1) : Math.min(Math.max(at + step, 0), list.length - 1);
  focusOn(list[to]);
  return at !== to;
}

// The next one to look at closely, from here on and around.
function goToFlagged() {
  const flagged = all(".piece.is-flagged");
  const at = pieces().indexOf(current());
  focusOn(flagged.find((piece) => pieces().indexOf(piece) > at) ?? flagged[0]);
}

function focusOn(piece) {
  if (!piece) return;
  piece.focus({ preventScroll: true });
  piece.scrollIntoView({ block: "nearest", behavior: calm.matches ? "auto" : "smooth" });
  warm(piece);
  warm(pieces()[pieces().indexOf(piece) + 1]);
}

// The piece that is looked at and the one after it are loaded before they are played.
function warm(piece) {
  for (const media of piece ? all(".frame [data-take], .frame .under", piece) : []) {
    if ("preload" in media && media.preload !== "auto") media.preload = "auto";
  }
}

// On a phone the stages are wider than the screen.
one(".pipeline [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
