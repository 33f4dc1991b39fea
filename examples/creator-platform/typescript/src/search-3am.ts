import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2 } from "aws-lambda";
import { Client } from "pg";

import { answerPost } from "./posts";

/** `search` as it was that night: every invocation opens a connection, uses it once and walks away. */
export async function handler(event: APIGatewayProxyEventV2): Promise<APIGatewayProxyStructuredResultV2> {
  const client = new Client({ connectionString: process.env.DATABASE_URL, connectionTimeoutMillis: 5_000 });
  client.on("error", () => undefined);
  await client.connect();
  return answerPost(client, event.pathParameters?.id);
}
