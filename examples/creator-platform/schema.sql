CREATE TABLE posts (
    id      text PRIMARY KEY,
    creator text NOT NULL,
    title   text NOT NULL
);

INSERT INTO posts (id, creator, title)
SELECT n::text, 'creator-' || n % 50, 'Post number ' || n
FROM generate_series(1, 1000) AS n;
