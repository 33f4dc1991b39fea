"use strict";
/*
 * workshape's Runtime API client for Node.js >= 20, without dependencies: node runtime_client.js [HANDLER]
 *
 * Without a handler it is started ahead, and waits on descriptor 3 for what it is to run (a length in four bytes, then
 * JSON); then it speaks to the platform over descriptor 4.
 *
 * Handlers: .js, .cjs and .mjs; async, plain, and (up to nodejs22.x) with a callback, as
 * https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html describes them; those that stream, as
 * https://docs.aws.amazon.com/lambda/latest/dg/config-rs-write-functions.html does. The protocol:
 * https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
 */

const fs = require("node:fs");
const net = require("node:net");
const path = require("node:path");
const url = require("node:url");
const { format } = require("node:util");
const { createRequire } = require("node:module");
const { rehearse } = require("./rehearsal.js");
const { awslambda, headerText, ResponseStream, STREAMS, HIGH_WATER_MARK } = require("./response_stream.js");

const API = "/2018-06-01/runtime/";
const ORDER_DESCRIPTOR = 3;
const API_DESCRIPTOR = 4;
const HEADER_BYTES_MAX = 65536; // what we get from the platform is far shorter; more is not from it
const LEVELS = { TRACE: 1, DEBUG: 2, INFO: 3, WARN: 4, ERROR: 5, FATAL: 6 };
const LOG_DESCRIPTOR = "_LAMBDA_TELEMETRY_LOG_FD"; // where a runtime's client is to frame what it logs
const LOG_FRAME = 0xa55a0003;
const EXIT_UNHANDLED_REJECTION = 128;
const EXIT_UNCAUGHT_EXCEPTION = 129;

// Taken before the function's code can replace them.
const writeLine = process.stdout.write.bind(process.stdout);
const exit = process.exit.bind(process);

/** One keep-alive connection to the platform. Requests may be pipelined; answers come in their order. */
class Connection {
  constructor(socket, host) {
    this.host = host; // of a connection that waits it is known only with the order
    this.expecting = [];
    this.chunks = [];
    this.size = 0;
    this.needed = 0;
    this.socket = socket;
    this.socket.on("data", (chunk) => this.receive(chunk));
    this.socket.on("error", (error) => this.lost(error.message));
    this.socket.on("close", () => this.lost("closed by the platform"));
  }

  request(method, target, headers, body) {
    let head = `${method} ${API}${target} HTTP/1.1\r\nHost: ${this.host}\r\n`;
    for (const [name, value] of Object.entries(headers)) head += `${name}: ${value}\r\n`;
    if (body === undefined) return Buffer.from(`${head}\r\n`, "latin1");
    return Buffer.concat([Buffer.from(`${head}Content-Length: ${body.length}\r\n\r\n`, "latin1"), body]);
  }

  /** Send a request; the promise is for its answer. */
  send(request) {
    this.socket.write(request);
    return new Promise((resolve) => this.expecting.push(resolve));
  }

  receive(chunk) {
    this.chunks.push(chunk);
    this.size += chunk.length;
    while (this.size > 0 && this.size >= this.needed) {
      const data = this.chunks.length === 1 ? this.chunks[0] : Buffer.concat(this.chunks);
      this.chunks = [data];
      const end = data.indexOf("\r\n\r\n");
      if (end < 0) {
        if (this.size > HEADER_BYTES_MAX) this.lost("an answer without end of headers");
        return;
      }
      const { status, headers } = parseHead(data.latin1Slice(0, end));
      this.needed = end + 4 + Number(headers["content-length"] || 0);
      if (this.size < this.needed) return;
      const body = data.subarray(end + 4, this.needed);
      this.chunks = this.size > this.needed ? [data.subarray(this.needed)] : [];
      this.size -= this.needed;
      this.needed = 0;
      const expecting = this.expecting.shift();
      if (expecting) expecting({ status, headers, body });
    }
  }

  lost(reason) {
    process.stderr.write(`Runtime API: connection lost: ${reason}\n`);
    exit(1);
  }
}

