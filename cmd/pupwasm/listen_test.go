package main_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	dto "github.com/prometheus/client_model/go"

	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/internal/pgtest"
	"github.com/pupwasm/pupwasm/internal/testwait"
)

// listening is a host that serves HTTP.
type listening struct {
	*process
	t   *testing.T
	url string
}

var listeningLine = regexp.MustCompile(`"address":"([^"]+)".*"message":"listening for HTTP"`)

// listen starts a host that serves HTTP at a free port.
func listen(t *testing.T, database, folder string, arguments ...string) *listening {
	t.Helper()
	l := &listening{t: t, process: start(t, database, append([]string{"run", folder, "--listen", "127.0.0.1:0"}, arguments...)...)}
	testwait.Until(t, "the host listens", func() bool {
		found := listeningLine.FindStringSubmatch(l.output.String())
		if found != nil {
			l.url = "http://" + found[1]
		}
		return found != nil
	})
	return l
}

// do asks for something, with a token unless it is "".
func (l *listening) do(method, path, token string) (code int, body string) {
	l.t.Helper()
	request, err := http.NewRequestWithContext(l.t.Context(), method, l.url+path, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		l.t.Fatal(err)
	}
	defer response.Body.Close()
	all, err := io.ReadAll(response.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	return response.StatusCode, string(all)
}

// ready waits until the host is ready.
func (l *listening) ready() {
	l.t.Helper()
	testwait.Until(l.t, "the host is ready", func() bool {
		code, _ := l.do(http.MethodGet, "/readyz?max-lag=1h", "")
		return code == http.StatusOK
	})
}

// metrics reads all metrics, as Prometheus does.
func (l *listening) metrics() map[string]*dto.MetricFamily {
	l.t.Helper()
	code, body := l.do(http.MethodGet, "/metrics", "")
	if code != http.StatusOK {
		l.t.Fatalf("/metrics answers %d: %s", code, body)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		l.t.Fatal(err)
	}
	return families
}

// withPoison is a database with a projection that fails at an event, and the folder of its module.
func withPoison(t *testing.T, kind string) (database, folder string) {
	t.Helper()
	database = newDatabase(t, kind).DSN
	file := filepath.Join(t.TempDir(), "events.jsonl")
	var lines strings.Builder
	for i, eventType := range []string{"Fine", "Panic", "Fine", "Fine"} {
		fmt.Fprintf(&lines, `{"bounded_context":"Test","aggregate_type":"Note","aggregate_id":"n%d","event_type":%q}`+"\n", i%2, eventType)
	}
	if err := os.WriteFile(file, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, database, "append", file)
	folder = t.TempDir()
	path := guestbuild.Root(t) + "/modules/examples/testdata/misbehave"
	writeModule(t, folder, "misbehave.wasm", guestbuild.Module(t, guestbuild.Auto, path))
	return database, folder
}

// TestListen_thePageHasEveryMetric compares docs/metrics.md with what a host emits that has applied and parked events:
// names, types and labels.
func TestListen_thePageHasEveryMetric(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(guestbuild.Root(t), "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(pupwasm_[a-z_]+)` \\| (\\w+) \\|([^|]*)\\| (?:database|process) \\| ").FindAllStringSubmatch(string(page), -1) {
		documented = append(documented, fmt.Sprintf("%s %s %s", row[1], row[2], strings.TrimSpace(row[3])))
	}
	for _, kind := range []string{onSQLite, onPostgres, onMariaDB} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			database, folder := withPoison(t, kind)
			appendPaid(t, database)
			writeModule(t, folder, "shop.wasm", guestbuild.Example(t, guestbuild.Auto, "testdata/shop_messages"))
			l := listen(t, database, folder, "--publish", "file:"+filepath.Join(t.TempDir(), "sent.jsonl"), "--messages-from", "beginning")
			l.ready()
			testwait.Until(t, "a key is parked, and a message is sent", func() bool {
				families := l.metrics()
				return value(families, "pupwasm_parked_keys") == 1 && value(families, "pupwasm_messages_sent_total") == 1 &&
					value(families, "pupwasm_outbox_sending") == 1
			})
			var emitted []string
			families := l.metrics()
			for name, family := range families {
				if strings.HasPrefix(name, "pupwasm_") {
					emitted = append(emitted, describe(family))
				}
			}
			slices.Sort(emitted)
			slices.Sort(documented)
			if !slices.Equal(emitted, documented) {
				t.Errorf("the host emits\n%s\nthe page has\n%s", strings.Join(emitted, "\n"), strings.Join(documented, "\n"))
			}
			for name, want := range map[string]float64{
				"pupwasm_database_up": 1, "pupwasm_workers": 1, "pupwasm_events_applied_total": 3, "pupwasm_parked_events": 2,
				"pupwasm_keys_parked_total": 1, "pupwasm_log_head_position": 5, "pupwasm_projection_lag_events": 0,
				"pupwasm_segments": 4, "pupwasm_outbox_max": 1_000_000,
			} {
				if got := valueOf(families, name, "misbehave"); got != want {
					t.Errorf("%s is %v, want %v", name, got, want)
				}
			}
		})
	}
}

