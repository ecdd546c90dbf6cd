// The inbox and a message of it: what comes appears without a reload, an answer is put together by digits, and whoever
// is at a message is not taken for gone.

const EVERY = 20_000; // ms between two looks at the inbox
const STILL = 60_000; // ms after which somebody who types says again that he is there

// ── the list: fetched anew; nothing moves under whoever is in it ──
const list = document.getElementById("messages");
const newer = document.getElementById("newer");
const addresses = (within) => [...within.querySelectorAll("tbody td:nth-child(2) a")].map((link) => link.pathname).join();

async function look() {
  if (document.hidden) return;
  const answer = await fetch(list.dataset.from).catch(() => null);
  if (!answer?.ok || answer.redirected) return;
  const fresh = document.createElement("template");
  fresh.innerHTML = await answer.text();
  if (addresses(fresh.content) !== addresses(list) && list.contains(document.activeElement)) {
    list.querySelector(".tabs").replaceWith(fresh.content.querySelector(".tabs"));
    newer.hidden = false;
    return;
  }
  if (!list.contains(document.activeElement)) list.replaceChildren(fresh.content);
}

if (list) {
  setInterval(look, EVERY);
  document.addEventListener("visibilitychange", look);
  newer.querySelector("button").addEventListener("click", () => location.reload());
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches?.("input, select, textarea");
    const held = event.ctrlKey || event.metaKey;
    if (event.code === "KeyR" && !newer.hidden && !typing && !held && !event.altKey) location.reload();
    if (!event.altKey || held) return;
    const found = { KeyZ: "Alt+Z", KeyN: "Alt+N" }[event.code];
    if (!found) return;
    event.preventDefault();
    document.querySelector(`[aria-keyshortcuts="${found}"]`).click();
  });
}

// ── an answer: a template by its digit, into the text where the cursor is ──
const reply = document.getElementById("reply");
const text = document.getElementById("reply-text");

for (const button of document.querySelectorAll("[data-text]")) {
  button.addEventListener("click", (event) => {
    event.preventDefault();
    text.focus();
    const before = text.value.slice(0, text.selectionStart);
    const said = (before && !before.endsWith("\n") ? "\n\n" : "") + button.dataset.text;
    if (!document.execCommand("insertText", false, said)) text.setRangeText(said, text.selectionStart, text.selectionEnd, "end");
    text.dispatchEvent(new Event("input", { bubbles: true }));
    setTimeout(() => text.focus()); // its key has put the focus onto the button
  });
}
reply?.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !event.ctrlKey) return;
  event.preventDefault(); // else the appeal would be saved
  reply.requestSubmit(reply.querySelector('[value="reply"]'));
});

// ── where a photo was taken, as the place ──
const appeal = document.getElementById("appeal");
for (const button of document.querySelectorAll("[data-place]")) {
  button.addEventListener("click", () => {
    appeal.elements.place.value = [appeal.elements.place.value.trim(), button.dataset.place].filter(Boolean).join(", ");
    appeal.elements.place.dispatchEvent(new Event("input", { bubbles: true }));
    setTimeout(() => appeal.elements.place.focus());
  });
}

// ── who types is there; who has lost the message meanwhile is told ──
const card = document.querySelector("[data-still]");
let said = Date.now();

card?.addEventListener("input", async () => {
  if (Date.now() - said < STILL) return;
  said = Date.now();
  const csrf = card.querySelector("[name=csrf]").value;
  const answer = await fetch(card.dataset.still, { method: "POST", body: new URLSearchParams({ csrf }) }).catch(() => null);
  if (answer?.ok) document.getElementById("still").innerHTML = await answer.text();
});
