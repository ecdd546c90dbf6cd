// What the operator knows, found while he types, and counted when told, with the hands left on the keyboard:
// F3 comes to the search, Enter and the arrows walk over what was found, Escape comes back.

const PAUSE = 150; // ms without a key before it is looked for

function finder(field, place, address) {
  let waiting = null;
  let asked = 0;
  async function find() {
    clearTimeout(waiting);
    const mine = (asked += 1);
    const answer = await fetch(address());
    if (answer.ok && mine === asked) place.innerHTML = await answer.text();
  }
  field.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(find, PAUSE);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "F3") return;
    event.preventDefault();
    field.focus();
    field.select();
  });
  return find;
}

for (const field of document.querySelectorAll("input[data-find]")) {
  const place = document.getElementById(field.getAttribute("aria-controls"));
  finder(field, place, () => `${field.dataset.find}?q=${encodeURIComponent(field.value.trim())}`);
}

const ask = document.getElementById("ask");
const form = document.getElementById("appeal");
if (ask && form) {
  const place = document.getElementById("answers");
  const find = finder(ask, place, () => {
    const sent = new FormData(form);
    const names = ["ask", "address", "building", "building_for", "subject"];
    return `${place.dataset.from}&${new URLSearchParams(names.map((name) => [name, sent.get(name) ?? ""]))}`;
  });
  form.addEventListener("place", find); // another address is chosen
  form.elements.subject?.addEventListener("change", find);

  const steps = () => [...place.querySelectorAll("summary, button")].filter((step) => step.checkVisibility());
  const go = (by, from = steps().indexOf(document.activeElement)) => (steps()[from + by] ?? ask).focus();
  ask.addEventListener("keydown", async (event) => {
    if ((event.key !== "Enter" && event.key !== "ArrowDown") || event.ctrlKey) return;
    event.preventDefault();
    if (event.key === "Enter") await find();
    const first = place.querySelector(".known-item button, details button");
    if (event.key === "Enter" && first) first.focus();
    else go(1, -1);
  });
  place.addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") ask.focus();
    else if (by) go(by);
    else return;
    event.preventDefault();
  });
  place.addEventListener("click", async (event) => {
    const button = event.target.closest('button[name="given"]');
    if (!button) return;
    event.preventDefault();
    button.disabled = true;
    const sent = new URLSearchParams({ csrf: form.elements.csrf.value, given: button.value, part: "1" });
    const answer = await fetch(button.formAction, { method: "POST", body: sent }).catch(() => null);
    if (!answer?.ok) {
      button.disabled = false; // nothing is lost: it can be pressed again
      return;
    }
    button.outerHTML = await answer.text();
    ask.focus();
  });
}
