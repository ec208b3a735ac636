package apidoc

// measured explains what the process measures.
func measured() map[string]term {
	return map[string]term{
		"Snapshot.counters":            {"How often things happened since the process started, by name.", object{"http.status.200": 1200, "jobs.submitted.analyze": 40}},
		"Snapshot.timings":             {"How long things took, by name.", object{"http.request.ms": object{"count": 1203, "avg_ms": 3.1, "p95_ms": 9.8}}},
		"Snapshot.db.pool.size":        {"Connections that the database pools of the process keep open, together.", 30},
		"Snapshot.db.pool.checked_out": {"Connections that are in use now.", 4},
		"Snapshot.db.pool.overflow":    {"Connections that are open beyond the size of the pools.", 0},
		"Timing.count":                 {"How often it was measured since the process started.", 1203},
		"Timing.avg_ms":                {"The average of all of them, in milliseconds.", 3.1},
		"Timing.p95_ms":                {"What 95 of 100 of the latest ones did not exceed, in milliseconds.", 9.8},
	}
}
