import type { SQSBatchResponse, SQSEvent, SQSRecord } from "aws-lambda";

import { isDuplicate, parseEvent, putOnce } from "./store-event";

/**
 * Stores each event of a batch once.
 *
 * All records are settled before the answer, so one bad record costs the others nothing, and only real
 * failures are reported. A duplicate is not one: its work is done.
 */
export async function handler(batch: SQSEvent): Promise<SQSBatchResponse> {
  const outcomes = await Promise.allSettled(batch.Records.map(store));

  const batchItemFailures = outcomes.flatMap((outcome, index) => {
    const record = batch.Records[index];
    if (outcome.status === "fulfilled" || !record) return [];
    console.error("event not stored", { messageId: record.messageId, reason: String(outcome.reason) });
    return [{ itemIdentifier: record.messageId }];
  });
  return { batchItemFailures };
}

async function store(record: SQSRecord): Promise<void> {
  try {
    await putOnce(parseEvent(record.body));
  } catch (error) {
    if (!isDuplicate(error)) throw error;
  }
}
