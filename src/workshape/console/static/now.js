// What is on fire now: asked for every second, shown in place. All text goes in as text: nothing here makes HTML of data.

const POLL_MS = 1000;
const ANSWER_MS_MAX = 8000; // the engine itself waits for the database a second at most

const byId = (id) => document.getElementById(id);
let now = null;
let answeredAt = null;

// Asking

async function ask(path, order) {
  const request = { signal: AbortSignal.timeout(ANSWER_MS_MAX), cache: "no-store" };
  if (order !== undefined) {
    Object.assign(request, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(order),
    });
  }
  const response = await fetch(`api/now/${path}`, request);
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.message);
  return answer;
}

function reason(error) {
  return error.name === "TimeoutError" ? `it did not answer within ${ANSWER_MS_MAX / 1000} s` : error.message;
}

async function look() {
  try {
    now = await ask("status");
    answeredAt = new Date();
    byId("lost").hidden = true;
    document.body.classList.remove("stale");
    show();
  } catch (error) {
    const since = answeredAt === null ? "" : ` since ${clock(answeredAt)}; what is below is from then`;
    put(byId("verdict"), "no answer");
    byId("verdict").className = "fire";
    document.title = "(?) workshape";
    document.body.classList.add("stale");
    say(byId("lost"), `No answer from workshape${since} (${reason(error)}). Does it run? workshape status`);
  }
}

async function watch() {
  for (;;) {
    const begun = Date.now();
    if (!document.hidden) await look();
    await new Promise((resume) => setTimeout(resume, Math.max(100, POLL_MS - (Date.now() - begun))));
  }
}

// Showing

function show() {
  const { alarms, engine, proxy, proxy_unknown: proxyUnknown } = now;
  byId("app").textContent = engine.app ?? "workshape";
  byId("age").textContent = `as of ${clock(answeredAt)}`;
  showAlarms(alarms);
  showFunctions(engine);
  showDatabase(engine.database);
  showProxy(proxy, proxyUnknown);
  showQueues(engine.queues);
  showTopics(engine.topics);
}

function showAlarms(alarms) {
  const fires = alarms.filter((alarm) => alarm.severity === "fire").length;
  const warnings = alarms.length - fires;
  const verdict = byId("verdict");
  const parts = [fires && counted(fires, "fire"), warnings && counted(warnings, "warning")].filter(Boolean);
  put(verdict, parts.join(", ") || "nothing is on fire");
  verdict.className = fires ? "fire" : warnings ? "warning" : "good";
  document.title = `${fires ? `(${fires}) ` : ""}${now.engine.app ?? "workshape"}`;
  const shown = alarms.length
    ? alarms
    : [{ severity: "good", subject: "all", what: "Nothing is on fire.", remedy: "", function: "", connections: false }];
  // The figures change every second, the kind of an alarm does not: buttons keep their place and the focus.
  keyed(byId("alarms"), shown, (alarm, index) => `${alarm.subject} ${alarm.remedy} ${index}`, makeAlarm, showAlarm);
}

function makeAlarm(alarm) {
  const item = node("li");
  item.append(node("div", "severity"), node("div", "what"), node("div", "remedy"));
  const choices = node("div", "choices");
  if (alarm.function) {
    choices.append(button(`Throttle ${alarm.function}…`, () => openThrottle(alarm.function), "strong"));
  }
  if (alarm.connections) {
    choices.append(button("Kill connections…", () => openKill(alarm.function || ""), "strong"));
  }
  if (choices.childElementCount) item.append(choices);
  return item;
}

function showAlarm(item, alarm) {
  item.className = alarm.severity;
  put(item.querySelector(".severity"), alarm.severity === "good" ? "" : `${alarm.severity} · ${alarm.subject}`);
  put(item.querySelector(".what"), alarm.what);
  put(item.querySelector(".remedy"), alarm.remedy);
}

function showFunctions(engine) {
  byId("functions-section").hidden = engine.functions.length === 0;
  put(byId("account"), `${number(engine.concurrency)} of the account's ${number(engine.account_concurrency)} run`);
  keyed(byId("functions"), engine.functions, (one) => one.name, makeFunction, showFunction);
}

function makeFunction(one) {
  const row = makeRow(one.name, ["running", "limit", "invoked", "cold", "429", "errors", "p50", "p99"]);
  const act = node("td", "act");
  act.append(button("Throttle…", () => openThrottle(one.name), "", `Throttle ${one.name}`));
  row.append(act);
  return row;
}

