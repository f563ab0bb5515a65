package main_test

import (
	"os"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/guestbuild"
	"github.com/pupwasm/pupwasm/segments"
)

var pageLinks = regexp.MustCompile(`\[([^\]\n]+)\]\(([^)#]+)[^)]*\)`)

// TestComing_whatItLinksIsThere checks that every file of the page is there, and has the test that is named.
func TestComing_whatItLinksIsThere(t *testing.T) {
	t.Parallel()
	root := guestbuild.Root(t)
	tests := 0
	for _, link := range pageLinks.FindAllStringSubmatch(comingPage(t), -1) {
		name, target := link[1], link[2]
		if strings.HasPrefix(target, "https://") {
			continue
		}
		file := filepath.Join(root, "docs", filepath.FromSlash(target))
		info, err := os.Stat(file)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if info.IsDir() || path.Ext(file) != ".go" {
			continue
		}
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		declared := "\nfunc " + name + "(t *testing.T)"
		if strings.Contains(target, "/storetest/") {
			declared = "\n\t{\"" + name + "\", "
		}
		if !strings.Contains(string(source), declared) {
			t.Errorf("%s has no test %s", target, name)
		}
		tests++
	}
	if tests < 40 {
		t.Errorf("the page names %d tests", tests)
	}
}

// TestComing_optionsAreThere checks that every flag and setting in the tables of the page is one.
func TestComing_optionsAreThere(t *testing.T) {
	t.Parallel()
	_, options, _ := strings.Cut(comingPage(t), "\n## Options\n")
	options, _, _ = strings.Cut(options, "\n## Examples\n")
	help := run(t, "", "run", "--help")
	for _, flag := range regexp.MustCompile("`(--[a-z-]+)`").FindAllStringSubmatch(options, -1) {
		if !strings.Contains(help, " "+flag[1]+" ") {
			t.Errorf("run has no flag %s", flag[1])
		}
	}
	settings := reflect.TypeFor[segments.Options]()
	found := 0
	for _, setting := range regexp.MustCompile("`Worker\\.([A-Za-z]+)`").FindAllStringSubmatch(options, -1) {
		if _, is := settings.FieldByName(setting[1]); !is {
			t.Errorf("segments.Options has no %s", setting[1])
		}
		found++
	}
	if found < 12 {
		t.Errorf("the page names %d settings", found)
	}
}
