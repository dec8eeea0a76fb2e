"use strict";
// Waveforms follow their player; a click on one seeks. Only one recording plays at a time.
const players = [...document.querySelectorAll("audio")];
for (const player of players) {
  player.addEventListener("play", () => players.forEach((other) => other !== player && other.pause()));
}
for (const wave of document.querySelectorAll(".wave")) {
  const player = wave.parentElement.querySelector("audio");
  const head = wave.querySelector(".playhead");
  const show = () => {
    head.classList.add("on");
    head.style.left = `${(100 * player.currentTime) / (player.duration || 1)}%`;
    if (!player.paused) requestAnimationFrame(show);
  };
  player.addEventListener("play", show);
  player.addEventListener("seeked", show);
  wave.addEventListener("click", (event) => {
    if (!player.duration) return;
    const box = wave.getBoundingClientRect();
    player.currentTime = (player.duration * (event.clientX - box.left)) / box.width;
  });
}
