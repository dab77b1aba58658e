// The board keeps itself up to date: it asks every few seconds, and puts in place only the columns that have changed,
// so that whoever scrolls, reads or has the focus somewhere stays there.
(() => {
  const EVERY = 4000; // ms; a tab that nobody sees asks nothing
  const NARROW = matchMedia("(max-width: 48rem)");
  const board = document.getElementById("board");
  const says = document.querySelector("#live [data-says]");
  const filters = document.getElementById("board-filters");
  const parts = (root) => new Map([...root.querySelectorAll("[data-part]")].map((part) => [part.dataset.part, part]));
  const served = new Map(); // what the server last said of each part: the page's own copy has its times rewritten

  for (const [name, part] of parts(board)) served.set(name, part.outerHTML);

  function put(html) {
    const fresh = parts(new DOMParser().parseFromString(html, "text/html"));
    const shown = parts(board);
    for (const [name, part] of fresh) {
      if (served.get(name) === part.outerHTML) continue;
      served.set(name, part.outerHTML);
      replace(shown.get(name), part);
    }
    document.dispatchEvent(new Event("times:write"));
  }

  // The card that has the focus keeps it, if it is still there.
  function replace(old, part) {
    const link = old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    old.replaceWith(part);
    if (link) [...part.querySelectorAll("a")].find((one) => one.getAttribute("href") === link)?.focus();
  }

  async function ask() {
    const headers = { "If-None-Match": board.dataset.version };
    const reply = await fetch(board.dataset.columns + location.search, { headers, cache: "no-store" });
    if (reply.redirected) return location.reload(); // logged out meanwhile
    if (reply.status === 200) {
      put(await reply.text());
      board.dataset.version = reply.headers.get("ETag");
    } else if (reply.status !== 304) throw new Error(String(reply.status));
  }

  function say(words, isLive) {
    if (says.textContent !== words) says.textContent = words;
    says.parentElement.classList.toggle("is-off", !isLive);
  }

  async function watch() {
    if (!document.hidden) {
      try {
        await ask();
        say("Live", true);
      } catch {
        say("No connection, trying again", false);
      }
    }
    setTimeout(watch, EVERY * (0.9 + Math.random() / 5)); // many boards don't ask in step
  }

  // On a phone the stages are folded, each says how many of its tasks need somebody; on a desk all are open.
  function fold() {
    for (const stage of board.querySelectorAll("details")) stage.open = !NARROW.matches;
  }

  // What is set is in the address, so that it can be kept and sent on.
  filters.addEventListener("change", () => filters.requestSubmit());
  filters.addEventListener("formdata", (event) => {
    for (const [name, value] of [...event.formData]) if (!value) event.formData.delete(name);
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) ask().catch(() => say("No connection, trying again", false));
  });
  NARROW.addEventListener("change", fold);
  fold();
  setTimeout(watch, EVERY);
})();
