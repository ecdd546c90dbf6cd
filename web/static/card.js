// The card of a call, or of a message, by the keyboard alone: keys that go to a field or press a button stand in the page itself
// (aria-keyshortcuts), phrases go into the text where the cursor is, and what is looked up while somebody types has its
// own place: nothing moves under his hands, and the focus goes nowhere by itself.

const form = document.getElementById("appeal");
const address = document.getElementById("address");
const parts = new Map(); // the turn of each part that is fetched: an older answer never covers a newer one

async function fill(place, ...request) {
  const turn = (parts.get(place) ?? 0) + 1;
  parts.set(place, turn);
  const answer = await fetch(...request).catch(() => null);
  if (answer?.ok && parts.get(place) === turn) place.innerHTML = await answer.text();
}

// ── keys ──
// By where a letter stands on the keyboard, whichever language is on.
const codeOf = (name) => (/^[A-Z]$/.test(name) ? `Key${name}` : /^\d$/.test(name) ? `Digit${name}` : name);

function isPressed(shortcut, event) {
  const names = shortcut.split("+");
  const name = names.pop();
  return ["Alt", "Control", "Shift"].every((held) => names.includes(held) === event[`${held === "Control" ? "ctrl" : held.toLowerCase()}Key`]) &&
    !event.metaKey && (event.code === codeOf(name) || event.key === name);
}

/** Goes to what the key is of; what stands closed is opened. */
function use(element, press = true) {
  for (let closed = element.closest("details:not([open])"); closed; closed = closed.parentElement.closest("details:not([open])")) closed.open = true;
  if (press && element.matches("button, a, summary") && !element.hasAttribute("data-go")) element.click();
  element.focus();
}

const BARE = /^(?!F\d)[^+]+$/; // belongs to what is being typed
const keys = document.getElementById("keys");
document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented) return;
  const typing = event.target.matches?.("input:not([type=radio], [type=checkbox]), textarea, select");
  if (event.key === "F1" || (event.key === "?" && !typing)) {
    if (keys.open) keys.close();
    else keys.showModal();
    return event.preventDefault();
  }
  const its = [...document.querySelectorAll("[aria-keyshortcuts]")].filter((one) => !one.disabled && !one.closest("[hidden], .player"));
  const found = its.find((one) => isPressed(one.getAttribute("aria-keyshortcuts"), event) && !(typing && BARE.test(one.getAttribute("aria-keyshortcuts"))));
  if (!found) return;
  event.preventDefault();
  if (keys.open) keys.close();
  use(found);
});
// Enter in a field sends nothing half filled: the appeal is saved by its own key.
form?.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.ctrlKey && event.target.matches("input:not([type=radio], [type=checkbox])")) event.preventDefault();
});
form?.querySelector('button[value="find"]').remove(); // addresses are found while they are typed
for (const link of document.querySelectorAll("[data-close]")) link.addEventListener("click", () => keys.close());

// Whom one calls is chosen before it is pressed: the key goes to the first, the arrows along them.
document.querySelector(".dial")?.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!step) return;
  const all = [...event.currentTarget.children];
  all[(all.indexOf(event.target) + step + all.length) % all.length].focus();
  event.preventDefault();
});

// ── who it is, when several may be ──
for (const link of document.querySelectorAll("[data-fill]")) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    for (const [name, value] of Object.entries(JSON.parse(link.dataset.fill))) {
      const field = form.elements[name];
      if (!field) continue; // a choice that this form does not have
      if (field.type === "checkbox") field.checked = !!value;
      else if (value || name === "name") field.value = value;
    }
    form.dispatchEvent(new Event("input"));
    address.dispatchEvent(new Event("change", { bubbles: true }));
    form.elements.name.focus();
  });
}

// ── what the call was: a digit says it ──
const outcome = document.getElementById("outcome-is");

if (outcome) {
  const among = [...outcome.options].filter((option) => option.value);
  among.forEach((option, index) => (option.textContent = `${index + 1} ${option.textContent}`));
  outcome.addEventListener("keydown", (event) => {
    const option = among[Number(event.key) - 1];
    if (!option || event.altKey || event.ctrlKey) return;
    event.preventDefault();
    outcome.value = option.value;
    outcome.form.requestSubmit();
  });
}

// ── phrases of the subject ──
const phrases = document.getElementById("phrases");

