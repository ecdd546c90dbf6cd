// A list by keys. J and K go along its rows, Enter opens the one that has the focus, X ticks it, N and P turn its pages,
// / goes to the filters, ? tells of them. A key is meant by its place, which no layout of letters changes. Who is in
// their way, because he speaks to the machine or touches keys by chance, turns them off there where they are told of.

const OFF = "keys-off";
const dialog = document.getElementById("keys");
const on = document.getElementById("keys-on");
const here = `row ${location.pathname}${location.search}`;

const rows = () => [...document.querySelectorAll("table[data-list] > tbody > tr, ul[data-list] > li")];
const opens = (row) => row.querySelector("a[href], summary, button");
const current = () => rows().findIndex((row) => row.contains(document.activeElement));

function go(step) {
  const all = rows();
  const at = current();
  const next = at < 0 ? Number(sessionStorage.getItem(here) ?? (step > 0 ? 0 : all.length - 1)) : at + step;
  const row = all[Math.min(Math.max(next, 0), all.length - 1)];
  if (!row) return;
  opens(row)?.focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
}

// Where one was is where one comes back to.
document.addEventListener("focusin", () => current() >= 0 && sessionStorage.setItem(here, String(current())));
if (performance.getEntriesByType("navigation")[0]?.type === "back_forward" && sessionStorage.getItem(here)) go(1);

function back() {
  const first = document.querySelector("a[data-first]");
  if (first && document.referrer && new URL(document.referrer).pathname === location.pathname) history.back();
  else first?.click();
}

const tick = () => rows()[current()]?.querySelector("input[type=checkbox]")?.click();
const keys = {
  KeyJ: () => go(1),
  KeyK: () => go(-1),
  KeyN: () => document.querySelector('a[rel="next"]')?.click(),
  KeyP: back,
  KeyX: tick,
  Slash: () => document.querySelector("form.filters :is(input:not([type=hidden]), select)")?.focus(),
};
const arrows = { ArrowDown: () => go(1), ArrowUp: () => go(-1) }; // in the list only: elsewhere they scroll
const types = (field) => field.matches("input:not([type=checkbox]), select, textarea, [contenteditable]");

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || types(event.target) || dialog.open) return;
  const off = localStorage.getItem(OFF);
  const does = (current() >= 0 && arrows[event.key]) || (!off && (event.key === "?" ? show : !event.shiftKey && keys[event.code]));
  if (!does) return;
  event.preventDefault();
  does();
});

function show() {
  on.checked = !localStorage.getItem(OFF);
  dialog.showModal();
}

dialog.querySelector("button").addEventListener("click", () => dialog.close());
on.addEventListener("change", () => (on.checked ? localStorage.removeItem(OFF) : localStorage.setItem(OFF, "1")));
for (const button of document.querySelectorAll("[data-keys]")) {
  button.hidden = false;
  button.addEventListener("click", show);
}