function parseHead(text) {
  const lines = text.split("\r\n");
  const headers = {};
  for (let i = 1; i < lines.length; i++) {
    const colon = lines[i].indexOf(":");
    headers[lines[i].slice(0, colon).toLowerCase()] = lines[i].slice(colon + 1).trim();
  }
  return { status: Number(lines[0].split(" ")[1]), headers };
}

/** An error of the runtime's own: its name is the errorType. */
function runtimeError(type, message) {
  const error = new Error(message);
  error.name = `Runtime.${type}`;
  Error.captureStackTrace(error, runtimeError);
  return error;
}

function errorBody(error) {
  if (error instanceof Error || (error && typeof error === "object" && "message" in error && "stack" in error)) {
    return { errorType: error.name, errorMessage: error.message, trace: String(error.stack || "").split("\n") };
  }
  return { errorType: typeof error, errorMessage: String(error), trace: [] };
}

/** Console methods as Lambda's: one log event a call, in its text or JSON format. */
class Log {
  constructor() {
    this.json = (process.env.AWS_LAMBDA_LOG_FORMAT || "").toUpperCase() === "JSON";
    this.level = LEVELS[(process.env.AWS_LAMBDA_LOG_LEVEL || "").toUpperCase()] || LEVELS.TRACE;
    this.requestId = undefined;
    this.framed = process.env[LOG_DESCRIPTOR] !== undefined;
    delete process.env[LOG_DESCRIPTOR];
  }

  patchConsole() {
    const methods = { trace: "TRACE", debug: "DEBUG", info: "INFO", log: "INFO", warn: "WARN", error: "ERROR", fatal: "FATAL" };
    for (const [method, level] of Object.entries(methods)) {
      console[method] = LEVELS[level] >= this.level ? (...values) => this.write(level, values) : () => {};
    }
  }

  write(level, values) {
    const time = new Date().toISOString();
    const line = this.json ? this.jsonLine(time, level, values) : `${time}\t${this.requestId}\t${level}\t${format(...values)}`;
    if (this.framed) writeLine(frame(Buffer.from(line)));
    else writeLine(`${line.replaceAll("\n", "\r")}\n`); // a newline would begin another event
  }

  jsonLine(timestamp, level, values) {
    const event = { timestamp, level, requestId: this.requestId };
    const error = values.find((value) => value instanceof Error);
    if (values.length === 1 && !error) {
      try {
        return JSON.stringify({ ...event, message: values[0] });
      } catch {
        return JSON.stringify({ ...event, message: format(values[0]) });
      }
    }
    event.message = format(...values);
    if (error) {
      event.errorType = error.name;
      event.errorMessage = error.message;
      event.stackTrace = String(error.stack).split("\n");
    }
    return JSON.stringify(event);
  }

  failure(what, error) {
    if (this.json) return this.write("ERROR", [error]);
    const { errorType, errorMessage, trace } = errorBody(error);
    const own = error instanceof Error ? { ...error, name: undefined } : {};
    return this.write("ERROR", [`${what} \t${safeJson({ errorType, errorMessage, ...own, stack: trace })}`]);
  }
}

/** A message as one event of the log, however many lines it has, for whoever started us. */
function frame(message) {
  const header = Buffer.alloc(16);
  header.writeUInt32BE(LOG_FRAME, 0);
  header.writeUInt32BE(message.length, 4);
  header.writeBigUInt64BE(BigInt(Date.now()) * 1000n, 8);
  return Buffer.concat([header, message]);
}

function safeJson(value) {
  try {
    return JSON.stringify(value);
  } catch {
    return JSON.stringify({ errorType: value.errorType, errorMessage: value.errorMessage, stack: value.stack });
  }
}

