-- Which group of jobs a process wrote last. Where the answer to a commit is lost, this says whether the group is there.
CREATE TABLE queue_group (
    owner   TEXT   NOT NULL PRIMARY KEY,
    written TEXT   NOT NULL,
    -- When somebody last looked whether the process lives, microseconds since 1970, UTC; null until then.
    seen_at BIGINT
);
