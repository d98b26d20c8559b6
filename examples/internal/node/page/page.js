"use strict";
// The page asks the API of the node that serves it, and reads its events.

const byId = (id) => document.getElementById(id);
const keys = new Map(); // ID of a peer -> its place on the ring, from 0 to 1
let self = "", contacts = [], lookup = null; // the lookup that is shown
let wanted = ""; // the target of the lookup that was started here last
const shown = 60000; // how long it stays, in ms, while the node does lookups of its own

async function api(path, options) {
  const answer = await fetch(location.origin + path, options); // without the password of the address, if it has one
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error);
  return body;
}

// Base58, as IDs are written.
function bytesOf(id) {
  const digits = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
  let n = 0n;
  for (const c of id) n = n * 58n + BigInt(digits.indexOf(c));
  const bytes = [];
  for (; n > 0n; n >>= 8n) bytes.unshift(Number(n & 255n));
  for (const c of id) { if (c !== "1") break; bytes.unshift(0); }
  return new Uint8Array(bytes);
}

async function locate(id) {
  if (keys.has(id)) return;
  keys.set(id, placeOf(await hash(bytesOf(id))));
}

const hash = async (bytes) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));

const placeOf = (b) => (b[0] * 2 ** 24 + b[1] * 2 ** 16 + b[2] * 2 ** 8 + b[3]) / 2 ** 32;

const point = (place, r) => [r * Math.sin(2 * Math.PI * place), -r * Math.cos(2 * Math.PI * place)];

function shape(name, attributes, text) {
  const e = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
  if (text) { const title = document.createElementNS("http://www.w3.org/2000/svg", "title"); title.textContent = text; e.append(title); }
  return e;
}

function dot(place, kind, size, title) {
  const [x, y] = point(place, 100);
  return shape("circle", { cx: x, cy: y, r: size, class: kind, "data-peer": title }, title);
}

function drawRing() {
  const ring = byId("ring");
  ring.replaceChildren(shape("circle", { r: 100, class: "circle" }));
  for (const c of contacts) if (keys.has(c.id)) ring.append(dot(keys.get(c.id), "contact", 2.5, c.id));
  if (lookup) {
    const [tx, ty] = point(lookup.place, 100);
    for (const [id, state] of lookup.peers) {
      if (!keys.has(id)) continue;
      const [x, y] = point(keys.get(id), 100);
      ring.append(shape("line", { x1: x, y1: y, x2: tx, y2: ty, class: "way" }), dot(keys.get(id), state, 3.5, id));
    }
    ring.append(dot(lookup.place, "target", 5, "target"));
  }
  if (keys.has(self)) ring.append(dot(keys.get(self), "self", 4, self));
}

const cell = (text) => { const td = document.createElement("td"); td.textContent = text; return td; };

function describe(list, entries) {
  list.replaceChildren(...entries.flatMap(([name, value]) => {
    const dt = document.createElement("dt"), dd = document.createElement("dd");
    dt.textContent = name; dd.textContent = value;
    return [dt, dd];
  }));
}

// A chart has two lines over time. Each value is of the node's counters now and 2 s ago.
const inbound = ["find_node", "get_value", "put_value", "get_providers", "add_provider", "ping"].map((n) => `inbound_${n}`);
const sum = (names) => (s) => names.reduce((total, n) => total + s[n], 0);
const rate = (count) => (now, before) => Math.max(0, count(now) - count(before)) * 1000 / (now.uptime_ms - before.uptime_ms);
const charts = [
  { name: "requests a second", lines: [["sent", rate(sum(["requests", "probes"]))], ["answered", rate(sum(inbound))]] },
  { name: "bytes of messages a second", lines: [["received", rate(sum(["bytes_in"]))], ["sent", rate(sum(["bytes_out"]))]] },
  { name: "published a second", lines: [["done", rate(sum(["published"]))], ["failed", rate(sum(["publish_failed"]))]] },
  { name: "dials a second", lines: [["begun", rate(sum(["dials"]))], ["failed", rate(sum(["dials_failed"]))]] },
  { name: "now", lines: [["connections", (s) => s.connections], ["contacts", (s) => s.contacts]] },
];
const samples = 150; // that a chart shows: 5 minutes
let before = null;   // the counters of the last sample

function span(kind, text) {
  const e = document.createElement("span");
  e.className = kind; e.textContent = text;
  return e;
}

