package postgres_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/pgtest"
)

// TestSQL_appendRefuses gives the SQL function what 'pupwasm append' refuses, in a session in another time zone.
func TestSQL_appendRefuses(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	conn := db.Connect(t)
	execute(t, conn, "SET TIME ZONE 'Asia/Tokyo'; SET standard_conforming_strings = on")
	const good = `{"event_type": "e"}`
	long := strings.Repeat("x", 801)
	cases := []struct{ name, events, want string }{
		{
			"no time", `{"event_type": "e", "created_at": "yesterday"}`,
			`event 2: created_at is "yesterday", must be a time such as`,
		},
		{"a word that PostgreSQL takes", `{"event_type": "e", "created_at": "now"}`, "must be a time such as"},
		{"infinity", `{"event_type": "e", "created_at": "infinity"}`, "must be a time such as"},
		{"no zone", `{"event_type": "e", "created_at": "2024-05-06T07:08:09"}`, "must be a time such as"},
		{
			"a named zone", `{"event_type": "e", "created_at": "2024-05-06T07:08:09 Europe/Rome"}`,
			"must be a time such as",
		},
		{"a date", `{"event_type": "e", "created_at": "2024-05-06"}`, "must be a time such as"},
		{
			"a day too many", `{"event_type": "e", "created_at": "2023-02-29T00:00:00Z"}`,
			"has the day 29, which its month does not have",
		},
		{"month 13", `{"event_type": "e", "created_at": "2023-13-01T00:00:00Z"}`, "must be a time such as"},
		{"hour 24", `{"event_type": "e", "created_at": "2023-12-01T24:00:00Z"}`, "must be a time such as"},
		{
			"zone of 24 hours", `{"event_type": "e", "created_at": "2023-12-01T00:00:00+24:00"}`,
			"must be a time such as",
		},
		{"a leap second at noon", `{"event_type": "e", "created_at": "2016-12-31T11:59:60Z"}`, "has the second 60"},
		{"year 10000", `{"event_type": "e", "created_at": "10000-01-01T00:00:00Z"}`, "must be a time such as"},
		{
			"year 10000 in UTC", `{"event_type": "e", "created_at": "9999-12-31T23:59:59-00:01"}`,
			"the years go from 1 to 9999",
		},
		{"year 0", `{"event_type": "e", "created_at": "0000-02-29T00:00:00Z"}`, "the years go from 1 to 9999"},
		{
			"year 0 in UTC", `{"event_type": "e", "created_at": "0001-01-01T00:00:00+00:01"}`,
			"the years go from 1 to 9999",
		},
		{
			"the time that means none", `{"event_type": "e", "created_at": "0001-01-01T00:00:00.0000009Z"}`,
			"means no time",
		},
		{
			"a time as a number", `{"event_type": "e", "created_at": 1700000000}`,
			"created_at is 1700000000, must be a string",
		},
		{"metadata that is an array", `{"event_type": "e", "metadata": []}`, "metadata is not a JSON object"},
		{"metadata that is text", `{"event_type": "e", "metadata": "{}"}`, "metadata is not a JSON object"},
		{
			"a number beyond numeric", `{"event_type": "e", "metadata": {"a": 1e200000}}`,
			"event 2: metadata has a number that is out of the range of PostgreSQL's numbers",
		},
		{"metadata that is large as text", `{"event_type": "e", "metadata": {"a": [` + strings.Repeat("1e131071,", 8) +
			`1]}}`, "the limit is 1048576"},
		{
			"metadata that is large", `{"event_type": "e", "metadata": {"a": "` + strings.Repeat("x", 1<<20) + `"}}`,
			"metadata has 1048585 bytes, the limit is 1048576",
		},
		{
			"a misspelt member", `{"event_type": "e", "Payload": 1}`,
			`member "Payload" is not known: an event has event_type, `,
		},
		{"a member with a line break", `{"event_type": "e", "pay\nload": null}`, `member "pay\nload" is not known`},
		{"a member twice", `{"event_type": "e", "payload": 1, "payload": 2}`, `member "payload" is given twice`},
		{
			"two payloads", `{"event_type": "e", "payload": null, "payload_base64": "AA=="}`,
			"payload and payload_base64 are both given",
		},
		{
			"two payloads the other way round", `{"event_type": "e", "payload_base64": "AA==", "payload": 1}`,
			"payload and payload_base64 are both given",
		},
		{
			"base64 that is none", `{"event_type": "e", "payload_base64": "%"}`,
			`event 2: payload_base64 is not base64: invalid symbol "%"`,
		},
		{
			"base64 that ends early", `{"event_type": "e", "payload_base64": "AAA"}`,
			"event 2: payload_base64 is not base64: ",
		},
		{
			"a NUL in the payload", `{"event_type": "e", "payload": {"a": ["\u0000"]}}`,
			"event 2: has a NUL character or half of a surrogate pair",
		},
		{"a NUL in the metadata", `{"event_type": "e", "metadata": {"\u0000": 1}}`, "event 2: has a NUL character"},
		{"a NUL in a text", `{"event_type": "e", "trace_id": "\u0000"}`, "event 2: has a NUL character"},
		{
			"half of a surrogate pair", `{"event_type": "e", "payload": "\ud83d"}`,
			"event 2: has a NUL character or half of a surrogate pair",
		},
		{"no type", `{}`, "event 2: event_type is required"},
		{"a type of null", `{"event_type": null}`, "event_type is required"},
		{"an empty type", `{"event_type": ""}`, "event_type is required"},
		{"a type that is a number", `{"event_type": 7}`, "event_type is 7, must be a string"},
		{"a type that is too long", `{"event_type": "` + long + `"}`, "event_type has 801 bytes, the limit is 800"},
		{
			"a trace that is too long", `{"event_type": "e", "trace_id": "` + long + `"}`,
			"trace_id has 801 bytes, the limit is 800",
		},
		{"version 0", `{"event_type": "e", "event_version": 0}`, "event_version is 0, must be from 1 to 2147483647"},
		{"version -1", `{"event_type": "e", "event_version": -1}`, "event_version is -1, must be from 1"},
		{
			"version of 33 bits", `{"event_type": "e", "event_version": 99999999999999999999}`,
			"event_version is 99999999999999999999, must be from 1",
		},
		{"version 1.0", `{"event_type": "e", "event_version": 1.0}`, "event_version is 1.0, must be a whole number"},
		{
			"a version as text", `{"event_type": "e", "event_version": "1"}`,
			`event_version is "1", must be a whole number`,
		},
		{
			"an id of zeros", `{"event_type": "e", "event_id": "00000000-0000-0000-0000-000000000000"}`,
			"event_id is the UUID of zeros",
		},
		{"an id that is none", `{"event_type": "e", "event_id": "42"}`, `event_id is "42", must be a UUID`},
		{"an id that is a number", `{"event_type": "e", "event_id": 42}`, `event_id is 42, must be a UUID`},
		{"an event that is a text", `"e"`, "event 2: is string, must be an object"},
		{"an event that is null", `null`, "event 2: is null, must be an object"},
	}
	for _, c := range cases {
		_, err := conn.Exec(t.Context(), "SELECT pupwasm.append('c', 't', 'i', $1::json)", "["+good+", "+c.events+"]")
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %.300v, want %q", c.name, err, c.want)
		}
	}
	arguments := []struct{ name, arguments, want string }{
		{"no context", `'', 't', 'i', '[]'`, "bounded_context is required"},
		{"a type of NULL", `'c', NULL, 'i', '[]'`, "aggregate_type is required"},
		{"a long id", `'c', 't', repeat('ü', 401), '[]'`, "aggregate_id has 802 bytes, the limit is 800"},
		{"an object", `'c', 't', 'i', '{}'`, "events is object, must be an array of events"},
		{"NULL", `'c', 't', 'i', NULL`, "events is NULL, must be an array of events"},
		{"a version below -1", `'c', 't', 'i', '[]', -2`, "expected_version is -2, must be the version of the stream"},
		{"no events on a version", `'c', 't', 'i', '[]', 3`, "version conflict"},
	}
	for _, a := range arguments {
		_, err := conn.Exec(t.Context(), "SELECT pupwasm.append("+a.arguments+")")
		if err == nil || !strings.Contains(err.Error(), a.want) {
			t.Errorf("%s: %v, want %q", a.name, err, a.want)
		}
	}
	wantRows(t, db, "SELECT count(*) FROM pupwasm.events", "0")
}

