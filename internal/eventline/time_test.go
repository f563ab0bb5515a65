package eventline

import (
	"strings"
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"2024-05-06T07:08:09Z":             "2024-05-06T07:08:09Z",
		"2024-05-06t07:08:09.1z":           "2024-05-06T07:08:09.1Z",
		"2024-05-06T07:08:59.9999999Z":     "2024-05-06T07:08:59.999999Z",
		"2024-05-06T00:08:09+23:59":        "2024-05-05T00:09:09Z",
		"2024-05-06T07:08:09.000001-00:30": "2024-05-06T07:38:09.000001Z",
		"2016-12-31T23:59:60Z":             "2017-01-01T00:00:00Z",
		"1990-12-31T15:59:60.75-08:00":     "1991-01-01T00:00:00Z",
		"2000-02-29T00:00:00-00:00":        "2000-02-29T00:00:00Z",
		"0001-01-01T00:00:00.000001Z":      "0001-01-01T00:00:00.000001Z",
		"9999-12-31T23:59:59.9999999Z":     "9999-12-31T23:59:59.999999Z",
	} {
		if at, err := ParseTime(text); err != nil || at.Format(time.RFC3339Nano) != want {
			t.Errorf("%s is read as %s, %v", text, at.Format(time.RFC3339Nano), err)
		}
	}
	for text, want := range map[string]string{
		"2024-05-06T07:08:09":            "must be a time such as",
		"2024-05-06 07:08:09Z":           "must be a time such as",
		"2024-05-06T07:08:09,5Z":         "must be a time such as",
		"2024-05-06T7:08:09Z":            "must be a time such as",
		"2024-05-06T24:00:00Z":           "must be a time such as",
		"2024-13-06T00:00:00Z":           "must be a time such as",
		"2024-05-06T00:00:00+24:00":      "must be a time such as",
		"2024-05-06T00:00:00Z\n":         "must be a time such as",
		"10000-01-01T00:00:00Z":          "must be a time such as",
		"2023-02-29T00:00:00Z":           "has the day 29",
		"2016-12-31T11:59:60Z":           "has the second 60",
		"2016-12-31T23:59:60+01:00":      "has the second 60",
		"0000-02-29T00:00:00Z":           "the years go from 1 to 9999",
		"0001-01-01T00:00:00+00:01":      "the years go from 1 to 9999",
		"9999-12-31T23:59:59-00:01":      "the years go from 1 to 9999",
		"0001-01-01T00:00:00.000000999Z": "means no time",
	} {
		if at, err := ParseTime(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is read as %s, %v, want %q", text, at, err, want)
		}
	}
}
