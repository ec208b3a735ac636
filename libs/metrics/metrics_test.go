package metrics_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/metrics"
)

func provider(t testing.TB) *metrics.Provider {
	t.Helper()
	p, err := metrics.New(metrics.Options{Name: "nexus-test", Version: "v9"})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, p.Err())
		require.NoError(t, p.Shutdown(t.Context()))
	})
	return p
}

// scrape reads the exposition as Prometheus does.
func scrape(t testing.TB, p *metrics.Provider) map[string]*dto.MetricFamily {
	t.Helper()
	text, err := p.Exposition()
	require.NoError(t, err)
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	require.NoError(t, err)
	return families
}

// series are the labels of a family's series, each as name=value pairs.
func series(f *dto.MetricFamily) map[string]*dto.Metric {
	out := map[string]*dto.Metric{}
	for _, m := range f.GetMetric() {
		var labels []string
		for _, l := range m.GetLabel() {
			labels = append(labels, l.GetName()+"="+l.GetValue())
		}
		out[strings.Join(labels, " ")] = m
	}
	return out
}

func TestNothingMeasuredIsEmpty(t *testing.T) {
	t.Parallel()
	for _, p := range []*metrics.Provider{nil, provider(t)} {
		got, err := json.Marshal(p.Snapshot())
		require.NoError(t, err)
		require.JSONEq(t, `{"counters":{},"timings":{}}`, string(got))
	}
	p := provider(t)
	set := p.For("jobs")
	set.Counter(metrics.JobsSubmitted).Add(0, "noop")
	set.Histogram(metrics.HTTPDuration)
	require.Empty(t, p.Snapshot().Counters)
	require.Empty(t, p.Snapshot().Timings)
}

func TestNilMeasuresNothing(t *testing.T) {
	t.Parallel()
	var p *metrics.Provider
	set := p.For("jobs")
	set.Counter(metrics.JobsSubmitted).Add(1, "noop")
	set.Histogram(metrics.JobsStartDelay).Record(1, "noop")
	set.Observe(metrics.JobsQueued, func(metrics.Say) { t.Error("nobody looks") })
	text, err := p.Exposition()
	require.NoError(t, err)
	require.Empty(t, text)
	require.NoError(t, p.Err())
	require.NoError(t, p.Shutdown(t.Context()))
}

func TestSnapshotCounts(t *testing.T) {
	t.Parallel()
	p := provider(t)
	requests := p.For("gateway").Counter(metrics.HTTPRequests)
	requests.Add(1, "GET", "/a", "200")
	requests.Add(2, "GET", "/b", "200")
	requests.Add(5, "GET", "/b", "404")
	p.For("jobs").Counter(metrics.JobsSubmitted).Add(3, "noop")
	require.Equal(t, map[string]int64{"http.status.200": 3, "http.status.404": 5, "jobs.submitted.noop": 3}, p.Snapshot().Counters)
}

func TestTimings(t *testing.T) {
	t.Parallel()
	p := provider(t)
	took := p.For("gateway").Histogram(metrics.HTTPDuration)
	timing := func() metrics.Timing { return p.Snapshot().Timings["http.request.ms"] }
	took.Record(0.007, "GET", "/")
	require.Equal(t, metrics.Timing{Count: 1, AvgMS: 7, P95MS: 7}, timing())

	p = provider(t)
	took = p.For("gateway").Histogram(metrics.HTTPDuration)
	for i := 100; i >= 1; i-- {
		took.Record(float64(i)/1000, "GET", "/")
	}
	require.Equal(t, metrics.Timing{Count: 100, AvgMS: 50.5, P95MS: 95}, timing())
	require.Len(t, p.Snapshot().Timings, 1, "other keys know nothing of it")

	for range 10_000 {
		took.Record(0.001, "GET", "/")
	}
	require.InDelta(t, 1.0, timing().P95MS, 0, "old observations are forgotten")
	require.EqualValues(t, 10_100, timing().Count)
}

