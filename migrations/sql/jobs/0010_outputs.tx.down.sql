-- What is kept in parts is put together where it is looked for without them.
UPDATE jobs.job_artifacts AS a SET payload_bytes = NULL, artifact_payload = w.text
FROM (SELECT id, row_number() OVER (PARTITION BY job_id ORDER BY id) AS output FROM jobs.job_artifacts) AS n,
    LATERAL (SELECT convert_from(string_agg(p.body, ''::bytea ORDER BY p.part), 'UTF8') AS text
             FROM jobs.job_artifacts AS mine JOIN jobs.output_parts AS p ON p.job_id = mine.job_id
             WHERE mine.id = n.id AND p.kept AND p.output = n.output) AS w
WHERE a.id = n.id AND a.payload_bytes IS NOT NULL;

UPDATE jobs.jobs AS j SET result_bytes = NULL, result = (
    SELECT convert_from(string_agg(p.body, ''::bytea ORDER BY p.part), 'UTF8')
    FROM jobs.output_parts AS p WHERE p.job_id = j.id AND p.kept AND p.output = 0)
WHERE result_bytes IS NOT NULL;

DROP TABLE jobs.output_parts;

ALTER TABLE jobs.job_artifacts DROP CONSTRAINT large_payload, DROP COLUMN payload_bytes;
ALTER TABLE jobs.jobs DROP CONSTRAINT large_result, DROP COLUMN result_bytes;
