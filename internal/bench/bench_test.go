package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pupwasm/pupwasm/internal/guestbuild"
)

// TestMeasure_everyPartRunsAndIsReported runs the suite as small as it goes. What it measures means nothing;
// that every contender's table is right is checked by the suite itself.
func TestMeasure_everyPartRunsAndIsReported(t *testing.T) {
	guestbuild.Example(t, guestbuild.TinyGo, "fine_balance") // skips where there is no TinyGo
	t.Chdir(guestbuild.Root(t))
	c := config{
		rounds: 1, events: 5_000, streams: 500, logs: []int{2_000, 4_000}, guestEvents: 2 * guestBatch,
		near: 100 * time.Millisecond,
		run: regexp.MustCompile(`^(` +
			`W1/(bare read|one SQL statement n=5000|native n=1000|handler, tuned|pupwasm TinyGo n=1000)$|` +
			`projections/(catching up/1|near the head/5)$|partitions/1 segment|growth/|` +
			`latency/pupwasm TinyGo, notify/1000/s$|` +
			`guest/W1/TinyGo, fresh|memory/TinyGo, reuse|cold/TinyGo/cache=false)`),
	}
	r, err := measure(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if err := r.writeJSON(filepath.Join(folder, "bench.json")); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(folder, "bench.json"))
	if err != nil {
		t.Fatal(err)
	}
	var parts map[string]any
	if err := json.Unmarshal(text, &parts); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		"ratios", "workloads", "projections", "partitions", "growth", "guests", "guest_memory",
		"cold_starts", "latencies",
	} {
		if parts[part] == nil {
			t.Errorf("the report has no %s", part)
		}
	}
	page := filepath.Join(folder, "page.md")
	old := "before\n" + generatedBegin + "\nwritten by an earlier run\n" + generatedEnd + "\nafter\n"
	if err := os.WriteFile(page, []byte(old), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := r.writeMarkdown(page); err != nil {
			t.Fatal(err)
		}
	}
	written, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"before\n" + generatedBegin + "\n\n", "\n" + generatedEnd + "\nafter\n",
		"| W1: pupwasm TinyGo n=1000 / native n=1000 |",
		"| 5, near the head |",
	} {
		if !strings.Contains(string(written), want) {
			t.Errorf("the page has no %q:\n%s", want, written)
		}
	}
	if strings.Contains(string(written), "earlier run") {
		t.Error("the page has what was there before")
	}
}

func TestWriteMarkdown_refusesAPageWithoutMarks(t *testing.T) {
	t.Parallel()
	page := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(page, []byte("by hand\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := (&report{}).writeMarkdown(page); err == nil {
		t.Error("a page without marks was written")
	}
}

func TestMarkdown_namesOfRowsComeFirst(t *testing.T) {
	t.Parallel()
	rates := (&report{}).addTable("rates", "rates", "contender",
		column{"events/s", unitRate, 0, showSpread}, column{"ns", unitNanos, 0, showMedian})
	rates.add("ours, n=1", sample{unitRate: 1000, unitNanos: 5})
	rates.add("theirs", sample{unitRate: 2000, unitNanos: 4})
	rates.add("theirs", sample{unitRate: 4000, unitNanos: 6})
	const want = "\n### Rates\n\n| contender | events/s | ns |\n|---|---:|---:|\n| ours, n=1 | 1,000 | 5 |\n" +
		"| theirs | 4,000 (2,000–4,000) | 6 |\n"
	if got := rates.markdown(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestJudge_takesTheRatioOfEachRound(t *testing.T) {
	t.Parallel()
	r := &report{}
	w1 := r.addTable(partWorkloads, "W1, balance per account", "contender")
	for _, rates := range [][2]float64{{100, 50}, {300, 100}, {100, 100}} {
		w1.add("ours", sample{unitRate: rates[0]})
		w1.add("theirs", sample{unitRate: rates[1]})
	}
	r.judge([]bar{
		{part: "W1", ours: "ours", theirs: "theirs", want: 2},
		{part: "W2", ours: "ours", theirs: "theirs", want: 1},
	}, true)
	want := ratio{Of: "W1: ours / theirs", Want: 2, Got: 2, Least: 1, Most: 3}
	if len(r.ratios) != 1 || r.ratios[0] != want || !r.ratios[0].met() {
		t.Errorf("the ratios are %+v, must be %+v", r.ratios, want)
	}
	if len(r.missing) != 1 || r.missing[0] != "W2: ours / theirs" {
		t.Errorf("missing are %q", r.missing)
	}
}

func TestWriteBenchstat_writesALineASample(t *testing.T) {
	t.Parallel()
	r := &report{}
	rates := r.addTable("rates", "rates", "contender")
	rates.add("ours, n=1", sample{unitRate: 1000, unitNanos: 5})
	rates.add("ours, n=1", sample{unitRate: 2000, unitNanos: 4})
	path := filepath.Join(t.TempDir(), "bench.txt")
	if err := r.writeBenchstat(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const want = "Benchmark_rates/ours_n=1 1 1000 events/s 5 ns/event\n" +
		"Benchmark_rates/ours_n=1 1 2000 events/s 4 ns/event\n"
	if !strings.HasSuffix(string(text), want) {
		t.Errorf("got\n%s\nwant at its end\n%s", text, want)
	}
}

func TestThousands_groupsDigits(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]string{
		"0": thousands(0.4, 0), "999": thousands(999, 0), "1,000": thousands(1000, 0),
		"-1,234,567.9": thousands(-1234567.89, 1),
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
