// The screens of who calls residents back, by keys. A digit does what stands beside it: it presses a button, or chooses
// an outcome, of the appeal that one is at; then the keys go on to what is to be done next. What comes of the call is
// shown when the call ends. Without this script everything is done with the mouse, or with Tab.

const OFF = "keys-off"; // as in lists.js: who speaks to the machine turns them off
const form = document.getElementById("result");
const digits = document.getElementById("digits");
const on = digits?.querySelector("input");

if (on) {
  on.checked = !localStorage.getItem(OFF);
  digits.hidden = false;
  on.addEventListener("change", () => (on.checked ? localStorage.removeItem(OFF) : localStorage.setItem(OFF, "1")));
}

const types = (field) => field.matches("input:not([type=radio], [type=checkbox]), select, textarea");
const parts = () => [...(form?.querySelectorAll("fieldset[data-asked]") ?? [])];
const answered = (part) => Boolean(part.querySelector("input[type=radio]:checked"));
const note = (part) => part.querySelector("input[type=text]");
const save = () => form.querySelector("button.main");

// The appeal that has the focus, else the first that is not answered.
const current = () => parts().find((part) => part.contains(document.activeElement)) ?? parts().find((part) => !answered(part)) ?? parts()[0];

function goOn() {
  const next = parts().find((part) => !answered(part));
  if (next) next.querySelector("input[type=radio]").focus();
  else save().focus();
}

function choose(choice) {
  choice.checked = true;
  choice.dispatchEvent(new Event("input", { bubbles: true }));
  const part = choice.closest("fieldset[data-asked]");
  if (!part) save().focus();
  else if (choice.value === "solved") goOn();
  else note(part).focus();
}

document.addEventListener("keydown", (event) => {
  const digit = /^(?:Digit|Numpad)(\d)$/.exec(event.code)?.[1];
  if (!digit || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  if (types(event.target) || localStorage.getItem(OFF)) return;
  const all = [...document.querySelectorAll(`[aria-keyshortcuts="${digit}"]:not(:disabled)`)];
  const does = all.find((each) => current()?.contains(each)) ?? all.find((each) => !each.closest("fieldset[data-asked]"));
  if (!does) return;
  event.preventDefault();
  if (does.type === "radio") choose(does);
  else does.click();
});

// What remains is written; then comes the next appeal, and with the last one the form is sent.
form?.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !event.target.matches("fieldset[data-asked] input")) return;
  if (parts().every(answered)) return;
  event.preventDefault();
  goOn();
});

// ── a recording comes beside what is typed ──
form?.ownerDocument.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-hear]");
  if (!button || button.dataset.hear === "page") return;
  event.preventDefault();
  const place = document.getElementById("player");
  const sent = new URLSearchParams({ csrf: form.elements.csrf.value, part: "1" });
  const answer = await fetch(button.formAction, { method: "POST", body: sent }).catch(() => null);
  if (answer?.ok) {
    place.innerHTML = await answer.text();
    const audio = place.querySelector("audio");
    audio.play().catch(() => {}); // where that is not allowed unasked, the player stands there
    return;
  }
  button.dataset.hear = "page"; // the page says why not
  button.click();
});

// ── what comes of the call ──
const came = document.getElementById("came");
const place = document.getElementById("place");
const LOOKS = 5;
let again = null;

async function look(left) {
  clearTimeout(again);
  const answer = await fetch(`${came.dataset.from}?part=1`).catch(() => null);
  const html = answer?.ok ? (await answer.text()).trim() : "";
  if (html && html !== came.innerHTML.trim()) came.innerHTML = html;
  if (!came.querySelector("[data-ended]") && left) again = setTimeout(look, 2000, left - 1);
}
// The seat's state changes with the call; its record follows a moment later.
if (came && place) new MutationObserver(() => look(LOOKS)).observe(place, { childList: true });
