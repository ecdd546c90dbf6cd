// The desk: the telephone on top, the pages in a frame below it, and what a person presses in either.

import { follow, inside, pass } from "./desk/frame.js";
import { Phone } from "./desk/phone.js";
import { Sound, SoundError } from "./desk/sound.js";

const GONE = "/sign-in";
const OFFLINE_TRIES = 30; // until the line has heard that we are registered
const NEWS_MS = 8000;
const RETRY_MS = 5000;
const ASK_MS = 3000;
const LOCK_MS = 1500; // a page that is reloaded gives the telephone back sooner

const ahead = Date.now() - Date.parse(document.body.dataset.now); // of this machine's clock before the server's
const texts = JSON.parse(document.body.dataset.texts);
const at = (id) => document.getElementById(id);
const frame = at("page");
const services = new Map([...document.querySelectorAll(".dial-keys [data-dial]")].map((key) => [key.dataset.dial, key.dataset.name]));
const kept = { microphone: "", speaker: "", itself: false, notify: false, ...JSON.parse(localStorage.getItem("desk") ?? "{}") };
const keep = (change) => localStorage.setItem("desk", JSON.stringify(Object.assign(kept, change)));

const sound = new Sound();
const phone = new Phone(sound);
phone.answersItself = kept.itself;
sound.speaker = kept.speaker;

if (self !== top) top.location.replace("/desk"); // sat down anew, in a page of the desk
else begin();

function begin() {
  follow(frame, { seen, pressed, dialled: call });
  document.addEventListener("keydown", pressed, true);
  listen();
  phone.addEventListener("change", show);
  phone.addEventListener("change", watch);
  sound.context.addEventListener("statechange", wakened);
  phone.addEventListener("news", ({ detail }) => tell(texts[detail]));
  setInterval(tick, 1000);
  show();
  hold().catch(fail);
}

// ── having the telephone: one page of a browser has it ──
let letGo = null;

async function hold(how = {}) {
  if (!navigator.locks) throw new SoundError("insecure");
  const waited = setTimeout(() => trouble("elsewhere", () => hold({ steal: true })), LOCK_MS);
  await navigator.locks
    .request("telephone", how, () => {
      clearTimeout(waited);
      start().catch(fail);
      return new Promise((done) => (letGo = done));
    })
    .catch((error) => {
      if (error.name !== "AbortError") throw error;
      location.reload(); // another page has taken it, and with it a call that is on, as if this one had been reloaded
    });
}

let starting = false;

async function start() {
  starting = true;
  trouble("");
  show();
  await sound.open(kept.microphone);
  sound.onlost = () => fail(new SoundError("missing"));
  if (phone.connection === "off") {
    phone.start(await ask("/desk/phone"));
    await become("ready");
    await serve();
  } // else it was the microphone only
  starting = false;
  before = phone.connection;
  show();
  wakened();
}

/** A browser makes no sound before a key or a click; then it may. */
function wakened() {
  const asleep = sound.context.state !== "running";
  if (asleep && at("trouble").hidden) trouble("asleep", () => sound.wake());
  else if (!asleep && at("trouble-words").textContent === texts.asleep) trouble("");
}

/** Takes the seat's place in the queues, as soon as the line has heard that its telephone is there. */
async function serve() {
  for (let tries = 1; ; tries += 1) {
    try {
      await ask("/desk/ready");
      return;
    } catch (error) {
      if (error.id !== "seat.offline" || tries === OFFLINE_TRIES) throw error;
      await new Promise((done) => setTimeout(done, 200));
    }
  }
}

function stop() {
  starting = false;
  phone.stop();
  sound.close();
}

class Refusal extends Error {
  constructor(id, sentence) {
    super(sentence);
    this.id = id;
  }
}

async function ask(address) {
  const answer = await fetch(address, { method: "POST", body: new URLSearchParams(new FormData(at("ours"))), redirect: "error" });
  if (!answer.headers.get("content-type")?.startsWith("application/json")) {
    // Signed out, or no seat any more: the server's own page says it best.
    location.reload();
    throw new Refusal("", texts.signed_out);
  }
  const said = await answer.json();
  if (!answer.ok) throw new Refusal(said.id, said.sentence);
  return said;
}

function become(connection) {
  return new Promise((done, failed) => {
    const look = () => {
      if (![connection, "refused"].includes(phone.connection)) return;
      phone.removeEventListener("change", look);
      if (phone.connection === connection) done();
      else failed(new Refusal("refused", texts.refused_phone));
    };
    phone.addEventListener("change", look);
    look();
  });
}

// ── what is wrong, and what came of something ──
let later = null;

/** Says it, with a key to try again; what the server or the exchange refuses is tried again by itself as well. */
function fail(error) {
  starting = false;
  const id = error instanceof SoundError ? `microphone_${error.id}` : "failed";
  if (error instanceof Refusal) {
    if (error.id === "form.no_seat") return location.reload();
    trouble(id, again, error.message);
    clearTimeout(later);
    later = setTimeout(again, RETRY_MS);
  } else {
    trouble(id, again);
    if (id === "failed") console.error(error);
  }
  show();
}

