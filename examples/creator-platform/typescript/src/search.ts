import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2 } from "aws-lambda";
import { Pool } from "pg";

import { answerPost } from "./posts";

// An environment serves one invocation at a time, so a second connection could never be used. Idle clients are
// not reaped by a timer: the environment is frozen between invocations, and a timer would fire on waking, at
// the worst moment. Connecting may take what a busy machine takes, and still leave the query half of the function's ten
// seconds. DATABASE_URL asks for sslmode=verify-full with the database's own CA.
const pool = new Pool({
  connectionString: process.env.DATABASE_URL,
  max: 1,
  idleTimeoutMillis: 0,
  connectionTimeoutMillis: 5_000,
});

// A connection that dies while idle is replaced by the next invocation; it must not end the environment.
pool.on("error", (error) => console.error("idle connection lost", { reason: error.message }));

export async function handler(event: APIGatewayProxyEventV2): Promise<APIGatewayProxyStructuredResultV2> {
  return answerPost(pool, event.pathParameters?.id);
}