/** Find `folder/file.export.nested` below the task root. */
async function loadHandler(root, name) {
  const folder = name.slice(0, name.lastIndexOf("/") + 1);
  const match = /^([^.]+)\.(.+)$/.exec(name.slice(folder.length));
  if (!match) throw runtimeError("MalformedHandlerName", "Bad handler");
  if (name.includes("..")) {
    throw runtimeError("MalformedHandlerName", `'${name}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`);
  }
  const module = await loadModule(root, folder, match[1]);
  let handler = nested(module, match[2]);
  if (handler === undefined && module && module.default) handler = nested(module.default, match[2]);
  if (handler === undefined || handler === null) throw runtimeError("HandlerNotFound", `${name} is undefined or not exported`);
  if (typeof handler !== "function") throw runtimeError("HandlerNotFound", `${name} is not a function`);
  return handler;
}

function nested(module, names) {
  return names.split(".").reduce((value, key) => (value === undefined || value === null ? undefined : value[key]), module);
}

async function loadModule(root, folder, file) {
  const base = path.resolve(root, folder, file);
  const found = ["", ".js", ".mjs", ".cjs"].map((extension) => base + extension).find(isFile);
  const requireFromTask = createRequire(path.join(root, "workshape-handler.js"));
  try {
    if (!found) return requireFromTask(requireFromTask.resolve(`./${path.join(folder, file)}`));
    return isEsModule(found) ? await import(url.pathToFileURL(found).href) : requireFromTask(found);
  } catch (error) {
    if (error instanceof SyntaxError) throw runtimeError("UserCodeSyntaxError", String(error.stack || error));
    if (error && (error.code === "MODULE_NOT_FOUND" || error.code === "ERR_MODULE_NOT_FOUND")) {
      throw runtimeError("ImportModuleError", found ? String(error) : `Error: Cannot find module '${file}'\nRequire stack:\n- ${root}`);
    }
    throw error;
  }
}

function isFile(file) {
  return fs.statSync(file, { throwIfNoEntry: false })?.isFile() ?? false;
}

function isEsModule(file) {
  if (file.endsWith(".mjs")) return true;
  if (file.endsWith(".cjs")) return false;
  for (let folder = path.dirname(file); ; folder = path.dirname(folder)) {
    const description = path.join(folder, "package.json");
    if (isFile(description)) return JSON.parse(fs.readFileSync(description, "utf8")).type === "module";
    if (folder === path.dirname(folder)) return false;
  }
}

/** The invocation loop. `callbacks`: this runtime version still has callback handlers and the context's old methods. */
class Runtime {
  constructor(connection, log, callbacks) {
    this.connection = connection;
    this.log = log;
    this.callbacks = callbacks;
    this.invocation = undefined;
    this.whenIdle = undefined; // what to do when the event loop is empty
    this.streaming = undefined; // the response of the invocation, if its handler streams
    this.NEXT = connection.request("GET", "invocation/next", {});
  }

  async start(handlerName) {
    if (this.callbacks) this.watchForFailures();
    process.on("beforeExit", () => {
      const act = this.whenIdle;
      this.whenIdle = undefined;
      if (act) act();
    });
    let handler;
    try {
      handler = await loadHandler(process.env.LAMBDA_TASK_ROOT || process.cwd(), handlerName);
      if (!this.callbacks && handler.length >= 3 && !handler[STREAMS]) {
        throw runtimeError("CallbackHandlerDeprecated", "ERROR: AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. You need to modify this function to use a supported handler signature to use Node.js 24 or later. For more information see https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html.");
      }
    } catch (error) {
      this.log.failure("Init Error", error);
      await this.postInitError(error);
      exit(1);
    }
    this.handler = handler;
    this.run(await this.connection.send(this.NEXT));
  }

  async postInitError(error) {
    const body = errorBody(error);
    const headers = { "Content-Type": "application/json", "Lambda-Runtime-Function-Error-Type": headerText(body.errorType) };
    this.connection.socket.ref();
    await this.connection.send(this.connection.request("POST", "init/error", headers, Buffer.from(safeJson(body))));
  }