function again() {
  clearTimeout(later);
  if (phone.call) return;
  if (phone.connection === "refused") phone.stop();
  start().catch(fail);
}

// ── what becomes of the connection ──
let before = "off";
let asking = null;

function watch() {
  const now = phone.connection;
  const same = now === before;
  before = now;
  if (starting || phone.call) return;
  if (now === "refused" && at("trouble").hidden) fail(new Refusal("refused", texts.refused_phone));
  else if (now === "ready" && !same) serve().catch(fail); // the exchange may have forgotten the seat meanwhile
  else if (now === "lost") asking ??= setTimeout(lasts, ASK_MS);
}

/** Whether we are let in at all any more: the socket's refusal does not tell a browser why. */
async function lasts() {
  asking = null;
  if (phone.connection !== "lost" || phone.call) return;
  const answer = await fetch(location.pathname, { redirect: "manual", cache: "no-store" }).catch(() => null);
  if (answer?.type === "opaqueredirect") location.reload();
}

/** Says what is wrong until it is mended by `again`; with no id: nothing is. */
function trouble(id, again = null, sentence = texts[id]) {
  at("trouble").hidden = !id;
  at("trouble-words").textContent = id ? sentence : "";
  at("trouble-again").hidden = !again;
  at("trouble-again").textContent = id === "elsewhere" ? texts.take : texts.again;
  at("trouble-again").onclick = again;
}

let told = null;

function tell(sentence) {
  clearTimeout(told);
  at("news").textContent = sentence;
  told = setTimeout(() => (at("news").textContent = ""), NEWS_MS);
}

// ── what is shown ──
const written = (number) => number.replace(/^\+?(380)(\d\d)(\d{3})(\d\d)(\d\d)$/, "+$1 $2 $3 $4 $5") || texts.hidden;
const whom = ({ name, number }) => (name && name !== number ? name : written(number));
const two = (n) => String(n).padStart(2, "0");

