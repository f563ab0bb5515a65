package main

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestTargetList_dividesAtTargets(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		list string
		want []string
	}{
		{"stdout", []string{"stdout"}},
		{"nats://a:4222,nats://b:4222, tls://c", []string{"nats://a:4222,nats://b:4222,tls://c"}},
		{"shop=nats://a,nats://b,bills=nats://a", []string{"shop=nats://a,nats://b", "bills=nats://a"}},
		{"nats://a,shop=https://h.example/?a=1,2,file:b,c", []string{"nats://a", "shop=https://h.example/?a=1,2", "file:b,c"}},
		{"shop=file:a.jsonl,stdout", []string{"shop=file:a.jsonl", "stdout"}},
		{"shop=https://h,nats://b", []string{"shop=https://h", "nats://b"}},
		{"ftp://a", []string{"ftp://a"}},
		{"", []string{""}},
	} {
		var got targetList
		if err := got.Set(test.list); err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%q is divided into %q, %v, must be %q", test.list, got, err, test.want)
		}
		var again targetList
		if err := again.Set(got.String()); err != nil || !slices.Equal(again, got) {
			t.Errorf("%q is read back as %q", got, again)
		}
	}
	var two targetList // of two flags, which are two targets
	_ = two.Set("shop=nats://a")
	_ = two.Set("nats://b")
	var again targetList
	if _ = again.Set(two.String()); !slices.Equal(again, two) || len(two) != 2 {
		t.Errorf("%q is read back as %q", two, again)
	}
}

func TestTargetList_parse(t *testing.T) {
	t.Parallel()
	list := targetList{"nats://a,nats://b", "shop=https://h.example/x", "bills=file:a=b.jsonl", "x_1=stdout"}
	targets, err := list.parse()
	if err != nil {
		t.Fatal(err)
	}
	want := []publishTarget{
		{"", "nats://a,nats://b"}, {"shop", "https://h.example/x"}, {"bills", "file:a=b.jsonl"}, {"x_1", "stdout"},
	}
	if !slices.Equal(targets, want) {
		t.Errorf("the targets are %+v, must be %+v", targets, want)
	}
	for _, list := range []targetList{
		{""},
		{"shop="},
		{"Shop=stdout"},
		{"amqp://user:secret@host"},
		{"nats:a"},
		{"https:secret"},
		{"shop=secret"},
		{"stdin"},
		{"stdout", "file:secret"},
		{"shop=stdout", "shop=file:secret"},
	} {
		_, err := list.parse()
		var usage *usageError
		if !errors.As(err, &usage) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q gives %v", list, err)
		}
	}
}

func TestTargetList_files(t *testing.T) {
	t.Parallel()
	here, err := filepath.Abs("a b.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]string{
		"file:a b.jsonl": here, "file:./x/../a b.jsonl": here, "file:" + here: here, "file://" + here: here, "File:" + here: here,
	} {
		targets, err := (&targetList{url}).parse()
		if err != nil {
			t.Fatal(err)
		}
		if got := targets[0].place(); got != "file:"+want {
			t.Errorf("%s is %s, must be file:%s", url, got, want)
		}
	}
	for url, want := range map[string]string{
		"file:":              "--publish file: has no path: write file:PATH",
		"shop=file:":         "--publish shop=file: has no path: write file:PATH",
		"file://a.jsonl":     "--publish file://a.jsonl names a host: write file:PATH, or file:///PATH for an absolute one",
		"file://":            "--publish file:// names a host: write file:PATH, or file:///PATH for an absolute one",
		"file://localhost/a": "--publish file://localhost/a names a host: write file:PATH, or file:///PATH for an absolute one",
		"file: a.jsonl":      "--publish file: a.jsonl has a blank before its path or behind it",
	} {
		var usage *usageError
		if _, err := (&targetList{url}).parse(); !errors.As(err, &usage) || err.Error() != want {
			t.Errorf("%q gives %v, must be %s", url, err, want)
		}
	}
}

func TestShownTargets_hasNoSecrets(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		list, want string
		had        bool
	}{
		{"stdout", "stdout", false},
		{"shop=file:a.jsonl", "shop=file:a.jsonl", false},
		{"nats://secret@a,nats://b", "nats://a,nats://b", true},
		{"nats://a:4222", "nats://a:4222", false},
		{"shop=tls://user:secret@a/", "shop=tls://a", true},
		{"nats://user:secret@a b", unreadable, true},
		{"https://h.example/", "https://h.example", true},
		{"https://h.example", "https://h.example", false},
		{"https://h.example/secret", "https://h.example/…", true},
		{"shop=http://user:secret@h.example:8080?secret", "shop=http://h.example:8080/…", true},
		{"https://%secret", unreadable, true},
		{"ftp://secret", unreadable, true},
		{"secret", unreadable, true},
	} {
		if shown, had := shownTargets(test.list); shown != test.want || had != test.had {
			t.Errorf("%s is shown as %s, %t, must be %s, %t", test.list, shown, had, test.want, test.had)
		}
	}
}
