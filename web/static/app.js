// What a page does after it has come: clocks tick, the live view and the call at one's seat are kept as they
// are (server-sent events), what is typed is kept, addresses are suggested. Without this script every page still works.

const body = document.body;

// ── clocks: <time data-since="…"> shows how long ago that was, by the server's clock ──
function lasting(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (n) => String(n).padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

const ahead = Date.now() - Date.parse(body.dataset.now); // of this machine's clock before the server's

function tick() {
  for (const clock of document.querySelectorAll("time[data-since]")) {
    const text = lasting((Date.now() - ahead - Date.parse(clock.dataset.since)) / 1000);
    if (clock.textContent !== text) clock.textContent = text;
  }
}
tick();
setInterval(tick, 1000);

// ── what has been typed is never thrown away ──
// Neither by a call that opens its card, nor by another form of the page, a reload or a failure: the fields of
// a form[data-keep] stay in this tab until the server has taken them.
let typed = false;

const keyOf = (form) => `typed ${form.getAttribute("action")} ${form.id}`;
const fieldsOf = (form) => [...form.elements].filter((field) => field.name && !["hidden", "submit"].includes(field.type));
const ticks = (field) => field.type === "radio" || field.type === "checkbox";

function keep(form) {
  typed = true;
  const values = fieldsOf(form).map((field) => (ticks(field) ? [field.name, field.value, field.checked] : [field.name, field.value]));
  sessionStorage.setItem(keyOf(form), JSON.stringify(values));
}

function restore(form) {
  for (const [name, value, checked] of JSON.parse(sessionStorage.getItem(keyOf(form)) ?? "[]")) {
    typed = true;
    for (const field of fieldsOf(form)) {
      if (field.name !== name) continue;
      if (!ticks(field)) field.value = value;
      else if (field.value === value) field.checked = checked;
    }
  }
}

const sent = sessionStorage.getItem("sent");
sessionStorage.removeItem("sent");
if (sent && /[?&](saved|done)=/.test(location.search)) sessionStorage.removeItem(sent);

for (const form of document.querySelectorAll("form[data-keep]")) {
  // What came back with the page was typed too, and the server may have bettered it.
  if (form.dataset.keep) keep(form);
  else restore(form);
  form.addEventListener("input", () => keep(form));
  form.addEventListener("submit", () => sessionStorage.setItem("sent", keyOf(form)));
}
document.getElementById("sign-out")?.addEventListener("submit", () => sessionStorage.clear());
document.querySelector("[aria-invalid]")?.focus();

// ── events ──
const PATIENCE = 4000; // ms before a lost connection is worth an alarm: a stream that begins anew is none
let source = null;
let again = null;
let alarm = null;

function lost() {
  alarm ??= setTimeout(() => (document.getElementById("lost").hidden = false), PATIENCE);
}

function found() {
  clearTimeout(alarm);
  alarm = null;
  document.getElementById("lost").hidden = true;
}

function listen() {
  if (source || document.hidden) return;
  source = new EventSource(body.dataset.events);
  source.onopen = found;
  source.onerror = () => {
    lost();
    if (source.readyState === EventSource.CLOSED) {
      // The browser gives up on an answer that is not a stream; a server that restarts gives such answers.
      stop();
      again = setTimeout(listen, 3000);
    }
  };
  source.addEventListener("live", (event) => {
    for (const [part, html] of Object.entries(JSON.parse(event.data))) {
      const place = document.getElementById(`live-${part}`);
      if (place) place.innerHTML = html;
    }
    tick();
  });
  source.addEventListener("call", (event) => {
    const { html, linkedid, card, place } = JSON.parse(event.data);
    const here = document.getElementById("place");
    if (here) here.innerHTML = place;
    tick();
    const shown = body.dataset.shown === linkedid;
    document.getElementById("call").innerHTML = shown ? "" : html;
    // The card opens by itself once, whichever tab it is in; who then goes elsewhere has a reason.
    if (!linkedid || localStorage.getItem("opened") === linkedid) return;
    if (!shown && typed) return;
    localStorage.setItem("opened", linkedid);
    if (!shown) location.assign(card);
  });
}

function stop() {
  clearTimeout(again);
  source?.close();
  source = null;
}

if (body.dataset.events) {
  listen();
  // A browser keeps six connections to a server: pages that nobody sees give theirs back.
  document.addEventListener("visibilitychange", () => (document.hidden ? stop() : listen()));
  window.addEventListener("pagehide", stop);
}

// ── addresses: suggestions while typing, the building's history once one is chosen ──
for (const field of document.querySelectorAll("input[data-suggest]")) {
  const list = document.getElementById(field.getAttribute("aria-controls"));
  let asked = "";
  let waiting = null;
  let active = -1;

  function show(found) {
    list.replaceChildren(...found.map(({ id, value, label }, index) => {
      const option = document.createElement("li");
      const hint = document.createElement("span");
      hint.className = "hint";
      hint.textContent = label;
      option.append(value, " ", hint);
      Object.assign(option, { id: `address-${index}`, role: "option" });
      Object.assign(option.dataset, { id, value });
      return option;
    }));
    list.hidden = !found.length;
    field.setAttribute("aria-expanded", String(!list.hidden));
    mark(-1);
  }

  function mark(index) {
    active = index;
    [...list.children].forEach((option, at) => option.setAttribute("aria-selected", String(at === index)));
    const option = list.children[index];
    option?.scrollIntoView({ block: "nearest" });
    if (option) field.setAttribute("aria-activedescendant", option.id);
    else field.removeAttribute("aria-activedescendant");
  }

  function choose(option) {
    asked = field.value = option.dataset.value;
    show([]);
    // The very building goes with the form: another district may have a street of the same name.
    field.form.querySelector("#choices")?.remove();
    for (const [name, value] of [["building", option.dataset.id], ["building_for", field.value]]) {
      let hidden = field.form.querySelector(`input[type="hidden"][name="${name}"]`);
      if (!hidden) field.form.append((hidden = Object.assign(document.createElement("input"), { type: "hidden", name })));
      hidden.value = value;
    }
    keep(field.form);
    history();
  }

  async function history() {
    field.form.dispatchEvent(new Event("place"));
    if (!field.dataset.history) return;
    const sent = new FormData(field.form);
    const asking = new URLSearchParams(["address", "building", "building_for"].map((name) => [name, sent.get(name) ?? ""]));
    const answer = await fetch(`${field.dataset.history}&${asking}`);
    const place = document.getElementById("building-history");
    if (answer.ok && place) place.innerHTML = await answer.text();
  }

  field.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(async () => {
      const text = field.value.trim();
      if (text === asked) return;
      asked = text;
      if (text.length < 2) return show([]);
      const answer = await fetch(`${field.dataset.suggest}?q=${encodeURIComponent(text)}`);
      if (answer.ok && asked === text && document.activeElement === field) show(await answer.json());
    }, 120);
  });
  field.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const many = list.children.length;
    if (list.hidden) return;
    if (step) mark(active < 0 && step < 0 ? many - 1 : (active + step + many) % many);
    else if (event.key === "Enter" && active >= 0) choose(list.children[active]);
    else if (event.key === "Escape") show([]);
    else return;
    event.preventDefault();
  });
  list.addEventListener("mousedown", (event) => event.preventDefault()); // the field keeps the focus
  list.addEventListener("click", (event) => {
    const option = event.target.closest("li");
    if (option) choose(option);
  });
  field.addEventListener("blur", () => show([]));
  field.addEventListener("change", () => history());
}

// ── what is already known, while the appeal is being typed ──
for (const form of document.querySelectorAll("form[data-known]")) {
  const place = document.getElementById("known");
  let waiting = null;
  let turn = 0;

  function look() {
    clearTimeout(waiting);
    waiting = setTimeout(async () => {
      const mine = ++turn;
      const answer = await fetch(form.dataset.known, { method: "POST", body: new URLSearchParams(new FormData(form)) });
      if (answer.ok && mine === turn) place.innerHTML = await answer.text();
    }, 400);
  }

  form.addEventListener("place", look);
  form.addEventListener("input", (event) => ["subject", "text", "place", "phone"].includes(event.target.name) && look());
  place.addEventListener("input", () => keep(form)); // its ticks belong to the form, which they are not within
  if (!form.dataset.keep && sessionStorage.getItem(keyOf(form))) look();
}
