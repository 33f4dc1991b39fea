import { ConditionalCheckFailedException, DynamoDBClient, PutItemCommand } from "@aws-sdk/client-dynamodb";

const dynamodb = new DynamoDBClient({});

export interface PlatformEvent {
  id: string;
  type: string;
  creator: string;
  at: string;
}

/** Reads an event from a message's body; throws on what is not one. */
export function parseEvent(body: string): PlatformEvent {
  const event = JSON.parse(body) as Partial<PlatformEvent>;
  if (!event.id || !event.type || !event.creator || !event.at) {
    throw new Error("not an event: id, type, creator and at are needed");
  }
  return event as PlatformEvent;
}

/** Writes the event unless it is there already; throws ConditionalCheckFailedException if it is. */
export async function putOnce(event: PlatformEvent): Promise<void> {
  await dynamodb.send(
    new PutItemCommand({
      TableName: process.env.TABLE,
      Item: {
        pk: { S: `EVENT#${event.id}` },
        type: { S: event.type },
        creator: { S: event.creator },
        at: { S: event.at },
      },
      ConditionExpression: "attribute_not_exists(pk)",
    }),
  );
}

export function isDuplicate(error: unknown): boolean {
  return error instanceof ConditionalCheckFailedException;
}
