package apidoc

// sentences say what each operation does, by its id.
func sentences() map[string]string {
	return map[string]string{
		"health":             "Says that the process is alive. It asks nobody else.",
		"ready":              "Says that what is needed to take and run jobs answers; else the answer names what is missing.",
		"metrics":            "Shows in short what has happened since the process started. What never happened is not in it.",
		"metrics-prometheus": "Everything that is measured, for Prometheus to scrape. docs/metrics.md says what there is.",
		"key-set":            "Lists the public keys that tokens can be checked with. It is empty where tokens are signed with a shared secret.",
		"whoami":             "Says to whom the presented key or token belongs, and what it may be used for.",
		"list-keys":          "Lists the keys of all owners without their secrets.",
		"create-key":         "Makes a key for an owner who has none. The secret is in this answer and nowhere else: only its hash is kept.",
		"get-key":            "Reads one key without its secret.",
		"update-key":         "Changes what is given and leaves the rest. It counts from the next request on, at every gateway and at the NATS door.",
		"rotate-key":         "Gives a key another secret, which is in this answer and nowhere else. The old one is refused from then on.",
		"issue-token":        "Answers a key with a token that is good for minutes and can be checked without asking anybody.",
		"refresh-token":      "Answers a token that is still good with a new one. The key is read again: one that was disabled or demoted gets no other.",
		"list-features":      "Lists what is open to the caller. An admin gets every feature, also those that are off, and `open` says whether it is open.",
		"update-feature":     "Changes what is given and leaves the rest. A setting of the platform that says no outranks it.",
		"submit-job": "Admits a job and has it recorded. 200 means that it is committed; 202 that the broker has it and the record is still to come, or, " +
			"with `execution_mode` sync, that it has not ended yet. A sync answer carries the final status, and `error_text` where the job failed.",
		"submit-jobs":           "Records up to 1,000 async jobs in one transaction, all or none; the answer to a refusal says which job it was.",
		"count-jobs":            "Counts the jobs of every state.",
		"retry-jobs":            "Takes up to 1,000 finished jobs that match up again, the oldest first, spread over time.",
		"list-jobs":             "Lists jobs, newest first; filters combine. `next_cursor` asks for the page after this one.",
		"get-job":               "Reads a job with all its attempts and artifacts. Results and artifacts of more than 8 MiB together are read by their own routes.",
		"get-job-result":        "Reads the result of a job by itself, byte for byte as it was made. One that has none is 404.",
		"get-job-artifact":      "Reads the payload of one artifact by itself, byte for byte as it was made. One that has none is 404.",
		"cancel-job":            "Ends a job that has not finished. One that runs is told to stop; one that has finished is answered as it is.",
		"retry-job":             "Takes a failed or cancelled job up again, with all its attempts before it.",
		"list-job-types":        "Lists every job type, also those that are switched off.",
		"create-job-type":       "Makes a job type, and the lanes of its queue where that is new. Gateways notice within two seconds.",
		"change-job-type":       "Changes what is given and leaves the rest.",
		"replace-job-type":      "Describes a job type anew: what is left out gets its default, but the queue stays.",
		"list-queues":           "Lists the queues with the number of jobs that wait and run.",
		"pause-queue":           "Lets none of the queue's jobs start from the moment of the answer. Those that run go on.",
		"resume-queue":          "Lets the jobs of the queue start again.",
		"list-workers":          "Lists the workers with what they run. One that is gone is forgotten after a day.",
		"follow-job":            "Begins with the job as it is, goes on with each event, and ends with the job.",
		"follow-events":         "Sends every event that matches as it happens, until the client goes or comes back after an hour.",
		"list-webhooks":         "Lists one's own webhooks, newest first; for an admin those of everybody.",
		"create-webhook":        "Has events of jobs posted to a URL, signed. What is posted begins one second after the answer.",
		"rotate-webhook-secret": "Makes the secret that the hooks of single jobs are signed with, and ends the one before.",
		"get-webhook":           "Reads a webhook without its secret. That of somebody else is 404, but for an admin.",
		"update-webhook":        "Changes what is given and leaves the rest. A new secret is in this answer and nowhere else.",
		"delete-webhook":        "Ends a webhook and forgets its deliveries.",
		"list-deliveries":       "Lists what was posted and is to be posted, newest first, with what came of it.",
		"redeliver":             "Makes a delivery again from its first attempt, whatever came of it.",
	}
}