function showFunction(row, one) {
  const minute = one.last_minute;
  const isReserved = one.reserved_concurrency !== null;
  const rate = minute.invocations ? minute.errors / minute.invocations : 0;
  // Rows keep their places, whatever happens: a finger is on its way to one. What is still takes less room.
  row.classList.toggle("still", !one.concurrency && !minute.invocations && !minute.throttles && one.limit > 0);
  showCells(row, {
    running: [number(one.concurrency), one.concurrency >= one.limit && one.concurrency > 0 ? "fire" : ""],
    limit: [isReserved ? number(one.limit) : `${number(one.limit)} shared`, one.limit === 0 ? "warning" : ""],
    invoked: [number(minute.invocations)],
    cold: [number(minute.cold_starts)],
    429: [number(minute.throttles), minute.throttles ? "fire" : ""],
    errors: [number(minute.errors), rate >= 0.5 ? "fire" : minute.errors ? "warning" : ""],
    p50: [milliseconds(minute.p50_ms)],
    p99: [milliseconds(minute.p99_ms), (minute.p99_ms ?? 0) >= one.timeout_s * 900 ? "warning" : ""],
  });
}

function showDatabase(database) {
  byId("database-section").hidden = database === null;
  if (database === null) return;
  put(byId("database-name"), database.name);
  const refused = database.refused_last_minute;
  const told =
    refused === null ? "whom the server refused, only its own log tells" : `${number(refused)} refused in the last minute`;
  const kept = database.kept_for_superusers ? ` (${number(database.kept_for_superusers)} are kept for superusers)` : "";
  const line = `${number(database.connections)} of ${number(database.max_connections)} connections${kept}; ${told}`;
  put(byId("database-line"), database.unknown ? `${line}. Not certain: ${database.unknown}` : line);
  byId("database-line").className = refused || database.unknown ? "bad-text" : "";
  keyed(byId("database-bar"), database.holders, (one) => one.name, () => node("i"), (piece, one) => {
    piece.className = one.kind;
    piece.style.width = `${(100 * one.connections) / Math.max(database.max_connections, 1)}%`;
  });
  byId("holders").parentElement.hidden = database.holders.length === 0;
  keyed(byId("holders"), database.holders, (one) => one.name, makeHolder, showHolder);
}

function makeHolder(one) {
  const row = makeRow(one.name, ["connections", "idle"]);
  row.querySelector("th").prepend(node("span", `dot ${one.kind}`));
  const act = node("td", "act");
  if (one.kind === "function") act.append(button("Kill…", () => openKill(one.name), "", `Kill connections of ${one.name}`));
  row.append(act);
  return row;
}

function showHolder(row, one) {
  showCells(row, { connections: [number(one.connections)], idle: [number(one.idle)] });
}

function showProxy(proxy, unknown) {
  byId("proxy-section").hidden = proxy === null && !unknown;
  if (proxy === null) {
    put(byId("proxy-line"), unknown);
    for (const part of ["pools", "pins"]) byId(part).replaceChildren();
    byId("pools").parentElement.hidden = byId("pins-title").hidden = true;
    return;
  }
  const room = proxy.max === null ? "" : ` of ${number(proxy.max)}`;
  const wait = proxy.borrow_latency_ms.p99;
  put(
    byId("proxy-line"),
    `${counted(proxy.client_connections, "client")}, ${number(proxy.waiting)} waiting; ` +
      `${counted(proxy.database_connections, "connection")}${room} to the database, ${number(proxy.borrowed)} lent, ` +
      `${number(proxy.pinned)} pinned` + (wait === undefined ? "" : `; p99 of a borrow ${milliseconds(wait)}`),
  );
  const pools = proxy.pools.map((pool, index) => ({ ...pool, key: `${pool.user}@${pool.database} ${index}` }));
  byId("pools").parentElement.hidden = pools.length === 0;
  keyed(byId("pools"), pools, (pool) => pool.key, makePool, showPool);
  const reasons = new Map();
  for (const pin of proxy.pins) {
    const key = `${pin.reason}: ${pin.statement}`;
    const known = reasons.get(key) ?? { key, count: 0, oldest: 0 };
    reasons.set(key, { key, count: known.count + 1, oldest: Math.max(known.oldest, pin.age_s) });
  }
  const pins = [...reasons.values()].sort((one, other) => other.count - one.count).slice(0, 20);
  byId("pins-title").hidden = pins.length === 0;
  keyed(byId("pins"), pins, (pin) => pin.key, () => node("li"), (item, pin) => {
    put(item, `${counted(pin.count, "session")}, the oldest ${seconds(pin.oldest)}: ${pin.key}`);
  });
}

