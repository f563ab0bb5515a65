package main

import (
	"context"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/pupwasm/pupwasm/store"
)

// logOptions is the flag of commands for which the log may be in another database than the tables.
type logOptions struct{ url string }

func (o *logOptions) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.url, "events", "",
		"`URL` of the database that has the events, if it is another one than --database (or PUPWASM_EVENTS_URL)")
	inEnvironment(flags, "events", environmentOfURL("events")) // other commands have another flag of this name
	asSecret(flags, "events", secretDatabase)
}

// databases are the log and the tables that a command works with: of one store, or of two.
type databases struct {
	log    store.Log
	tables store.Store
}

// Close closes both.
func (d databases) Close() {
	d.tables.Close()
	if any(d.log) != any(d.tables) {
		d.log.Close()
	}
}

// open opens the databases of --events and --database. They are one when --events is left out, or names the same.
// The caller closes them.
//
// # Errors
//
// Those of openStore.
func (o *logOptions) open(ctx context.Context, globals *globalOptions) (databases, error) {
	return o.openWith(globals, func(at target) (store.Store, error) { return openAt(ctx, at, globals) })
}

// openWith opens the databases one by one.
func (o *logOptions) openWith(globals *globalOptions, open func(at target) (store.Store, error)) (databases, error) {
	at, err := globals.target()
	if err != nil {
		return databases{}, err
	}
	events := at
	if o.url != "" {
		if events, err = parseTarget("events", o.url); err != nil {
			return databases{}, err
		}
	}
	tables, err := open(at)
	if err != nil || events.address == at.address && events.dialect == at.dialect {
		return databases{log: tables, tables: tables}, err
	}
	log, err := open(events)
	if err != nil {
		tables.Close()
		return databases{}, fmt.Errorf("opening the log: %w", err)
	}
	return databases{log: log, tables: tables}, nil
}
