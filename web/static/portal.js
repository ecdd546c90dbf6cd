// What makes the residents' forms pleasant; each of them works without it.

const all = (selector, within = document) => [...within.querySelectorAll(selector)];

// ── photos: shown before they are sent, and what is too much said before it travels ──
const EDGE = 160; // CSS pixels

async function preview(file) {
  const canvas = document.createElement("canvas");
  try {
    // Drawn, for no picture may be loaded from elsewhere than our server, not even from the telephone itself.
    const picture = await createImageBitmap(file);
    const scale = Math.min(1, EDGE / Math.max(picture.width, picture.height));
    Object.assign(canvas, { width: picture.width * scale, height: picture.height * scale });
    canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
    picture.close();
  } catch {
    return null; // a document, or a photo of a kind that this browser does not know
  }
  return canvas;
}

for (const field of all("[data-files]")) {
  const input = field.querySelector('input[type="file"]');
  const kept = field.querySelector('input[name="kept"]');
  const list = field.querySelector(".kept");
  const shown = field.querySelector(".previews");
  const problem = field.querySelector("[data-problem]");
  const left = () => kept.value.split(" ").filter(Boolean).length - all("input:checked", list).length;

  function wrong() {
    const files = [...input.files];
    if (files.length + left() > Number(input.dataset.most)) return input.dataset.tooMany;
    const big = files.find((file) => file.size > Number(input.dataset.largest));
    if (big) return `«${big.name}»: ${input.dataset.tooBig}`;
    return files.reduce((sum, file) => sum + file.size, 0) > Number(input.dataset.all) ? input.dataset.allTooBig : "";
  }

  async function look() {
    problem.textContent = wrong();
    problem.hidden = !problem.textContent;
    input.setCustomValidity(problem.textContent);
    const files = [...input.files];
    const figures = await Promise.all(files.map(async (file) => {
      const figure = document.createElement("figure");
      const picture = await preview(file);
      if (picture) figure.append(picture);
      figure.append(Object.assign(document.createElement("figcaption"), { textContent: file.name }));
      return figure;
    }));
    if (files.length === input.files.length && files.every((file, at) => file === input.files[at])) shown.replaceChildren(...figures);
  }

  input.addEventListener("change", look);
  list.addEventListener("change", look);

  // A draft that was begun before names files that came with it, and the page does not show them yet.
  addEventListener("DOMContentLoaded", () => {
    if (!kept.value || list.children.length) return;
    for (const word of kept.value.split(" ")) {
      const said = atob(word.split(".")[0].replaceAll("-", "+").replaceAll("_", "/"));
      const [name] = JSON.parse(new TextDecoder().decode(Uint8Array.from(said, (letter) => letter.charCodeAt(0))));
      list.append(Object.assign(document.createElement("li"), { textContent: `✓ ${name}` }));
    }
    list.hidden = false;
  });
}

// ── what is known of the place, as soon as there is one ──
for (const form of all("form[data-known]")) {
  const place = document.getElementById("known");
  let asked = "";

  async function ask() {
    const said = new URLSearchParams();
    for (const name of ["subject", "address", "building", "building_for"]) {
      const value = new FormData(form).get(name);
      if (value) said.set(name, value);
    }
    if (asked === String(said)) return;
    asked = String(said);
    const answer = await fetch(`${form.dataset.known}?${said}`);
    if (answer.ok && asked === String(said)) place.innerHTML = await answer.text();
  }

  form.addEventListener("change", ({ target }) => {
    if (["subject", "address", "building"].includes(target.name)) ask();
  });
}

// ── a draft that came back, and may be somebody else's who had this telephone ──
for (const note of all(".restored")) {
  const form = document.querySelector("form[data-keep]");
  // A form that the server has sent back is no draft.
  note.hidden = Boolean(form.dataset.keep) || !form.dataset.typed;
}

// ── a press is answered at once, for photos take their time ──
for (const form of all("form[data-sending]")) {
  form.addEventListener("submit", ({ submitter }) => {
    if (!submitter) return;
    submitter.dataset.said = submitter.textContent;
    submitter.textContent = form.dataset.sending;
    submitter.setAttribute("aria-busy", "true");
  });
}
addEventListener("pageshow", () => {
  for (const button of all("[aria-busy]")) {
    button.textContent = button.dataset.said;
    button.removeAttribute("aria-busy");
  }
});

for (const button of all("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => print());
}
for (const part of all(".no-script")) part.hidden = true;
