package deploy

import (
	"bytes"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// dockerfile parses deploy/Dockerfile as Docker does, and fails where its linter has something to say.
func dockerfile(t *testing.T) []instructions.Stage {
	t.Helper()
	parsed, err := parser.Parse(bytes.NewReader(read(t, "Dockerfile")))
	if err != nil {
		t.Fatal(err)
	}
	lint := linter.New(&linter.Config{Warn: func(rule, description, _, message string, at []parser.Range) {
		t.Errorf("Dockerfile:%d: %s: %s (%s)", at[0].Start.Line, rule, message, description)
	}})
	stages, _, err := instructions.Parse(parsed.AST, lint)
	if err != nil {
		t.Fatal(err)
	}
	return stages
}

// commands are those of one kind in a stage.
func commands[T instructions.Command](stage instructions.Stage) (found []T) {
	for _, command := range stage.Commands {
		if one, is := command.(T); is {
			found = append(found, one)
		}
	}
	return found
}

func TestDockerfile_theImageHasTheProgramAlone(t *testing.T) {
	t.Parallel()
	stages := dockerfile(t)
	if len(stages) != 2 {
		t.Fatalf("there are %d stages", len(stages))
	}
	build, image := stages[0], stages[1]
	if image.BaseName != "scratch" {
		t.Errorf("the image is made from %s", image.BaseName)
	}
	if users := commands[*instructions.UserCommand](image); len(users) != 1 || !regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).
		MatchString(users[0].User) {
		t.Errorf("the user is %v: Kubernetes tells by a number that it is not root", users)
	}
	for _, c := range commands[*instructions.CopyCommand](image) {
		if c.From != build.Name {
			t.Errorf("%v is not copied out of the build", c)
		}
	}
	for _, entry := range commands[*instructions.EntrypointCommand](image) {
		if entry.PrependShell || !slices.Equal(entry.CmdLine, []string{"/usr/bin/pupwasm"}) {
			t.Errorf("the image runs %v", entry.CmdLine)
		}
	}
	if len(commands[*instructions.AddCommand](build)) > 0 || len(commands[*instructions.RunCommand](image)) > 0 {
		t.Error("a file comes from somewhere else, or the image runs a program that it does not have")
	}
}

// TestDockerfile_isBuiltAsAReleaseIs compares the release of Go, and the flags.
func TestDockerfile_isBuiltAsAReleaseIs(t *testing.T) {
	t.Parallel()
	build := dockerfile(t)[0]
	out, err := exec.Command("go", "list", "-C", "..", "-m", "-f", "{{.GoVersion}}", "github.com/pupwasm/pupwasm").Output()
	if err != nil {
		t.Fatal(err)
	}
	if release := strings.TrimSpace(string(out)); !strings.HasPrefix(build.BaseName, "golang:"+release+"-") {
		t.Errorf("it is built by %s, go.mod has %s", build.BaseName, release)
	}
	flags := regexp.MustCompile(`go build -trimpath -buildvcs=false\s+(?:\\\s+)?-ldflags "-s -w -buildid= -X main.version=\S+ -X main.revision=\S+"`)
	for _, file := range []string{"Dockerfile", "../scripts/release.sh"} {
		if !flags.Match(read(t, file)) {
			t.Errorf("%s has other flags than %s", file, flags)
		}
	}
}