// corpusSentences say it of the operations on the corpus, and of those behind them.
func corpusSentences() map[string]string {
	return map[string]string{
		"list-documents":        "Lists the documents of the corpus.",
		"get-document":          "Reads a document with where its content comes from and what was made of it.",
		"get-ingest-job":        "Reads what came of an ingest: its counts, and its files page by page.",
		"list-analysis-runs":    "Lists the analyses, or those of one document.",
		"get-analysis-run":      "Reads an analysis with the output of each layer and the plugin that made it.",
		"list-seed-texts":       "Lists the texts that a corpus may begin with, and what there is of them.",
		"provision-seed-text":   "Fetches a text under the corpus root, once, and ingests it. An unknown title is 400.",
		"ingest-batch":          "Ingests files and answers when that has ended; what is wrong with a file costs that file only.",
		"analyze":               "Analyses a document or a branch. A sync answer carries the layers, an async one the job, a shadow one both.",
		"get-analysis-shadow":   "Sets a run and that of its shadow side by side, with what differs in each layer.",
		"rhetorical-analysis":   "Scores how a text persuades: by trust, by feelings, by arguments.",
		"list-plugins":          "Lists the plugins with their health, last errors and latency, and the profiles they make up.",
		"evolve-branch":         "Makes a branch by one event on a document or on another branch. Nothing is changed in place.",
		"evolve-multi":          "Makes a branch by each event, one on top of the other. Either all of them are made or none.",
		"list-branches":         "Lists the branches of all documents.",
		"merge-branches":        "Makes one branch of two that share an ancestor or at least the root document; its parent is the left one.",
		"branch-timeline":       "Lists the whole lineage of a branch, from the root document on, and what its replay comes to.",
		"branch-visualization":  "Draws the lineage of a branch and those of the branches that were merged into it.",
		"replay-branch":         "Replays a branch from its last checkpoint, and holds the text against the hash that was written with it.",
		"compare-branches":      "Compares the texts of two branches.",
		"remix":                 "Mixes a source with a target; the new branch goes on from the source.",
		"compose-remix":         "Mixes two texts, asks the policy about the mix, and shows it. What the policy blocks is neither shown nor kept.",
		"list-remixes":          "Lists the mixes that were kept.",
		"get-remix":             "Reads a mix with its text and where it came from.",
		"evaluate-policy":       "Looks for blocked terms in a text. The decision is stored and audited, the text is not.",
		"list-policy-decisions": "Lists the decisions of the policy.",
		"query-graph":           "Reads documents, their atoms and the edges between them.",
		"document-integrity":    "Counts the graph of a document and says whether it agrees with the document.",
		"list-audit":            "Lists what was done by whom; filters combine.",
		"export-audit":          "Streams the entries that match as JSON lines. The last line says `\"complete\":true`; without it something is missing.",
		"list-log-levels":       "Lists the log level of each service in each process.",
		"set-log-level":         "Changes the log level of every process at once, or of those of one service. It holds until a process ends or reads its settings again.",
		"list-dead-letters":     "Lists the messages that were set aside, with the reason. Filters combine.",
		"get-dead-letter":       "Reads a message that was set aside, with its headers and the beginning of its body.",
		"replay-dead-letter":    "Publishes the message again where it was first published, once, unless it is forced.",
		"discard-dead-letter":   "Hides a message from the list. It is kept until its time is over.",
	}
}

// requests are bodies that the routes accept, by the id of the operation. Others
// are put together from the examples of their properties.
func requests() map[string]any {
	return map[string]any{
		"submit-job": object{
			"job_type": "ingest_batch", "payload": object{"source_paths": []any{"odyssey.txt"}}, "idempotency_key": "import-2026-03", "priority": "normal", "tags": []any{"import"},
		},
		"submit-jobs": object{"jobs": []any{
			object{"job_type": "ingest_batch", "payload": object{"source_paths": []any{"odyssey.txt"}}},
			object{"job_type": "analyze", "payload": object{"document_id": someID}, "delay_seconds": 60},
		}},
		"retry-jobs":          object{"status": "failed", "job_type": "analyze", "created_after": someTime, "limit": 100, "per_second": 50},
		"create-key":          object{"owner": "ann", "role": "operator", "rate_limit_per_minute": 600, "expires_at": "2027-01-01T00:00:00Z"},
		"update-key":          object{"enabled": true, "role": "researcher", "rate_limit_per_minute": nil},
		"update-feature":      object{"enabled": true, "min_role": "researcher"},
		"create-job-type":     object{"name": "resize_images", "queue": "images", "timeout_seconds": 60, "payload_schema": object{"type": "object", "required": []any{"path"}}},
		"change-job-type":     object{"max_attempts": 5, "backoff_seconds": []any{5, 60}},
		"replace-job-type":    object{"queue": "images", "timeout_seconds": 120},
		"create-webhook":      object{"url": "https://example.com/hook", "events": []any{"job.succeeded", "job.failed"}, "job_type": "ingest_batch"},
		"ingest-batch":        object{"source_paths": []any{"odyssey.txt"}, "modalities": []any{"text"}, "atom_tracks": []any{"literary"}},
		"analyze":             object{"document_id": someID, "layers": []any{"token", "rhetoric"}, "mode": "PUBLIC", "execution_mode": "async"},
		"rhetorical-analysis": object{"text": "We must act now."},
		"evolve-branch":       object{"root_document_id": someID, "event_type": "natural_drift", "event_payload": object{"seed": 7}},
		"evolve-multi": object{"parent_branch_id": someID, "events": []any{
			object{"event_type": "natural_drift"}, object{"event_type": "phase_shift", "event_payload": object{"phase": "peak"}},
		}},
		"merge-branches":  object{"left_branch_id": someID, "right_branch_id": otherID, "strategy": "interleave"},
		"remix":           object{"source_document_id": someID, "target_document_id": otherID, "strategy": "thematic_blend", "seed": 7},
		"compose-remix":   object{"source_document_id": someID, "target_branch_id": otherID, "strategy": "interleave", "atom_levels": []any{"word"}},
		"evaluate-policy": object{"candidate_output": "Nothing but peace.", "mode": "PUBLIC"},
		"update-webhook":  object{"enabled": true, "rotate_secret": true},
		"set-log-level":   object{"level": "debug", "service": "jobs"},
	}
}