function offer() {
  const said = form.elements.subject.selectedOptions[0]?.dataset.phrases ?? "";
  phrases.replaceChildren(...said.split("\n").filter(Boolean).map((phrase, index) => {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "phrase" });
    const key = Object.assign(document.createElement("kbd"), { textContent: `Alt+${index + 1}` });
    key.setAttribute("aria-hidden", "true");
    button.setAttribute("aria-keyshortcuts", `Alt+${index + 1}`);
    button.append(key, " ", phrase);
    button.addEventListener("click", () => insert(phrase));
    return button;
  }));
}

/** Puts a phrase where the cursor is, a sentence apart from what stands there; the first gap in it is what is typed
 * next. The browser's own "undo" takes it back. */
function insert(phrase) {
  const text = form.elements.text;
  text.focus();
  const before = text.value.slice(0, text.selectionStart);
  const said = (before && !/\s$/.test(before) ? " " : "") + phrase;
  const gap = said.indexOf("__");
  const from = text.selectionStart;
  if (!document.execCommand("insertText", false, said)) text.setRangeText(said, from, text.selectionEnd, "end");
  if (gap >= 0) text.setSelectionRange(from + gap, from + gap + 2);
  text.dispatchEvent(new Event("input", { bubbles: true }));
}

if (phrases) {
  form.elements.subject.addEventListener("change", offer);
  // A button that was pressed by its key has the focus for a moment: it belongs to the text.
  phrases.addEventListener("focusin", ({ relatedTarget }) => relatedTarget === form.elements.text && relatedTarget.focus());
  offer();
}

// ── where it is: the building's history; and what is already known, while the appeal is being typed ──
const known = document.getElementById("known-found");
let waiting = null;

function look() {
  clearTimeout(waiting);
  waiting = setTimeout(() => fill(known, form.dataset.known, { method: "POST", body: new URLSearchParams(new FormData(form)) }), 400);
}

if (form) {
  address.addEventListener("change", () => {
    form.dispatchEvent(new Event("place"));
    const sent = new FormData(form);
    const asking = new URLSearchParams(["address", "building", "building_for"].map((name) => [name, sent.get(name) ?? ""]));
    fill(document.getElementById("building-history"), `${address.dataset.history}&${asking}`);
    look();
  });
  form.addEventListener("input", ({ target }) => ["subject", "text", "place", "phone"].includes(target.name) && look());
  if (form.dataset.typed) look();
}

// ── after the conversation: what is still missing ──
const wrapUp = document.getElementById("wrap-up");
const lacking = document.getElementById("lacking");
let here = false; // whether this call is at his seat now

function unsaved() {
  const place = document.getElementById("unsaved");
  if (!place) return;
  place.hidden = !form?.dataset.typed;
  if (place.hidden) return;
  const empty = [...form.querySelectorAll("[data-needed]")].filter((field) => !field.dataset.needed.split(" ").some((name) => form.elements[name].value.trim()));
  if (!empty.length) empty.push(document.getElementById("save"));
  place.querySelector("span").replaceChildren(...empty.map((field) => {
    const target = document.getElementById(`${field.id}-typed`) ?? field;
    return Object.assign(document.createElement("a"), { href: `#${target.id}`, textContent: (document.querySelector(`label[for="${target.id}"]`) ?? target).firstChild.textContent.trim() });
  }).flatMap((link, index) => (index ? [", ", link] : [": ", link])));
}

async function over() {
  wrapUp.hidden = false;
  document.getElementById("legend").hidden = true;
  await fill(lacking, lacking.dataset.from);
  unsaved();
}

// A link goes to its field, not only into its sight.
wrapUp?.addEventListener("click", (event) => {
  const link = event.target.closest('a[href^="#"]');
  if (!link) return;
  event.preventDefault();
  use(document.getElementById(link.hash.slice(1)), false);
});
document.addEventListener("seat", ({ detail }) => {
  const was = here;
  here = detail.linkedid === document.body.dataset.shown;
  if (was && !here && wrapUp) over();
});
form?.addEventListener("input", () => wrapUp && !wrapUp.hidden && unsaved());
if (wrapUp && !wrapUp.hidden) unsaved();

// ── what time it is in Kyiv, by the server's clock ──
const clock = document.getElementById("now"); // a call's
const ahead = Date.now() - Date.parse(document.body.dataset.now);
const inKyiv = new Intl.DateTimeFormat("uk", { timeZone: "Europe/Kyiv", hour: "2-digit", minute: "2-digit" });

function tick() {
  const text = inKyiv.format(Date.now() - ahead);
  if (clock.textContent !== text) clock.textContent = text;
}
if (clock) {
  tick();
  setInterval(tick, 1000);
}
