import type { APIGatewayProxyStructuredResultV2 } from "aws-lambda";
import type { ClientBase, Pool } from "pg";

// The lookup takes as long as it took that night: the database is busy for QUERY_MS with each.
const QUERY_S = Number(process.env.QUERY_MS ?? "0") / 1000;

/** Looks a post up by its id and answers as the HTTP API wants it. */
export async function answerPost(database: ClientBase | Pool, id: string | undefined): Promise<APIGatewayProxyStructuredResultV2> {
  const { rows } = await database.query("SELECT id, creator, title FROM posts, pg_sleep($2) WHERE id = $1", [id, QUERY_S]);
  if (rows.length === 0) return { statusCode: 404, body: JSON.stringify({ message: `no post ${id}` }) };
  return { statusCode: 200, headers: { "content-type": "application/json" }, body: JSON.stringify(rows[0]) };
}
