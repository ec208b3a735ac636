package apidoc

// Values of examples.
const (
	someID   = "019a4c1e-7b1a-7c3e-9f42-6d1f0a2b3c4d"
	otherID  = "019a4c1f-0d2b-7a10-8e55-2f9b7c6d5e4f"
	someTime = "2026-03-14T15:09:26Z"
	soon     = "2026-03-14T15:39:26Z"
	someSum  = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	someFile = "/corpus/odyssey.txt"
	token    = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl"
	secret   = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
)

// term is what a property means, and a value it may have.
type term struct {
	sentence string
	example  any
}

// null is an example that is null. A term without an example has nil.
type null struct{}

// MarshalJSON implements json.Marshaler.
func (null) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

// object is a JSON object of an example.
type object = map[string]any

// glossary explains properties by name, and, where a name means different things,
// by schema and name. What a route says of a property itself comes first.
func glossary() map[string]term {
	all := map[string]term{}
	for _, part := range []map[string]term{general(), jobs(), outputs(), access(), corpus(), texts(), seeds(), mixes(), analysis(), trail(), webhooks(), measured()} {
		for name, t := range part {
			all[name] = t
		}
	}
	return all
}

func general() map[string]term {
	return map[string]term{
		"created_at":        {"When it was made.", someTime},
		"updated_at":        {"When it last changed.", someTime},
		"created_by":        {"The owner who made it.", "ann"},
		"updated_by":        {"The owner who last changed it.", "root"},
		"owner":             {"Whose it is.", "ann"},
		"actor":             {"The owner or service that did it.", "ann"},
		"request_id":        {"The id of the request that caused it, as in X-Request-ID.", "5b1f2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"},
		"description":       {"What it is for, in words of its owner.", "Tells the billing of finished ingests."},
		"enabled":           {"Whether it is switched on.", true},
		"limit":             {"How many the page holds at most.", 100},
		"offset":            {"How many were passed over.", 0},
		"next_cursor":       {"Asks for the next page as cursor; left out on the last.", "MDE5YTRjMWU"},
		"next_offset":       {"Where the next page begins; left out on the last.", 100},
		"total":             {"How many there are.", 1},
		"services":          {"The services of all processes.", nil},
		"LogLevel.service":  {"The name of the service.", "jobs"},
		"instance":          {"The process, as the identity of its worker.", "web-1-4711-5b1f2c3d"},
		"level":             {"The log level: trace, debug, info, warn or error.", "info"},
		"role":              {"The role of the key: viewer, operator, researcher or admin.", "operator"},
		"min_role":          {"The least role that may use it.", "operator"},
		"location":          {"Which part of the request is wrong.", "body.max_attempts"},
		"message":           {"What is wrong with it.", "expected number <= 10"},
		"error":             {"Why it did not work; null or empty where it did.", "The file is too large."},
		"warnings":          {"Sentences about what was odd and did no harm.", []any{}},
		"Problem.errors":    {"The parts of the request that are wrong.", []any{object{"location": "body.max_attempts", "message": "expected number <= 10"}}},
		"StatusBody.status": {"ok, or the request would have been refused.", "ok"},
		"$schema":           {"Where the schema of this body is.", "/openapi.json"},
	}
}

// outputs are the words for what jobs leave behind.
func outputs() map[string]term {
	return map[string]term{
		"artifacts":            {"What the job left behind.", nil},
		"artifact_type":        {"The kind of artifact.", "ingest_batch_result"},
		"artifact_ref":         {"Where it is kept; null where it is all in the payload.", otherID},
		"artifact_payload":     {"What it holds.", object{"ingest_job_id": otherID, "documents_ingested": 1}},
		"artifact_bytes":       {"The size of a payload that is larger than 256 KiB, in bytes.", 0},
		"artifact_payload_ref": {"Where to read a payload that is too large to be shown here.", "/api/v1/jobs/" + someID + "/artifacts/1"},
		"result":               {"What the job made; null before it has succeeded.", object{"ingest_job_id": otherID, "documents_ingested": 1}},
		"result_bytes":         {"The size of a result that is larger than 256 KiB, in bytes.", 0},
		"result_ref":           {"Where to read a result that is too large to be shown here.", "/api/v1/jobs/" + someID + "/result"},
	}
}

