// The portal's API, as the user whom the address names (?user=, ?project=), and small things of all pages.

export const query = new URLSearchParams(location.search);
export const user = query.get("user") ?? "user";
const project = query.get("project");

/** A token of the user; the stand-in needs no password. */
export async function token() {
  const who = new URLSearchParams(project ? {user, project} : {user});
  return (await fetch(`/standin/token?${who}`)).text();
}

/** Call Core; an error says what Core, or the provider, has said. */
export async function call(method, path, body) {
  const headers = {Authorization: `Bearer ${await token()}`, "Content-Type": "application/json"};
  const response = await fetch(path, {method, headers, body: body && JSON.stringify(body)});
  const reply = await response.json();
  if (!response.ok) throw new Error(reply.why);
  return reply;
}

/** Open a session with a rank of a job: `{providerDomain, providerId, session}`. */
export async function openSession(id, rank, sessionType, target) {
  const item = {id, rank, sessionType, ...(target && {target})};
  return (await call("POST", "/api/jobs/interactiveSession", {items: [item]})).responses[0];
}

/** Open another of these pages, or an application of a job, in a tab of its own. */
export async function openTab(id, rank, sessionType, target) {
  if (sessionType !== "WEB") {
    const name = sessionType === "VNC" ? "desktop.html" : "terminal.html";
    window.open(page(name, {id, rank, ...(target && {target})}));
    return;
  }
  const tab = window.open("about:blank"); // now, because later it would not be the user's own click
  try {
    tab.location = (await openSession(id, rank, "WEB", target)).session.redirectClientTo;
  } catch (error) {
    tab.close();
    throw error;
  }
}

/** The address of another of these pages for the same user. */
export function page(name, more) {
  return `${name}?${new URLSearchParams({user, ...(project && {project}), ...more})}`;
}

/** What a job offers to open: `[label, sessionType, whether it can be opened]`. */
export function sessionsOf(job) {
  const {resolvedApplication: application, resolvedSupport: resolved, state} = job.status;
  const block = {DOCKER: "docker", NATIVE: "native", VIRTUAL_MACHINE: "virtualMachine"};
  const backend = application?.invocation.tool.tool.description.backend;
  const support = resolved?.support[block[backend]] ?? {};
  const kind = application?.invocation.applicationType;
  return [
    ["Terminal", "SHELL", support.terminal],
    ["Web", "WEB", support.web && kind === "WEB"],
    ["Desktop", "VNC", support.vnc && (kind === "VNC" || backend === "VIRTUAL_MACHINE")],
  ].map(([label, type, possible]) => [label, type, Boolean(possible && state === "RUNNING")]);
}

/** An address of the provider as one of a WebSocket; a path alone is below the provider's domain. */
export function socketAddress(address, providerDomain) {
  const whole = address.startsWith("/") ? providerDomain + address : address;
  return whole.replace(/^http/, "ws");
}

/** The user's name as browsers give it to the provider's front door. */
export function usernameHint() {
  return btoa(String.fromCharCode(...new TextEncoder().encode(user)));
}

/** An element with text in it. */
export function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

export const byId = (id) => document.getElementById(id);

/** Show an error, or nothing. */
export function say(message) {
  byId("message").textContent = message?.message ?? message ?? "";
}