// describe is a metric as the page has it: name, type and labels.
func describe(family *dto.MetricFamily) string {
	var labels []string
	for _, pair := range family.GetMetric()[0].GetLabel() {
		labels = append(labels, pair.GetName())
	}
	slices.SortFunc(labels, func(a, b string) int { return slices.Index(labelOrder, a) - slices.Index(labelOrder, b) })
	return fmt.Sprintf("%s %s %s", family.GetName(), strings.ToLower(family.GetType().String()), strings.Join(labels, ", "))
}

var labelOrder = []string{"projection", "version", "state", "policy", "result", "revision", "go_version", "database", "stage"}

// value is the sum over all labels of a gauge or counter.
func value(families map[string]*dto.MetricFamily, name string) (sum float64) {
	return valueOf(families, name, "")
}

// valueOf is the same of one projection, and of what is not of projections.
func valueOf(families map[string]*dto.MetricFamily, name, projection string) (sum float64) {
	for _, m := range families[name].GetMetric() {
		other := slices.ContainsFunc(m.GetLabel(), func(l *dto.LabelPair) bool {
			return projection != "" && l.GetName() == "projection" && l.GetValue() != projection
		})
		if !other {
			sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return sum
}

// appendPaid appends an event that shop_messages sends a message for.
func appendPaid(t *testing.T, database string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "paid.jsonl")
	line := `{"bounded_context":"Test","aggregate_type":"Note","aggregate_id":"n9","event_type":"OrderPaid","payload":{"cents":1}}`
	if err := os.WriteFile(file, []byte(line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, database, "append", file)
}

// TestListen_probesAndActions asks what there is, with and without the token.
func TestListen_probesAndActions(t *testing.T) {
	t.Parallel()
	database, folder := withPoison(t, "sqlite")
	const token = "0123456789abcdef"
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := listen(t, database, folder, "--listen-token-file", file)
	l.ready()
	testwait.Until(t, "a key is parked", func() bool {
		_, body := l.do(http.MethodGet, "/api/v1/projections/misbehave/parked", token)
		return strings.Contains(body, `"key": "n1"`)
	})
	for _, c := range []struct {
		method, path, token string
		code                int
		body                string
	}{
		{"GET", "/healthz", "", 200, "ok"},
		{"GET", "/readyz?max-lag=soon", "", 400, `max-lag \"soon\" must be a time above 0`},
		{"GET", "/", "", 200, "/api/v1/status"},
		{"GET", "/api/v1/status", token, 200, `"name": "misbehave"`},
		{"GET", "/api/v1/status", "", 401, "Authorization: Bearer"},
		{"GET", "/api/v1/doctor", token, 200, "misbehave has 1 parked key"},
		{"GET", "/api/v1/projections/none", token, 404, `there is no projection \"none\"`},
		{"GET", "/api/v1/projections/misbehave/parked?limit=0", token, 400, `limit \"0\" must be 1 to 1000`},
		{"GET", "/api/v1/nothing", token, 404, "docs/api.md"},
		{"POST", "/api/v1/status", token, 404, "docs/api.md"},
		{"POST", "/api/v1/projections/misbehave/retry", "", 401, "Authorization: Bearer"},
		{"POST", "/api/v1/projections/misbehave/retry", "wrong", 401, "Authorization: Bearer"},
		{"POST", "/api/v1/projections/misbehave/retry", token, 200, "0 segments of misbehave"},
		{"POST", "/api/v1/projections/misbehave/pause", "", 401, "Authorization: Bearer"},
		{"POST", "/api/v1/projections/misbehave/pause", token, 200, "misbehave is paused"},
		{"GET", "/api/v1/projections/misbehave", token, 200, `"paused": true`},
		{"POST", "/api/v1/projections/misbehave/resume", token, 200, "misbehave goes on"},
		{"GET", "/api/v1/projections/misbehave/versions", token, 200, `"stage": "live"`},
		{"GET", "/api/v1/projections/misbehave@1", token, 200, `"version": 1`},
		{"GET", "/api/v1/projections/misbehave@2", token, 404, "no projection"},
		{"GET", "/api/v1/projections/misbehave/diff?a=1&b=1", token, 200, `"differ": false`},
		{"GET", "/api/v1/projections/misbehave/diff?a=1&b=2", token, 400, "has no version 2"},
		{"GET", "/api/v1/projections/misbehave/diff?a=1", token, 400, "must be a version"},
		{"GET", "/api/v1/projections/misbehave/diff?a=1&b=1&examples=1001", token, 400, "from 0 to 1000"},
		{"POST", "/api/v1/projections/misbehave@1/promote", "", 401, "Authorization: Bearer"},
		{"POST", "/api/v1/projections/misbehave@1/promote", token, 200, "see version 1 already"},
		{"POST", "/api/v1/projections/misbehave/rollback", token, 400, "nothing to go back to"},
		{"POST", "/api/v1/projections/misbehave@1/retire", token, 400, "is live"},
		{"POST", "/api/v1/projections/misbehave/rebuild", "", 401, "Authorization: Bearer"},
		{"POST", "/api/v1/projections/misbehave/rebuild", token, 200, "version 1b2 of misbehave is asked for"},
		{"POST", "/api/v1/projections/misbehave@1b2/retire", token, 200, "version 1b2 of misbehave is retired"},
		{"POST", "/api/v1/projections/misbehave@1b2/retire", token, 404, "no projection"},
		{"POST", "/api/v1/projections/misbehave/parked/n9/skip", token, 400, "not parked"},
		{"POST", "/api/v1/projections/misbehave/parked/hex:zz/skip", token, 400, "pairs of hex digits"},
		{"POST", "/api/v1/projections/misbehave/parked/hex:6e31/skip", token, 200, "skip is ordered"},
		{"GET", "/api/v1/projections/misbehave/messages", token, 200, `"messages": []`},
		{"GET", "/api/v1/projections/misbehave/messages?limit=101", token, 400, "must be 1 to 100"},
		{"GET", "/api/v1/projections/misbehave/messages?state=gone", token, 400, "must be pending, failed, sent or held"},
		{"GET", "/api/v1/projections/misbehave/messages?key=hex:zz", token, 400, "pairs of hex digits"},
		{"GET", "/api/v1/projections/misbehave/messages", "", 401, "Authorization: Bearer"},
		{"POST", "/api/v1/projections/misbehave/messages/resend", token, 200, "0 messages to be sent again"},
		{"POST", "/api/v1/messages/misbehave.v1.1.0/resend", token, 200, "0 messages to be sent again"},
		{"POST", "/api/v1/messages/misbehave.v1.1.0/skip", token, 400, "misbehave.v1.1.0"},
		{"POST", "/api/v1/messages/misbehave.v1/skip", token, 400, "is no id"},
		{"POST", "/api/v1/messages/misbehave.v1.1.0/skip", "", 401, "Authorization: Bearer"},
	} {
		if code, body := l.do(c.method, c.path, c.token); code != c.code || !strings.Contains(body, c.body) {
			t.Errorf("%s %s answers %d: %s", c.method, c.path, code, body)
		}
	}
	testwait.Until(t, "the event is skipped", func() bool { return value(l.metrics(), "pupwasm_parked_keys") == 0 })
	if all := l.output.String(); strings.Contains(all, token) {
		t.Errorf("the log has the token: %s", all)
	}
	l.signal(syscall.SIGTERM)
	if code := l.wait(t); code != 0 {
		t.Errorf("the host ends with %d: %s", code, l.output)
	}
}

// TestListen_elsewhere asks as another site's page in a browser on the same machine would, which has no token.
func TestListen_elsewhere(t *testing.T) {
	t.Parallel()
	database, folder := withPoison(t, "sqlite")
	l := listen(t, database, folder)
	for host, want := range map[string]int{"evil.example": 403, "localhost": 200, "127.0.0.1:9": 200, "[::1]": 200, "127.0.0.1.evil.example": 403} {
		testwait.Until(t, host+" gets its answer", func() bool {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, l.url+"/api/v1/status", nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Host = host
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			return response.StatusCode == want
		})
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, l.url+"/api/v1/status", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Forwarded-For", "192.0.2.1")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusForbidden {
		t.Errorf("through a proxy the answer is %d", response.StatusCode)
	}
	if code, body := l.do(http.MethodPost, "/api/v1/projections/misbehave/retry", ""); code != http.StatusForbidden {
		t.Errorf("an action without a token answers %d: %s", code, body)
	}
}

// TestListen_startsBeforeTheDatabase has a host wait for a server that is not there: it lives, and is not ready.
func TestListen_startsBeforeTheDatabase(t *testing.T) {
	t.Parallel()
	folder := modulesFolder(t, "user_counter")
	l := listen(t, "postgres://postgres@127.0.0.1:1/none", folder)
	if code, body := l.do(http.MethodGet, "/healthz", ""); code != http.StatusOK {
		t.Errorf("/healthz answers %d: %s", code, body)
	}
	code, body := l.do(http.MethodGet, "/readyz?max-lag=1s", "")
	var answer struct {
		Ready   bool
		Reasons []string
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || code != 503 || answer.Ready || !slices.Equal(answer.Reasons, []string{"the host starts"}) {
		t.Errorf("/readyz answers %d: %s", code, body)
	}
	families := l.metrics()
	if up := families["pupwasm_database_up"]; len(up.GetMetric()) != 1 || value(families, "pupwasm_database_up") != 0 ||
		value(families, "pupwasm_build_info") != 1 || value(families, "pupwasm_ready") != 0 {
		t.Errorf("/metrics has %v", families)
	}
}

// TestListen_endsWithTheWorker has a host find that its log is not safe: it ends with that, although it serves HTTP.
func TestListen_endsWithTheWorker(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	if _, err := db.Connect(t).Exec(t.Context(), "ALTER SEQUENCE pupwasm.events_global_position_seq CACHE 20"); err != nil {
		t.Fatal(err)
	}
	l := listen(t, db.DSN, modulesFolder(t, "user_counter"))
	if code := l.wait(t); code != 1 || !strings.Contains(l.output.String(), "the log may lose events") {
		t.Errorf("the host ends with %d: %s", code, l.output)
	}
}
