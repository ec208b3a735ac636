package jobs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/metrics"
	"nexus.internal/libs/testkit"
	"nexus.internal/libs/worker"
)

// measured is a harness whose service measures what it does.
func measured(t testing.TB) *harness {
	t.Helper()
	h := servers(t)
	p, err := metrics.New(metrics.Options{Name: "nexus-jobs", Version: "v9"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, errors.Join(p.Err(), p.Shutdown(context.Background()))) })
	h.metrics = p
	h.service(config())
	return h
}

// exposed are the values of all series, each under its name and labels.
func (h *harness) exposed() map[string]float64 {
	h.t.Helper()
	text, err := h.metrics.Exposition()
	require.NoError(h.t, err)
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	require.NoError(h.t, err)
	out := map[string]float64{}
	for name, f := range families {
		for _, m := range f.GetMetric() {
			out[name+labelsOf(m)] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return out
}

func labelsOf(m *dto.Metric) string {
	var b strings.Builder
	for _, l := range m.GetLabel() {
		b.WriteString(" " + l.GetName() + "=" + l.GetValue())
	}
	return b.String()
}

func TestWhatHappensToJobsIsCounted(t *testing.T) {
	t.Parallel()
	h := measured(t)
	silent, cancelled := submission(contract.JobAnalyze), submission(contract.JobAnalyze)
	silent.MaxAttempts = 1
	h.submit(silent)
	h.submit(cancelled)
	granted := h.claim("gone", contract.LeaseRef{JobID: silent.JobID, LeaseToken: uuid.NewString()})
	require.Len(t, granted.Granted, 1)
	_, err := bus.Call[contract.Job](t.Context(), h.nc, contract.RPCJobsCancel, contract.JobRequest{JobID: cancelled.JobID})
	require.NoError(t, err)
	h.reaches(silent.JobID, contract.StatusFailed)

	good, bad := submission(contract.JobAnalyze), submission(contract.JobAnalyze)
	h.work("worker-1", func(_ context.Context, job worker.Job) (worker.Result, error) {
		if job.ID == bad.JobID {
			return worker.Result{}, worker.RetryAfter(time.Hour, errors.New("not today"))
		}
		return worker.Result{}, nil
	})
	// One after the other, so that no batch has the ends of both.
	h.submit(good)
	h.reaches(good.JobID, contract.StatusSucceeded)
	h.submit(bad)
	h.reaches(bad.JobID, contract.StatusRetryWait)
	var got map[string]float64
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(got)
		}
	})
	testkit.Eventually(t, func() bool {
		got = h.exposed()
		return got["nexus_jobs_retry_wait job_type=analyze"] == 1 && got["nexus_consumer_up consumer=jobs-recorder service=jobs stream=NEXUS_COMMANDS"] == 1
	}, "the job that waits is not counted")
	for series, want := range map[string]float64{
		"nexus_jobs_submitted_total job_type=analyze":                      4,
		"nexus_jobs_started_total job_type=analyze":                        3,
		"nexus_jobs_finished_total job_type=analyze outcome=succeeded":     1,
		"nexus_jobs_finished_total job_type=analyze outcome=failed":        1,
		"nexus_jobs_finished_total job_type=analyze outcome=cancelled":     1,
		"nexus_jobs_attempts_total job_type=analyze outcome=succeeded":     1,
		"nexus_jobs_attempts_total job_type=analyze outcome=failed":        1,
		"nexus_jobs_attempts_total job_type=analyze outcome=lease_expired": 1,
		"nexus_jobs_retries_total job_type=analyze":                        1,
		"nexus_jobs_lease_recoveries_total job_type=analyze":               1,
		"nexus_jobs_start_delay_seconds job_type=analyze":                  3,
		"nexus_jobs_run_duration_seconds job_type=analyze":                 2,
		"nexus_jobs_queued job_type=analyze":                               0,
		"nexus_jobs_running job_type=analyze":                              0,
		"nexus_jobs_batch_size operation=finish":                           2,
		"nexus_jobs_redispatched_total queue=plugins":                      0,
	} {
		require.Contains(t, got, series)
		require.InDelta(t, want, got[series], 0, series)
	}
}

// Whatever owners and jobs are called, there are no more series.
func TestOwnersAndIdsMakeNoSeries(t *testing.T) {
	t.Parallel()
	h := measured(t)
	testkit.Eventually(t, func() bool {
		return len(h.exposed()) > 0 && h.metrics.Snapshot().Counters != nil && h.exposed()["nexus_jobs_count_age_seconds"] > 0
	}, "nothing is counted")
	first := submission(contract.JobAnalyze)
	h.submit(first)
	before := len(h.exposed())
	subs := make([]contract.Submission, 300)
	for i := range subs {
		subs[i] = submission(contract.JobAnalyze)
		subs[i].CreatedBy, subs[i].RequestID = fmt.Sprintf("owner-%d", i), uuid.NewString()
	}
	h.send(subs...)
	for range subs {
		require.Empty(t, testkit.Receive(t, h.inbox).Code)
	}
	after := h.exposed()
	require.InDelta(t, 301.0, after["nexus_jobs_submitted_total job_type=analyze"], 0)
	require.LessOrEqual(t, len(after)-before, 40, "the series grew with the jobs")
	for series := range after {
		require.NotContains(t, series, "owner-")
	}
}
