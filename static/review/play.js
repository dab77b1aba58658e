// Clips play muted under the pointer; one plays aloud at a time, or all in a row; a clip runs along over its sound.

let inARow = false;

function toggle(piece) {
  const media = player(piece);
  if (!media) return one(".look", piece)?.click();
  media.paused || media.muted ? aloud(media) : media.pause();
}

// A play that a pause overtakes is no fault, and a file that can't be played says so in its own frame.
const start = (media) => media?.play().catch(() => {});

function aloud(media) {
  media.muted = false;
  delete media.dataset.hovers;
  start(media);
}

// In the order of the video, whatever stands first on the page.
const inOrder = () => pieces().filter(player).sort((a, b) => a.dataset.position - b.dataset.position);

function playAll() {
  const list = inOrder();
  const from = list.includes(current()) ? current() : list[0];
  if (!from) return;
  focusOn(from);
  inARow = true;
  aloud(player(from));
}

document.addEventListener("play", (event) => {
  const media = event.target;
  if (media.closest("#film") || media.matches(".under")) return;
  for (const other of all("main [data-take], #takes [data-take]")) if (other !== media) other.pause();
  for (const under of all(".under")) if (under.pause) under.pause();
  start(under(media));
}, true);

document.addEventListener("pause", (event) => {
  under(event.target)?.pause();
  if (!event.target.ended && event.target.closest(".frame") && !event.target.matches(".under")) inARow = false;
}, true);

document.addEventListener("seeking", (event) => {
  const clip = under(event.target);
  if (clip) clip.currentTime = Math.min(event.target.currentTime, clip.duration || 0);
}, true);

document.addEventListener("ended", (event) => {
  const piece = event.target.closest(".piece");
  if (!inARow || !piece || event.target !== player(piece)) return;
  const list = inOrder();
  const next = list[list.indexOf(piece) + 1];
  inARow = Boolean(next);
  if (next) {
    focusOn(next);
    aloud(player(next));
  }
}, true);

// The muted clip above a narration or a sound.
function under(media) {
  const clip = media.matches?.("audio") && media.parentElement.querySelector("video.under");
  return clip || null;
}

// ---------------------------------------------------------------- under the pointer

document.addEventListener("pointerover", (event) => {
  const media = event.target.closest?.("[data-hover]");
  if (!media || event.pointerType !== "mouse" || calm.matches || !media.paused || inARow) return;
  media.muted = true;
  media.dataset.hovers = "";
  media.play().catch(() => delete media.dataset.hovers); // left again before it was loaded
});

document.addEventListener("pointerout", (event) => {
  const media = event.target.closest?.("[data-hovers]");
  if (media) stopHover(media);
});

function stopHover(media) {
  media.pause();
  media.muted = false;
  delete media.dataset.hovers;
}

// A click on what plays under the pointer wants to hear it, not to stop it.
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-plays-all]")) playAll();
  const media = event.target.closest("[data-hovers]");
  if (!media) return;
  event.preventDefault();
  aloud(media);
}, true);
