package observability_test

import (
	"context"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"
	"github.com/stretchr/testify/require"
)

const ruleFile = "prometheus/rules.yml"

// every is how often Prometheus scrapes and evaluates; see prometheus.yml.
const every = 15 * time.Second

// alertsOf loads the rules as Prometheus does, afresh: a rule remembers what is active.
func alertsOf(t *testing.T, query rules.QueryFunc) map[string]*rules.AlertingRule {
	t.Helper()
	manager := rules.NewManager(&rules.ManagerOptions{
		QueryFunc:  query,
		NotifyFunc: func(context.Context, string, ...*rules.Alert) {},
		Context:    t.Context(),
		Logger:     promslog.NewNopLogger(),
		Parser:     parser.NewParser(parser.Options{}),
	})
	groups, errs := manager.LoadGroups(every, labels.EmptyLabels(), "", nil, false, ruleFile)
	require.Empty(t, errs)
	found := map[string]*rules.AlertingRule{}
	for _, group := range groups {
		for _, rule := range group.Rules() {
			alert, ok := rule.(*rules.AlertingRule)
			require.True(t, ok, "%s is no alert", rule.Name())
			require.NotContains(t, found, alert.Name(), "two alerts have one name")
			found[alert.Name()] = alert
		}
	}
	return found
}

// situation is what Prometheus scraped, every 15 s from the beginning, and what an
// alert makes of it.
type situation struct {
	name string
	// series are in the notation of promtool: 0+2x9 is ten values from 0 to 18.
	series []string
	// at is when the alert is looked at.
	at time.Duration
	// fires are the labels that each alert has which fires then, besides severity;
	// none is quiet.
	fires []string
}

// firing evaluates an alert from the beginning until at.
func firing(t *testing.T, alert string, s situation) (found []string) {
	t.Helper()
	storage := promqltest.LoadedStorage(t, "load "+every.String()+"\n  "+strings.Join(s.series, "\n  "))
	t.Cleanup(func() { require.NoError(t, storage.Close()) })
	engine := promqltest.NewTestEngine(t, false, 5*time.Minute, 1_000_000)
	query := rules.EngineQueryFunc(engine, storage)
	rule := alertsOf(t, query)[alert]
	require.NotNil(t, rule, "there is no alert %s", alert)
	for at := time.Duration(0); at <= s.at; at += every {
		_, err := rule.Eval(t.Context(), 0, time.Unix(0, 0).Add(at), query, &url.URL{}, 0)
		require.NoError(t, err)
	}
	for _, active := range rule.ActiveAlerts() {
		if active.State != rules.StateFiring {
			continue
		}
		for _, text := range []string{"summary", "description"} {
			require.NotRegexp(t, `error expanding|<no value>|%!| {2}`, active.Annotations.Get(text))
		}
		var own []string
		active.Labels.Range(func(l labels.Label) {
			if l.Name != labels.AlertName && l.Name != "severity" {
				own = append(own, l.Name+"="+l.Value)
			}
		})
		found = append(found, strings.Join(own, " "))
	}
	return found
}

func TestAlerts(t *testing.T) {
	t.Parallel()
	for alert, situations := range situations() {
		for _, s := range situations {
			t.Run(alert+" "+s.name, func(t *testing.T) {
				t.Parallel()
				require.ElementsMatch(t, s.fires, firing(t, alert, s))
			})
		}
	}
}

// TestEveryAlertIsTried wants a situation in which an alert fires, and one in which it
// does not.
func TestEveryAlertIsTried(t *testing.T) {
	t.Parallel()
	tried, alerts := situations(), alertsOf(t, nil)
	for name := range alerts {
		var fires, quiet bool
		for _, s := range tried[name] {
			fires, quiet = fires || len(s.fires) > 0, quiet || len(s.fires) == 0
		}
		require.True(t, fires, "%s: no situation in which it fires", name)
		require.True(t, quiet, "%s: no situation in which it does not", name)
	}
	for name := range tried {
		require.Contains(t, alerts, name, "situations of an alert that does not exist")
	}
}

// TestAlertsSayWhatToDo wants what whoever is woken needs, and the page that explains
// them to list each.
func TestAlertsSayWhatToDo(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/observability.md")
	require.NoError(t, err)
	runbook, err := os.ReadFile("../../docs/operations.md")
	require.NoError(t, err)
	for name, alert := range alertsOf(t, nil) {
		require.Contains(t, string(runbook), "\n### "+kebab(name)+"\n", "docs/operations.md does not say what to do")
		require.Regexp(t, `^Nexus[A-Z]`, name)
		require.Contains(t, []string{"critical", "warning"}, alert.Labels().Get("severity"), name)
		for _, annotation := range []string{"summary", "description"} {
			require.NotEmpty(t, alert.Annotations().Get(annotation), "%s has no %s", name, annotation)
		}
		require.Equal(t, "docs/operations.md#"+kebab(name), alert.Annotations().Get("runbook_url"), name)
		require.Contains(t, string(page), "| `"+name+"` | "+alert.Labels().Get("severity")+" |", "docs/observability.md does not list it")
	}
}

// kebab makes nexus-http-errors of NexusHTTPErrors.
func kebab(name string) string {
	words := regexp.MustCompile(`[A-Z]+(?:[a-z]+|$)`).FindAllString(strings.ReplaceAll(name, "HTTP", "Http"), -1)
	return strings.ToLower(strings.Join(words, "-"))
}
