package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/eventschema"
	"github.com/pupwasm/pupwasm/segments"
	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/mysql"
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
	server, maria, file := postgres.Options{}.WithDefaults(), mysql.Options{}.WithDefaults(), sqlite.Options{}.WithDefaults()
	groups := []limitGroup{
		{"a module and its batches", limits.Table()},
		{"what a module is made of", host.ModuleTable()},
		{"SQL of a module", []host.Limit{
			{
				What: "a statement or query on PostgreSQL", Value: host.FormatDuration(server.StatementTimeout),
				Setting: "Options.StatementTimeout",
			},
			{
				What: "a query, or the writes of a commit, on MariaDB", Value: host.FormatDuration(maria.StatementTimeout),
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
			{What: "objects and arrays within each other in JSON of a row on MariaDB", Value: host.FormatNumber(mysql.JSONDepthMax)},
		}},
		{"events", []host.Limit{
			{
				What: "payload of an event", Value: mebibytes(store.PayloadBytesMax),
				Setting: "Options.PayloadBytesMax",
			},
			{What: "metadata of an event", Value: mebibytes(store.MetadataBytesMax)},
			{What: "a name, such as an event's type or a stream's id", Value: bytes(store.TextBytesMax)},
			{What: "a partition key", Value: bytes(store.KeyBytesMax)},
		}},
		{"schemas of payloads ('pupwasm append --event-schemas')", schemaLimits()},
		{"a worker", workerLimits(segments.Defaults())},
	}
	for _, group := range groups {
		for i := range group.Limits {
			if flag, has := flagOf(group.Limits[i].Setting); has {
				group.Limits[i].Setting = "--" + flag + ", " + group.Limits[i].Setting
			}
		}
	}
	return groups
}

func schemaLimits() []host.Limit {
	return []host.Limit{
		{What: "schemas of a folder", Value: host.FormatNumber(eventschema.FilesMax)},
		{What: "file of a schema", Value: host.FormatMiB(eventschema.FileBytesMax >> 20)},
		{What: "all files of a folder", Value: host.FormatMiB(eventschema.FolderBytesMax >> 20)},
		{What: "values in a schema", Value: host.FormatNumber(eventschema.FileValuesMax)},
		{What: "values in a payload", Value: host.FormatNumber(eventschema.PayloadValuesMax)},
		{What: "objects and arrays within each other in a payload", Value: host.FormatNumber(eventschema.PayloadDepthMax)},
		{What: "digits of a number, and its exponent", Value: host.FormatNumber(eventschema.DigitsMax)},
	}
}

func workerLimits(worker segments.Options) []host.Limit {
	number := func(n int) string { return host.FormatNumber(n) }
	bytes := func(n int) string { return host.FormatMiB(n >> 20) }
	return []host.Limit{
		{What: "events of a batch", Value: number(worker.BatchEvents), Setting: "Options.BatchEvents"},
		{What: "payload and metadata of a batch, about", Value: bytes(worker.BatchBytes), Setting: "Options.BatchBytes"},
		{What: "events of a commit", Value: number(worker.CommitEvents), Setting: "Options.CommitEvents"},
		{
			What: "events and rows in memory, over all segments", Value: bytes(worker.EventBytes),
			Setting: "Options.EventBytes",
		},
		{
			What: "connections for reads and commits", Value: number(worker.Concurrency),
			Setting: "Options.Concurrency",
		},
		{
			What:    "segments of a new projection",
			Value:   number(segments.DefaultSegments) + ", at most " + number(store.SegmentsMax),
			Setting: "Options.Segments",
		},
		{What: "parked keys of a projection", Value: number(worker.ParkedMax), Setting: "Options.ParkedMax"},
		{
			What: "retries of a parked key by itself", Value: number(worker.ParkedRetries),
			Setting: "Options.ParkedRetries",
		},
	}
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
