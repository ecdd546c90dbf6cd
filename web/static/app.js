// What a page does after it has come: clocks tick, the live view and the call at one's seat are kept
// as they are (server-sent events), addresses are suggested. Without this script every page still works.

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

// ── what has been typed is never thrown away by a call that opens its card ──
let typed = false;
document.addEventListener("input", (event) => {
  if (event.target.closest("main form")) typed = true;
});

// ── events ──
let source = null;
let again = null;

function listen() {
  if (source || document.hidden) return;
  source = new EventSource(body.dataset.events);
  source.onopen = () => (document.getElementById("lost").hidden = true);
  source.onerror = () => {
    document.getElementById("lost").hidden = false;
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
    const { html, linkedid, state, place } = JSON.parse(event.data);
    const here = document.getElementById("place");
    if (here) here.innerHTML = place;
    tick();
    const shown = body.dataset.shown === linkedid;
    document.getElementById("call").innerHTML = shown ? "" : html;
    // The card opens by itself once; who then goes elsewhere has a reason.
    if (state === "ringing" && !shown && !typed && sessionStorage.getItem("opened") !== linkedid) {
      sessionStorage.setItem("opened", linkedid);
      location.assign(`/calls/${encodeURIComponent(linkedid)}`);
    }
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
  const list = document.getElementById(field.getAttribute("list"));
  let asked = "";
  let waiting = null;
  field.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(async () => {
      const text = field.value.trim();
      if (text.length < 2 || text === asked) return;
      asked = text;
      const answer = await fetch(`${field.dataset.suggest}?q=${encodeURIComponent(text)}`);
      if (!answer.ok || asked !== text) return;
      list.replaceChildren(...(await answer.json()).map(({ value, label }) => new Option(label, value)));
    }, 120);
  });
  field.addEventListener("change", async () => {
    const answer = await fetch(`${field.dataset.history}&address=${encodeURIComponent(field.value)}`);
    const place = document.getElementById("building-history");
    if (answer.ok && place) place.innerHTML = await answer.text();
  });
}
