// Creates and invokes a function and uses a queue, with nothing but an endpoint; writes what it saw as JSON.
import { readFileSync } from "node:fs";
import {
  CreateFunctionCommand,
  GetFunctionCommand,
  InvokeCommand,
  LambdaClient,
  waitUntilFunctionActiveV2,
} from "@aws-sdk/client-lambda";
import {
  CreateQueueCommand,
  DeleteMessageBatchCommand,
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SQSClient,
} from "@aws-sdk/client-sqs";

const lambda = new LambdaClient({});
const created = await lambda.send(
  new CreateFunctionCommand({
    FunctionName: "from-javascript",
    Runtime: "nodejs22.x",
    Handler: "index.handler",
    Role: "arn:aws:iam::123456789012:role/r",
    Code: { ZipFile: readFileSync(process.argv[2]) },
  }),
);
await waitUntilFunctionActiveV2({ client: lambda, maxWaitTime: 10 }, { FunctionName: "from-javascript" });
const invoked = await lambda.send(
  new InvokeCommand({ FunctionName: "from-javascript", Payload: JSON.stringify({ n: 1 }), LogType: "Tail" }),
);
const missing = await lambda.send(new GetFunctionCommand({ FunctionName: "none" })).catch((error) => error);

const sqs = new SQSClient({});
const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: "from-javascript" }));
const Entries = ["a", "b"].map((Id) => ({
  Id,
  MessageBody: `body ${Id} ü`,
  MessageAttributes: { kind: { DataType: "Binary", BinaryValue: new Uint8Array([0, 255]) } },
}));
const sent = await sqs.send(new SendMessageBatchCommand({ QueueUrl, Entries }));
const { Messages } = await sqs.send(
  new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 1, MessageAttributeNames: ["All"] }),
);
const deleted = await sqs.send(
  new DeleteMessageBatchCommand({
    QueueUrl,
    Entries: Messages.map(({ MessageId, ReceiptHandle }, index) => ({ Id: `${index}`, ReceiptHandle })),
  }),
);
const { Attributes } = await sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ["All"] }));
const gone = await sqs
  .send(new ReceiveMessageCommand({ QueueUrl: `${QueueUrl}-none` }))
  .catch((error) => error);

console.log(
  JSON.stringify({
    state: created.State,
    payload: Buffer.from(invoked.Payload).toString(),
    log: Buffer.from(invoked.LogResult, "base64").toString(),
    missing: [missing.name, missing.$metadata.httpStatusCode],
    sent: sent.Successful.map(({ Id }) => Id),
    bodies: Messages.map(({ Body }) => Body).sort(),
    attribute: [...Messages[0].MessageAttributes.kind.BinaryValue],
    deleted: deleted.Successful.length,
    left: Attributes.ApproximateNumberOfMessages,
    gone: gone.name,
  }),
);
