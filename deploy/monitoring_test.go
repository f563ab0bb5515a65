package deploy

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"sigs.k8s.io/yaml"
)

var promQL = parser.NewParser(parser.Options{})

// alerts are the rules of prometheus/alerts.yaml.
func alerts(t *testing.T) (rules []rulefmt.Rule) {
	t.Helper()
	groups, errs := rulefmt.ParseFile("prometheus/alerts.yaml", false, model.UTF8Validation, promQL, slog.Default())
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	for _, group := range groups.Groups {
		rules = append(rules, group.Rules...)
	}
	return rules
}

// promtool runs Prometheus' own checks.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	found, err := exec.Command("../scripts/prometheus.sh").Output()
	if err != nil {
		t.Fatalf("there is no promtool: %v", err)
	}
	command := exec.Command(strings.TrimSpace(string(found)), args...)
	if out, err := command.CombinedOutput(); err != nil {
		t.Errorf("%v: %v: %s", command.Args, err, out)
	}
}

func TestAlerts_fireWhenTheyShould(t *testing.T) {
	t.Parallel()
	promtool(t, "check", "rules", "prometheus/alerts.yaml")
	promtool(t, "test", "rules", "prometheus/alerts_test.yaml")
	tests := string(read(t, "prometheus/alerts_test.yaml"))
	for _, rule := range alerts(t) {
		if !strings.Contains(tests, `alertname="`+rule.Alert+`"`) {
			t.Errorf("no test has %s fire", rule.Alert)
		}
	}
}

