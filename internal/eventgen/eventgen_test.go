package eventgen_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/pupwasm/pupwasm/internal/build"
	"github.com/pupwasm/pupwasm/internal/eventgen"
	"github.com/pupwasm/pupwasm/internal/guestbuild"
)

// TestGenerate_isCommitted sees that what was generated in this repository is what would be generated now.
func TestGenerate_isCommitted(t *testing.T) {
	t.Parallel()
	root := guestbuild.Root(t)
	for _, folder := range []string{
		"guest-sdk/typed/internal/sample",
		"modules/examples/testdata/fine_balance_typed/events",
		"examples/versioned_events/events",
	} {
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			result, err := eventgen.Check(t.Context(), filepath.Join(root, folder))
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range result.Files {
				if file.Outcome != eventgen.Unchanged {
					t.Errorf("%s is %s: run 'pupwasm gen events %s', and read what changed", file.Path, file.Outcome, folder)
				}
			}
			if len(result.Files) < 5 {
				t.Errorf("only %d files", len(result.Files))
			}
		})
	}
}

// folder makes the files of a txtar archive, in a Go module of their own.
func folder(t *testing.T, archive string) string {
	t.Helper()
	dir := t.TempDir()
	files := txtar.Parse([]byte(archive)).Files
	for _, file := range append(files, txtar.File{Name: "go.mod", Data: goMod(t)}) {
		path := filepath.Join(dir, file.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, file.Data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "events")
}

// goMod requires the SDK of this repository, and nothing else.
func goMod(t *testing.T) []byte {
	const sdk = "github.com/pupwasm/pupwasm/guest-sdk"
	return fmt.Appendf(nil, "module example.com/shop\n\ngo 1.24\n\nrequire %s v0.0.0\n\nreplace %s => %s\n", sdk, sdk,
		filepath.Join(guestbuild.Root(t), "guest-sdk"))
}

func TestGenerate_saysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ source, want string }{
		"a newer version without a way": {
			"package v1\n\ntype Placed struct{}\n-- events/v2/e.go --\npackage v2\n\ntype Placed struct{}\n",
			"v1/e.go:3: Placed has a version 2 and no way there: write 'func UpPlaced(old v1.Placed) Placed' in v2",
		},
		"a way back": {
			"package v1\n\ntype Placed struct{}\n\ntype Paid struct{}\n\nfunc UpPlaced(Placed) Paid { return Paid{} }\n",
			"v1/e.go:7: UpPlaced makes version 1 of version 1: it has to lead to a later version",
		},
		"two ways": {
			"package v1\n\ntype Placed struct{}\n-- events/v2/e.go --\npackage v2\n\nimport \"example.com/shop/events/v1\"\n\ntype Placed struct{}\n\n" +
				"func UpPlaced(v1.Placed) Placed { return Placed{} }\n\nfunc UpTwice(v1.Placed) Placed { return Placed{} }\n",
			"v2/e.go:9: UpPlaced and UpTwice both take Placed version 1: keep one of them",
		},
		"versions that part": {
			"package v1\n\ntype A struct{}\n-- events/v2/e.go --\npackage v2\n\nimport \"example.com/shop/events/v1\"\n\ntype A struct{}\n\ntype B struct{}\n\n" +
				"func UpA(v1.A) B { return B{} }\n",
			"v1/e.go:3: A version 1 leads to B version 2, and its version 2 to A version 2: let all versions lead to one event",
		},
		"no event in an upcaster": {
			"package v1\n\ntype Placed struct{}\n\nfunc UpGrade(int) {}\n",
			"v1/e.go:5: UpGrade takes no event and returns no event",
		},
		"any":              {"package v1\n\ntype Placed struct{ A any }\n", "v1/e.go:3: Placed.A is an interface"},
		"a channel":        {"package v1\n\ntype Placed struct{ A []chan int }\n", "Placed.A is a chan int, which JSON does not have"},
		"a complex number": {"package v1\n\ntype Placed struct{ A complex128 }\n", "Placed.A is a complex128"},
		"an array":         {"package v1\n\ntype Placed struct{ A [3]int }\n", "Placed.A is an array: use a slice"},
		"a map of numbers": {"package v1\n\ntype Placed struct{ A map[int]int }\n", "Placed.A is a map whose keys are not plain strings"},
		"no name":          {"package v1\n\ntype Placed struct{ A struct{ B int } }\n", "Placed.A is a struct without a name"},
		"a hidden type":    {"package v1\n\ntype Placed struct{ A part }\n\ntype part struct{}\n", "Placed.A has the type part"},
		"a generic type":   {"package v1\n\ntype Placed struct{ A P[int] }\n\ntype P[T any] struct{ X T }\n", "Placed.A is generic"},
		"itself alone":     {"package v1\n\ntype Placed struct{ A L }\n\ntype L []L\n", "Placed.A has the type L, which holds nothing but itself"},
		"a name twice": {
			"package v1\n\ntype Placed struct {\n\tA int `json:\"x\"`\n\tB int `json:\"x\"`\n}\n",
			`v1/e.go:5: Placed.B has the name "x" in JSON, which A has too`,
		},
		"a number in a text": {"package v1\n\ntype Placed struct {\n\tA int `json:\",string\"`\n}\n", "Placed.A is a number in a text"},
		"an unknown option":  {"package v1\n\ntype Placed struct {\n\tA int `json:\"a,omitempy\"`\n}\n", `Placed.A has the option "omitempy"`},
		"a bad name":         {"package v1\n\ntype Placed struct {\n\tA int `json:\"a\\\\\"`\n}\n", "which encoding/json does not take"},
		"an embedded pointer": {
			"package v1\n\ntype Placed struct{ *Part }\n\ntype Part struct{ X int }\n", "Placed.Part is an embedded pointer",
		},
		"an unknown mark":         {"package v1\n\n//pup:evnt\ntype Placed struct{}\n", "v1/e.go:3: //pup:evnt is unknown"},
		"no decimals":             {"package v1\n\n//pup:decimals two\ntype Cents int64\n", "//pup:decimals two: write a number from 0 to 18"},
		"decimals of a text":      {"package v1\n\n//pup:decimals 2\ntype Cents string\n\ntype Placed struct{ A Cents }\n", "v1/e.go:4: Cents is marked with //pup:decimals and is no int64"},
		"both marks":              {"package v1\n\n//pup:part\n//pup:event\ntype Placed struct{}\n", "remove one of the marks"},
		"a marked text":           {"package v1\n\n//pup:event\ntype Placed string\n", "is marked with //pup:event and is no exported struct"},
		"a slice of a named byte": {"package v1\n\ntype Placed struct{ A []B }\n\ntype B uint8\n", "Placed.A is a slice of v1.B"},
		"half of a form": {
			"package v1\n\ntype Placed struct{ A B }\n\ntype B int\n\nfunc (B) MarshalText() ([]byte, error) { return nil, nil }\n",
			"Placed.A has the type B, which has the method MarshalText and no UnmarshalText: write both, or neither",
		},
		"decimals elsewhere": {
			"package v1\n\nimport \"example.com/shop/money\"\n\ntype Placed struct{ A money.Cents }\n-- money/m.go --\npackage money\n\n" +
				"//pup:decimals 2\ntype Cents int64\n",
			"Placed.A has the type Cents of package money, where //pup:decimals has no effect: move the types with it to v1",
		},
		"a marked alias":   {"package v1\n\ntype Placed struct{}\n\n//pup:event\ntype Other = Placed\n", "mark that type"},
		"no events":        {"package v1\n\ntype Cents int64\n", "v1: has no events"},
		"a group of parts": {"package v1\n\n//pup:part\ntype (\n\tPlaced struct{ A any }\n)\n", "Placed.A is an interface"},
		"a diamond": {
			"package v1\n\ntype Placed struct {\n\tA\n\tB\n}\n\ntype A struct{ Base }\n\ntype B struct{ Base }\n\ntype Base struct{ X int }\n",
			`Placed.B.Base.X has the name "X" in JSON, which A.Base.X has too`,
		},
		"hidden twice": {
			"package v1\n\ntype Placed struct {\n\tpart\n\tX int `json:\"y\"`\n}\n\ntype part struct{ X int }\n",
			"part.X is hidden by another field, and embedded by a type that other packages cannot name",
		},
		"methods of one's own": {
			"package v1\n\n//pup:decimals 2\ntype Cents int64\n\nfunc (Cents) MarshalJSON() ([]byte, error) { return nil, nil }\n",
			"method Cents.MarshalJSON already declared",
		},
		"a file of one's own": {
			"package v1\n\ntype Placed struct{}\n-- events/pupevents/pupevents_gen.go --\npackage pupevents\n",
			"pupevents_gen.go: was not written by 'pupwasm gen events', which has to write a file of this name: rename it",
		},
		"a circle": {
			"package v1\n\nimport _ \"example.com/shop/events/pupevents\"\n\ntype Placed struct{}\n-- events/pupevents/p.go --\npackage pupevents\n",
			"v1/e.go:3: imports example.com/shop/events/pupevents, which imports this package",
		},
		"a long type":         {"package v1\n\n//pup:event " + strings.Repeat("x", 801) + "\ntype Placed struct{}\n", "has 801 bytes"},
		"one type twice":      {"package v1\n\n//pup:event Paid\ntype Placed struct{}\n\ntype Paid struct{}\n", "is stored as Paid version 1, as Paid is"},
		"names like methods":  {"package v1\n\ntype Read struct{}\n", "Read is the name of a generated method"},
		"names by case":       {"package v1\n\ntype PAID struct{}\n\ntype Paid struct{}\n", "differ by the case of letters only"},
		"no Go":               {"package v1\n\ntype Placed struct{ A Missing }\n", "v1/e.go:3: undefined: Missing"},
		"a syntax error":      {"package v1\n\ntype Placed struct{\n", "v1/e.go:"},
		"a package not there": {"package v1\n\nimport \"example.com/none\"\n\ntype Placed struct{ A none.X }\n", "v1/e.go:3: "},
		"an empty folder":     {"", "has no Go package: put structs into it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := folder(t, "-- events/v1/e.go --\n"+c.source)
			if c.source == "" {
				if err := os.Remove(filepath.Join(dir, "v1", "e.go")); err != nil {
					t.Fatal(err)
				}
			}
			_, err := eventgen.Generate(t.Context(), dir)
			var mistakes *build.MistakesError
			if !errors.As(err, &mistakes) || !strings.Contains(fmt.Sprint(mistakes), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
			if _, err := os.Stat(filepath.Join(dir, "schema")); err == nil {
				t.Error("something is generated in spite of it")
			}
		})
	}
}