func jobs() map[string]term {
	const state = "The state of the job: queued, running, retry_wait, succeeded, failed or cancelled; accepted while it is not recorded yet."
	return map[string]term{
		"job_id":                   {"The id of the job.", someID},
		"job_ids":                  {"The ids of the jobs, the oldest first.", []any{someID, otherID}},
		"job_type":                 {"The kind of job.", "ingest_batch"},
		"Job.status":               {state, "succeeded"},
		"JobSummary.status":        {state, "succeeded"},
		"Submitted.status":         {state, "queued"},
		"Submitted.error_text":     {"", "The document does not exist."},
		"execution_mode":           {"async: the submit was answered once the job was recorded; sync: once it had finished; shadow: it runs beside another job and is compared with it.", "async"},
		"payload":                  {"The input of the job, as it was given.", object{"source_paths": []any{"odyssey.txt"}}},
		"payload_bytes":            {"The size of a payload that did not travel with the answer, in bytes.", 0},
		"payload_schema":           {"The JSON Schema that payloads must follow; left out where there is none.", object{"type": "object", "required": []any{"document_id"}}},
		"error_text":               {"Why it failed; null where it did not.", null{}},
		"idempotency_key":          {"The key it was submitted under; null for none.", "import-2026-03"},
		"max_attempts":             {"How often a job may be tried.", 3},
		"attempt_count":            {"How often it was tried.", 1},
		"snooze_count":             {"How often it was put off without an attempt being counted.", 0},
		"priority":                 {"The lane of the queue: high, normal or low.", "normal"},
		"tags":                     {"Words to find the job by.", []any{"import", "march"}},
		"tag":                      {"Only jobs with this tag.", "import"},
		"timeout_seconds":          {"How long one run may take, in seconds.", 300},
		"next_run_at":              {"When it is run next; null where nothing is planned.", null{}},
		"lease_owner":              {"The worker that runs it; null where none does.", null{}},
		"lease_expires_at":         {"When its worker must have been heard of again; null where none runs it.", null{}},
		"progress":                 {"How far the run has come, as its handler says.", nil},
		"percent":                  {"How far it has come, in percent.", 42.5},
		"JobProgress.message":      {"What it is doing.", "Reading odyssey.txt."},
		"attempts":                 {"How often it was tried, each time with what came of it.", nil},
		"attempt_number":           {"Which attempt it was, from 1.", 1},
		"Attempt.status":           {"What came of it: running, succeeded, failed, cancelled, released or snoozed.", "succeeded"},
		"worker":                   {"The worker that ran it.", "host-1-4711-9f86d081"},
		"runtime_ms":               {"How long it took, in milliseconds.", 1250},
		"started_at":               {"When it began.", someTime},
		"finished_at":              {"When it ended; null before.", someTime},
		"jobs":                     {"The jobs.", nil},
		"queued":                   {"Jobs that wait for a worker.", 3},
		"running":                  {"Jobs that run.", 2},
		"retry_wait":               {"Jobs that wait for another attempt.", 0},
		"succeeded":                {"Jobs that have succeeded.", 120},
		"failed":                   {"Jobs that have failed.", 1},
		"cancelled":                {"Jobs that were cancelled.", 0},
		"more":                     {"Whether jobs that match may be left: ask again.", false},
		"last_run_at":              {"When the last of them is due.", soon},
		"created_after":            {"Only jobs made after this time (RFC 3339).", someTime},
		"created_before":           {"Only jobs made before this time (RFC 3339).", soon},
		"RetryBody.created_by":     {"Only jobs of this owner.", "ann"},
		"RetryBody.job_type":       {"Only jobs of this type.", "analyze"},
		"RetryBody.status":         {"The state of the jobs to try again.", "failed"},
		"job_types":                {"The job types.", []any{"ingest_batch", "integrity_audit"}},
		"JobTypesReply.job_types":  {"The job types, by name.", nil},
		"JobType.name":             {"The name of the job type.", "resize_images"},
		"CreateTypeInputBody.name": {"The name; a word of the subjects.", "resize_images"},
		"queue":                    {"The queue whose workers run it.", "images"},
		"mode_gated":               {"Whether payloads carry a mode that the submitter must be allowed to use.", false},
		"runs_per_message":         {"How many jobs may travel in one run message.", 1},
		"backoff_seconds":          {"The waits after failed attempts, in seconds; the last one counts for all that follow.", []any{2, 10, 30}},
		"queues":                   {"The queues, by name.", nil},
		"Queue.name":               {"The name of the queue.", "corpus"},
		"paused":                   {"Whether none of its jobs may start.", false},
		"waiting":                  {"How many jobs wait for a worker or for their time, by lane.", nil},
		"high":                     {"In the lane high.", 0},
		"normal":                   {"In the lane normal.", 3},
		"low":                      {"In the lane low.", 0},
		"workers":                  {"The workers.", nil},
		"Worker.name":              {"The identity of the worker: host, process and a random part.", "host-1-4711-9f86d081"},
		"in_flight":                {"How many jobs it runs.", 2},
		"heartbeat_at":             {"When it was last heard of.", someTime},
		"Worker.status":            {"live, or gone when it was silent for two leases.", "live"},
		"run_at":                   {"", soon},
		"delay_seconds":            {"", 60},
	}
}