// TestSQL_appendStoresWhatIsGiven does so in a session whose settings read times in another way.
func TestSQL_appendStoresWhatIsGiven(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	conn := db.Connect(t)
	execute(t, conn, "SET TIME ZONE 'Asia/Tokyo'; SET datestyle = 'German, DMY'; SET intervalstyle = 'sql_standard'")
	cases := []struct{ created, want string }{
		{"2024-05-06T07:08:09Z", "2024-05-06 07:08:09"},
		{"2024-05-06t07:08:09.1z", "2024-05-06 07:08:09.1"},
		{"2024-05-06T07:08:59.9999999Z", "2024-05-06 07:08:59.999999"},
		{"2024-05-06T00:08:09+23:59", "2024-05-05 00:09:09"},
		{"2024-05-06T07:08:09.000001-00:30", "2024-05-06 07:38:09.000001"},
		{"2016-12-31T23:59:60Z", "2017-01-01 00:00:00"},
		{"1990-12-31T15:59:60.75-08:00", "1991-01-01 00:00:00"},
		{"2000-02-29T00:00:00-00:00", "2000-02-29 00:00:00"},
		{"0001-01-01T00:00:00.000001Z", "0001-01-01 00:00:00.000001"},
		{"9999-12-31T23:59:59.9999999Z", "9999-12-31 23:59:59.999999"},
	}
	for i, c := range cases {
		execute(t, conn, "SELECT pupwasm.append('c', 't', $1, $2::json)", fmt.Sprint(i),
			`[{"event_type": "e", "created_at": "`+c.created+`",
			"trace_id": null, "event_version": null, "event_id": null, "metadata": null, "payload_base64": null, "correlation_id": ""}]`)
		wantRows(t, db, fmt.Sprintf("SELECT created_at AT TIME ZONE 'UTC' FROM pupwasm.events WHERE aggregate_id = '%d'", i),
			c.want)
	}
	wantRows(t, db, "SELECT DISTINCT trace_id, correlation_id, event_version, metadata, payload FROM pupwasm.events",
		`NULL NULL 1 {} \x`)
}

