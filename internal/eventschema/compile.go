package eventschema

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// base is what the URLs of the files of a folder begin with, which only the compiler knows.
const base = "schemas://folder/"

func urlOf(name string) string { return base + url.PathEscape(name) }

// escapeToken writes a token of a JSON pointer for the fragment of a URL.
func escapeToken(token string) string {
	return url.PathEscape(strings.ReplaceAll(strings.ReplaceAll(token, "~", "~0"), "/", "~1"))
}

// nothing loads no schemas: those of the folder are there before anything refers to them.
type nothing struct{}

// Load refuses.
func (nothing) Load(string) (any, error) { return nil, errors.New("nothing is fetched") }

// compile makes a set of the files of a folder.
func compile(folder string, files []file) (*Set, error) {
	set := &Set{
		folder: folder, schemas: map[Event]*jsonschema.Schema{}, versions: map[string][]int32{}, work: &work{workMax, math.MaxInt},
	}
	engine := &patterns{stepsOfAllMax}
	compiler := newCompiler(set.work, engine)
	for _, f := range files {
		if err := compiler.AddResource(urlOf(f.name), f.doc); err != nil {
			return nil, &FileError{Path: filepath.Join(folder, f.name), Err: err}
		}
	}
	walk := &walk{work: set.work, heights: map[*jsonschema.Schema]int{}}
	for _, f := range files {
		schema, err := compileFile(compiler, f, walk)
		if err != nil {
			return nil, &FileError{Path: filepath.Join(folder, f.name), Err: err}
		}
		set.schemas[f.event] = schema
		set.versions[f.event.Type] = append(set.versions[f.event.Type], f.event.Version)
	}
	for _, versions := range set.versions {
		slices.Sort(versions)
	}
	engine.left = math.MaxInt // from now on they come from payloads, by the format regex
	return set, nil
}

func newCompiler(w *work, engine *patterns) *jsonschema.Compiler {
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	compiler.AssertContent()
	compiler.UseLoader(nothing{})
	compiler.UseRegexpEngine(engine.compile)
	decode := func(text []byte) (any, error) {
		if err := w.spend(1 + len(text)/textPerUnit); err != nil {
			return nil, err
		}
		return decodeValue(text, bounds{PayloadDepthMax, PayloadValuesMax})
	}
	compiler.RegisterContentMediaType(&jsonschema.MediaType{
		Name:          "application/json",
		Validate:      func(text []byte) error { _, err := decode(text); return err },
		UnmarshalJSON: decode,
	})
	return compiler
}

func compileFile(compiler *jsonschema.Compiler, f file, walk *walk) (*jsonschema.Schema, error) {
	schema, err := compiler.Compile(urlOf(f.name))
	if err != nil {
		return nil, describeCompile(err, f.doc)
	}
	if err := walk.visit(schema); err != nil {
		return nil, err
	}
	for _, pointer := range anchored(f.doc, "") {
		if part, err := compiler.Compile(urlOf(f.name) + "#" + pointer); err == nil { // otherwise it is no schema
			if err := walk.visit(part); err != nil {
				return nil, err
			}
		}
	}
	return schema, nil
}

// describeCompile rewords an error of the compiler for the author of a schema.
func describeCompile(err error, doc any) error {
	var invalid *jsonschema.SchemaValidationError
	var remote *jsonschema.LoadURLError
	var expression *jsonschema.InvalidRegexError
	var absent *jsonschema.JSONPointerNotFoundError
	var anchor *jsonschema.AnchorNotFoundError
	switch {
	case errors.As(err, &invalid):
		if _, fragment, _ := strings.Cut(invalid.URL, "#"); fragment != "" { // a part that is reached by a reference
			doc = nil
		}
		return errors.New(describe(invalid.Err, "", doc))
	case errors.As(err, &remote):
		return errRemote(remote.URL)
	case errors.As(err, &expression):
		return errors.New(describeExpression(expression.Regex, expression.Err))
	case errors.As(err, &absent):
		return fmt.Errorf("refers to %s, which is not there", named(absent.URL))
	case errors.As(err, &anchor):
		return fmt.Errorf("refers to %s, which is not there", named(anchor.Reference))
	}
	return errors.New(strings.ReplaceAll(err.Error(), base, ""))
}

// named is a URL for people: a file of the folder has its name.
func named(address string) string {
	name := strings.TrimPrefix(address, base)
	if plain, err := url.PathUnescape(name); err == nil {
		name = plain
	}
	return cut(name)
}

func errRemote(address string) error {
	if strings.HasPrefix(address, base) {
		return fmt.Errorf("refers to %s, which is not in the folder", named(address))
	}
	return fmt.Errorf("refers to %s: a schema may only refer to itself and to files of its folder, nothing is fetched",
		cut(strings.TrimSuffix(address, "#")))
}

// describeExpression quotes an expression of a schema. withoutValues has taken those of payloads away.
func describeExpression(quoted any, err error) string {
	expression, is := quoted.(string)
	if !is {
		return "is not of the format regex"
	}
	return fmt.Sprintf("%q is not a regular expression as Go has them, which have no look-ahead and no references back: %s",
		cut(expression), err)
}
