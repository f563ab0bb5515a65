package eventgen_test

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/pupwasm/pupwasm/internal/eventgen"
)

// odd has structs whose names and forms are unusual, and a test that reads them as encoding/json does.
const odd = `
-- events/v1/e.go --
package v1

import (
	"encoding/json"
	"math/big"
	"time"

	"example.com/shop/a"
	"example.com/shop/len"
	"example.com/shop/list1"
	text2 "example.com/shop/string"
)

type text = string

// Names are those of generated variables and packages, and of types that Go knows.
type Names struct {
	R, J, V, O text
	A          a.Line
	Len        []len.Line
	List1      map[text]list1.Line
	String     *text2.Line
	Func       text          ` + "`json:\"func\"`" + `
	Strange    int           ` + "`json:\"<&>é \"`" + `
	Dash       int           ` + "`json:\"-,\"`" + `
	Number     json.Number   ` + "`json:\"number\"`" + `
	Wait       time.Duration ` + "`json:\"wait\"`" + `
	Big        big.Int       ` + "`json:\"big\"`" + `
}

//pup:event
type Ärger struct{ Ü int }

type Address struct {
	City   text ` + "`json:\"city\"`" + `
	Street text
	hidden int
}

type other struct {
	Town text ` + "`json:\"town\"`" + `
	Zip  int
}

// Moved hides members of what it embeds, in Go and in JSON.
type Moved struct {
	Address
	other
	City   text ` + "`json:\"place\"`" + `
	Street int
	time.Time
	big.Int
}

// Types, Fields, Reader and Registry are names in the generated packages.
type (
	Types    struct{ Kept cache }
	Fields   struct{ last Types }
	Reader   struct{ Types []Ärger }
	Registry struct{}
)

type cache = map[text]int64
-- a/a.go --
package a

type Line struct{ N int }
-- len/len.go --
package len

type Line struct{ N uint }
-- list1/list1.go --
package list1

type Line struct{ N float32 }
-- string/string.go --
package string

type Line struct{ N *int8 }
-- events/odd_test.go --
package events

import (
	"encoding/json"
	"reflect"
	"testing"

	pup "github.com/pupwasm/pupwasm/guest-sdk"
	"github.com/pupwasm/pupwasm/guest-sdk/puptest"

	"example.com/shop/events/pupevents"
	"example.com/shop/events/v1"
)

var check = func(any, error) {}

func TestOdd(t *testing.T) {
	var reader pupevents.Reader
	pup.Register(pup.Projection{Name: "odd", Version: 1, Fields: pupevents.Fields, Handle: func(b *pup.Batch, _ *pup.Mutations) error {
		for e := range b.Events() {
			check(reader.Read(e))
		}
		return nil
	}})
	for _, c := range []struct {
		kind, payload string
		want          any
	}{
		{"Names", ` + "`" + `{"R":"r","J":"j","V":"v","O":"o","A":{"N":1},"Len":[{"N":2}],"List1":{"x":{"N":1.5}},"String":{"N":-8},"func":"f",
			"<&>é ":1,"-":2,"number":12.50,"wait":5,"big":123456789012345678901234567890}` + "`" + `, &v1.Names{}},
		{"Ärger", ` + "`" + `{"Ü":3}` + "`" + `, &v1.Ärger{}},
		{"Moved", ` + "`" + `{"city":"bern","Street":1,"place":"thun","town":"basel","Zip":4}` + "`" + `, &v1.Moved{}},
		{"Types", ` + "`" + `{"Kept":{"a":1}}` + "`" + `, &v1.Types{}},
		{"Reader", ` + "`" + `{"Types":[{"Ü":1},{}]}` + "`" + `, &v1.Reader{}},
		{"Fields", "{}", &v1.Fields{}},
		{"Registry", "{}", &v1.Registry{}},
	} {
		if err := json.Unmarshal([]byte(c.payload), c.want); err != nil {
			t.Fatal(err)
		}
		check = func(got any, err error) {
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("%s: %+v, %v, not %+v", c.kind, got, err, c.want)
			}
		}
		puptest.New(t).Apply(puptest.Event{BoundedContext: "a", AggregateType: "b", AggregateID: "c", Type: c.kind, Payload: c.payload})
	}
}
`

// TestGenerate_compilesOddStructs generates, compiles and runs readers of unusual structs.
func TestGenerate_compilesOddStructs(t *testing.T) {
	t.Parallel()
	dir := folder(t, odd)
	if _, err := eventgen.Generate(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	test := exec.CommandContext(t.Context(), "go", "test", "-vet=off", "./events/...")
	test.Dir = filepath.Dir(dir)
	if out, err := test.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