function lasting(milliseconds) {
  const s = Math.max(0, Math.floor(milliseconds / 1000));
  return s < 3600 ? `${Math.floor(s / 60)}:${two(s % 60)}` : `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
}

/** In which of the states that the bar knows the telephone is; also which keys it has. */
function state() {
  const { call, second, three, connection } = phone;
  if (three) return "three";
  if (second) return second.state === "talking" ? "asking" : "calling_second";
  if (call) return { ringing: "ringing", dialling: "dialling", connecting: "talking", talking: "talking", held: "held" }[call.state];
  return starting && ["off", "ready"].includes(connection) ? "connecting" : connection;
}

function show() {
  const now = state();
  const { call, second } = phone;
  document.body.dataset.state = now;
  at("words").textContent = texts[now] ?? "";
  at("words").hidden = at("clock").hidden = !call && now === "ready";
  at("place").hidden = !!call || now !== "ready";
  at("whom").textContent = call ? whom(second ?? call) : "";
  at("beside").textContent = second ? texts.beside.replace("{whom}", whom(call)) : "";
  at("lost").hidden = !(call && phone.connection !== "ready");
  for (const key of document.querySelectorAll("#keys [data-when]")) key.hidden = !key.dataset.when.split(" ").includes(now);
  for (const key of document.querySelectorAll(".dial-keys button")) key.disabled = !call && now !== "ready";
  at("mute").setAttribute("aria-pressed", String(phone.muted));
  at("mute-words").textContent = texts[phone.muted ? "unmute" : "mute"];
  at("hold-words").textContent = texts[now === "held" ? "resume" : "hold"];
  at("muted").hidden = !(phone.muted && call);
  at("call-number").textContent = texts[call ? "ask_first" : "call_number"];
  at("give-away").hidden = now !== "talking" && now !== "held";
  tick();
  flash(now === "ringing");
}

function tick() {
  const { call, second } = phone;
  if (call) at("clock").textContent = lasting(Date.now() - (second ?? call).since);
  for (const clock of document.querySelectorAll("#place time")) {
    clock.textContent = lasting(Date.now() - ahead - Date.parse(clock.dataset.since));
  }
}

let flashing = null;
let title = "";

function flash(on) {
  if (on === !!flashing) return;
  if (on) {
    title = document.title;
    flashing = setInterval(() => (document.title = document.title === title ? `☎ ${texts.ringing}` : title), 700);
    if (kept.notify && document.hidden && window.Notification?.permission === "granted") {
      new Notification(texts.ringing, { body: whom(phone.call), tag: "call" }).onclick = () => window.focus();
    }
  } else {
    clearInterval(flashing);
    flashing = null;
    document.title = title;
  }
}

// ── the page below, and the line's word of this seat ──
function seen(page) {
  if (page.location.pathname === GONE) {
    stop();
    location.replace(page.location.href);
  } else if (page.body?.dataset.phone !== undefined && page.body.dataset.phone !== "browser") {
    stop();
    letGo?.();
    location.assign(page.location.href); // he has left the seat: the page goes on alone
  } else if (page.documentElement.lang !== document.documentElement.lang && !phone.call) {
    location.reload(); // he has chosen the other language
  }
}

function listen() {
  const source = new EventSource("/events");
  source.addEventListener("call", (event) => {
    at("place").innerHTML = JSON.parse(event.data).place;
    tick();
  });
  source.onerror = () => source.readyState === EventSource.CLOSED && setTimeout(listen, 3000);
}

// ── what is pressed ──
const DO = {
  answer: () => phone.answer(),
  hangup: () => phone.hangUp(),
  mute: () => phone.mute(!phone.muted),
  hold: () => (state() === "held" ? phone.resume() : phone.hold()),
  connect: () => phone.connect(),
  together: () => phone.together(),
  dial: () => panel("dialling"),
  setup: () => panel("setup"),
};

for (const key of document.querySelectorAll("[data-do]")) key.addEventListener("click", () => DO[key.dataset.do]());

/** The keys of the telephone stand on its buttons: what is visible may be pressed, wherever the keyboard is. */
function pressed(event) {
  sound.wake();
  if (event.altKey || event.ctrlKey || event.metaKey) return void pass(frame, event);
  if (event.key === "Escape" && !panel.closed()) return void panel("");
  const name = (event.shiftKey ? "Shift+" : "") + event.key;
  const typing = event.target.closest?.("a, button, input, select, textarea, summary, audio, [contenteditable]");
  const key = [...document.querySelectorAll("[data-key]")].find((one) => !one.hidden && one.dataset.key.split(" ").includes(name));
  if (!key || (name === "Enter" && typing)) return void pass(frame, event);
  event.preventDefault();
  key.click();
}

document.addEventListener("pointerdown", () => sound.wake());

/** Opens one of the panels under the bar, or closes the one that is open. */
function panel(id) {
  let opened = null;
  for (const one of document.querySelectorAll(".panel")) {
    one.hidden = one.id !== id || !one.hidden;
    document.querySelector(`[aria-controls="${one.id}"]`).setAttribute("aria-expanded", String(!one.hidden));
    if (!one.hidden) opened = one;
  }
  if (opened?.id === "setup") devices();
  else clearInterval(metering);
  if (opened) opened.querySelector("input, select, button").focus();
  else inside(frame)?.defaultView.focus();
}
panel.closed = () => [...document.querySelectorAll(".panel")].every((one) => one.hidden);

// ── the panel with the number ──
const number = at("number");
const typed = () => number.value.replace(/[^\d+*#]/g, "");

/** As the exchange wants it: a service's number may be a seat's, too, and is told apart by a nought before it. */
function asDialled(wanted) {
  return services.has(wanted) ? `0${wanted}` : wanted;
}

function call(wanted, name = services.get(wanted)) {
  return phone.dial(asDialled(wanted), name);
}

at("dial-form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!typed()) return void number.focus();
  call(typed());
  panel("");
  number.value = "";
});
at("give-away").addEventListener("click", () => {
  if (!typed()) return void number.focus();
  phone.transfer(asDialled(typed()));
  panel("");
  number.value = "";
});
for (const key of document.querySelectorAll("[data-press]")) {
  key.addEventListener("click", () => {
    if (["talking", "asking", "three"].includes(state())) phone.press(key.dataset.press);
    else number.value += key.dataset.press;
  });
}
for (const key of document.querySelectorAll(".dial-keys [data-dial]")) {
  key.addEventListener("click", () => {
    call(key.dataset.dial, key.dataset.name);
    panel("");
  });
}

// ── the panel with the devices ──
let metering = null;

async function devices() {
  clearInterval(metering);
  metering = setInterval(() => (at("level").value = sound.level()), 60);
  const { microphones, speakers } = await sound.devices();
  fill(at("microphone"), microphones, kept.microphone);
  fill(at("speaker"), speakers, kept.speaker);
  at("speaker-field").hidden = !speakers.length;
}

function fill(select, found, chosen) {
  const usual = new Option(texts.usual, "");
  select.replaceChildren(usual, ...found.filter(({ id }) => id && id !== "default").map(({ id, name }) => new Option(name || texts.unnamed, id)));
  select.value = found.some(({ id }) => id === chosen) ? chosen : "";
}

at("microphone").addEventListener("change", async ({ target }) => {
  keep({ microphone: target.value });
  await sound.open(kept.microphone).catch(fail);
});
at("speaker").addEventListener("change", ({ target }) => {
  keep({ speaker: target.value });
  sound.speaker = kept.speaker;
});
at("itself").checked = kept.itself;
at("itself").addEventListener("change", ({ target }) => {
  keep({ itself: target.checked });
  phone.answersItself = kept.itself;
});
at("notify").checked = kept.notify;
at("notify").addEventListener("change", async ({ target }) => {
  const may = target.checked && (await window.Notification?.requestPermission()) === "granted";
  target.checked = may;
  keep({ notify: may });
});
at("check").addEventListener("click", async ({ target }) => {
  target.disabled = true;
  at("check-words").textContent = texts.speak_now;
  await sound.hearOneself(3000, () => (at("check-words").textContent = texts.listen_now)).catch(fail);
  at("check-words").textContent = texts.checked;
  target.disabled = false;
});