func TestPoolFiguresAreThoseOfAllPools(t *testing.T) {
	t.Parallel()
	p := provider(t)
	for _, service := range []string{"jobs", "audit"} {
		p.For(service).Observe(metrics.PoolSize, func(say metrics.Say) { say(5) })
		p.For(service).Observe(metrics.PoolOverflow, func(say metrics.Say) { say(0) })
	}
	got, err := json.Marshal(p.Snapshot())
	require.NoError(t, err)
	require.JSONEq(t, `{"counters":{},"timings":{},"db.pool.size":10,"db.pool.overflow":0}`, string(got))
	require.Equal(t, []string{"service=audit", "service=jobs"}, keys(series(scrape(t, p)["nexus_db_pool_size"])))
}

func keys(m map[string]*dto.Metric) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// Every metric of the catalog is exposed under the name that the catalog gives it,
// with its labels and what it says.
func TestTheExpositionIsThatOfTheCatalog(t *testing.T) {
	t.Parallel()
	p, err := metrics.New(metrics.Options{Name: "nexus-test", Version: "v9"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Shutdown(t.Context())) })
	set := p.For("jobs")
	for _, d := range metrics.Catalog() {
		switch d.Kind {
		case metrics.KindCounter:
			set.Counter(d.Name).Add(1, d.Labels...)
		case metrics.KindHistogram:
			set.Histogram(d.Name).Record(1, d.Labels...)
		case metrics.KindGauge, metrics.KindObservedCounter:
			set.Observe(d.Name, func(say metrics.Say) { say(1, d.Labels...) })
		}
	}
	require.NoError(t, p.Err())
	kinds := map[metrics.Kind]dto.MetricType{
		metrics.KindCounter: dto.MetricType_COUNTER, metrics.KindObservedCounter: dto.MetricType_COUNTER,
		metrics.KindGauge: dto.MetricType_GAUGE, metrics.KindHistogram: dto.MetricType_HISTOGRAM,
	}
	got := scrape(t, p)
	for _, d := range metrics.Catalog() {
		f := got[d.Exposed()]
		require.NotNil(t, f, d.Exposed())
		require.Equal(t, kinds[d.Kind], f.GetType(), d.Exposed())
		require.Equal(t, d.Help, f.GetHelp(), d.Exposed())
		require.True(t, strings.HasPrefix(d.Exposed(), "nexus_"), d.Exposed())
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName())
			}
			require.ElementsMatch(t, d.Labels, labels, d.Exposed())
		}
		delete(got, d.Exposed())
	}
	for name := range got {
		require.Regexp(t, `^(go|process)_`, name, "it is in no catalog")
	}
	require.Contains(t, got, "process_resident_memory_bytes")
	require.Contains(t, got, "go_goroutine_count")
}

// Whatever outsiders make up has no more series than are allowed.
func TestAFloodOfLabels(t *testing.T) {
	t.Parallel()
	p := provider(t)
	set := p.For("gateway")
	requests, finished := set.Counter(metrics.HTTPRequests), set.Counter(metrics.JobsFinished)
	var flood sync.WaitGroup
	for part := range 4 {
		flood.Go(func() {
			for i := range 10_000 {
				word := fmt.Sprintf("%d-%d", part, i)
				requests.Add(1, word, "/"+word, word)
				finished.Add(1, word, "succeeded")
			}
		})
	}
	flood.Wait()
	got := scrape(t, p)
	counted := func(name string, most int) {
		all := series(got[name])
		require.LessOrEqual(t, len(all), most, name)
		total := 0.0
		for _, m := range all {
			total += m.GetCounter().GetValue()
		}
		require.InDelta(t, 40_000.0, total, 0, "nothing is lost: %s", name)
	}
	counted("nexus_http_requests_total", 2000)
	counted("nexus_jobs_finished_total", 201)
	require.Contains(t, series(got["nexus_jobs_finished_total"]), "job_type=other outcome=succeeded")
	// A value that came in time has series of its own in whatever else has the label.
	first := series(got["nexus_jobs_finished_total"])
	started := set.Counter(metrics.JobsStarted)
	for labels := range first {
		started.Add(1, strings.TrimPrefix(strings.TrimSuffix(labels, " outcome=succeeded"), "job_type="))
	}
	require.Len(t, series(scrape(t, p)["nexus_jobs_started_total"]), len(first))
}

