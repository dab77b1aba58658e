// <time class="ago">: "3 minutes ago" in place of UTC, the exact moment in the reader's zone on hover.
// <time class="clock">: the exact moment in the reader's zone.
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

  function write() {
    for (const time of document.querySelectorAll("time[datetime]")) {
      const moment = new Date(time.dateTime);
      time.title = exact.format(moment);
      time.textContent = time.classList.contains("clock") ? exact.format(moment) : ago(moment);
    }
  }

  document.addEventListener("DOMContentLoaded", write);
  document.addEventListener("times:write", write);
  setInterval(write, 30_000);
})();
