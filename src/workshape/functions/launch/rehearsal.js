"use strict";
/*
 * A rehearsal: a function is loaded and invoked a few times, ahead and with nobody watching.
 *
 * JavaScript is compiled when it runs first, and optimized when it has run a while; Node.js loads parts of itself when
 * they are first used. Here that is paid for while nobody waits. Whatever goes wrong, a start only takes longer.
 */

const fs = require("node:fs");
const net = require("node:net");
const path = require("node:path");

const INVOCATIONS = 4;
const PLACE = "/tmp/workshape-rehearsal-"; // without a sandbox /tmp is the machine's: it gets one of its own
const REHEARSAL_MS_MAX = 2000; // a machine this busy has no use for it
const SOURCE = `"use strict";
class Thing {
  constructor(name, values) {
    this.name = name;
    this.values = values.filter((value) => value !== undefined);
  }
}
exports.handler = async (event, context) => {
  const { key, ...rest } = event;
  const thing = new Thing(\`\${context.functionName}\`, [...Object.entries(rest), key]);
  return { statusCode: 200, body: JSON.stringify(thing) };
};
`;
const EVENT = JSON.stringify({ key: ["value", 1, 2], other: null });
const ANSWER = `HTTP/1.1 200 OK\r
Content-Type: application/json\r
Lambda-Runtime-Aws-Request-Id: request\r
Lambda-Runtime-Deadline-Ms: 1700000000000\r
Lambda-Runtime-Invoked-Function-Arn: arn\r
Lambda-Runtime-Trace-Id: Root=1\r
Content-Length: ${EVENT.length}\r
\r
${EVENT}`;

/** Go through it with the runtime client's own parts; settles when everything is as it was. */
async function rehearse(parts) {
  let folder;
  try {
    folder = fs.mkdtempSync(PLACE);
  } catch {
    return;
  }
  try {
    const file = path.join(folder, "index.js");
    fs.writeFileSync(file, SOURCE);
    await invoke(parts, folder, path.join(folder, "socket"));
    delete require.cache[file];
  } catch {
    // The function's own start will say what is wrong, if anything is.
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

async function invoke({ Connection, Runtime, loadHandler, log }, folder, address) {
  let timer;
  const over = new Promise((resolve) => {
    timer = setTimeout(resolve, REHEARSAL_MS_MAX);
    serve(address, resolve, (socket) => perform(socket));
  });
  let connection;
  async function perform(socket) {
    connection = new Connection(socket, "rehearsal");
    const runtime = new Runtime(connection, log, false);
    runtime.handler = await loadHandler(folder, "index.handler");
    runtime.run(await connection.send(runtime.NEXT));
  }
  await over;
  clearTimeout(timer);
  if (connection) {
    connection.lost = () => {};
    connection.socket.destroy();
  }
}

/** Be the platform: answer so many requests, each with an invocation. */
function serve(address, over, connected) {
  let left = INVOCATIONS;
  const server = net.createServer((socket) => {
    socket.on("error", over);
    socket.on("data", () => {
      if (left-- > 0) {
        socket.write(ANSWER);
        return;
      }
      over();
      socket.destroy();
      server.close();
    });
  });
  server.on("error", over);
  server.listen(address, () => {
    const socket = net.connect(address, () => connected(socket).catch(over));
  });
}

module.exports = { rehearse };
