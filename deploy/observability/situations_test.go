package observability_test

import (
	"maps"
	"time"
)

// situations are those that each alert is tried in, by its name.
func situations() map[string][]situation {
	all := map[string][]situation{}
	for _, part := range []map[string][]situation{ofProcesses(), ofJobs(), ofMessages(), ofOutside()} {
		maps.Copy(all, part)
	}
	return all
}

func ofProcesses() map[string][]situation {
	const jobs = `{job="nexus", process="jobs", instance="a"}`
	return map[string][]situation{
		"NexusTargetDown": {
			{"away for two minutes", []string{`up` + jobs + ` 1x3 0x20`, `up{job="nexus", process="auth", instance="b"} 1x30`}, 4 * time.Minute, []string{"instance=a job=nexus process=jobs"}},
			{"away for a moment", []string{`up` + jobs + ` 1x3 0x4 1x30`}, 4 * time.Minute, nil},
			{"another's is away", []string{`up{job="other"} 0x30`}, 4 * time.Minute, nil},
		},
		"NexusNothingScraped": {
			{"nothing is known", []string{`up{job="other"} 1x60`}, 6 * time.Minute, []string{""}},
			{"nothing answers", []string{`up` + jobs + ` 0x60`}, 6 * time.Minute, []string{""}},
			{"one answers", []string{`up` + jobs + ` 1x60`, `up{job="nexus", process="auth"} 0x60`}, 6 * time.Minute, nil},
		},
		"NexusProcessRestarts": {
			{"three times", []string{`process_start_time_seconds` + jobs + ` 1x9 100x9 200x9 300x30`}, 10 * time.Minute, []string{"instance=a job=nexus process=jobs"}},
			{"twice", []string{`process_start_time_seconds` + jobs + ` 1x9 100x9 200x40`}, 10 * time.Minute, nil},
		},
		"NexusPoolExhausted": {
			{"two wait all the time", []string{`nexus_db_pool_wait_seconds_total{service="jobs", instance="a"} 0+30x60`}, 10 * time.Minute, []string{"instance=a service=jobs"}},
			{"one waits and is never served", []string{`nexus_db_pool_wait_seconds_total{service="jobs", instance="a"} 5x60`, `nexus_db_pool_waiting{service="jobs", instance="a"} 1x60`}, 10 * time.Minute, []string{"instance=a service=jobs"}},
			{"some wait for a moment", []string{`nexus_db_pool_wait_seconds_total{service="jobs", instance="a"} 0+3x60`, `nexus_db_pool_waiting{service="jobs", instance="a"} 0 1 0x5 3 0x60`}, 10 * time.Minute, nil},
		},
		"NexusHTTPErrors": {
			{"one in eleven", []string{`nexus_http_requests_total{path="/a", status="200"} 0+100x60`, `nexus_http_requests_total{path="/a", status="503"} 0+10x60`}, 12 * time.Minute, []string{""}},
			{"one in a hundred", []string{`nexus_http_requests_total{status="200"} 0+100x60`, `nexus_http_requests_total{status="500"} 0+1x60`}, 12 * time.Minute, nil},
			{"callers' mistakes", []string{`nexus_http_requests_total{status="404"} 0+100x60`}, 12 * time.Minute, nil},
			{"one of very few", []string{`nexus_http_requests_total{status="500"} 0 1x60`}, 6 * time.Minute, nil},
		},
	}
}