function drawCharts(stats) {
  if (before && stats.uptime_ms > before.uptime_ms) {
    byId("charts").replaceChildren(...charts.map((c) => {
      c.values = c.values || c.lines.map(() => []);
      c.lines.forEach(([, of], i) => { c.values[i].push(of(stats, before)); if (c.values[i].length > samples) c.values[i].shift(); });
      const most = Math.max(1, ...c.values.flat());
      const figure = document.createElement("figure"), caption = document.createElement("figcaption");
      const text = (i) => `${c.lines[i][0]} ${(+c.values[i].at(-1).toFixed(1))}`;
      caption.append(`${c.name}: `, span("first-name", text(0)), " ", span("second-name", text(1)), ` (at most ${+most.toFixed(1)})`);
      const svg = shape("svg", { viewBox: `0 0 ${samples} 100`, preserveAspectRatio: "none", role: "img", "aria-label": caption.textContent });
      c.values.forEach((v, i) => svg.append(shape("polyline", {
        class: ["first", "second"][i], points: v.map((y, x) => `${samples - v.length + x},${100 - 95 * y / most}`).join(" ") })));
      figure.append(caption, svg);
      return figure;
    }));
  }
  before = stats;
}

// How long something takes that is due later, in the largest unit that fits.
function duration(ms) {
  for (const [unit, name] of [[86400000, "d"], [3600000, "h"], [60000, "min"]]) if (ms >= 2 * unit) return `${Math.round(ms / unit)} ${name}`;
  return `${Math.round(ms / 1000)} s`;
}

// What the node does by itself, of which the counters say when it is due.
const jobs = {
  refresh: "looks up a part of the table", check: "checks a contact", reunite: "tries earlier contacts", save_contacts: "saves its contacts",
  republish: "publishes its own records again", replicate: "passes on what it holds", expire: "drops what has expired", presence: "tells its addresses again",
};

const drawDue = (stats) => describe(byId("due"), Object.keys(jobs).filter((n) => `due_${n}_ms` in stats)
  .sort((a, b) => stats[`due_${a}_ms`] - stats[`due_${b}_ms`]).map((n) => [jobs[n], `in ${duration(stats[`due_${n}_ms`])}`]));

let failure = null; // the last one
let failures = 0; // when it was asked for

async function drawPublishing(s) {
  if (s.publish_failed !== failures) {
    const status = await api("/v1/provide/status");
    [failure, failures] = [status.last_failure, s.publish_failed];
  }
  const f = failure;
  describe(byId("publishing"), [
    ["scheduled", s.publications], ["due within an hour", s.publications_next_hour],
    ["overdue", s.publications_overdue], ["under way", s.publications_under_way],
    ["published since the start", s.published], ["failed since the start", s.publish_failed],
    ["last failure", f ? `${new Date(f.at).toLocaleTimeString()} ${f.kind} ${f.key || f.keyhex}: ${f.reason}` : "none"],
  ]);
}

const mostHeld = 50; // entries that are shown

async function showHeld() {
  const answer = await fetch(`${location.origin}/v1/held`);
  const lines = (await answer.text()).split("\n").filter(Boolean).map((line) => JSON.parse(line));
  const held = lines.filter((h) => h.keyhex);
  byId("held-count").textContent = `${held.length} records and announcements of the network, and of this node${held.length > mostHeld ? `; the first ${mostHeld}:` : ""}`;
  byId("held").replaceChildren(...held.slice(0, mostHeld).map((h) => {
    const row = document.createElement("tr");
    row.append(cell(h.kind), cell(h.key || h.keyhex), cell(h.size), cell(h.left_ms === null ? "never" : duration(h.left_ms)));
    return row;
  }));
}

async function refresh() {
  try {
    const [id, table, stats] = await Promise.all(["id", "table", "stats"].map((path) => api(`/v1/${path}`)));
    drawCharts(stats);
    drawDue(stats);
    await drawPublishing(stats);
    self = id.id;
    byId("network").textContent = id.network;
    byId("self").textContent = id.id;
    byId("state").textContent = `${table.size} contacts; ${id.mode}: ${id.mode_reason}`;
    contacts = table.buckets.flatMap((b) => b.contacts.map((c) => ({ ...c, cpl: b.cpl })));
    await Promise.all([self, ...contacts.map((c) => c.id)].map(locate));
    byId("contacts").replaceChildren(...contacts.map((c) => {
      const row = document.createElement("tr");
      row.append(cell(c.cpl), cell(c.id), cell(`${c.rtt_ms.toFixed(1)} ms`), cell(`${Math.round(c.last_seen_ms / 1000)} s`));
      return row;
    }));
    describe(byId("stats"), ["values", "providers", "publications", "lookups", "requests", "requests_failed", "inbound_find_node", "inbound_get_value", "inbound_put_value", "connections"].map((n) => [n.replaceAll("_", " "), stats[n]]));
    drawRing();
  } catch (e) { byId("state").textContent = `The node does not answer: ${e.message}`; }
}

