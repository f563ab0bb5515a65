package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/internal/testwait"
)

// TestFailures_theStoryIsTrue runs the commands of docs/failures.md, up to its first list of guarantees, in a shell,
// one after the other, and compares what they print. What a host does in the background takes its time: commands that
// only look are repeated until they print what the page says.
func TestFailures_theStoryIsTrue(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(guestbuild.Root(t), "docs", "failures.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, story, _ := strings.Cut(string(page), "## The story of one event\n")
	story, _, _ = strings.Cut(story, "\n## ")
	steps := pageSteps(story)
	if len(steps) < 8 {
		t.Fatalf("the page has %d commands", len(steps))
	}
	s := startShell(t, storyFolder(t))
	for _, step := range steps {
		var got string
		matches := func() bool {
			got = s.run(step.command)
			return step.want.MatchString(plainOutput(got))
		}
		if !strings.HasPrefix(step.command, "cat ") && !strings.HasPrefix(step.command, "grep ") &&
			!strings.HasPrefix(step.command, "pupwasm parked list") {
			if !matches() {
				t.Fatalf("$ %s\nprints\n%s\nthe page has\n%s", step.command, got, step.text)
			}
			continue
		}
		testwait.Until(t, "$ "+step.command+" prints what the page has", matches)
	}
}

// storyFolder is where the story is set.
func storyFolder(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	misbehave := guestbuild.Example(t, guestbuild.Auto, "testdata/misbehave")
	fixed := guestbuild.Example(t, guestbuild.Auto, "testdata/fixed")
	var events strings.Builder
	for _, event := range [][2]string{{"n1", "Fine"}, {"n2", "Panic"}, {"n1", "Fine"}, {"n2", "Fine"}, {"n3", "Fine"}, {"n2", "Fine"}} {
		fmt.Fprintf(&events, `{"bounded_context":"Test","aggregate_type":"Note","aggregate_id":%q,"event_type":%q}`+"\n",
			event[0], event[1])
	}
	if err := os.Mkdir(filepath.Join(folder, "modules"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"modules/misbehave.wasm": misbehave, "fixed.wasm": fixed, "events.jsonl": []byte(events.String()),
		"page": []byte("#!/bin/sh\ncat > new && mv new paged\n"),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}
