// The user's jobs, newest first, and what of them can be opened.

import {byId, call, element, openTab, page, say, sessionsOf, user} from "./core.js";

const EVERY_MS = 1500;
const flags = "includeApplication=true&includeSupport=true&sortDirection=descending&itemsPerPage=50";
const rows = new Map();

byId("user").textContent = user;
refresh();

async function refresh() {
  try {
    const {items} = await call("GET", `/api/jobs/browse?${flags}`);
    items.forEach((job, index) => show(job, index));
    say(items.length ? "" : "There are no jobs yet.");
  } catch (error) {
    say(error);
  }
  setTimeout(refresh, EVERY_MS);
}

function show(job, index) {
  let row = rows.get(job.id);
  if (!row) rows.set(job.id, (row = newRow(job)));
  const body = byId("jobs");
  if (body.children[index] !== row) body.insertBefore(row, body.children[index] ?? null);
  const state = row.querySelector(".state");
  state.textContent = job.status.state;
  state.className = `state ${job.status.state}`;
  for (const [label, , possible] of sessionsOf(job)) {
    row.querySelector(`button[name="${label}"]`).disabled = !possible;
  }
}

function newRow(job) {
  const {application, product, replicas, name} = job.specification;
  const row = element("tr");
  row.dataset.job = job.id;
  const number = element("td", job.id);
  if (name) number.append(element("small", name));
  const state = element("td");
  state.append(element("span", "", "state"));
  const title = job.status.resolvedApplication?.metadata.title ?? application.name;
  row.append(number, element("td", title), element("td", product.id), state, rankCell(replicas), buttons(job));
  return row;
}

function rankCell(replicas) {
  const cell = element("td");
  const choice = element("select");
  choice.title = "Rank";
  for (let rank = 0; rank < replicas; rank++) choice.append(element("option", String(rank)));
  cell.append(choice);
  return cell;
}

function buttons(job) {
  const cell = element("td");
  cell.append(button("Follow", () => location.assign(page("job.html", {id: job.id}))));
  for (const [label, type] of sessionsOf(job)) {
    cell.append(" ", button(label, (row) => openTab(job.id, Number(row.querySelector("select").value), type)));
  }
  return cell;
}

function button(label, act) {
  const made = element("button", label);
  made.name = label;
  made.onclick = async () => {
    try {
      await act(made.closest("tr"));
    } catch (error) {
      alert(error.message);
    }
  };
  return made;
}