async function diagnose() {
  try {
    const d = await api("/v1/diagnose");
    describe(byId("reach"), [["lookups", d.ready ? "work" : d.not_ready], ["reachability", `${d.reachability} (${d.reachability_source})`], ["NAT", `TCP ${d.nat.tcp}, UDP ${d.nat.udp}`], ["relays", d.relays.join(" ") || "none"], ["addresses", d.addrs.join("\n")]]);
    byId("advice").replaceChildren(...d.advice.map((text) => { const li = document.createElement("li"); li.textContent = text; return li; }));
  } catch (e) { describe(byId("reach"), [["lookups", e.message]]); }
}

function note(text, list, most) {
  const li = document.createElement("li");
  li.textContent = text;
  list.prepend(li);
  while (list.children.length > most) list.lastChild.remove();
}

const kinds = { lookup_asked: "asked", lookup_answered: "answered", lookup_failed: "failed" };

async function take(e) {
  if (e.type === "lookup_began") {
    if (lookup && Date.now() < lookup.until && e.target !== wanted) return;
    const bytes = e.target.match(/../g).map((h) => parseInt(h, 16));
    lookup = { number: e.lookup, name: `Lookup ${e.lookup} of ${e.target.slice(0, 16)}…`, place: placeOf(bytes), peers: new Map() };
    lookup.until = e.target === wanted ? Date.now() + shown : 0;
    byId("hops").replaceChildren();
    byId("lookup").textContent = lookup.name;
  } else if (kinds[e.type]) {
    if (!lookup || lookup.number !== e.lookup) return;
    lookup.peers.set(e.peer, kinds[e.type]);
    await locate(e.peer);
    if (e.type !== "lookup_asked") note(`${e.peer} ${kinds[e.type]}`, byId("hops"), 100);
  } else if (e.type === "lookup_ended") {
    if (lookup && lookup.number === e.lookup) byId("lookup").textContent = `${lookup.name}: ${e.end}; hops ${e.hops}, requests ${e.requests}, answered ${e.answered}`;
  } else if (e.type === "published") {
    const text = e.key.match(/../g).map((h) => String.fromCharCode(parseInt(h, 16))).join("");
    note(`${new Date(e.at).toLocaleTimeString()} ${e.kind} ${/^[ -~]+$/.test(text) ? text : e.key} stored by ${e.stored} of ${e.wanted} peers ${e.reason}`, byId("events"), 200);
  } else {
    note(`${new Date(e.at).toLocaleTimeString()} ${e.says || e.type.replaceAll("_", " ")} ${e.reason || e.peer || ""}`, byId("events"), 200);
  }
  drawRing();
}

byId("search").addEventListener("submit", async (event) => {
  event.preventDefault();
  const key = byId("key").value.trim();
  const isPeer = /^(12D3Koo|Qm|16Uiu2)/.test(key);
  const path = isPeer ? `/v1/peer?id=${encodeURIComponent(key)}` : `/v1/closest?key=${encodeURIComponent(key)}`;
  wanted = [...await hash(isPeer ? bytesOf(key) : new TextEncoder().encode(key))].map((b) => b.toString(16).padStart(2, "0")).join("");
  try {
    const found = await api(path);
    note(found.peers ? `${found.peers.length} peers are closest to ${key}` : `${key} is at ${found.addrs.join(" ")}`, byId("events"), 200);
  } catch (e) { note(e.message, byId("events"), 200); }
  refresh();
});

const events = new EventSource(location.origin + "/v1/events");
let order = Promise.resolve(); // events are taken one after the other
events.onmessage = (m) => { const e = JSON.parse(m.data); order = order.then(() => take(e)); };
const held = () => showHeld().catch((e) => { byId("held-count").textContent = e.message; });
refresh();
diagnose();
held();
setInterval(refresh, 2000);
setInterval(held, 10000);
setInterval(diagnose, 60000);
