"use strict";
/*
 * Response streaming for handlers in Node.js, beside runtime_client.js:
 * https://docs.aws.amazon.com/lambda/latest/dg/config-rs-write-functions.html (what handlers see),
 * https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html#runtimes-custom-response-streaming (the protocol)
 */

const { Writable } = require("node:stream");

const STREAMS = Symbol.for("aws.lambda.runtime.handler.streaming"); // AWS's own mark: libraries look for it
const HIGH_WATER_MARK = Symbol.for("aws.lambda.runtime.handler.streaming.highWaterMark");
const HTTP_CONTENT_TYPE = "application/vnd.awslambda.http-integration-response";
const PRELUDE_END = Buffer.alloc(8);

/** The response of a handler that streams: one chunk a write, on the platform's connection, which is its own until the end. */
class ResponseStream extends Writable {
  constructor(connection, requestId, highWaterMark) {
    super({ highWaterMark, decodeStrings: true });
    this.connection = connection;
    this.target = `/2018-06-01/runtime/invocation/${requestId}/response`;
    this.contentType = "application/octet-stream";
    this.prelude = undefined;
    this.begun = false;
    this.trailers = "";
    this.answered = new Promise((resolve) => (this.resolveAnswered = resolve));
  }

  setContentType(contentType) {
    if (this.begun) throw Object.assign(new Error("Cannot set content-type, too late."), { name: "Runtime.InvalidStreamingOperation" });
    this.contentType = String(contentType);
  }

  write(chunk, ...rest) {
    const isData = typeof chunk === "string" || chunk instanceof Uint8Array;
    return super.write(isData || chunk === null ? chunk : JSON.stringify(chunk), ...rest);
  }

  _write(chunk, _encoding, written) {
    this.begin();
    if (chunk.length === 0) written();
    else this.connection.socket.write(chunkOf(chunk), written);
  }

  _final(ended) {
    this.finish(ended);
  }

  /** End the response with an error object, after what has been written. */
  fail(error) {
    const details = Buffer.from(JSON.stringify(error)).toString("base64");
    this.trailers =
      `Lambda-Runtime-Function-Error-Type: ${headerText(error.errorType)}\r\n` +
      `Lambda-Runtime-Function-Error-Body: ${details}\r\n`;
    if (this.destroyed) this.finish(); // as a failed pipeline leaves it
    else this.end();
    return this.answered;
  }

  begin() {
    if (this.begun) return;
    this.begun = true;
    const head =
      `POST ${this.target} HTTP/1.1\r\nHost: ${this.connection.host}\r\nContent-Type: ${headerText(this.contentType)}\r\n` +
      "Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n" +
      "Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n\r\n";
    this.connection.socket.write(head, "latin1");
    if (this.prelude !== undefined) this.connection.socket.write(chunkOf(this.prelude));
  }

  finish(ended) {
    this.begin();
    this.connection.expecting.push(this.resolveAnswered);
    this.connection.socket.write(`0\r\n${this.trailers}\r\n`, "latin1", ended);
  }
}

function chunkOf(data) {
  return Buffer.concat([Buffer.from(`${data.length.toString(16)}\r\n`, "latin1"), data, Buffer.from("\r\n", "latin1")]);
}

/** What handlers find as a global. */
const awslambda = {
  streamifyResponse(handler, options) {
    handler[STREAMS] = "response";
    handler[HIGH_WATER_MARK] = options?.highWaterMark;
    return handler;
  },
  HttpResponseStream: class {
    /** Put a status and headers before the body, for those who answer HTTP with it. */
    static from(stream, metadata) {
      stream.setContentType(HTTP_CONTENT_TYPE);
      stream.prelude = Buffer.concat([Buffer.from(JSON.stringify(metadata)), PRELUDE_END]);
      return stream;
    }
  },
};

function headerText(text) {
  return String(text).replace(/[^\x20-\x7e]/g, "?");
}

module.exports = { awslambda, headerText, HIGH_WATER_MARK, ResponseStream, STREAMS };