func access() map[string]term {
	return map[string]term{
		"api_key":                            {"The key itself; it is shown this once.", "nxk_3kq9v7m2c8x1"},
		"api_key_id":                         {"The id of the key.", someID},
		"keys":                               {"The keys.", nil},
		"key_hash_prefix":                    {"The first characters of the key's SHA-256, which the audit trail names it by.", "9f86d081"},
		"raw_mode_enabled":                   {"Whether the key may use RAW mode, if its role does.", false},
		"rate_limit_per_minute":              {"Requests a minute; null for those of the role.", 600},
		"expires_at":                         {"When it stops being good; null for never.", "2027-01-01T00:00:00Z"},
		"last_used_at":                       {"When the key was last used, roughly; null for never.", someTime},
		"allowed_modes":                      {"", []any{"PUBLIC"}},
		"access_token":                       {"The token, for the header Authorization: Bearer.", token},
		"token_type":                         {"How the token is shown: Bearer.", "Bearer"},
		"expires_in":                         {"How long the token is good, in seconds.", 900},
		"refresh_until":                      {"When refreshing ends and the key must be shown again.", "2026-03-15T03:09:26Z"},
		"kty":                                {"The type of the key (RFC 7517).", "OKP"},
		"crv":                                {"The curve of the key (RFC 8037).", "Ed25519"},
		"use":                                {"What the key is for: sig.", "sig"},
		"alg":                                {"How it signs.", "EdDSA"},
		"kid":                                {"The id of the key, as in the head of a token.", "k1"},
		"x":                                  {"The public key, base64url.", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
		"KeySetReply.keys":                   {"The public keys; empty where tokens are signed with a shared secret.", nil},
		"Feature.name":                       {"The name of the feature.", "shadow_execution"},
		"ListedFeature.name":                 {"The name of the feature.", "shadow_execution"},
		"Feature.description":                {"What the feature does.", "Run a second profile beside an analysis and compare."},
		"ListedFeature.description":          {"What the feature does.", "Run a second profile beside an analysis and compare."},
		"UpdateFeatureInputBody.description": {"What the feature does.", "Run a second profile beside an analysis and compare."},
		"open":                               {"", true},
		"features":                           {"", nil},
	}
}

func corpus() map[string]term {
	return map[string]term{
		"id":                         {"The id of the document.", someID},
		"document_id":                {"The id of the document; null for none.", someID},
		"documents":                  {"The documents.", nil},
		"path":                       {"The path of the file, with symbolic links resolved.", someFile},
		"title":                      {"The title of the document.", "odyssey.txt"},
		"modality":                   {"What kind of file it is: text, pdf, image, audio or binary.", "text"},
		"ingested":                   {"Whether its content was read.", true},
		"ingest_status":              {"What came of reading it: ingested, conflict or skipped.", "ingested"},
		"conflict_flag":              {"Whether two files claim to be this document.", false},
		"conflict_reason":            {"Why it is in conflict; null where it is not.", null{}},
		"atom_count":                 {"How many atoms its text has.", 1840},
		"graph_projected_atom_count": {"How many atoms its graph holds.", 1840},
		"graph_projection_status":    {"complete, or pending while atoms are missing from its graph.", "complete"},
		"modality_status":            {"How far the content of each modality is extracted: complete, pending or conflict.", object{"text": "complete"}},
		"provider_summary":           {"What extracted the content of each modality.", object{"text": "plain_text"}},
		"provenance":                 {"Where its content comes from and what was made of it.", nil},
		"checksum":                   {"The SHA-256 of the file's bytes, in hexadecimal.", someSum},
		"bytes":                      {"The size of the file, in bytes.", 10240},
		"extracted_text":             {"The beginning of its text.", "Tell me, O Muse, of that ingenious hero"},
		"extracted_text_bytes":       {"The size of the whole text, in bytes.", 10240},
		"extracted_text_truncated":   {"Whether the text goes on.", true},
		"segments":                   {"The parts of its content; which there are depends on the modality.", object{"line_count": 212}},
		"atomization":                {"How its text was divided into atoms.", nil},
		"atom_tracks":                {"The tracks that were asked for.", []any{"word", "sentence"}},
		"active_atom_levels":         {"The levels that it was divided by.", []any{"word", "sentence"}},
		"filename_schema_version":    {"The version of the rules by which names of atoms are made.", "1"},
		"hypergraph":                 {"The nodes of its graph.", nil},
		"hypergraph_ids":             {"The nodes of the graph that the analysis used.", nil},
		"document_node_id":           {"The node of the document; empty while it has no graph.", "doc:" + someID},
		"atom_node_ids":              {"The first nodes of its atoms.", []any{"atom:1"}},
		"atom_node_count":            {"How many nodes of atoms there are.", 1840},
		"atom_node_ids_truncated":    {"Whether there are more than are listed.", true},
		"cross_modal_links":          {"Documents of another kind with the same name.", []any{}},
		"siblings":                   {"Other documents with the same name.", []any{}},
		"siblings_truncated":         {"Whether there are more than are listed.", false},
		"variant_group":              {"The group of documents with the same name.", "sibling::odyssey"},
		"ingest_job_id":              {"The id of the ingest.", otherID},
		"IngestJob.status":           {"How the ingest is: running, completed, completed_with_errors or failed.", "completed"},
		"ingest_scope":               {"full where the whole corpus was read, else partial.", "full"},
		"documents_ingested":         {"How many documents were read.", 1},
		"documents_unchanged":        {"How many were as they had been.", 0},
		"atoms_created":              {"How many atoms were made.", 1840},
		"provenance_digest":          {"A checksum of all that the ingest read.", someSum},
		"files":                      {"A page of the files, with what came of each.", nil},
		"files_total":                {"How many files the ingest has recorded.", 1},
		"files_next_offset":          {"Where the next page of files begins; left out on the last.", 500},
		"IngestFile.status":          {"What came of it: ingested, unchanged, conflict, skipped or error.", "ingested"},
		"IngestFile.error":           {"Why the file was not ingested; null where it was.", null{}},
		"IngestJob.errors":           {"Sentences about what failed.", []any{}},
		"analysis_run_id":            {"The id of the analysis.", otherID},
		"branch_id":                  {"The id of the branch; null for none.", null{}},
		"mode":                       {"PUBLIC or RAW.", "PUBLIC"},
		"plugin_profile":             {"The chain of plugins that was asked for.", "default"},
		"source_checksum":            {"The SHA-256 of the version that was analysed, in hexadecimal.", someSum},
		"layers":                     {"The layers that were computed, in order.", []any{"token", "syntax"}},
		"layer":                      {"The name of the layer.", "token"},
		"layer_outputs":              {"What each layer says, in order.", nil},
		"output":                     {"What the layer says.", object{"token_count": 312}},
		"confidence":                 {"How sure the plugin is, from 0 to 1.", 0.9},
		"provider":                   {"The plugin that computed it.", "deterministic"},
		"version":                    {"The version of the plugin.", "1.0.0"},
		"fallback_reason":            {"Why the plugins before it did not compute it; null where the first one did.", null{}},
		"runs":                       {"The analyses.", nil},
	}
}

func trail() map[string]term {
	return map[string]term{
		"logs":                 {"The entries.", nil},
		"AuditEntry.id":        {"The number of the entry, in the order of the trail.", 4711},
		"event_id":             {"The id of the event; job events are <job id>/<version>.", someID + "/3"},
		"action":               {"What was done.", "auth_success"},
		"details":              {"What else there is to say about it.", object{"role": "operator", "endpoint": "POST /api/v1/jobs/submit"}},
		"occurred_at":          {"When it happened.", someTime},
		"dead_letters":         {"The dead letters.", nil},
		"DeadLetter.id":        {"The number of the dead letter.", 12},
		"DeadLetterSummary.id": {"The number of the dead letter.", 12},
		"service":              {"The service that set it aside.", "gateway"},
		"reason":               {"Why it was set aside.", "validation_error: body: expected object"},
		"subject":              {"Where the message was first published; empty where nobody knows.", "nexus.submit.ann.ingest_batch"},
		"received_at":          {"When it was set aside.", someTime},
		"headers":              {"The headers of the message.", object{"Nexus-Request-Id": []any{"r-1"}}},
		"body":                 {"What is shown of the body: as it is where encoding is text, else in base64.", "[1,2,3]"},
		"encoding":             {"text or base64.", "text"},
		"body_size":            {"The size of the whole body, in bytes.", 7},
		"kept_size":            {"How many bytes of it are kept.", 7},
		"shown":                {"How many bytes of it are shown.", 7},
		"replays":              {"How often it was published again.", 0},
		"discarded":            {"Whether it is hidden from the list.", false},
		"marks":                {"What was done with it.", nil},
		"what":                 {"replayed or discarded.", "replayed"},
		"at":                   {"When that was.", someTime},
	}
}

func webhooks() map[string]term {
	const kinds = "The kinds of events that are posted; empty for all."
	return map[string]term{
		"webhooks":                        {"The webhooks.", nil},
		"webhook":                         {"", object{"url": "https://example.com/hook", "events": []any{"job.succeeded", "job.failed"}}},
		"webhook_id":                      {"The id of the webhook.", someID},
		"url":                             {"Where events are posted: http or https, without a user and a fragment, at a public address.", "https://example.com/hook"},
		"events":                          {kinds, []any{"job.succeeded", "job.failed"}},
		"all":                             {"Whether it hears of the jobs of everybody.", false},
		"rotate_secret":                   {"", true},
		"secret":                          {"What posts are signed with; it is shown this once.", secret},
		"disabled_reason":                 {"Why it was switched off by itself; empty where it was not.", ""},
		"Webhook.job_type":                {"Only jobs of this type; empty for all.", "ingest_batch"},
		"WebhookWithSecret.job_type":      {"Only jobs of this type; empty for all.", "ingest_batch"},
		"CreateWebhookInputBody.job_type": {"", "ingest_batch"},
		"deliveries":                      {"The deliveries.", nil},
		"delivery_id":                     {"The id of the delivery.", otherID},
		"event":                           {"The kind of event.", "job.succeeded"},
		"WebhookDelivery.status":          {"pending, delivered or failed.", "delivered"},
		"WebhookDelivery.attempts":        {"How often it was posted.", 1},
		"WebhookDelivery.error":           {"Why the last attempt failed; empty where it did not.", ""},
		"response_status":                 {"The status of the last answer; null where there was none.", 200},
		"last_attempt_at":                 {"When it was last posted; null for never.", someTime},
		"next_attempt_at":                 {"When it is posted next; null where nothing is planned.", null{}},
	}
}