func ofJobs() map[string][]situation {
	const failed, succeeded = `nexus_jobs_finished_total{job_type="analyze", outcome="failed"}`, `nexus_jobs_finished_total{job_type="analyze", outcome="succeeded"}`
	return map[string][]situation{
		"NexusJobsNotCounted": {
			{"the database is away", []string{`nexus_jobs_count_age_seconds{instance="a"} 2x3 2+15x40`}, 10 * time.Minute, []string{"instance=a"}},
			{"counted every half a minute", []string{`nexus_jobs_count_age_seconds{instance="a"} 2 17 29 14 2x60`}, 10 * time.Minute, nil},
		},
		"NexusBacklogAge": {
			{"of one type, told by two replicas", []string{
				`nexus_jobs_backlog_age_seconds{job_type="analyze", instance="a"} 0+15x80`, `nexus_jobs_backlog_age_seconds{job_type="analyze", instance="b"} 0+15x80`,
				`nexus_jobs_backlog_age_seconds{job_type="ingest", instance="a"} 0x80`,
			}, 18 * time.Minute, []string{"job_type=analyze"}},
			{"not for long", []string{`nexus_jobs_backlog_age_seconds{job_type="analyze"} 0+15x42 0x60`}, 18 * time.Minute, nil},
		},
		"NexusBacklogStands": {
			{"none was started", []string{`nexus_jobs_backlog_age_seconds{job_type="analyze"} 0+15x120`, `nexus_jobs_started_total{job_type="analyze"} 7x120`}, 22 * time.Minute, []string{"job_type=analyze"}},
			{"of a type that never was", []string{`nexus_jobs_backlog_age_seconds{job_type="rare"} 0+15x120`}, 22 * time.Minute, []string{"job_type=rare"}},
			{"slow and going on", []string{`nexus_jobs_backlog_age_seconds{job_type="analyze"} 0+15x120`, `nexus_jobs_started_total{job_type="analyze"} 0+1x120`}, 22 * time.Minute, nil},
		},
		"NexusFailureRatio": {
			{"one in five", []string{failed + ` 0+1x100`, succeeded + ` 0+4x100`}, 20 * time.Minute, []string{"job_type=analyze"}},
			{"one in fifty", []string{failed + ` 0+1x100`, succeeded + ` 0+49x100`}, 20 * time.Minute, nil},
			{"all of very few", []string{failed + ` 0x10 1x10 2x80`, succeeded + ` 0x100`}, 20 * time.Minute, nil},
			{"cancelled ones", []string{failed + ` 0x100`, succeeded + ` 0+1x100`, `nexus_jobs_finished_total{job_type="analyze", outcome="cancelled"} 0+9x100`}, 20 * time.Minute, nil},
		},
		"NexusLeaseRecoveries": {
			{"again and again", []string{`nexus_jobs_lease_recoveries_total{job_type="analyze"} 0x4 1x20 2x20 3x20 4x40`}, 20 * time.Minute, []string{"job_type=analyze"}},
			{"one worker died", []string{`nexus_jobs_lease_recoveries_total{job_type="analyze"} 0x20 8x80`}, 20 * time.Minute, nil},
		},
	}
}