  /** Run the handler on the event of one answered GET next. */
  run({ status, headers, body }) {
    if (status !== 200) this.connection.lost(`GET next was answered ${status}: ${body}`);
    const requestId = headers["lambda-runtime-aws-request-id"];
    this.invocation = requestId;
    this.log.requestId = requestId;
    if (headers["lambda-runtime-trace-id"]) process.env._X_AMZN_TRACE_ID = headers["lambda-runtime-trace-id"];
    else delete process.env._X_AMZN_TRACE_ID;
    // While the function runs, our connection must not be what keeps the event loop alive.
    this.connection.socket.unref();
    try {
      const context = this.context(headers);
      const event = JSON.parse(body.toString("utf8"));
      if (this.handler[STREAMS]) this.stream(requestId, event, context);
      else if (this.callbacks) this.runWithCallback(requestId, event, context);
      else Promise.resolve(this.handler(event, context)).then((value) => this.succeed(requestId, value), (error) => this.fail(requestId, error));
    } catch (error) {
      this.fail(requestId, error);
    }
  }

  /** The invocation is over when the handler has returned and the stream has ended, whichever comes last. */
  async stream(requestId, event, context) {
    const stream = new ResponseStream(this.connection, requestId, this.handler[HIGH_WATER_MARK]);
    this.streaming = stream;
    this.connection.socket.ref(); // a stream that nobody ends lasts until the function's timeout
    try {
      await this.handler(event, stream, context);
    } catch (error) {
      if (this.invocation !== requestId) return;
      if (!stream.begun) {
        stream.destroy();
        this.streaming = undefined;
        this.fail(requestId, error);
        return;
      }
      this.log.failure("Invoke Error", error);
      if (!stream.writableEnded) stream.fail(errorBody(error));
    }
    const { status, body } = await stream.answered;
    this.invocation = this.streaming = undefined;
    // 413: the response was too large. Its caller knows; there is nothing wrong with us.
    if (status !== 202 && status !== 413) this.connection.lost(`the response was refused with ${status}: ${body}`);
    this.run(await this.connection.send(this.NEXT));
  }

  runWithCallback(requestId, event, context) {
    // A handler that neither calls back nor returns a promise is over when nothing is left to do: its result is null.
    this.whenIdle = () => this.succeed(requestId, null);
    context.callbackWaitsForEmptyEventLoop = true;
    context.succeed = (value) => this.succeed(requestId, value);
    context.fail = (error) => this.fail(requestId, error);
    context.done = (error, value) => (error === undefined || error === null ? this.succeed(requestId, value) : this.fail(requestId, error));
    const callback = (error, value) => {
      if (error !== undefined && error !== null) this.fail(requestId, error);
      else if (context.callbackWaitsForEmptyEventLoop) {
        if (this.invocation === requestId) this.whenIdle = () => this.succeed(requestId, value);
      } else this.succeed(requestId, value);
    };
    const result = this.handler(event, context, callback);
    if (result && typeof result.then === "function") result.then(context.succeed, context.fail);
  }

  context(headers) {
    const deadline = Number(headers["lambda-runtime-deadline-ms"]);
    return {
      functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
      functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
      memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
      logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
      logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
      clientContext: jsonHeader(headers["lambda-runtime-client-context"]),
      identity: jsonHeader(headers["lambda-runtime-cognito-identity"]),
      invokedFunctionArn: headers["lambda-runtime-invoked-function-arn"],
      awsRequestId: headers["lambda-runtime-aws-request-id"],
      getRemainingTimeInMillis: () => deadline - Date.now(),
    };
  }

  succeed(requestId, value) {
    let text;
    try {
      text = JSON.stringify(value === undefined ? null : value);
      if (text === undefined) text = "null";
    } catch (error) {
      this.fail(requestId, runtimeError("JSONStringifyError", `Unable to stringify response body: ${error.message}`));
      return;
    }
    this.answer(requestId, "response", {}, Buffer.from(text));
  }

  fail(requestId, error) {
    if (this.invocation !== requestId) return;
    this.log.failure("Invoke Error", error);
    const body = errorBody(error);
    this.answer(requestId, "error", { "Lambda-Runtime-Function-Error-Type": headerText(body.errorType) }, Buffer.from(safeJson(body)));
  }