func TestGenerate_wantsVersions(t *testing.T) {
	t.Parallel()
	_, err := eventgen.Generate(t.Context(), t.TempDir())
	var none *eventgen.NoVersionsError
	if !errors.As(err, &none) {
		t.Error(err)
	}
}

func TestGenerate_followsTheSource(t *testing.T) {
	t.Parallel()
	dir := folder(t, "-- events/v1/e.go --\npackage version1\n\n//pup:decimals 2\ntype Cents int64\n\ntype Placed struct{ Total Cents }\n\ntype Paid struct{}\n"+
		"-- events/schema/own.json --\n{\"title\": \"written by hand\"}\n")
	outcomes := func(generate func() (*eventgen.Result, error)) map[string]eventgen.Outcome {
		t.Helper()
		result, err := generate()
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]eventgen.Outcome{}
		for _, file := range result.Files {
			found[filepath.Base(file.Path)] = file.Outcome
		}
		return found
	}
	want := func(got map[string]eventgen.Outcome, want string) {
		t.Helper()
		if text := fmt.Sprint(got); text != "map["+want+"]" {
			t.Errorf("%s, want %s", text, want)
		}
	}
	generate := func() (*eventgen.Result, error) { return eventgen.Generate(t.Context(), dir) }
	check := func() (*eventgen.Result, error) { return eventgen.Check(t.Context(), dir) }
	want(outcomes(check), "Paid.v1.json:stale Placed.v1.json:stale decimals_gen.go:stale pupevents_gen.go:stale")
	want(outcomes(generate), "Paid.v1.json:written Placed.v1.json:written decimals_gen.go:written pupevents_gen.go:written")
	want(outcomes(generate), "Paid.v1.json:unchanged Placed.v1.json:unchanged decimals_gen.go:unchanged pupevents_gen.go:unchanged")
	// The type with generated methods goes, and an event: what was generated for them does not stand in the way.
	if err := os.WriteFile(filepath.Join(dir, "v1", "e.go"), []byte("package version1\n\ntype Placed struct{ Total int }\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	want(outcomes(check), "Paid.v1.json:stale Placed.v1.json:stale decimals_gen.go:stale pupevents_gen.go:stale")
	want(outcomes(generate), "Paid.v1.json:removed Placed.v1.json:written decimals_gen.go:removed pupevents_gen.go:written")
	want(outcomes(check), "Placed.v1.json:unchanged pupevents_gen.go:unchanged")
	if _, err := os.Stat(filepath.Join(dir, "schema", "own.json")); err != nil {
		t.Error(err)
	}
	// An event that another struct holds now is not dropped in silence.
	if err := os.WriteFile(filepath.Join(dir, "v1", "e.go"), []byte("package version1\n\ntype Placed struct{}\n\ntype All struct{ Of []Placed }\n"),
		0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := generate(); err == nil || !strings.Contains(err.Error(), "Placed was an event, and All holds it now: mark it with //pup:event") {
		t.Error(err)
	}
	// Without the SDK its readers go.
	if err := os.WriteFile(filepath.Join(dir, "v1", "e.go"), []byte("package version1\n\ntype Placed struct{ Total int }\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "..", "go.mod"), []byte("module example.com/shop\n\ngo 1.24\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	want(outcomes(generate), "Placed.v1.json:unchanged pupevents_gen.go:removed")
}
