package main

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pupwasm/pupwasm/migrations"
	"github.com/pupwasm/pupwasm/store/mysql"
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
		{"mysql://u:", "@h/d"},
		{"mysql://u:1?tls=", "@h/d"},
		{"mariadb://u:1/", "@h/d"},
		{"mysql://u:a?", "@h/d"},
		{"mysql://h/d?password=", ""},
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
		if got.name == migrations.MySQL {
			config, err := mysql.ParseURL(got.address)
			if err != nil || !strings.Contains(config.Passwd, secret) {
				return
			}
			if strings.Contains(got.String(), secret) && config.DBName != secret && config.User != secret &&
				!strings.HasPrefix(config.Addr, secret) {
				t.Errorf("%q is shown as %s", url, got)
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
