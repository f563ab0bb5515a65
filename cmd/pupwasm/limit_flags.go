package main

import (
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/store/mysql"
	"github.com/pupwasm/pupwasm/store/postgres"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// limitOptions bound the SQL of modules. Zero means the store's default.
type limitOptions struct {
	statement   time.Duration
	transaction time.Duration
	tempFiles   int // MiB
}

func (o *limitOptions) addFlags(flags *pflag.FlagSet) {
	server, maria, file := postgres.Options{}.WithDefaults(), mysql.Options{}.WithDefaults(), sqlite.Options{}.WithDefaults()
	flags.DurationVar(&o.statement, "statement-timeout", 0, fmt.Sprintf(
		"maximum time of one SQL statement or query of a module; on MariaDB and SQLite, of all its writes in one commit "+
			"(default: %s on PostgreSQL, %s on MariaDB, %s on SQLite)", host.FormatDuration(server.StatementTimeout),
		host.FormatDuration(maria.StatementTimeout), host.FormatDuration(file.StatementTimeout)))
	flags.DurationVar(&o.transaction, "transaction-timeout", 0, fmt.Sprintf(
		"maximum time of all statements and queries of a batch together (default: twice --statement-timeout, but at least "+
			"%s)", host.FormatDuration(server.TransactionTimeout)))
	flags.IntVar(&o.tempFiles, "temp-file-limit", int(server.TempFileBytesMax>>20),
		"maximum MiB of temporary files per transaction of a projection; on PostgreSQL, where the host's role may set it")
}

// check refuses invalid limits.
func (o *limitOptions) check() error {
	switch {
	case o.statement < 0 || o.statement > 0 && o.statement < time.Millisecond:
		return usagef("--statement-timeout must be at least 1ms, it is %s", o.statement)
	case o.transaction < 0 || o.transaction > 0 && o.transaction < time.Millisecond:
		return usagef("--transaction-timeout must be at least 1ms, it is %s", o.transaction)
	case o.tempFiles < 1 || o.tempFiles > tempFilesMax:
		return usagef("--temp-file-limit must be between 1 and %d MiB, it is %d", tempFilesMax, o.tempFiles)
	}
	return nil
}

// tempFilesMax is the largest value of PostgreSQL, whose unit is kB.
const tempFilesMax = 1<<21 - 1
