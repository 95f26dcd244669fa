// The desktop of a rank of a job: noVNC, connected straight to the provider.

import RFB from "../npm/@novnc/novnc/core/rfb.js";
import {byId, openSession, query, say, socketAddress} from "./core.js";

const id = query.get("id");
const rank = Number(query.get("rank") ?? 0);

document.title = `Desktop of job ${id}, rank ${rank}`;
byId("title").textContent = document.title;
byId("again").onclick = connect;
connect();

async function connect() {
  byId("again").hidden = true;
  say("connecting …");
  let opened;
  try {
    opened = await openSession(id, rank, "VNC", query.get("target"));
  } catch (error) {
    lost(error);
    return;
  }
  const {providerDomain, session} = opened;
  byId("screen").replaceChildren();
  const desktop = new RFB(byId("screen"), socketAddress(session.url, providerDomain), {
    credentials: {password: session.password},
    wsProtocols: ["binary"],
  });
  desktop.scaleViewport = true;
  desktop.background = "#141a24";
  desktop.addEventListener("connect", () => {
    say("");
    desktop.focus();
    document.body.dataset.desktop = "connected";
  });
  desktop.addEventListener("securityfailure", ({detail}) => say(detail.reason ?? "The password was refused."));
  desktop.addEventListener("disconnect", ({detail}) => {
    document.body.dataset.desktop = "lost";
    lost(detail.clean ? "The desktop was closed." : "The connection was lost.");
  });
}

function lost(why) {
  say(why);
  byId("again").hidden = false;
}