function makePool(pool) {
  return makeRow(`${pool.user}@${pool.database}`, ["clients", "waiting", "longest", "lent", "idle", "pinned"]);
}

function showPool(row, pool) {
  showCells(row, {
    clients: [number(pool.clients)],
    waiting: [number(pool.waiting), pool.waiting ? "warning" : ""],
    longest: [pool.waiting ? seconds(pool.longest_wait_s) : "–", pool.longest_wait_s >= 1 ? "fire" : ""],
    lent: [number(pool.lent)],
    idle: [number(pool.idle)],
    pinned: [number(pool.pinned), pool.pinned ? "warning" : ""],
  });
}

function showQueues(queues) {
  byId("queues-section").hidden = queues.length === 0;
  keyed(byId("queues"), queues, (queue) => queue.name, makeQueue, (row, queue) => {
    const isDead = queue.dead_letters_of.length > 0;
    row.classList.toggle("still", !queue.visible && !queue.in_flight && !queue.delayed);
    showCells(row, {
      visible: [number(queue.visible), isDead && queue.visible ? "warning" : ""],
      "in flight": [number(queue.in_flight)],
      delayed: [number(queue.delayed)],
      oldest: [queue.oldest_s === null ? "–" : seconds(queue.oldest_s)],
      "dead letters of": [queue.dead_letters_of.join(", ")],
    });
  });
}

function makeQueue(queue) {
  const row = makeRow(queue.name, ["visible", "in flight", "delayed", "oldest", "dead letters of"]);
  row.lastElementChild.className = "wide";
  return row;
}

function showTopics(topics) {
  byId("topics-section").hidden = topics.length === 0;
  keyed(byId("topics"), topics, (one) => one.name, (one) => makeRow(one.name, ["subscriptions", "tried again"]), (row, one) => {
    showCells(row, {
      subscriptions: [number(one.subscriptions)],
      "tried again": [number(one.deliveries_pending), one.deliveries_pending ? "warning" : ""],
    });
  });
}

// Doing

function openThrottle(name) {
  const dialog = byId("throttle-dialog");
  const one = now.engine.functions.find((each) => each.name === name);
  if (one === undefined) return;
  const isReserved = one.reserved_concurrency !== null;
  put(byId("throttle-title"), `Throttle ${name}`);
  put(
    byId("throttle-line"),
    `${number(one.concurrency)} run; ` + (isReserved ? `its limit is ${one.reserved_concurrency}` : "it has no limit of its own"),
  );
  byId("throttle-count").value = isReserved ? one.reserved_concurrency : Math.floor(one.concurrency / 2);
  byId("throttle-lift").hidden = !isReserved;
  byId("throttle-set").onclick = () => {
    const count = byId("throttle-count");
    if (count.value === "" || !count.checkValidity()) {
      say(dialog.querySelector(".notice"), "Give a whole number, 0 or more.");
      count.focus();
      return;
    }
    perform(dialog, "throttle", { function: name, count: Number(count.value) });
  };
  byId("throttle-lift").onclick = () => perform(dialog, "throttle", { function: name, count: null });
  open(dialog, byId("throttle-count"));
}

function openKill(name) {
  const holders = now.engine.database?.holders ?? [];
  const functions = holders.filter((one) => one.kind === "function").map((one) => one.name);
  const whose = byId("kill-whose");
  whose.replaceChildren(
    new Option("functions' own", "functions"),
    ...functions.map((each) => new Option(each, `function ${each}`)),
    new Option("everybody's, the proxy's too", "everybody"),
  );
  whose.value = functions.includes(name) ? `function ${name}` : "functions";
  byId("kill-idle").checked = false;
  open(byId("kill-dialog"), whose);
  foresee();
}

function killOrder() {
  const whose = byId("kill-whose").value;
  const name = whose.startsWith("function ") ? whose.slice("function ".length) : null;
  return { function: name, everybody: whose === "everybody", idle: byId("kill-idle").checked };
}

