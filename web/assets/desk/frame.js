// The page below the telephone: which one it is, what it is called, and the keys that are pressed in it.

const LOOK_MS = 40;

/** Keeps the framed page's address after # and its title as ours; `seen` is told of each page, `pressed` of each key,
 * `dialled` of each key of the telephone that the page has. */
export function follow(frame, { seen, pressed, dialled }) {
  const own = document.title;

  let known = null;

  // As soon as the document is there: a key that is pressed while the page still comes is a key, too.
  function look() {
    const page = inside(frame);
    if (!page || page === known) return; // not ours, or not there yet
    known = page;
    page.addEventListener("keydown", pressed, true);
    page.addEventListener("click", (event) => {
      const key = event.target.closest?.("[data-dial]");
      if (!key) return;
      event.preventDefault();
      dialled(key.dataset.dial, key.dataset.name ?? key.textContent.trim());
    });
    if (page.readyState === "loading") page.addEventListener("DOMContentLoaded", () => arrived(page));
    else arrived(page);
  }

  function arrived(page) {
    const { pathname, search, hash } = page.location;
    history.replaceState(null, "", `#${pathname}${search}${hash}`);
    document.title = page.title || own;
    seen(page);
  }

  setInterval(look, LOOK_MS);
  frame.addEventListener("load", look);
  frame.src = asked();
}

/** The framed page's document, when it is a page of ours that has come. */
export function inside(frame) {
  try {
    const page = frame.contentDocument;
    return page?.location.href === "about:blank" ? null : page;
  } catch {
    return null;
  }
}

/** A key that is pressed in the bar and is not the telephone's is the page's: whoever has just answered or hung up by the
 * mouse need not click into the page first. What works the bar's own buttons and fields stays there. */
export function pass(frame, event) {
  const page = inside(frame);
  const letter = event.key.length === 1 && event.key !== " ";
  const shortcut = event.altKey || event.ctrlKey || letter || /^F\d+$/.test(event.key);
  const ours = event.isTrusted && event.target.ownerDocument === document; // the copy comes by here as well
  if (!page || !ours || !shortcut || event.target.closest?.("input, select, textarea")) return;
  const copy = new page.defaultView.KeyboardEvent("keydown", event);
  if (!(page.activeElement ?? page.body).dispatchEvent(copy)) event.preventDefault();
}

/** Which page is to be shown: what stands after #, if it is one of ours. */
function asked() {
  const address = location.hash.slice(1);
  const page = new URL(address || "/seat", location.origin);
  return page.origin === location.origin && address.startsWith("/") && page.pathname !== "/desk" ? address : "/seat";
}