func ofMessages() map[string][]situation {
	const consumer, runs = `{service="audit", stream="NEXUS_EVENTS", consumer="audit-recorder"}`, `{service="jobs", stream="NEXUS_RUNS", consumer="runs-default"}`
	const same = "consumer=audit-recorder service=audit stream=NEXUS_EVENTS"
	return map[string][]situation{
		"NexusOutboxAge": {
			{"the broker takes nothing", []string{`nexus_outbox_oldest_age_seconds{service="jobs", instance="a"} 0+15x40`, `nexus_outbox_oldest_age_seconds{service="auth", instance="a"} 0x40`}, 8 * time.Minute, []string{"service=jobs"}},
			{"some seconds", []string{`nexus_outbox_oldest_age_seconds{service="jobs"} 0 5 3 20 1x40`}, 8 * time.Minute, nil},
		},
		"NexusConsumerMissing": {
			{"gone", []string{`nexus_consumer_up` + consumer + ` 1x3 0x40`}, 5 * time.Minute, []string{same}},
			{"one of two replicas cannot ask", []string{
				`nexus_consumer_up{service="audit", stream="NEXUS_EVENTS", consumer="audit-recorder", instance="a"} 0x40`,
				`nexus_consumer_up{service="audit", stream="NEXUS_EVENTS", consumer="audit-recorder", instance="b"} 1x40`,
			}, 5 * time.Minute, nil},
		},
		"NexusConsumerLag": {
			{"more comes in than goes out", []string{`nexus_consumer_lag` + consumer + ` 0+100x80`}, 14 * time.Minute, []string{same}},
			{"a burst that is worked off", []string{`nexus_consumer_lag` + consumer + ` 0 9000-1000x8 0x80`}, 14 * time.Minute, nil},
			{"runs wait for workers", []string{`nexus_consumer_lag` + runs + ` 0+100x80`}, 14 * time.Minute, nil},
		},
		"NexusConsumerStuck": {
			{"it is paused", []string{`nexus_consumer_lag` + consumer + ` 0x8 1x9 3x80`}, 16 * time.Minute, []string{same}},
			{"behind and at work", []string{`nexus_consumer_lag` + consumer + ` 10 12 15 11 9 14 17 20 13 10 9 8 12 15 19 22 17 13 10 14 12 10 9 8 12 15 19 22 17 13 10 14 12 15 11 9 14 17 20 13 10 9 8 12 15 19 22 17 13 10 14 12 10 9 8 12 15 19 22 17 13 10 14 12 15`}, 15 * time.Minute, nil},
			{"nothing waits", []string{`nexus_consumer_lag` + consumer + ` 0x80`}, 16 * time.Minute, nil},
			{"runs wait for workers", []string{`nexus_consumer_lag` + runs + ` 5x80`}, 16 * time.Minute, nil},
		},
		"NexusDeadLetters": {
			{"one", []string{`nexus_dead_letters_total{from="jobs"} 0x8 1x80`, `nexus_dead_letters_total{from="auth"} 0x88`}, 10 * time.Minute, []string{"from=jobs"}},
			{"long ago", []string{`nexus_dead_letters_total{from="jobs"} 0x8 1x80`}, 20 * time.Minute, nil},
		},
		"NexusStreamNearLimit": {
			{"work piles up", []string{`nexus_stream_size_bytes{stream="NEXUS_RUNS"} 0x4 900x40`, `nexus_stream_limit_bytes{stream="NEXUS_RUNS"} 1000x44`}, 8 * time.Minute, []string{"stream=NEXUS_RUNS"}},
			{"half full", []string{`nexus_stream_size_bytes{stream="NEXUS_RUNS"} 500x44`, `nexus_stream_limit_bytes{stream="NEXUS_RUNS"} 1000x44`}, 8 * time.Minute, nil},
			{"old events are dropped", []string{`nexus_stream_size_bytes{stream="NEXUS_EVENTS"} 999x44`, `nexus_stream_limit_bytes{stream="NEXUS_EVENTS"} 1000x44`}, 8 * time.Minute, nil},
		},
	}
}

func ofOutside() map[string][]situation {
	return map[string][]situation{
		"NexusPluginFailures": {
			{"it takes too long, and then rests", []string{
				`nexus_plugin_calls_total{plugin="remote", outcome="timeout"} 0+1x10 10x80`, `nexus_plugin_calls_total{plugin="remote", outcome="resting"} 0x10 0+3x80`,
				`nexus_plugin_calls_total{plugin="remote", outcome="ok"} 20x90`, `nexus_plugin_calls_total{plugin="deterministic", outcome="ok"} 0+3x90`,
			}, 15 * time.Minute, []string{"plugin=remote"}},
			{"now and then", []string{`nexus_plugin_calls_total{plugin="remote", outcome="timeout"} 0+1x90`, `nexus_plugin_calls_total{plugin="remote", outcome="ok"} 0+9x90`}, 15 * time.Minute, nil},
			{"what it does not support", []string{`nexus_plugin_calls_total{plugin="remote", outcome="unsupported"} 0+1x90`}, 15 * time.Minute, nil},
		},
		"NexusWebhookFailures": {
			{"half", []string{`nexus_webhook_deliveries_total{outcome="delivered"} 0+1x100`, `nexus_webhook_deliveries_total{outcome="retried"} 0+1x100`}, 20 * time.Minute, []string{""}},
			{"one in twenty", []string{`nexus_webhook_deliveries_total{outcome="delivered"} 0+19x100`, `nexus_webhook_deliveries_total{outcome="retried"} 0+1x100`}, 20 * time.Minute, nil},
			{"all of very few", []string{`nexus_webhook_deliveries_total{outcome="delivered"} 0x100`, `nexus_webhook_deliveries_total{outcome="retried"} 0x20 2x80`}, 20 * time.Minute, nil},
		},
		"NexusWebhooksGivenUp": {
			{"one", []string{`nexus_webhook_deliveries_total{outcome="failed"} 0x20 1x80`}, 10 * time.Minute, []string{""}},
			{"tried again", []string{`nexus_webhook_deliveries_total{outcome="failed"} 0x100`, `nexus_webhook_deliveries_total{outcome="retried"} 0+5x100`}, 10 * time.Minute, nil},
		},
	}
}
