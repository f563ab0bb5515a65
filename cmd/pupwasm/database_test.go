package main

import (
	"strings"
	"testing"
)

func TestParseTarget_showsNoPassword(t *testing.T) {
	t.Parallel()
	tests := []struct{ database, shown string }{
		{"postgres://localhost/shop", "postgres://localhost/shop"},
		{"postgresql://u@h", "postgresql://u@h"},
		{"postgres:///shop?host=/run/postgresql", "postgres:///shop?host=/run/postgresql"},
		{"postgres://u:secret@h:5432/d?sslmode=disable", "postgres://u:xxxxx@h:5432/d?sslmode=disable"},
		{"postgres://u:@h/d", "postgres://u:xxxxx@h/d"},
		{"postgres://u:se%40cret@a:1,b:2,[::1]:3/d", "postgres://u:xxxxx@a:1,b:2,[::1]:3/d"},
		{"postgres://u:se:cret@h/d", "postgres://u:xxxxx@h/d"},
		{
			"postgres://h/d?user=a@b&password=secret&sslpassword=secret&x=1",
			"postgres://h/d?user=a@b&password=xxxxx&sslpassword=xxxxx&x=1",
		},
		{"mysql://localhost/shop", "mysql://localhost/shop"},
		{"mariadb://u:secret@h:3306/d?tls=true", "mariadb://u:xxxxx@h:3306/d?tls=true"},
		{"MySQL://u:se%40cret@[::1]:3/d", "MySQL://u:xxxxx@[::1]:3/d"},
		{"mysql://u:@/d?socket=/run/mysqld/mysqld.sock", "mysql://u:xxxxx@/d?socket=/run/mysqld/mysqld.sock"},
		{"sqlite:a/b c.db", "sqlite:a/b c.db"},
		{"sqlite:///tmp/x.db", "sqlite:/tmp/x.db"},
	}
	for _, test := range tests {
		got, err := parseTarget("database", test.database)
		if err != nil || got.String() != test.shown {
			t.Errorf("%s: shown as %s, must be %s; %v", test.database, got, test.shown, err)
		}
	}
	for _, database := range []string{
		"postgres://u:se/secret@h/d", "postgres://u:1/secret@h/d", "postgres://u:1#secret@h/d", "postgres://u:1?secret@h/d",
		"postgres://u:1?secret@h/d?a=b", "postgres://u:secret@secret@h/d", "postgres://u:sec%ret@h/d", "postgres://u:secret@h:secret/d",
		"postgres:u:secret@h", "postgres://h/d?secret", "u:secret@h/d", "secret://h", "secret",
		"mysql://u:se/secret@h/d", "mysql://u:1/secret@h/d", "mysql://u:1#secret@h/d", "mysql://u:1?secret@h/d",
		"mysql://u:1?tls=secret@h/d", "mysql://u:secret@secret@h/d", "mysql://u:sec%ret@h/d", "mysql://u:secret@h:secret/d",
		"mysql:u:secret@h", "mysql://h/d?secret", "mysql://u:secret@h", "mysql://u:secret@h/", "mysql://u:secret@h/a/b",
		"mysql://u:secret@h/d?password=secret", "mysql://u:secret@a,b/d",
	} {
		_, err := parseTarget("database", database)
		if err == nil || strings.Contains(strings.ReplaceAll(err.Error(), `scheme "secret"`, ""), "secret") {
			t.Errorf("%s: error is %v", database, err)
		}
	}
}
