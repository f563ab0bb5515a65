package sqlite_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/store"
	"github.com/pupwasm/pupwasm/store/sqlite"
)

// TestSQL_insertRefuses writes past the store.
func TestSQL_insertRefuses(t *testing.T) {
	t.Parallel()
	s := openNew(t)
	columns := map[string]string{
		"bounded_context": "'c'", "aggregate_type": "'t'", "aggregate_id": "'i'", "event_type": "'e'", "payload": "x''",
		"aggregate_version": "1",
		"event_id":          "randomblob(16)", "created_at": "0", "partition_hash": "7",
	}
	insert := func(column, value string) error {
		names, values := []string{column}, []string{value}
		for name, usual := range columns {
			if name != column {
				names, values = append(names, name), append(values, usual)
			}
		}
		return s.InTx(t.Context(), func(tx *sqlite.Tx) error {
			return tx.Conn().Exec(fmt.Sprintf("INSERT INTO pupwasm__events (%s) VALUES (%s)", strings.Join(names, ", "),
				strings.Join(values, ", ")))
		})
	}
	const long, wide, nul = "printf('%801s', 'x')", "replace(printf('%401s', ''), ' ', 'ü')", "'a' || char(0) || 'b'"
	for column, values := range map[string][]string{
		"bounded_context": {"''", long, nul}, "aggregate_type": {"''", long, nul}, "aggregate_id": {
			"''", wide,
			nul,
		}, "event_type": {"''", long, nul},
		"trace_id": {long, nul}, "correlation_id": {long, nul}, "causation_id": {long, nul},
		"event_version": {"0", "-1", "2147483648"}, "aggregate_version": {"0"}, "event_id": {
			"zeroblob(16)", "x'01'",
			"randomblob(17)",
		},
		"metadata": {
			"'[]'", "'null'", "''", "'{'", "'{a:1}'", `'{"a":"\u0000"}'`, `'{"a":"\\\u0000"}'`,
			`'{"a":"' || printf('%1048576s', '') || '"}'`,
		},
		"created_at":     {"-62135596800000000", "253402300800000000"},
		"partition_hash": {"-1", "4294967296"},
	} {
		for _, value := range values {
			if err := insert(column, value); err == nil || !strings.Contains(err.Error(), "CHECK constraint failed") {
				t.Errorf("%s = %s: %v", column, value, err)
			}
		}
	}
	for i, value := range []string{`'{}'`, `' {"a": "\\u0000"} '`, `'{"a":"\ud83d\ude00"}'`} {
		columns["aggregate_version"] = fmt.Sprint(i + 1)
		if err := insert("metadata", value); err != nil {
			t.Errorf("%s: %v", value, err)
		}
	}
}

// TestAppend_metadataThatIsNestedTooDeep has 10,000 levels, which JSON text may have here, and SQLite's functions
// refuse.
func TestAppend_metadataThatIsNestedTooDeep(t *testing.T) {
	t.Parallel()
	s := openNew(t)
	metadata := `{"a":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`
	_, err := s.Append(t.Context(), store.AppendOptions{}, store.StreamAppend{
		Stream: stream("a"),
		Events: []store.Event{{Type: "x", Metadata: []byte(metadata)}},
	})
	var input *store.InputError
	if !errors.As(err, &input) || strings.Contains(err.Error(), "\n") || len(err.Error()) > 500 {
		t.Errorf("got %.500v", err)
	}
}
