// A recording's player (templates/player.html), wherever and whenever it comes onto the page: how fast it plays is
// chosen and remembered in this browser, the arrows go five seconds back and forth, the space bar stops and goes on.

const SPEED = "player speed";

const playerOf = (node) => node.closest?.(".player");

function step(audio, seconds) {
  audio.currentTime = Math.min(Math.max(audio.currentTime + seconds, 0), audio.duration || 0);
}

// What a player tells does not bubble, but is seen on its way down.
document.addEventListener("loadedmetadata", ({ target }) => {
  const player = playerOf(target);
  if (!player) return;
  const choice = player.querySelector("[data-speed]");
  const kept = localStorage.getItem(SPEED);
  if ([...choice.options].some((option) => option.value === kept)) choice.value = kept;
  target.playbackRate = target.defaultPlaybackRate = Number(choice.value);
  player.querySelector(".row").hidden = false;
}, true);

document.addEventListener("change", ({ target }) => {
  if (!target.matches("[data-speed]")) return;
  localStorage.setItem(SPEED, target.value);
  playerOf(target).querySelector("audio").playbackRate = Number(target.value);
});

document.addEventListener("click", ({ target }) => {
  const button = target.closest("[data-step]");
  if (button) step(playerOf(button).querySelector("audio"), Number(button.dataset.step));
});

document.addEventListener("keydown", (event) => {
  const audio = document.querySelector(".player audio");
  const { target, key } = event;
  if (!audio || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (target.matches("input, select, textarea") || (key === " " && target.matches("button, a, summary"))) return;
  const seconds = { ArrowLeft: -5, ArrowRight: 5 }[key];
  if (seconds) step(audio, seconds);
  else if (key === " ") audio.paused ? audio.play() : audio.pause();
  else return;
  event.preventDefault();
});
