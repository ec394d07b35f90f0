"use strict";
document.body.classList.remove("no-script");
const run = JSON.parse(document.getElementById("data").textContent), last = run.time_s.length - 1;
const byId = id => document.getElementById(id), at = byId("at"), play = byId("play"), now = byId("now");
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const most = name => Math.max(1, ...run[name]);
const callsAPoint = Math.ceil(most("requests") / 80), waitsAPoint = Math.ceil(most("waiting") / 80);
const boxes = Math.ceil(Math.max(...run.serving.map((n, k) => n + run.starting[k] + run.draining[k])) / 24) || 1;
let timer = null;
at.max = last;

const sum = (values, end) => values.slice(0, end + 1).reduce((a, b) => a + b, 0);
const clock = s => `${Math.floor(s / 3600)}:${String(Math.floor(s / 60) % 60).padStart(2, "0")} h`;
const figure = n => n.toLocaleString("en", {maximumFractionDigits: 0});

function fill(id, kinds) {
  const made = [];
  for (const [kind, count, share] of kinds) {
    for (let i = 0; i < count; i++) {
      const cell = document.createElement("i");
      cell.className = kind;
      if (share !== undefined) cell.append(Object.assign(document.createElement("b"), {style: `height:${100 * share}%`}));
      made.push(cell);
    }
  }
  byId(id).replaceChildren(...made);
}

function show(k) {
  const [calls, errors, waits] = [run.requests[k], run.errors[k], run.waiting[k]], busy = run.running[k];
  const [starting, serving, draining] = [run.starting[k], run.serving[k], run.draining[k]];
  const peak = Math.max(1, ...run.running.map((n, j) => n / Math.max(1, run.serving[j])));
  const load = busy === null || !serving ? 0 : Math.min(1, busy / serving / peak);
  fill("calls", [["error", Math.ceil(Math.min(errors, calls) / callsAPoint)],
    ["", Math.ceil(Math.max(0, calls - errors) / callsAPoint)]]);
  fill("queue", [["waits", Math.ceil(waits / waitsAPoint)]]);
  fill("fleet", [["box", Math.ceil(serving / boxes), load], ["box draining", Math.ceil(draining / boxes)],
    ["box starting", Math.ceil(starting / boxes)]]);
  byId("calls-head").textContent = `callers in this step${callsAPoint > 1 ? ` (a point: ${callsAPoint})` : ""}`;
  byId("queue-head").textContent =
    (busy === null ? "inside" : "waiting") + (waitsAPoint > 1 ? ` (a point: ${waitsAPoint})` : "");
  byId("fleet-head").textContent = `${run.machines}${boxes > 1 ? ` (a box: ${boxes})` : ""}; dashed: starting, dotted: draining`;
  const told = {
    requests: figure(sum(run.requests, k)), answers: figure(sum(run.answers, k)), errors: figure(sum(run.errors, k)),
    waiting: figure(waits), starting, "in service": serving, draining, dollars: run.usd[k].toFixed(run.usd[last] < 10 ? 4 : 2)
  };
  byId("told").replaceChildren(...Object.entries(told).map(([name, value]) => {
    const row = document.createElement("div");
    row.append(Object.assign(document.createElement("dt"), {textContent: name}),
      Object.assign(document.createElement("dd"), {textContent: value}));
    return row;
  }));
  byId("clock").textContent = clock(run.time_s[k]);
  at.setAttribute("aria-valuetext", clock(run.time_s[k]) + ": " +
    Object.entries(told).map(([name, value]) => `${name} ${value}`).join(", "));
  const x = 860 * (k + 1) / (last + 1);
  now.setAttribute("x1", x);
  now.setAttribute("x2", x);
}

function stop() {
  clearInterval(timer);
  timer = null;
  play.textContent = "Play";
}

function start() {
  if (+at.value >= last) at.value = 0;
  const stride = calm.matches ? Math.ceil(last / 10) : 1;  // less motion: ten still pictures
  play.textContent = "Pause";
  timer = setInterval(() => {
    at.value = Math.min(last, +at.value + stride);
    show(+at.value);
    if (+at.value >= last) stop();
  }, calm.matches ? 1500 : Math.max(60, 20000 / (last + 1)));
}

play.addEventListener("click", () => timer ? stop() : start());
at.addEventListener("input", () => { stop(); show(+at.value); });
show(0);
