// A terminal in a rank of a job: xterm.js, connected straight to the provider.

import {FitAddon} from "../npm/@xterm/addon-fit/lib/addon-fit.mjs";
import {Terminal} from "../npm/@xterm/xterm/lib/xterm.mjs";
import {byId, openSession, query, say, socketAddress, usernameHint} from "./core.js";

const id = query.get("id");
const rank = Number(query.get("rank") ?? 0);
const terminal = new Terminal({fontFamily: '"DejaVu Sans Mono", monospace', fontSize: 14, theme: {background: "#141a24"}});
const fit = new FitAddon();
let socket = null;
let lastStream = 0;
let connections = 0;

document.title = `Terminal of job ${id}, rank ${rank}`;
byId("title").textContent = document.title;
terminal.loadAddon(fit);
terminal.open(byId("screen"));
fit.fit();
terminal.focus();
terminal.onData((data) => send({type: "input", data}));
terminal.onResize(({cols, rows}) => send({type: "resize", cols, rows}));
window.onresize = () => fit.fit();
window.terminal = terminal; // for whoever looks at the screen from outside
window.dropConnection = () => socket.close();
byId("again").onclick = () => connect(1);
connect(1);

/** Ask for a session and connect; when the connection is lost, once more by itself. */
async function connect(retries) {
  byId("again").hidden = true;
  say("connecting …");
  let opened;
  try {
    opened = await openSession(id, rank, "SHELL");
  } catch (error) {
    lost(error);
    return;
  }
  const {providerDomain, providerId, session} = opened;
  const address = `${socketAddress(providerDomain)}/ucloud/${providerId}/websocket`;
  const hints = new URLSearchParams({session: session.sessionIdentifier, usernameHint: usernameHint()});
  socket = new WebSocket(`${address}?${hints}`);
  socket.providerId = providerId;
  socket.onopen = () => {
    const {cols, rows} = terminal;
    send({type: "initialize", sessionIdentifier: session.sessionIdentifier, cols, rows});
  };
  socket.onmessage = ({data}) => {
    const frame = JSON.parse(data);
    if (frame.payload?.type === "initialize") {
      terminal.reset();
      document.body.dataset.connections = ++connections;
      say("");
    } else if (frame.payload?.type === "data") {
      terminal.write(frame.payload.data);
    } else if (frame.type === "response" && frame.status >= 400) {
      say(frame.payload?.why ?? `refused (${frame.status})`);
    }
  };
  socket.onclose = () => (retries > 0 ? connect(retries - 1) : lost("The connection was lost."));
}

function lost(why) {
  say(why);
  byId("again").hidden = false;
}

function send(payload) {
  if (socket?.readyState !== WebSocket.OPEN) return;
  const call = `jobs.compute.${socket.providerId}.shell.open`;
  const streamId = String(lastStream++);
  socket.send(JSON.stringify({call, streamId, payload, bearer: null, causedBy: null, project: null}));
}