// TestPrometheus_theConfigurationIsValid has the rules where Compose puts them.
func TestPrometheus_theConfigurationIsValid(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	config := strings.ReplaceAll(string(read(t, "compose/prometheus.yaml")), "/etc/prometheus/", folder+"/")
	for file, text := range map[string]string{"prometheus.yaml": config, "alerts.yaml": string(read(t, "prometheus/alerts.yaml"))} {
		if err := os.WriteFile(filepath.Join(folder, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	promtool(t, "check", "config", filepath.Join(folder, "prometheus.yaml"))
}

// TestAlerts_haveASectionForWhoIsOnCall compares the rules and docs/oncall.md.
func TestAlerts_haveASectionForWhoIsOnCall(t *testing.T) {
	t.Parallel()
	page := string(read(t, "../docs/oncall.md"))
	sections := regexp.MustCompile(`(?m)^## (Pupwasm\w+)$`).FindAllStringSubmatch(page, -1)
	var documented []string
	for _, section := range sections {
		documented = append(documented, section[1])
	}
	var named []string
	for _, rule := range alerts(t) {
		named = append(named, rule.Alert)
		if url := rule.Annotations["runbook_url"]; url != "https://github.com/pupwasm/pupwasm/blob/main/docs/oncall.md#"+
			strings.ToLower(rule.Alert) {
			t.Errorf("%s leads to %q", rule.Alert, url)
		}
		if rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" ||
			!slices.Contains([]string{"page", "ticket"}, rule.Labels["severity"]) {
			t.Errorf("%s lacks an annotation or a severity: %+v", rule.Alert, rule)
		}
	}
	for _, played := range regexp.MustCompile(`\*\*(Pupwasm\w+)\.\*\*`).FindAllStringSubmatch(string(read(t, "../docs/night.md")), -1) {
		if !slices.Contains(named, played[1]) {
			t.Errorf("docs/night.md plays %s, which is no alert", played[1])
		}
	}
	if !slices.Equal(named, documented) {
		t.Errorf("the alerts are\n%v\nthe sections\n%v", named, documented)
	}
}

// query is an expression, and where it is.
type query struct{ where, text string }

// queries are those of alerts, of the dashboard and of the autoscaler.
func queries(t *testing.T) (all []query) {
	t.Helper()
	for _, rule := range alerts(t) {
		all = append(all, query{"alert " + rule.Alert, rule.Expr})
	}
	for _, panel := range readDashboard(t).Panels {
		for _, target := range panel.Targets {
			all = append(all, query{"panel " + panel.Title, withoutVariables(target.Expr)})
		}
	}
	var adapter struct {
		Rules struct {
			External []struct {
				SeriesQuery  string `json:"seriesQuery"`
				MetricsQuery string `json:"metricsQuery"`
				Resources    any    `json:"resources"`
			} `json:"external"`
		} `json:"rules"`
	}
	if err := yaml.UnmarshalStrict(read(t, "kubernetes/autoscale/adapter-values.yaml"), &adapter); err != nil {
		t.Fatal(err)
	}
	for _, rule := range adapter.Rules.External {
		filled := strings.NewReplacer("<<.Series>>", "pupwasm_projection_lag_seconds", "<<.LabelMatchers>>", `namespace="shop"`).
			Replace(rule.MetricsQuery)
		all = append(all, query{"the adapter", rule.SeriesQuery}, query{"the adapter", filled})
	}
	return all
}

// metricTable are the metrics that a page lists: the labels of each, by its name and, of a histogram, those of its series.
func metricTable(t *testing.T) map[string][]string {
	t.Helper()
	page := string(read(t, "../docs/metrics.md"))
	metrics := map[string][]string{}
	for _, line := range regexp.MustCompile("(?m)^\\| `(pupwasm_\\w+)` \\| (\\w+) \\| ([^|]*)\\|").FindAllStringSubmatch(page, -1) {
		name, kind, has := line[1], line[2], strings.FieldsFunc(line[3], func(r rune) bool { return r == ',' || r == ' ' })
		if kind == "histogram" {
			metrics[name+"_bucket"] = append(has, "le")
			metrics[name+"_sum"], metrics[name+"_count"] = has, has
			continue
		}
		metrics[name] = has
	}
	if len(metrics) < 30 {
		t.Fatalf("only these metrics are found in the page: %v", metrics)
	}
	return metrics
}

// TestQueries_askForMetricsThatExist parses every query, and compares its metrics and labels with docs/metrics.md.
func TestQueries_askForMetricsThatExist(t *testing.T) {
	t.Parallel()
	metrics := metricTable(t)
	ofTarget := []string{"instance", "job", "namespace"}
	for _, q := range queries(t) {
		expr, err := promQL.ParseExpr(q.text)
		if err != nil {
			t.Errorf("%s: %s: %v", q.where, q.text, err)
			continue
		}
		for _, matchers := range parser.ExtractSelectors(expr) {
			name := matchers[slices.IndexFunc(matchers, func(m *labels.Matcher) bool { return m.Name == model.MetricNameLabel })].Value
			has, known := metrics[name]
			if strings.HasPrefix(name, "process_") {
				continue
			}
			if !known {
				t.Errorf("%s: there is no metric %s", q.where, name)
			}
			for _, m := range matchers {
				if m.Name != model.MetricNameLabel && !slices.Contains(has, m.Name) && !slices.Contains(ofTarget, m.Name) {
					t.Errorf("%s: %s has no label %s", q.where, name, m.Name)
				}
			}
		}
		parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
			aggregate, is := node.(*parser.AggregateExpr)
			if !is {
				return nil
			}
			for _, label := range aggregate.Grouping {
				for _, matchers := range parser.ExtractSelectors(aggregate.Expr) {
					name := matchers[len(matchers)-1].Value
					if has := metrics[name]; !slices.Contains(has, label) && !slices.Contains(ofTarget, label) {
						t.Errorf("%s: %s has no label %s", q.where, name, label)
					}
				}
			}
			return nil
		})
	}
}

// dashboard is what the tests look at of grafana/pupwasm.json.
type dashboard struct {
	UID    string
	Panels []struct {
		ID          int
		Type, Title string
		Description string
		GridPos     struct{ X, Y, W, H int }
		Targets     []struct{ Expr, RefID string }
	}
	Templating struct {
		List []struct{ Name, Definition string }
	}
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	if err := json.Unmarshal(read(t, "grafana/pupwasm.json"), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// withoutVariables puts values in the place of Grafana's variables.
func withoutVariables(expr string) string {
	return strings.NewReplacer("$projection", ".*", "$__rate_interval", "5m").Replace(expr)
}

// TestDashboard_panelsHaveTheirPlace finds panels that lie upon each other, and variables that nobody sets.
func TestDashboard_panelsHaveTheirPlace(t *testing.T) {
	t.Parallel()
	d := readDashboard(t)
	taken, ids := map[[2]int]string{}, map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.Title == "" || p.Type != "row" && (p.Description == "" || len(p.Targets) == 0) {
			t.Errorf("panel %d (%s) has another's id, no title, no description or no query", p.ID, p.Title)
		}
		ids[p.ID] = true
		if p.GridPos.X < 0 || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("%s does not fit into the 24 columns", p.Title)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("%s lies upon %s", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		refs := ""
		for _, target := range p.Targets {
			if strings.Contains(refs, target.RefID) {
				t.Errorf("%s has two queries %s", p.Title, target.RefID)
			}
			refs += target.RefID
			if strings.Contains(withoutVariables(target.Expr), "$") {
				t.Errorf("%s has a variable that nobody sets: %s", p.Title, target.Expr)
			}
		}
	}
	var variables []string
	for _, variable := range d.Templating.List {
		variables = append(variables, fmt.Sprint(variable.Name, variable.Definition))
	}
	if !slices.Contains(variables, "projectionlabel_values(pupwasm_projection_position, projection)") {
		t.Errorf("the variables are %v", variables)
	}
}
