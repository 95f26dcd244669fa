// A job live: its states, what is said of it, and the log of each rank, as Core tells them on one socket.

import {byId, call, element, openTab, query, say, sessionsOf, token} from "./core.js";

const AGAIN_MS = 1000;
const MOST_PIECES = 20000;
const WINDOW = "Target: ";
const id = query.get("id");
const flags = "includeApplication=true&includeSupport=true&includeProduct=true&includeUpdates=true";
let job;

byId("number").textContent = id;
document.title = `Job ${id}`;
start();

async function start() {
  try {
    job = await call("GET", `/api/jobs/retrieve?${flags}&id=${encodeURIComponent(id)}`);
  } catch (error) {
    say(error);
    return;
  }
  const {application, product, replicas, name} = job.specification;
  const title = job.status.resolvedApplication?.metadata.title ?? application.name;
  const count = replicas === 1 ? "1 replica" : `${replicas} replicas`;
  byId("facts").textContent = [name, title, product.id, count].filter(Boolean).join(" · ");
  byId("ranks").replaceChildren(...Array.from({length: replicas}, (_, rank) => panel(rank)));
  byId("updates").replaceChildren();
  job.updates.forEach(showUpdate);
  showState();
  follow(await token());
}

function follow(bearer) {
  const socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/api/jobs`);
  const request = {call: "jobs.follow", streamId: "0", payload: {id}, bearer};
  let ended = false;
  socket.onopen = () => socket.send(JSON.stringify({...request, causedBy: null, project: query.get("project")}));
  socket.onmessage = ({data}) => {
    const frame = JSON.parse(data);
    if (frame.type === "message") {
      receive(frame.payload);
    } else if (frame.type === "response") {
      ended = frame.status === 200 || frame.status === 404;
      say(frame.status === 200 ? "" : frame.payload.why);
      document.body.dataset.follow = ended ? "ended" : "lost";
      socket.close();
    }
  };
  // The log comes from its first line again, so all is drawn anew.
  socket.onclose = () => ended || setTimeout(start, AGAIN_MS);
}

function receive({updates, log, newStatus, initialJob}) {
  document.body.dataset.follow = "live";
  say("");
  if (initialJob) job.status.state = initialJob.status.state;
  if (newStatus) job.status.state = newStatus.state;
  if (initialJob || newStatus) showState();
  updates.forEach(showUpdate);
  log.forEach(showLog);
}

function showState() {
  const {state} = job.status;
  byId("state").textContent = state;
  byId("state").className = `state ${state}`;
  for (const [, type, possible] of sessionsOf(job)) {
    document.querySelectorAll(`#ranks button[name="${type}"]`).forEach((b) => (b.disabled = !possible));
  }
}

function showUpdate({timestamp, state, status}) {
  if (!state && !status) return;
  if (status?.startsWith(WINDOW)) {
    addWindow(JSON.parse(status.slice(WINDOW.length)));
    return;
  }
  const line = element("li");
  const time = element("time", new Date(timestamp).toLocaleTimeString("en-GB"));
  line.append(time);
  if (state) line.append(element("span", state, `state ${state}`));
  line.append(status ?? "");
  byId("updates").append(line);
}

function showLog({rank, stdout, stderr}) {
  const screen = byId(`log-${rank}`);
  if (!screen) return;
  const atEnd = screen.scrollHeight - screen.scrollTop - screen.clientHeight < 40;
  for (const [channel, text] of [["stdout", stdout], ["stderr", stderr]]) {
    if (text) append(screen, channel, text);
  }
  if (atEnd) screen.scrollTop = screen.scrollHeight;
}

function append(screen, channel, text) {
  const last = screen.lastChild;
  if (last?.className === channel && last.firstChild.length < 20000) last.firstChild.appendData(text);
  else screen.append(element("span", text, channel));
  while (screen.childNodes.length > MOST_PIECES) screen.firstChild.remove();
}

/** One more window that the application has announced for a rank. */
function addWindow({rank, type, target}) {
  const head = byId(`log-${rank}`)?.previousSibling;
  if (target && !head?.querySelector(`button[data-target="${target}"]`)) head?.append(opener(target, rank, type, target));
  showState();
}

function opener(label, rank, type, target) {
  const button = element("button", label);
  button.name = type;
  if (target) button.dataset.target = target;
  button.onclick = () => openTab(id, rank, type, target).catch((error) => alert(error.message));
  return button;
}

function panel(rank) {
  const section = element("section");
  const head = element("h2");
  head.append(element("span", `Rank ${rank}`));
  for (const [label, type] of sessionsOf(job)) head.append(opener(label, rank, type));
  const screen = element("pre");
  screen.id = `log-${rank}`;
  section.append(head, screen);
  return section;
}
