package observability_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
)

const boardFile = "grafana/nexus.json"

type datasource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

type target struct {
	RefID      string     `json:"refId"`
	Datasource datasource `json:"datasource"`
	Expr       string     `json:"expr"`
	Query      string     `json:"query"`
}

type panel struct {
	ID          int        `json:"id"`
	Type        string     `json:"type"`
	Title       string     `json:"title"`
	Description string     `json:"description"`
	Datasource  datasource `json:"datasource"`
	GridPos     struct {
		H, W, X, Y int
	} `json:"gridPos"`
	FieldConfig struct {
		Defaults struct {
			Unit string `json:"unit"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
	Targets []target `json:"targets"`
}

type board struct {
	UID        string  `json:"uid"`
	Title      string  `json:"title"`
	Panels     []panel `json:"panels"`
	Templating struct {
		List []struct {
			Name       string     `json:"name"`
			Datasource datasource `json:"datasource"`
			AllValue   string     `json:"allValue"`
			Definition string     `json:"definition"`
		} `json:"list"`
	} `json:"templating"`
	Annotations struct {
		List []struct {
			Expr string `json:"expr"`
		} `json:"list"`
	} `json:"annotations"`
}

func readBoard(t *testing.T) board {
	t.Helper()
	text, err := os.ReadFile(boardFile)
	require.NoError(t, err)
	var b board
	require.NoError(t, json.Unmarshal(text, &b))
	return b
}

// filled puts a value in place of each variable, as Grafana does. A variable that the
// board does not have stays.
func (b board) filled(query string) string {
	query = strings.ReplaceAll(query, "$__rate_interval", "5m")
	for _, v := range b.Templating.List {
		query = strings.ReplaceAll(query, "$"+v.Name, v.AllValue)
	}
	return query
}

func TestPanels(t *testing.T) {
	t.Parallel()
	b, seen, titles, rows := readBoard(t), map[int]bool{}, map[string]bool{}, []string{}
	taken := map[[2]int]string{}
	for _, p := range b.Panels {
		require.False(t, seen[p.ID] || titles[p.Title], "%d %s: there is another", p.ID, p.Title)
		seen[p.ID], titles[p.Title] = true, true
		require.NotEmpty(t, p.Title, p.ID)
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				require.Empty(t, taken[[2]int{x, y}], "%s lies upon another", p.Title)
				taken[[2]int{x, y}] = p.Title
			}
		}
		require.LessOrEqual(t, p.GridPos.X+p.GridPos.W, 24, p.Title)
		if p.Type == "row" {
			rows = append(rows, p.Title)
			continue
		}
		require.NotEmpty(t, p.Description, p.Title)
		require.NotEmpty(t, p.Targets, p.Title)
		require.True(t, p.Type == "table" || p.FieldConfig.Defaults.Unit != "", "%s has no unit", p.Title)
		require.Contains(t, dataSources(t), p.Datasource, p.Title)
		for _, query := range p.Targets {
			require.Equal(t, p.Datasource, query.Datasource, p.Title)
			require.NotEqual(t, query.Expr == "", query.Query == "", "%s: want one query", p.Title)
		}
	}
	require.Equal(t, []string{"What comes in", "What runs", "What fails", "What lags", "What is slow", "Per service"}, rows)
}

func TestQueriesOfTheBoard(t *testing.T) {
	t.Parallel()
	b := readBoard(t)
	parse := parser.NewParser(parser.Options{}).ParseExpr
	tried := 0
	for _, p := range b.Panels {
		for _, query := range p.Targets {
			if query.Datasource.Type != "prometheus" {
				require.NotContains(t, query.Query, "$", p.Title)
				continue
			}
			tried++
			expr, err := parse(b.filled(query.Expr))
			require.NoError(t, err, p.Title)
			require.Empty(t, mistakes(expr), "%s: %s", p.Title, query.Expr)
		}
	}
	require.Greater(t, tried, 50)
	for _, a := range b.Annotations.List {
		_, err := parse(a.Expr)
		require.NoError(t, err)
	}
	names := map[string]bool{}
	for _, v := range b.Templating.List {
		names[v.Name] = true
		require.Contains(t, dataSources(t), v.Datasource, v.Name)
		parts := regexp.MustCompile(`^label_values\((.+), [a-z_]+\)$`).FindStringSubmatch(v.Definition)
		require.NotNil(t, parts, v.Definition)
		_, err := parse(parts[1])
		require.NoError(t, err, v.Name)
	}
	require.True(t, names["job_type"] && names["service"] && names["process"])
}

// shared are gauges that every replica says the same of: a sum would count it again.
var shared = regexp.MustCompile(`^nexus_(jobs_(queued|running|retry_wait|backlog_age_seconds|count_age_seconds)|outbox_(rows|oldest_age_seconds)|consumer_[a-z_]+|stream_[a-z_]+)$`)

// mistakes are those that an expression parses with.
func mistakes(expr parser.Expr) (found []string) {
	parser.Inspect(expr, func(node parser.Node, path []parser.Node) error {
		selector, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		rated := false
		for _, above := range path {
			switch above := above.(type) {
			case *parser.Call:
				rated = rated || above.Func.Name == "rate" || above.Func.Name == "increase"
			case *parser.AggregateExpr:
				if above.Op == parser.SUM && shared.MatchString(selector.Name) {
					found = append(found, "sum of what each replica says of all: "+selector.Name)
				}
			}
		}
		if counts := regexp.MustCompile(`(_total|_bucket)$`).MatchString(selector.Name); counts != rated && !strings.HasSuffix(selector.Name, "_sum") && !strings.HasSuffix(selector.Name, "_count") {
			found = append(found, "a counter without rate, or a gauge with it: "+selector.Name)
		}
		return nil
	})
	return found
}

func TestMistakesAreFound(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]int{
		`sum(nexus_jobs_queued)`:                         1,
		`max(nexus_jobs_queued)`:                         0,
		`nexus_jobs_submitted_total`:                     1,
		`sum(rate(nexus_jobs_submitted_total[5m]))`:      0,
		`rate(nexus_jobs_queued[5m])`:                    1,
		`sum(rate(nexus_jobs_batch_size_sum[5m]))`:       0,
		`sum by (service) (nexus_outbox_rows) + go_what`: 1,
	} {
		expr, err := parser.NewParser(parser.Options{}).ParseExpr(query)
		require.NoError(t, err)
		require.Len(t, mistakes(expr), want, query)
	}
}
