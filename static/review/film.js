// The film before it is assembled: each clip with its narration and sound, cut as assembly will cut it, in order.

const film = document.getElementById("film");
const scenes = JSON.parse(one("#reel")?.textContent ?? "[]");
const SOUND = 0.35; // how loud the sound lies under the narration

const show = {
  at: 0,
  clip: film && one("video", film),
  narration: new Audio(),
  sound: new Audio(),
  ends: 0,
};
show.sound.volume = SOUND;

const media = () => [show.clip, show.narration, show.sound].filter((part) => part?.getAttribute("src"));

function openFilm() {
  if (!film) return;
  film.showModal();
  const from = Number(current()?.dataset.position);
  scene(Math.max(0, scenes.findIndex(({ number }) => number === from)));
}

function scene(at) {
  if (at < 0 || at >= scenes.length) return stopFilm();
  const now = scenes[at];
  show.at = at;
  load(show.clip, now.clip);
  load(show.narration, now.narration);
  load(show.sound, now.sound);
  show.clip.poster = now.still;
  one("[data-scene]", film).textContent = now.number;
  one(".subtitle", film).textContent = now.text;
  one("progress", film).value = at + 1;
  ahead(scenes[at + 1]);
  playFilm();
}

// A clip that is shorter than what is said holds its last frame; a longer one is cut.
function playFilm() {
  media().forEach(start);
}

function load(part, url) {
  part.dataset.take = url.match(/(\d+)\/?$/)?.[1] ?? "";
  if (url) part.src = url;
  else part.removeAttribute("src");
}

function ahead(next) {
  for (const url of next ? [next.clip, next.narration, next.sound].filter(Boolean) : []) fetch(url).catch(() => {});
}

function toggleFilm() {
  const playing = media().some((part) => !part.paused && !part.ended);
  if (playing) for (const part of media()) part.pause();
  else playFilm();
}

function stopFilm() {
  for (const part of media()) part.pause();
}

// What the scene ends with: its narration, or the clip where nothing is said.
function watchFilm(event) {
  const leads = show.narration.getAttribute("src") ? show.narration : show.clip;
  if (film.open && event.target === leads) scene(show.at + 1);
}

if (film) {
  film.addEventListener("close", stopFilm);
  for (const part of [show.clip, show.narration]) part.addEventListener("ended", watchFilm);
  film.addEventListener("click", (event) => {
    const step = event.target.closest("[data-scene-by]");
    if (step) scene(show.at + Number(step.dataset.sceneBy));
    if (event.target.closest("[data-film-toggle]")) toggleFilm();
  });
}
