// <time class="ago">: "3 minutes ago" in place of UTC, the exact moment in the reader's zone on hover.
// <time class="clock">: the exact moment in the reader's zone, "3 minutes ago" on hover.
// <time class="due">: "in 17 hours (29 Nov 2026, 01:00)"; what is due already happens "any moment now".
(() => {
  const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
  const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  const steps = [["second", 60], ["minute", 60], ["hour", 24], ["day", 7], ["week", 4.35], ["month", 12], ["year", Infinity]];

  function ago(moment) {
    let amount = (moment - Date.now()) / 1000;
    for (const [unit, size] of steps) {
      if (Math.abs(amount) < size) return relative.format(Math.round(amount), unit);
      amount /= size;
    }
  }

  const FAR = 3_600_000; // ms: from an hour on people want to know the hour

  function due(moment) {
    const left = moment - Date.now();
    if (left <= 0) return "any moment now";
    return left < FAR ? ago(moment) : `${ago(moment)} (${exact.format(moment)})`;
  }

  const KINDS = { clock: (moment) => exact.format(moment), due, ago };

  function write() {
    for (const time of document.querySelectorAll("time[datetime]")) {
      const moment = new Date(time.dateTime);
      const kind = Object.keys(KINDS).find((name) => time.classList.contains(name)) ?? "ago";
      time.title = kind === "clock" ? ago(moment) : exact.format(moment);
      time.textContent = KINDS[kind](moment);
    }
  }

  document.addEventListener("DOMContentLoaded", write);
  document.addEventListener("times:write", write);
  document.addEventListener("htmx:afterSwap", write);
  setInterval(write, 30_000);
})();