  /** Hand back what the invocation came to; its answer is the next one. Later answers to it are dropped. */
  answer(requestId, verb, headers, body) {
    if (this.invocation !== requestId) return;
    this.invocation = undefined;
    this.whenIdle = undefined;
    this.connection.socket.ref();
    const target = `invocation/${requestId}/${verb}/next`;
    const post = this.connection.request("POST", target, { "Content-Type": "application/json", ...headers }, body);
    this.connection.send(post).then((next) => {
      if (next.status !== 200) this.connection.lost(`the ${verb} was refused with ${next.status}: ${next.body}`);
      this.run(next);
    });
  }

  /** Up to nodejs22.x what nobody catches fails the invocation (or the init phase), and ends the process. */
  watchForFailures() {
    process.on("uncaughtException", (error) => {
      this.log.failure("Uncaught Exception", error);
      this.failAndExit(error, EXIT_UNCAUGHT_EXCEPTION);
    });
    process.on("unhandledRejection", (reason) => {
      const error = runtimeError("UnhandledPromiseRejection", String(reason));
      error.reason = reason;
      this.log.failure("Unhandled Promise Rejection", error);
      this.failAndExit(error, EXIT_UNHANDLED_REJECTION);
    });
  }

  async failAndExit(error, code) {
    const requestId = this.invocation;
    this.invocation = undefined;
    this.whenIdle = undefined;
    if (this.handler === undefined) await this.postInitError(error);
    else if (this.streaming?.begun && !this.streaming.writableEnded) await this.streaming.fail(errorBody(error));
    else if (requestId !== undefined) {
      const body = errorBody(error);
      const headers = { "Content-Type": "application/json", "Lambda-Runtime-Function-Error-Type": headerText(body.errorType) };
      this.connection.socket.ref();
      await this.connection.send(this.connection.request("POST", `invocation/${requestId}/error`, headers, Buffer.from(safeJson(body))));
    }
    exit(code);
  }
}

function jsonHeader(text) {
  return text ? JSON.parse(Buffer.from(text, "latin1").toString("utf8")) : undefined;
}

function connect(address) {
  const colon = address.lastIndexOf(":");
  return net.connect({ host: address.slice(0, colon), port: Number(address.slice(colon + 1)), noDelay: true });
}

/** Wait, without an event loop's overhead, for the order; the process ends when nobody will ever want it. */
function readOrder() {
  const head = readExactly(4);
  return JSON.parse(readExactly(head.readUInt32BE(0)).toString("utf8"));
}

function readExactly(count) {
  const received = Buffer.alloc(count);
  for (let have = 0; have < count; ) {
    const got = fs.readSync(ORDER_DESCRIPTOR, received, have, count - have, null);
    if (got === 0) exit(0);
    have += got;
  }
  return received;
}

/** Become what was ordered. Setting TZ makes V8 forget what it knows of time, so what is right already stays. */
function become(order) {
  for (const name of Object.keys(process.env)) if (!(name in order.variables)) delete process.env[name];
  for (const [name, value] of Object.entries(order.variables)) if (process.env[name] !== value) process.env[name] = value;
  process.chdir(order.folder);
  fs.closeSync(ORDER_DESCRIPTOR);
}

function run(connection, handler) {
  globalThis.awslambda = awslambda;
  connection.host = process.env.AWS_LAMBDA_RUNTIME_API;
  const log = new Log();
  log.patchConsole();
  const version = /nodejs(\d+)/.exec(process.env.AWS_EXECUTION_ENV || "");
  const callbacks = Number(version ? version[1] : process.versions.node.split(".")[0]) < 24;
  new Runtime(connection, log, callbacks).start(handler);
}

async function wait() {
  format("%s %d %j", "a", 1, {});
  new Date().toISOString();
  await rehearse({ Connection, Runtime, loadHandler, log: new Log() });
  const socket = new net.Socket({ fd: API_DESCRIPTOR, readable: true, writable: true });
  const connection = new Connection(socket);
  const order = readOrder();
  become(order);
  run(connection, order.handler);
}

function main() {
  const handler = process.argv[2];
  if (handler === undefined) wait();
  else run(new Connection(connect(process.env.AWS_LAMBDA_RUNTIME_API)), handler);
}

main();