// TestSQL_insertRefuses writes past the functions.
func TestSQL_insertRefuses(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	conn := db.Connect(t)
	columns := map[string]string{
		"bounded_context": "'c'", "aggregate_type": "'t'", "aggregate_id": "'i'", "event_type": "'e'", "payload": "''",
		"aggregate_version": "1",
	}
	insert := func(column, value string) error {
		names, values := []string{column}, []string{value}
		for name, usual := range columns {
			if name != column {
				names, values = append(names, name), append(values, usual)
			}
		}
		_, err := conn.Exec(t.Context(), fmt.Sprintf("INSERT INTO pupwasm.events (%s) VALUES (%s)",
			strings.Join(names, ", "), strings.Join(values, ", ")))
		return err
	}
	long := "repeat('x', 801)"
	for column, values := range map[string][]string{
		"bounded_context": {"''", long}, "aggregate_type": {"''", long}, "aggregate_id": {
			"''",
			"repeat('ü', 401)",
		}, "event_type": {"''", long},
		"trace_id": {long}, "correlation_id": {long}, "causation_id": {long},
		"event_version": {"0", "-1"}, "aggregate_version": {"0"},
		"event_id": {"'00000000-0000-0000-0000-000000000000'"},
		"metadata": {
			"'[]'", "'null'", "'\"{}\"'", "jsonb_build_object('a', repeat('x', 1048576))",
			`('{"a":[' || repeat('1e131071,', 8) || '1]}')::jsonb`,
		},
		"created_at": {
			"'infinity'", "'-infinity'", "'10000-01-01 00:00:00+00'", "'0001-01-01 00:00:00+00'",
			"'0001-12-31 00:00:00+00 BC'",
		},
	} {
		for _, value := range values {
			if err := insert(column, value); err == nil || !strings.Contains(err.Error(), `"events_`+column+`_check"`) {
				t.Errorf("%s = %s: %v", column, value, err)
			}
		}
	}
	if err := insert("aggregate_id", "repeat('ü', 400)"); err != nil {
		t.Error(err)
	}
}
