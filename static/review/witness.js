// How long the page was visible and how much of each take was played: told with a decision, for the record.

const witness = { visible: 0, since: document.hidden ? 0 : performance.now(), played: new Map() };

document.addEventListener("visibilitychange", () => {
  const now = performance.now();
  if (document.hidden) witness.visible += now - witness.since;
  else witness.since = now;
});

const seconds = () => (witness.visible + (document.hidden ? 0 : performance.now() - witness.since)) / 1000;

// The player itself knows which parts of the file were played.
function note(media) {
  const take = media.dataset?.take;
  if (!take || !media.duration || !Number.isFinite(media.duration)) return;
  let length = 0;
  for (let part = 0; part < media.played.length; part += 1) length += media.played.end(part) - media.played.start(part);
  const fraction = Math.min(length / media.duration, 1);
  witness.played.set(take, Math.max(witness.played.get(take) ?? 0, fraction));
}

for (const name of ["pause", "ended", "timeupdate"]) {
  document.addEventListener(name, (event) => note(event.target), true);
  for (const heard of [show.narration, show.sound]) heard.addEventListener(name, (event) => note(event.target));
}

document.addEventListener("submit", (event) => {
  const told = one("[name=look]", event.target);
  const played = Object.fromEntries([...witness.played].map(([take, part]) => [take, Number(part.toFixed(3))]));
  if (told) told.value = JSON.stringify({ seconds: Number(seconds().toFixed(1)), played });
}, true);