async function foresee() {
  const order = killOrder();
  askAgain(false);
  byId("kill-ask").disabled = true;
  try {
    const foreseen = await ask("foresee", order);
    if (JSON.stringify(order) !== JSON.stringify(killOrder())) return;
    put(byId("kill-foreseen"), foreseen.said);
    put(byId("kill-ask"), `Kill ${counted(foreseen.count, "connection")}…`);
    put(byId("kill-sure"), `Yes, end ${foreseen.count === 1 ? "it" : "them"}`);
    byId("kill-ask").disabled = foreseen.count === 0;
  } catch (error) {
    put(byId("kill-foreseen"), "");
    say(byId("kill-dialog").querySelector(".notice"), reason(error));
  }
}

function askAgain(isAsked) {
  byId("kill-ask").hidden = isAsked;
  byId("kill-sure").hidden = !isAsked;
  byId("kill-sure").disabled = false;
  byId("kill-choose").hidden = isAsked;
}

async function perform(dialog, what, order) {
  const notice = dialog.querySelector(".notice");
  const buttons = [...dialog.querySelectorAll("button:not(.cancel)")];
  notice.hidden = true;
  for (const each of buttons) each.disabled = true;
  try {
    const done = await ask(what, order);
    note(done.said);
    dialog.close(); // the focus goes back to its button, which may be far below what is said
    byId("done-section").scrollIntoView({ block: "nearest" });
    await look();
  } catch (error) {
    say(notice, reason(error));
  } finally {
    for (const each of buttons) each.disabled = false;
  }
}

function note(said) {
  byId("done-section").hidden = false;
  const item = node("li", "pre");
  const at = node("time");
  at.textContent = clock(new Date());
  item.append(at, said);
  byId("done").prepend(item);
}

function open(dialog, first) {
  dialog.querySelector(".notice").hidden = true;
  dialog.showModal();
  first.focus();
}

for (const dialog of document.querySelectorAll("dialog")) {
  dialog.querySelector(".cancel").onclick = () => dialog.close();
}
byId("throttle-count").onkeydown = (event) => {
  if (event.key === "Enter") byId("throttle-set").click();
};
byId("kill").onclick = () => openKill("");
byId("kill-whose").onchange = foresee;
byId("kill-idle").onchange = foresee;
byId("kill-ask").onclick = () => {
  askAgain(true);
  byId("kill-sure").focus();
};
byId("kill-sure").onclick = () => perform(byId("kill-dialog"), "kill-connections", killOrder());

// Making

function node(tag, className = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  return made;
}

function button(text, act, className = "", label = "") {
  const made = node("button", className);
  made.type = "button";
  made.textContent = text;
  if (label) made.setAttribute("aria-label", label);
  made.onclick = act;
  return made;
}

function makeRow(name, labels) {
  const row = node("tr");
  const head = node("th");
  head.scope = "row";
  head.textContent = name;
  row.append(head);
  for (const label of labels) {
    const cell = node("td", "number");
    cell.dataset.label = label;
    row.append(cell);
  }
  return row;
}

function showCells(row, values) {
  for (const cell of row.querySelectorAll("td[data-label]")) {
    const [text, kind = ""] = values[cell.dataset.label];
    put(cell, text);
    cell.classList.toggle("fire", kind === "fire");
    cell.classList.toggle("warning", kind === "warning");
  }
}

// One element for each item, kept as long as its item is there: what has the focus keeps it.
function keyed(parent, items, keyOf, make, update) {
  const known = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  items.forEach((item, index) => {
    const key = keyOf(item, index);
    let child = known.get(key);
    if (child === undefined) {
      child = make(item);
      child.dataset.key = key;
    }
    known.delete(key);
    update(child, item);
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] ?? null);
  });
  for (const gone of known.values()) gone.remove();
}

function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function say(notice, text) {
  put(notice, text);
  notice.hidden = false;
}

function counted(count, what) {
  return `${number(count)} ${what}${count === 1 ? "" : "s"}`;
}

const number = (value) => value.toLocaleString("en-US");
const clock = (at) => at.toLocaleTimeString("en-GB");

function milliseconds(value) {
  if (value === null) return "–";
  return value >= 10000 ? `${(value / 1000).toFixed(1)} s` : `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}

function seconds(value) {
  if (value < 60) return `${value.toFixed(value < 10 ? 1 : 0)} s`;
  if (value < 3600) return `${Math.round(value / 60)} min`;
  return `${(value / 3600).toFixed(1)} h`;
}

watch();