// replies are bodies of answers, by the id of the operation and the status, where
// those that are put together from properties would contradict themselves.
func replies() map[string]any {
	job := func(status string) object {
		return object{"job_id": someID, "status": status, "job_type": "ingest_batch", "execution_mode": "async"}
	}
	second := object{"job_id": otherID, "status": "queued", "job_type": "analyze", "execution_mode": "async"}
	return map[string]any{
		"submit-job 200":  job("queued"),
		"submit-job 202":  job("accepted"),
		"submit-jobs 200": object{"jobs": []any{job("queued"), second}},
		"submit-jobs 202": object{"jobs": []any{job("accepted"), second}},
	}
}

// groups say what the routes of a tag have in common.
func groups() map[string]string {
	return map[string]string{
		"Access":             "Keys, tokens and features: who may do what.",
		"Analysis":           "What the plugins found in documents.",
		"Audit":              "Who did what, kept and chained.",
		"Branches":           "Texts that grow out of documents, event by event.",
		"Governance":         "What the policy says of a text.",
		"Graph":              "Documents and their atoms, as nodes and edges.",
		"Plugins":            "Who computes the layers of an analysis.",
		"Remixes":            "Mixes of two texts.",
		"Corpus":             "The documents that jobs work on.",
		"Dead letters":       "Messages that nobody could handle.",
		"Events":             "What happens, while it happens.",
		"Job types":          "What kinds of jobs there are, and how they are run.",
		"Jobs":               "Submitting, following and ending jobs.",
		"Platform":           "Whether the process lives and can serve, and what it logs.",
		"Queues and workers": "Where jobs wait, and who runs them.",
		"Webhooks":           "Events posted to a URL.",
	}
}

// answer is what a status means, and what an error with it may say.
type answer struct{ sentence, code, detail string }

// answers are the statuses that have the same meaning at every route.
func answers() map[string]answer {
	return map[string]answer{
		"200": {"Done; the body says what came of it.", "", ""},
		"201": {"Made.", "", ""},
		"202": {"Accepted: the job is safe with the broker, or has not ended in the time of a sync submit. Read it under its id.", "", ""},
		"204": {"Done; there is nothing to say.", "", ""},
		"400": {"The request cannot be read, or asks for something that is not there.", "validation_error", "Unknown job_type 'resize'"},
		"401": {"The key or token is missing, unknown or disabled.", "unauthorized", "Missing or invalid API key"},
		"403": {"The role is too low, or the mode is not allowed for this key.", "forbidden", "Role 'viewer' lacks required permission 'operator'"},
		"404": {"There is nothing with this id or name.", "not_found", "Job not found"},
		"409": {"It contradicts what is there already.", "conflict", "This idempotency key was used before for a different request."},
		"413": {"The body is larger than the route takes.", "too_large", "The body is larger than this server takes."},
		"415": {"The body's type or encoding is not one that the route takes: send JSON.", "unsupported_media_type", "The body must be JSON."},
		"422": {"A part of the request breaks a rule; `errors` says which.", "validation_error", "body.max_attempts: expected number <= 10"},
		"429": {"Too often; `Retry-After` says how many seconds to wait.", "rate_limited", "Too many requests with this key: the limit is 6000 a minute"},
		"500": {"A mistake of the platform; the request id leads to its log.", "internal", "Something went wrong on our side; the request id leads to the log."},
		"503": {"Not possible now; `Retry-After` says how many seconds to wait. Nothing was kept.", "unavailable", "The jobs service does not answer now."},
	}
}
