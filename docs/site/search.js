// Finds pages by their words.  The index is a script of its own, since a page opened from a disk may fetch nothing.
"use strict";
const box = document.getElementById("search"), found = document.getElementById("found"), up = document.body.dataset.up;
const plain = text => text.toLowerCase().normalize("NFD").replace(/[\u0300-\u036f]/g, "");
const sections = window.SEARCH.map(([path, title, anchor, heading, text]) =>
  ({path, title, anchor, heading, text, head: plain(`${title} ${heading}`), body: plain(text)}));

function score(section, words) {
  let points = 0;
  for (const word of words) {
    const here = 8 * section.head.includes(word) + section.body.split(word).length - 1;
    if (!here) return 0;
    points += Math.min(here, 20);
  }
  const phrase = words.join(" "); // the words together say more than each somewhere
  return points + 40 * section.head.includes(phrase) + 20 * section.body.includes(phrase);
}

function around(section, word) {
  const at = section.body.indexOf(word), from = Math.max(0, at - 60);
  return `${from ? "… " : ""}${section.text.slice(from, from + 160)} …`;
}

function answer() {
  const words = plain(box.value).split(/\s+/).filter(Boolean);
  found.replaceChildren();
  if (!words.length) return;
  const best = sections.map(section => [score(section, words), section]).filter(([points]) => points)
    .sort((a, b) => b[0] - a[0]).slice(0, 12);
  if (!best.length) {
    found.textContent = `Nothing about “${box.value}”.`;
    return;
  }
  const list = document.createElement("ol");
  for (const [, section] of best) {
    const row = document.createElement("li"), link = document.createElement("a"), small = document.createElement("small");
    link.href = `${up}${section.path}#${section.anchor}`;
    link.textContent = section.heading === section.title ? section.title : `${section.title}: ${section.heading}`;
    small.textContent = around(section, words[0]);
    row.append(link, small);
    list.append(row);
  }
  found.append(list);
}

box.addEventListener("input", answer);
box.form.addEventListener("submit", event => event.preventDefault());
