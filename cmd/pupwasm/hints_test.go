package main

import (
	"encoding/json"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm"
	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store/postgres"
)

func TestInFlags(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"raise Limits.BatchTimeout, or lower Options.BatchEvents.":     "raise --batch-timeout, or lower --batch.",
		`use Store.Reset("fines"), then Store.Status`:                  `use 'pupwasm reset fines', then 'pupwasm status'`,
		`use Store.Reset(\"fines\"), then GrantSQL(\"fines\")`:         `use 'pupwasm reset fines', then 'pupwasm grant fines'`,
		"use Store.Reset(NAME): Store.Migrate sets it up":              "use 'pupwasm reset NAME': 'pupwasm migrate up' sets it up",
		"as migrations.Script(SQLite) and migrations.Script(Postgres)": "as 'pupwasm migrate sql --dialect sqlite' and 'pupwasm migrate sql'",
		"MyLimits.Fuel Limits.FuelX Options.Other Store.Resetting":     "MyLimits.Fuel Limits.FuelX Options.Other Store.Resetting",
		"SignFile makes one": "'pupwasm sign' makes one",
	} {
		if got := inFlags(text); got != want {
			t.Errorf("%q becomes %q, must be %q", text, got, want)
		}
	}
}

// TestInFlags_whatItNamesIsThere looks for each option in Go and for each flag and command.
func TestInFlags_whatItNamesIsThere(t *testing.T) {
	t.Parallel()
	root := newRootCommand(&globalOptions{})
	run, _, err := root.Find([]string{"run"})
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for group, options := range map[string][]any{
		"Limits.": {host.Limits{}}, "Options.": {host.Options{}, postgres.Options{}, segments.Options{}, pupwasm.Options{}},
	} {
		for _, of := range options {
			for _, field := range reflect.VisibleFields(reflect.TypeOf(of)) {
				known[group+field.Name] = true
			}
		}
	}
	appending, _, _ := root.Find([]string{"append"})
	for option, flag := range flagsOf {
		if !known[option] {
			t.Errorf("%s is no option", option)
		}
		if run.Flags().Lookup(flag) == nil && root.PersistentFlags().Lookup(flag) == nil && appending.Flags().Lookup(flag) == nil {
			t.Errorf("--%s is no flag", flag)
		}
	}
	for _, command := range commandsOf {
		found, _, err := root.Find(strings.Fields(strings.TrimSuffix(command, " --dialect sqlite")))
		if err != nil || !strings.HasPrefix(command, strings.TrimPrefix(found.CommandPath(), "pupwasm ")) || !found.Runnable() {
			t.Errorf("%s is no command: %v", command, err)
		}
	}
}

// TestNewLogger_namesFlags has a library log an error.
func TestNewLogger_namesFlags(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	for _, format := range []string{"json", "console"} {
		log, err := newLogger(&out, "info", format)
		if err != nil {
			t.Fatal(err)
		}
		log.Error().Err(io.EOF).Str("reason", `raise Limits.Fuel, or use Store.Reset("fines")`).Msg("it failed")
	}
	asJSON, asText, _ := strings.Cut(out.String(), "\n")
	var line struct{ Reason string }
	if err := json.Unmarshal([]byte(asJSON), &line); err != nil || line.Reason != "raise --fuel, or use 'pupwasm reset fines'" {
		t.Errorf("%v: %s", err, asJSON)
	}
	if !strings.Contains(asText, "raise --fuel, or use 'pupwasm reset fines'") {
		t.Error(asText)
	}
}
