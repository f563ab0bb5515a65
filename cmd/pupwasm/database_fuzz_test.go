package main

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// FuzzParseTarget searches for a URL whose password is shown, in the name of the database or in an error. The
// driver tells what is the password.
func FuzzParseTarget(f *testing.F) {
	const secret = "s3cr3t"
	for _, parts := range [][2]string{
		{"postgres://u:", "@h/d"},
		{"postgres://h/d?password=", ""},
		{"postgres://h/d?user=a&sslpassword=", "&x=1"},
		{"postgres://u:1/", "@h"},
		{"postgresql://u:a%40", "@a:1,b:2/d"},
		{"postgres://u:p@", "/d"},
		{"postgres://", "@h/d"},
		{"postgres:///d?host=/run&password=", ""},
		{"host=h password=", ""},
		{"sqlite:", ".db"},
		{"postgres://u:a?", "@h/d"},
		{"postgres://u:a#", "@h/d"},
	} {
		f.Add(parts[0], parts[1])
	}
	f.Fuzz(func(t *testing.T, before, behind string) {
		url := before + secret + behind
		got, err := parseTarget("database", url)
		if err != nil {
			if scheme, _, _ := strings.Cut(url, ":"); strings.Contains(err.Error(), secret) &&
				!strings.Contains(scheme, secret) {
				t.Errorf("the error for %q shows it: %v", url, err)
			}
			return
		}
		config, err := pgconn.ParseConfig(got.address)
		if err != nil || !strings.Contains(config.Password, secret) {
			return
		}
		if strings.Contains(got.String(), secret) && config.Database != secret && config.User != secret &&
			config.Host != secret {
			t.Errorf("%q is shown as %s", url, got)
		}
	})
}
