package pup

import (
	"strconv"

	"github.com/pupwasm/pupwasm/guest-sdk/json"
)

// appendDescription appends the description of a valid or invalid projection: it is the host who checks it.
func appendDescription(dst []byte, p *Projection) []byte {
	w := objectWriter{dst: dst}
	w.open('{')
	w.text("name", p.Name)
	w.number("version", p.Version)
	w.optionalText("description", p.Description)
	w.describeSubscription(&p.Subscription)
	w.text("ordering", string(p.Ordering))
	w.describePartition(&p.Partition)
	w.member("columns")
	w.open('[')
	for _, f := range p.Fields {
		w.element(f.String())
	}
	w.close(']')
	w.describeTables(p)
	w.describeViews(p)
	w.describeWrites(p)
	w.describeQueries(p)
	w.describeMessages(p)
	w.optionalText("on_error", string(p.OnError))
	if p.Limits != (Limits{}) {
		w.member("limits")
		w.open('{')
		w.optionalNumber("memory_mib", p.Limits.MemoryMiB)
		w.optionalNumber("batch_events", p.Limits.BatchEvents)
		w.optionalNumber("batch_ms", p.Limits.BatchMillis)
		w.close('}')
	}
	w.close('}')
	return w.dst
}

func (w *objectWriter) describeSubscription(s *Subscription) {
	w.member("subscription")
	w.open('{')
	w.optionalList("bounded_contexts", s.BoundedContexts)
	w.optionalList("aggregate_types", s.AggregateTypes)
	w.optionalList("event_types", s.EventTypes)
	w.close('}')
}

// describePartition leaves out what is the default.
func (w *objectWriter) describePartition(p *Partition) {
	if p.by == "" {
		return
	}
	w.member("partition")
	w.open('{')
	w.text("by", p.by)
	w.optionalList("path", p.path)
	w.close('}')
}

func (w *objectWriter) describeTables(p *Projection) {
	w.member("tables")
	w.open('[')
	for _, t := range p.Tables {
		w.comma()
		w.open('{')
		w.text("name", t.name)
		w.member("columns")
		w.open('[')
		for i := range t.columns {
			w.describeColumn(&t.columns[i])
		}
		w.close(']')
		if len(t.key) > 0 {
			w.member("key")
			w.open('[')
			for _, k := range t.key {
				w.element(t.columns[k].name)
			}
			w.close(']')
		}
		if len(t.indexes) > 0 {
			w.member("indexes")
			w.open('[')
			for _, index := range t.indexes {
				w.comma()
				w.list(index)
			}
			w.close(']')
		}
		if len(t.checks) > 0 {
			w.member("checks")
			w.open('[')
			for _, c := range t.checks {
				w.namedSQL(c.name, c.sql)
			}
			w.close(']')
		}
		w.close('}')
	}
	w.close(']')
}

func (w *objectWriter) describeViews(p *Projection) {
	if len(p.Views) == 0 {
		return
	}
	w.member("views")
	w.open('[')
	for _, v := range p.Views {
		w.namedSQL(v.Name, v.SQL)
	}
	w.close(']')
}

// namedSQL writes a check or a view.
func (w *objectWriter) namedSQL(name string, sql SQL) {
	w.comma()
	w.open('{')
	w.text("name", name)
	w.optionalSQL("sql", sql)
	w.close('}')
}

func (w *objectWriter) describeColumn(c *Column) {
	w.comma()
	w.open('{')
	w.text("name", c.name)
	w.text("type", c.typ.String())
	if c.notNull {
		w.flag("not_null")
	}
	if c.defaultJSON != "" {
		w.member("default")
		w.raw(c.defaultJSON)
	}
	w.optionalSQL("generated", c.generated)
	w.optionalText("backfill", string(c.backfill))
	if c.mark != "" {
		w.flag(c.mark)
	}
	w.close('}')
}

func (w *objectWriter) describeWrites(p *Projection) {
	w.member("writes")
	w.open('[')
	for _, t := range p.Tables {
		for _, write := range t.writes {
			w.describeWrite(write)
		}
	}
	for _, write := range p.Statements {
		w.describeWrite(write)
	}
	for _, t := range unlisted(p) {
		for _, write := range t.writes {
			w.describeWrite(write)
		}
	}
	w.close(']')
}

// unlisted returns the tables that the module has declared and its projection does not list. Their writes and
// queries are described all the same, so that the host refuses the module when it loads it, and names them:
// otherwise the first row would fail, at the first event.
func unlisted(p *Projection) []*Table {
	var tables []*Table
	for _, t := range declared {
		listed := false
		for _, other := range p.Tables {
			listed = listed || other == t
		}
		if !listed {
			tables = append(tables, t)
		}
	}
	return tables
}

