// What will be published, edited in place: bytes are counted, moments are those of the reader's zone.

const words = document.getElementById("words-form");

function local(moment) {
  const shifted = new Date(moment.getTime() - moment.getTimezoneOffset() * 60_000);
  return shifted.toISOString().slice(0, 16);
}

function showBytes() {
  const box = one("[data-most-bytes]", words);
  const bytes = new TextEncoder().encode(box.value).length;
  const told = one("[data-bytes]", words);
  told.textContent = `${bytes} of ${box.dataset.mostBytes} bytes`;
  told.classList.toggle("error", bytes > Number(box.dataset.mostBytes));
}

function isUnsaved(yes) {
  for (const warning of all("[data-unsaved]")) warning.hidden = !yes;
}

if (words) {
  const due = one("[data-utc]", words);
  if (due.dataset.utc) due.value = local(new Date(due.dataset.utc));
  showBytes();
  isUnsaved("typed" in words.dataset); // sent before, and not taken
  words.addEventListener("input", () => {
    showBytes();
    isUnsaved(true);
  });
  words.addEventListener("formdata", (event) => {
    if (due.value) event.formData.set("publish_at", new Date(due.value).toISOString());
  });
}
