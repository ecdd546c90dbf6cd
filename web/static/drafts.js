// What has been typed is never thrown away: neither by a call that opens its card, nor by another form of the page, a
// reload, a failure, a crash of the browser or a call that ends. The fields of a form[data-keep] stay with this browser,
// under the name of who typed them, until the server has taken them, he signs out, or a day has passed. Nobody else who
// signs in here is shown them.

const body = document.body;
const WHOSE = `typed ${body.dataset.person} `;
const DAY = 24 * 3600 * 1000;
const UNKEPT = new Set(["csrf", "version", "submit", "password", "file", "search"]); // names and types: a version is what the page shows

const keyOf = (form) => `${WHOSE}${form.getAttribute("action")} ${form.id}`;
const fieldsOf = (form) => [...form.elements].filter((field) => field.name && !UNKEPT.has(field.name) && !UNKEPT.has(field.type));
const ticks = (field) => field.type === "radio" || field.type === "checkbox";

function keep(form) {
  body.dataset.typed = form.dataset.typed = "1";
  const values = fieldsOf(form).map((field) => (ticks(field) ? [field.name, field.value, field.checked] : [field.name, field.value]));
  localStorage.setItem(keyOf(form), JSON.stringify({ at: Date.now(), values }));
}

function restore(form) {
  const kept = localStorage.getItem(keyOf(form));
  if (!kept) return;
  body.dataset.typed = form.dataset.typed = "1";
  for (const [name, value, checked] of JSON.parse(kept).values) {
    const fields = fieldsOf(form).filter((field) => field.name === name);
    // What the page's script had added, as the very building that was chosen.
    if (!fields.length && checked === undefined) form.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
    for (const field of fields) {
      if (!ticks(field)) field.value = value;
      else if (field.value === value) field.checked = checked;
    }
  }
}

const kept = () => Object.keys(localStorage).filter((key) => key.startsWith("typed "));

for (const key of kept()) {
  if (!(Date.now() - JSON.parse(localStorage.getItem(key)).at < DAY)) localStorage.removeItem(key);
}

const sent = sessionStorage.getItem("sent");
sessionStorage.removeItem("sent");
if (sent && /[?&](saved|done)=/.test(location.search)) localStorage.removeItem(sent);

for (const form of document.querySelectorAll("form[data-keep]")) {
  // What came back with the page was typed too, and the server may have bettered it.
  if (form.dataset.keep) keep(form);
  else restore(form);
  form.addEventListener("input", () => keep(form));
  form.addEventListener("submit", () => sessionStorage.setItem("sent", keyOf(form)));
}
// Fields that belong to a form and stand elsewhere.
document.addEventListener("input", ({ target }) => {
  if (target.form?.matches("[data-keep]") && !target.form.contains(target) && target.type !== "search") keep(target.form);
});

for (const button of document.querySelectorAll("[data-forget]")) {
  button.addEventListener("click", () => {
    kept().forEach((key) => localStorage.removeItem(key));
    document.querySelector("form[data-keep]").reset();
    location.reload();
  });
}
document.getElementById("sign-out")?.addEventListener("submit", () => {
  for (const key of kept()) if (key.startsWith(WHOSE)) localStorage.removeItem(key);
});
document.querySelector("[aria-invalid]")?.focus();