func (w *objectWriter) describeWrite(write *Write) {
	w.comma()
	w.open('{')
	w.text("name", write.name)
	if write.table == nil {
		w.optionalSQL("sql", write.sql)
		w.types("params", write.params)
		w.promise(write.promise)
		w.close('}')
		return
	}
	w.text("action", write.action)
	w.text("table", write.table.name)
	if len(write.columns) > 0 {
		w.member("columns")
		w.open('[')
		for _, c := range write.columns {
			w.comma()
			w.open('{')
			w.text("name", c.name)
			w.optionalText("action", c.action)
			w.close('}')
		}
		w.close(']')
	}
	w.promise(write.promise)
	w.close('}')
}

func (w *objectWriter) describeQueries(p *Projection) {
	w.member("queries")
	w.open('[')
	for _, t := range p.Tables {
		w.describeLoads(t)
	}
	for _, t := range unlisted(p) {
		w.describeLoads(t)
	}
	for _, q := range p.Queries {
		w.comma()
		w.open('{')
		w.text("name", q.name)
		w.optionalSQL("sql", q.sql)
		w.types("params", q.params)
		w.types("results", q.results)
		w.promise(q.promise)
		w.close('}')
	}
	w.close(']')
}

func (w *objectWriter) describeLoads(t *Table) {
	for _, q := range t.queries {
		w.comma()
		w.open('{')
		w.text("name", q.name)
		w.text("table", t.name)
		w.member("columns")
		w.list(q.columns)
		w.promise(q.promise)
		w.close('}')
	}
}

func (w *objectWriter) describeMessages(p *Projection) {
	if len(p.Messages) == 0 {
		return
	}
	w.member("messages")
	w.open('[')
	for _, m := range p.Messages {
		w.comma()
		w.open('{')
		w.text("name", m.name)
		w.text("subject", m.subject)
		w.optionalText("type", m.typeName)
		w.optionalText("content_type", m.contentType)
		w.optionalText("key", string(m.key))
		w.close('}')
	}
	w.close(']')
}

// objectWriter writes JSON text. A comma goes before whatever does not follow an opening bracket.
type objectWriter struct{ dst []byte }

func (w *objectWriter) comma() {
	if last := w.dst[len(w.dst)-1]; last != '{' && last != '[' {
		w.dst = append(w.dst, ',')
	}
}

func (w *objectWriter) open(bracket byte)  { w.dst = append(w.dst, bracket) }
func (w *objectWriter) close(bracket byte) { w.dst = append(w.dst, bracket) }
func (w *objectWriter) raw(text string)    { w.dst = append(w.dst, text...) }

func (w *objectWriter) member(name string) {
	w.comma()
	w.dst = append(json.AppendString(w.dst, name), ':')
}

func (w *objectWriter) element(text string) {
	w.comma()
	w.dst = json.AppendString(w.dst, text)
}

func (w *objectWriter) text(name, value string) {
	w.member(name)
	w.dst = json.AppendString(w.dst, value)
}

func (w *objectWriter) optionalText(name, value string) {
	if value != "" {
		w.text(name, value)
	}
}

func (w *objectWriter) number(name string, value int) {
	w.member(name)
	w.dst = strconv.AppendInt(w.dst, int64(value), 10)
}

func (w *objectWriter) optionalNumber(name string, value int) {
	if value != 0 {
		w.number(name, value)
	}
}

func (w *objectWriter) list(values []string) {
	w.open('[')
	for _, v := range values {
		w.element(v)
	}
	w.close(']')
}

func (w *objectWriter) optionalList(name string, values []string) {
	if len(values) > 0 {
		w.member(name)
		w.list(values)
	}
}

func (w *objectWriter) types(name string, types []Type) {
	w.member(name)
	w.open('[')
	for _, t := range types {
		w.element(t.String())
	}
	w.close(']')
}

func (w *objectWriter) promise(p promise) {
	w.optionalNumber("partition_param", p.partitionParam)
	if p.unordered {
		w.flag("unordered")
	}
}

func (w *objectWriter) flag(name string) {
	w.member(name)
	w.raw("true")
}

func (w *objectWriter) optionalSQL(name string, sql SQL) {
	switch {
	case sql.isZero():
	case sql == SQL{Any: sql.Any}:
		w.text(name, sql.Any)
	default:
		w.member(name)
		w.open('{')
		w.optionalText("any", sql.Any)
		w.optionalText("postgres", sql.Postgres)
		w.optionalText("sqlite", sql.SQLite)
		w.optionalText("mysql", sql.MySQL)
		w.close('}')
	}
}
