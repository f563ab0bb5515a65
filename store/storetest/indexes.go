package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/pupwasm/pupwasm/store"
)

// indexCases are about indexes of tables that are there.
var indexCases = []testCase{
	{"what_is_missing_is_built", indexMissing},
	{"of_a_new_projection_none_is_missing", indexNew},
	{"a_version_is_promoted_with_its_indexes", indexBeside},
	{"of_what_is_not_installed_none_is_built", indexNotInstalled},
	{"hosts_build_at_once", indexAtOnce},
	{"an_end_of_the_context", indexCancelled},
}

// build builds the indexes that a projection lacks, and returns what was told of it.
func (f *fixture) build(p *store.Projection) (told string) {
	f.Helper()
	var lines []string
	f.must(f.store.BuildIndexes(f.ctx, p, func(b store.IndexBuild) {
		lines = append(lines, fmt.Sprintf("%s %t", b.MissingIndex, b.Done))
	}))
	return strings.Join(lines, ", ")
}

// indexed is sums with an index over its number.
func indexed() *store.Projection {
	p := sums(1)
	p.Tables[0].Indexes = [][]string{{"n"}, {"name"}, {"n"}}
	return p
}

// dropIndexes drops those that are not the key's.
func (f *fixture) dropIndexes(projection, table string) {
	f.Helper()
	statement := `SELECT name FROM pragma_index_list('` + strings.Trim(f.stored(projection, table), `"`) +
		`') WHERE origin = 'c'`
	schema := ""
	if f.dialect == store.DialectMySQL {
		f.dropIndexesMySQL(f.stored(projection, table))
		return
	}
	if f.dialect == store.DialectPostgres {
		statement = `SELECT x.relname FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE NOT i.indisprimary
			AND i.indrelid = '` + f.stored(projection, table) + `'::regclass`
		schema = projection + "__v1."
	}
	for _, row := range f.Query(f, statement) {
		f.Query(f, `DROP INDEX `+schema+`"`+row[0]+`"`)
	}
}

func (f *fixture) dropIndexesMySQL(table string) {
	f.Helper()
	for _, row := range f.Query(f, "SELECT DISTINCT index_name FROM information_schema.statistics WHERE index_name <> "+
		"'PRIMARY' AND CONCAT('`', table_schema, '`.`', table_name, '`') = '"+table+"'") {
		f.Query(f, "ALTER TABLE "+table+" DROP INDEX `"+row[0]+"`")
	}
}

func indexMissing(f *fixture) {
	r := f.used(sums(1))
	r.run(indexed())
	f.build(indexed())
	if got := f.indexes("sums", "total"); got != "n; name" {
		f.Errorf("the indexes are %q", got)
	}
	if told := f.build(indexed()); told != "" {
		f.Errorf("there is nothing to do, and it tells %s", told)
	}
	r.apply(put("b", 1))
	f.dropIndexes("sums", "total")
	if told := f.build(sums(1)); told != "" {
		f.Errorf("for a module without it, it tells %s", told)
	}
	if told := f.build(indexed()); told != "total (n) false, total (n) true" {
		f.Errorf("it tells %q", told)
	}
	f.must(f.store.BuildIndexes(f.ctx, indexed(), nil))
	if got := f.indexes("sums", "total"); got != "n; name" {
		f.Errorf("the indexes are %q", got)
	}
	r.apply(put("a", 1))
	if got := r.table(); got != "a 2; b 1" {
		f.Errorf("the table is %q", got)
	}
}

func indexNew(f *fixture) {
	_, err := f.store.Install(f.ctx, indexed(), 1)
	f.must(err)
	if told := f.build(indexed()); told != "" {
		f.Errorf("it tells %s", told)
	}
}

// indexBeside has a version built beside the live one, which may leave its indexes for later.
func indexBeside(f *fixture) {
	later := indexed()
	later.Version = 2
	runners := []*runner{f.runningOn(f.store, indexed(), "worker-1")}
	runners[0].apply(put("a", 1))
	runners = append(runners, f.runningOn(f.store, later, "worker-2"))
	runners[1].apply(put("a", 1))
	if _, err := f.store.Promote(f.ctx, sumsOf(2)); err != nil {
		var unbuilt *store.UnbuiltError
		if !errors.As(err, &unbuilt) || unbuilt.Projection != sumsOf(2) || len(unbuilt.Indexes) != 1 ||
			unbuilt.Indexes[0].String() != "total (n)" {
			f.Errorf("without its index: %v", err)
		}
		f.wantStages("1 live, 2 candidate")
		f.build(later)
		f.promote(2)
	}
	f.wantStages("1 replaced, 2 live")
	if got := f.indexesAs("sums", 2, "total"); got != "n; name" {
		f.Errorf("the indexes are %q", got)
	}
	f.dropIndexes("sums", "total")
	f.rollback(2, 1)
	f.wantStages("1 live, 2 candidate")
}

func indexNotInstalled(f *fixture) {
	if told := f.build(indexed()); told != "" {
		f.Errorf("it tells %s", told)
	}
	f.used(sums(1))
	f.must(f.store.Release(f.ctx, f.running(sums(1)).claim))
	if told := f.build(&store.Projection{Name: "sums", Version: 1}); told != "" {
		f.Errorf("without tables it tells %s", told)
	}
}

// indexAtOnce has hosts build the same indexes: each is built once.
func indexAtOnce(f *fixture) {
	r := f.used(sums(1))
	r.run(indexed())
	f.dropIndexes("sums", "total")
	built := make([]int, 4)
	for _, err := range concurrently(f.hosts(len(built)), func(i int, host store.Store) error {
		for {
			err := host.BuildIndexes(f.ctx, indexed(), func(b store.IndexBuild) {
				if b.Done {
					built[i]++
				}
			})
			if !errors.Is(err, store.ErrTransient) {
				return err
			}
		}
	}) {
		f.must(err)
	}
	if total := built[0] + built[1] + built[2] + built[3]; f.dialect == store.DialectPostgres && total != 1 || total < 1 {
		f.Errorf("the hosts have built %v indexes", built)
	}
	if got := f.indexes("sums", "total"); got != "n; name" {
		f.Errorf("the indexes are %q", got)
	}
}

func indexCancelled(f *fixture) {
	r := f.used(sums(1))
	r.run(indexed())
	f.dropIndexes("sums", "total")
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	if err := f.store.BuildIndexes(ctx, indexed(), nil); !errors.Is(err, context.Canceled) {
		f.Errorf("with a context that has ended: %v", err)
	}
	if told := f.build(indexed()); told != "total (n) false, total (n) true" {
		f.Errorf("it tells %q", told)
	}
}
