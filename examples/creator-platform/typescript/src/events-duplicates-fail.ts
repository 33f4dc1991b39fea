import type { SQSBatchResponse, SQSEvent } from "aws-lambda";

import { parseEvent, putOnce } from "./store-event";

/**
 * The twin of events.ts with the common bug, kept to be caught: a duplicate's ConditionalCheckFailedException
 * is reported like any failure, so work that is done comes back again and again until it is dead-lettered.
 */
export async function handler(batch: SQSEvent): Promise<SQSBatchResponse> {
  const outcomes = await Promise.allSettled(batch.Records.map((record) => Promise.resolve(record.body).then(parseEvent).then(putOnce)));

  return {
    batchItemFailures: batch.Records.filter((_, index) => outcomes[index]?.status === "rejected").map((record) => ({
      itemIdentifier: record.messageId,
    })),
  };
}
