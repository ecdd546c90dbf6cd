// A field that offers what fits the beginning of what is typed: addresses, which the server knows, and the options of a
// select, which the page has. By keys: the arrows go through what is offered, Enter takes it, Escape leaves it.

const MOST = 12;

/** Makes `field` (an input, role=combobox, aria-controls its listbox) one. `find(text)`: what fits, [{value, label, …}];
 * `choose(found)`: one of them is taken; `first`: Enter takes the first one unless another is marked. */
function combobox(field, { find, choose, first = false, pause = 0, least = 0 }) {
  const list = document.getElementById(field.getAttribute("aria-controls"));
  let offered = [];
  let active = -1;
  let asked = null;
  let waiting = null;

  function show(found) {
    offered = found;
    list.replaceChildren(...found.map(({ value, label }, index) => {
      const option = Object.assign(document.createElement("li"), { id: `${list.id}-${index}`, role: "option" });
      const hint = Object.assign(document.createElement("span"), { className: "hint", textContent: label });
      option.append(value, " ", hint);
      return option;
    }));
    list.hidden = !found.length;
    field.setAttribute("aria-expanded", String(!list.hidden));
    mark(first && found.length ? Math.max(0, found.findIndex(({ value }) => value === field.value)) : -1);
  }

  function mark(index) {
    active = index;
    [...list.children].forEach((option, at) => option.setAttribute("aria-selected", String(at === index)));
    const option = list.children[index];
    option?.scrollIntoView({ block: "nearest" });
    if (option) field.setAttribute("aria-activedescendant", option.id);
    else field.removeAttribute("aria-activedescendant");
  }

  function take(index) {
    const taken = offered[index];
    asked = field.value = taken.value;
    show([]);
    choose(taken);
  }

  async function look() {
    const text = field.value.trim();
    if (text === asked) return;
    asked = text;
    if (text.length < least) return show([]);
    const found = await find(text);
    if (asked === text && document.activeElement === field) show(found);
  }

  field.addEventListener("input", () => {
    clearTimeout(waiting);
    if (pause) waiting = setTimeout(look, pause);
    else look();
  });
  field.addEventListener("keydown", async (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const many = list.children.length;
    if (list.hidden) {
      if (event.key !== "ArrowDown") return;
      asked = null;
      look();
    } else if (step) mark(active < 0 && step < 0 ? many - 1 : (active + step + many) % many);
    else if (event.key === "Enter" && active >= 0) take(active);
    else if (event.key === "Tab" && first && active >= 0) return take(active);
    else if (event.key === "Escape") show([]);
    else return;
    event.preventDefault();
  });
  list.addEventListener("mousedown", (event) => event.preventDefault()); // the field keeps the focus
  list.addEventListener("click", (event) => {
    const index = [...list.children].indexOf(event.target.closest("li"));
    if (index >= 0) take(index);
  });
  field.addEventListener("blur", () => {
    asked = null;
    show([]);
  });
}

const told = (field, ...names) => names.forEach((name) => field.dispatchEvent(new Event(name, { bubbles: true })));

// ── addresses ──
for (const field of document.querySelectorAll("input[data-suggest]")) {
  combobox(field, {
    pause: 120,
    least: 2,
    async find(text) {
      const answer = await fetch(`${field.dataset.suggest}?q=${encodeURIComponent(text)}`);
      return answer.ok ? answer.json() : [];
    },
    choose({ id, value }) {
      // The very building goes with the form: another district may have a street of the same name.
      field.form.querySelector("#choices")?.remove();
      for (const [name, said] of [["building", id], ["building_for", value]]) {
        let hidden = field.form.querySelector(`input[type="hidden"][name="${name}"]`);
        if (!hidden) field.form.append((hidden = Object.assign(document.createElement("input"), { type: "hidden", name })));
        hidden.value = said;
      }
      told(field, "input", "change");
    },
  });
}

// ── a select whose options are found by the beginnings of their words ──
const fold = (text) => text.toLocaleLowerCase("uk").replace(/[’ʼ'`"«»().,/-]/g, " ").replace(/\s+/g, " ").trim();
const nameOf = (option) => option.textContent.trim();
const groupOf = (option) => (option.parentElement.matches("optgroup") ? option.parentElement.label : "");

/** Of options those in which each word that was typed begins a word, of their own name before their group's. */
function fitting(options, text) {
  const typed = fold(text).split(" ").filter(Boolean);
  const begins = (words) => (part) => words.some((word) => word.startsWith(part));
  const scored = options.map((option) => {
    const own = fold(nameOf(option)).split(" ");
    const all = [...own, ...fold(groupOf(option)).split(" ")];
    const score = !typed.every(begins(all)) ? 9 : own[0].startsWith(typed[0] ?? "") && typed.every(begins(own)) ? 0 : typed.every(begins(own)) ? 1 : 2;
    return { option, score };
  });
  return scored.filter(({ score }) => score < 9).sort((one, other) => one.score - other.score).map(({ option }) => option);
}

for (const select of document.querySelectorAll("select[data-combobox]")) {
  const label = document.querySelector(`label[for="${select.id}"]`);
  const options = [...select.options].filter((option) => option.value);
  const field = Object.assign(document.createElement("input"), { id: `${select.id}-typed`, type: "text", autocomplete: "off", required: select.required, placeholder: select.options[0].value ? "" : nameOf(select.options[0]) });
  const list = Object.assign(document.createElement("ul"), { id: `${select.id}-found`, role: "listbox", hidden: true });
  const about = { role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": list.id };
  for (const name of ["aria-invalid", "aria-describedby", "aria-keyshortcuts"]) {
    if (select.hasAttribute(name)) about[name] = select.getAttribute(name);
    select.removeAttribute(name);
  }
  for (const [name, value] of Object.entries(about)) field.setAttribute(name, value);
  list.setAttribute("aria-label", select.dataset.found);
  const whole = document.createElement("div");
  whole.className = "suggested";
  select.before(whole);
  whole.append(field, list, select);
  label.htmlFor = field.id;
  select.hidden = true;
  select.required = false;
  const shown = () => (select.value ? nameOf(select.selectedOptions[0]) : "");
  field.value = shown();
  if (about["aria-invalid"]) field.focus();

  function set(value) {
    if (select.value === value) return;
    select.value = value;
    told(select, "input", "change");
  }

  combobox(field, {
    first: true,
    find: (text) => fitting(options, text === shown() ? "" : text).slice(0, text && text !== shown() ? MOST : options.length)
      .map((option) => ({ value: nameOf(option), label: groupOf(option), option })),
    choose: ({ option }) => set(option.value),
  });
  field.addEventListener("input", (event) => {
    event.stopPropagation(); // what is typed here is no field of the form: its select is
    if (field.value !== shown()) set("");
  });
  field.addEventListener("focus", () => field.select());
  // What is left half typed means the only one that it may mean, or nothing.
  field.addEventListener("blur", () => {
    const found = field.value.trim() && !select.value ? fitting(options, field.value) : [];
    if (found.length === 1) set(found[0].value);
    field.value = shown() || field.value;
    field.setCustomValidity(field.value && !select.value ? select.dataset.combobox : "");
  });
  select.addEventListener("change", () => field.setCustomValidity(""));
  select.form?.addEventListener("reset", () => setTimeout(() => (field.value = shown())));
}