func TestHostileLabels(t *testing.T) {
	t.Parallel()
	p := provider(t)
	submitted := p.For("jobs").Counter(metrics.JobsSubmitted)
	hostile := []string{
		strings.Repeat("x", 10_000), strings.Repeat("é", 5_000), "\xff\xfe", "a\xffb", "\x00", "a\nb", `a"b\`, "", "{job_type=\"x\"} 1\n# EOF", strings.Repeat("\xff", 10_000),
	}
	for _, h := range hostile {
		submitted.Add(1, h)
	}
	for labels := range series(scrape(t, p)["nexus_jobs_submitted_total"]) {
		require.True(t, utf8.ValidString(labels))
		require.LessOrEqual(t, len(labels), len("job_type=")+128)
	}
	got, err := json.Marshal(p.Snapshot())
	require.NoError(t, err)
	require.True(t, json.Valid(got))
	submitted.Add(1)
	submitted.Add(1, "noop", "too", "many")
	require.NotZero(t, p.Snapshot().Counters["jobs.submitted.noop"])
}

func TestUnknownMetricsAreAnError(t *testing.T) {
	t.Parallel()
	for _, use := range []func(*metrics.Set){
		func(s *metrics.Set) { s.Counter("nexus.made.up").Add(1) },
		func(s *metrics.Set) { s.Histogram(metrics.HTTPRequests).Record(1) },
		func(s *metrics.Set) { s.Observe(metrics.HTTPRequests, func(metrics.Say) {}) },
	} {
		p, err := metrics.New(metrics.Options{})
		require.NoError(t, err)
		use(p.For("jobs"))
		require.ErrorContains(t, p.Err(), "in the catalog of metrics")
		require.NoError(t, p.Shutdown(t.Context()))
	}
}

// Scrapes while everything is being measured, by many at once.
func TestScrapesUnderLoad(t *testing.T) {
	t.Parallel()
	p := provider(t)
	set := p.For("jobs")
	started := make(chan struct{})
	var measuring, scraping sync.WaitGroup
	for part := range 4 {
		measuring.Go(func() {
			<-started
			for i := range 5000 {
				set.Counter(metrics.JobsFinished).Add(1, fmt.Sprint(part, i%300), "succeeded")
				set.Histogram(metrics.JobsRunDuration).Record(float64(i), fmt.Sprint(part))
			}
		})
		set.Observe(metrics.OutboxRows, func(say metrics.Say) { say(float64(part)) })
	}
	for range 8 {
		scraping.Go(func() {
			<-started
			for range 20 {
				text, err := p.Exposition()
				if err != nil || len(text) == 0 {
					t.Errorf("a scrape failed: %v", err)
				}
				p.Snapshot()
			}
		})
	}
	close(started)
	measuring.Wait()
	scraping.Wait()
	require.EqualValues(t, 20_000, p.Snapshot().Counters["jobs.finished.succeeded"])
}

func BenchmarkAdd(b *testing.B) {
	c := provider(b).For("jobs").Counter(metrics.JobsFinished)
	b.ReportAllocs()
	for b.Loop() {
		c.Add(1, "noop", "succeeded")
	}
}

func BenchmarkRecord(b *testing.B) {
	h := provider(b).For("jobs").Histogram(metrics.JobsRunDuration)
	b.ReportAllocs()
	for b.Loop() {
		h.Record(0.1, "noop")
	}
}
