package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/postgres"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// limitGroup is a part of the table of limits.
type limitGroup struct {
	Of     string       `json:"of"`
	Limits []host.Limit `json:"limits"`
}

// allLimits lists all limits, with the settings of this command line, and how to change them.
func allLimits(limits host.Limits) []limitGroup {
	mebibytes := func(bytes int) string { return host.FormatMiB(bytes >> 20) }
	bytes := func(n int) string { return host.FormatNumber(n) + " bytes" }
	server, file := postgres.Options{}.WithDefaults(), sqlite.Options{}.WithDefaults()
	groups := []limitGroup{
		{"a module and its batches", limits.Table()},
		{"what a module is made of", host.ModuleTable()},
		{"SQL of a module", []host.Limit{
			{
				What: "a statement or query on PostgreSQL", Value: host.FormatDuration(server.StatementTimeout),
				Setting: "Options.StatementTimeout",
			},
			{
				What: "a query, or the writes of a commit, on SQLite", Value: host.FormatDuration(file.StatementTimeout),
				Setting: "Options.StatementTimeout",
			},
			{
				What: "all statements and queries of a batch", Value: host.FormatDuration(server.TransactionTimeout),
				Setting: "Options.TransactionTimeout",
			},
			{
				What: "temporary files on PostgreSQL", Value: mebibytes(int(server.TempFileBytesMax)),
				Setting: "Options.TempFileBytesMax",
			},
			{What: "result of a query", Value: mebibytes(store.ResultBytesMax)},
		}},
		{"events", []host.Limit{
			{
				What: "payload of an event", Value: mebibytes(store.PayloadBytesMax),
				Setting: "Options.PayloadBytesMax",
			},
			{What: "metadata of an event", Value: mebibytes(store.MetadataBytesMax)},
			{What: "a name, such as an event's type or a stream's id", Value: bytes(store.TextBytesMax)},
			{What: "a partition key", Value: bytes(store.KeyBytesMax)},
			{What: "segments of a projection", Value: host.FormatNumber(store.SegmentsMax), Setting: "Options.Segments"},
		}},
	}
	for _, group := range groups {
		for i := range group.Limits {
			if flag, has := flagsOf[group.Limits[i].Setting]; has {
				group.Limits[i].Setting = "--" + flag + ", " + group.Limits[i].Setting
			}
		}
	}
	return groups
}

func printLimits(out io.Writer, groups []limitGroup) {
	for i, group := range groups {
		if i > 0 {
			fmt.Fprintln(out)
		}
		fmt.Fprintln(out, group.Of)
		table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		for _, limit := range group.Limits {
			fmt.Fprintf(table, "  %s\t%s\t%s\n", limit.What, limit.Value, limit.Setting)
		}
		_ = table.Flush()
	}
}
