// What a page does after it has come: clocks tick, the live view and the call at one's seat are kept as they
// are (server-sent events). Without this script every page still works.

const body = document.body;
// The desk's telephone is above: what it shows need not be shown here too.
if (window.top !== window) document.documentElement.classList.add("in-desk");

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
  source.addEventListener("told", told);
  source.addEventListener("call", (event) => {
    const { html, linkedid, card, place, heard } = JSON.parse(event.data);
    document.dispatchEvent(new CustomEvent("seat", { detail: { linkedid } }));
    const here = document.getElementById("place");
    if (here) here.innerHTML = place;
    tick();
    const shown = body.dataset.shown === linkedid;
    document.getElementById("call").innerHTML = shown ? "" : html;
    document.getElementById("heard").innerHTML = heard;
    // The card opens by itself once, whichever tab it is in; who then goes elsewhere has a reason.
    if (!linkedid || localStorage.getItem("opened") === linkedid) return;
    if (!shown && body.dataset.typed) return;
    localStorage.setItem("opened", linkedid);
    if (!shown) location.assign(card);
  });
}

// What a supervisor has done with one's seat, and why.
function told(event) {
  document.getElementById("told").innerHTML = JSON.parse(event.data).html;
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

// ── the menu: a group that is open closes by Escape, and when one goes elsewhere ──
for (const group of document.querySelectorAll(".top nav details")) {
  document.addEventListener("click", (event) => group.contains(event.target) || (group.open = false));
  group.addEventListener("focusout", (event) => event.relatedTarget && !group.contains(event.relatedTarget) && (group.open = false));
  group.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    group.open = false;
    group.querySelector("summary").focus();
  });
}
